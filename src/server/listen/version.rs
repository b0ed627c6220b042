//! Which HTTP a plain connection speaks, told by its first bytes without taking them.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    One,
    /// HTTP/2.
    Two,
}

/// No method of HTTP/1.1 begins so; HTTP/2 does ("HTTP/2 Connection Preface", RFC 9113).
const PREFACE: &[u8] = b"PRI * HTTP/2";

/// Waits for the first bytes. hyper could tell by itself, but then reads each connection to a buffer of twice the size.
///
/// # Errors
/// The connection failed, or ended.
pub async fn tell(stream: &TcpStream) -> io::Result<Version> {
    loop {
        let mut bytes = [0; PREFACE.len()];
        let length = stream.peek(&mut bytes).await?;
        let first = bytes.get(..length).unwrap_or_default();
        match () {
            () if first.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            () if first == PREFACE => return Ok(Version::Two),
            () if !PREFACE.starts_with(first) => return Ok(Version::One),
            // Part of it: what is there already would be told again at once.
            () => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
