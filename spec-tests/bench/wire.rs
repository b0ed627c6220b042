//! A connection that costs the machine little: HTTP/1.1 by hand, one request at a time, so that what is measured is the
//! server and not the client beside it.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body of an answer that must be 200.
    #[track_caller]
    pub fn ok(self) -> Vec<u8> {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self.body
    }

    /// The same, parsed.
    #[track_caller]
    pub fn json(self) -> Value {
        serde_json::from_slice(&self.ok()).unwrap()
    }

    /// A text of the body, by its name. It is looked for and nothing is parsed: for names that stand in it once, and texts
    /// without escapes.
    pub fn text(&self, name: &str) -> Option<&str> {
        let (_, after) = std::str::from_utf8(&self.body).ok()?.split_once(&format!("\"{name}\":\""))?;
        after.split('"').next()
    }
}

/// A connection of somebody.
#[derive(Debug)]
pub struct Wire {
    stream: BufReader<TcpStream>,
    token: String,
    encoding: &'static str,
    nth: u64,
}

impl Wire {
    pub async fn connect(address: SocketAddr, token: &str) -> Self {
        Self::reach(address, token).await.unwrap()
    }

    /// The same for those who go on where nobody answers.
    pub async fn reach(address: SocketAddr, token: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(2048, stream), token: token.to_owned(), encoding: "", nth: 0 })
    }

    /// Speaks for somebody else from now on.
    pub fn become_one(&mut self, token: &str) {
        token.clone_into(&mut self.token);
    }

    /// Asks for compressed answers, as browsers do.
    pub fn compressed(mut self) -> Self {
        self.encoding = "accept-encoding: gzip\r\n";
        self
    }

    /// `GET` below `/_matrix/client`.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, "").await.unwrap()
    }

    /// `PUT` below `/_matrix/client`.
    pub async fn put(&mut self, path: &str, body: &str) -> Answer {
        self.ask("PUT", path, body).await.unwrap()
    }

    /// `POST` below `/_matrix/client`.
    pub async fn post(&mut self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, body).await.unwrap()
    }

    /// Uploads a file; answers its name, `server/id`.
    pub async fn upload(&mut self, file: &[u8]) -> String {
        let answer = self.hand_in(file).await.unwrap().json();
        answer["content_uri"].as_str().unwrap().trim_start_matches("mxc://").to_owned()
    }

    /// Uploads a file.
    pub async fn hand_in(&mut self, file: &[u8]) -> io::Result<Answer> {
        let head = format!(
            "POST /_matrix/media/v3/upload HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
             content-length: {}\r\n\r\n",
            self.token,
            file.len()
        );
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(file).await?;
        self.answer().await
    }

    /// Says something in a room; answers the event's id.
    pub async fn say(&mut self, room: &str, text: &str) -> String {
        let path = format!("/v3/rooms/{room}/send/m.room.message/{}", self.transaction());
        let body = format!(r#"{{"msgtype":"m.text","body":"{text}"}}"#);
        let sent = self.put(&path, &body).await.json();
        sent["event_id"].as_str().unwrap().to_owned()
    }

    /// Syncs without waiting: the token for the next time, and all of the answer.
    pub async fn sync(&mut self, since: Option<&str>) -> (String, Value) {
        let since = since.map(|since| format!("&since={since}")).unwrap_or_default();
        let news = self.get(&format!("/v3/sync?timeout=0{since}")).await.json();
        (next_batch(&news), news)
    }

    /// A transaction's id that this connection's user has not used.
    pub fn transaction(&mut self) -> String {
        self.nth += 1;
        format!("{:x}-{}", rand::random::<u64>(), self.nth)
    }

    /// A request below `/_matrix/client`, for those who go on where it fails.
    pub async fn ask(&mut self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        let request = format!(
            "{method} /_matrix/client{path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n{}\
             content-length: {}\r\n\r\n{body}",
            self.token,
            self.encoding,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes()).await?;
        self.answer().await
    }

    async fn answer(&mut self) -> io::Result<Answer> {
        let (first, body) = read(&mut self.stream).await?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Answer { status: status.ok_or(io::ErrorKind::InvalidData)?, body })
    }
}

/// The next message of a stream: its first line and its body.
pub async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<(String, Vec<u8>)> {
    let first = line(stream).await?;
    let (mut length, mut chunked) = (0, false);
    loop {
        let line = line(stream).await?;
        match line.split_once(": ") {
            Some(("content-length", value)) => length = value.parse().map_err(|_| io::ErrorKind::InvalidData)?,
            Some(("transfer-encoding", value)) => chunked = value == "chunked",
            Some(_) => {}
            None => break,
        }
    }
    let mut body = Vec::new();
    if chunked {
        while piece(stream, &mut body).await? {}
    } else {
        body.resize(length, 0);
        stream.read_exact(&mut body).await?;
    }
    Ok((first, body))
}

async fn piece(stream: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> io::Result<bool> {
    let length = usize::from_str_radix(&line(stream).await?, 16).map_err(|_| io::ErrorKind::InvalidData)?;
    let begin = body.len();
    body.resize(begin + length, 0);
    stream.read_exact(&mut body[begin..]).await?;
    line(stream).await?;
    Ok(length > 0)
}

async fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_end().len());
    Ok(line)
}

/// What to ask with next time.
pub fn next_batch(news: &Value) -> String {
    news["next_batch"].as_str().unwrap().to_owned()
}
