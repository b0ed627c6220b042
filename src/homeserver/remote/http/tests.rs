//! What the client calls, takes and leaves.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{CallError, Client, Limits};
use crate::remote::addresses::Addresses;
use crate::remote::trust;

const LIMITS: Limits = Limits { within: Duration::from_secs(20), bytes: 64 };

/// Answers every connection with these bytes; the port.
async fn answering(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
        }
    });
    port
}

async fn call(addresses: Addresses, uri: String, limits: Limits) -> Result<Response<Bytes>, CallError> {
    let client = Client::new(&trust::client(&[]).unwrap(), Arc::new(addresses));
    client.call(Request::get(uri).body(Full::default()).unwrap(), limits).await
}

#[tokio::test]
async fn an_answer_comes_whole_and_a_redirect_is_one() {
    let port = answering("HTTP/1.1 302 Found\r\nlocation: http://other/\r\ncontent-length: 2\r\n\r\nhi").await;
    let answer = call(Addresses::all(), format!("http://127.0.0.1:{port}/"), LIMITS).await.unwrap();
    assert_eq!((answer.status(), &answer.body()[..]), (StatusCode::FOUND, &b"hi"[..]));
}

#[tokio::test]
async fn private_addresses_are_not_called_by_number_nor_by_name() {
    let port = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f000001", "2130706433", "0177.1"] {
        let answer = call(Addresses::default(), format!("http://{host}:{port}/"), LIMITS).await;
        assert!(matches!(answer, Err(CallError::Denied | CallError::Unreachable(_))), "{host}: {answer:?}");
    }
    let allowed = vec!["127.0.0.1/32".parse().unwrap()];
    let addresses = Addresses { allowed, ..Addresses::default() };
    assert!(call(addresses, format!("http://localhost:{port}/"), LIMITS).await.is_ok());
}

#[tokio::test]
async fn no_more_is_taken_than_the_limits_say() {
    let long = answering("HTTP/1.1 200 OK\r\ncontent-length: 70\r\n\r\n0123456789012345678901234567890123456789").await;
    let answer = call(Addresses::all(), format!("http://127.0.0.1:{long}/"), LIMITS).await;
    assert_eq!(answer.unwrap_err(), CallError::TooLarge);
    let silent = answering("").await;
    let limits = Limits { within: Duration::from_millis(50), ..LIMITS };
    let answer = call(Addresses::all(), format!("http://127.0.0.1:{silent}/"), limits).await;
    assert_eq!(answer.unwrap_err(), CallError::TimedOut);
}
