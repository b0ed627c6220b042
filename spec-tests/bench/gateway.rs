//! A push gateway that costs the machine little: it counts what it is told and looks at none of it. Elsewhere it is another
//! machine's; so it stands back here where the server or those who measure want a core.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::wire::read;

/// How far it stands back, as `nice` counts.
const STANDS_BACK: i32 = 10;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"rejected\":[]}";

/// A running gateway. It ends with the process.
#[derive(Debug)]
pub struct Gateway {
    /// What a pusher's `data.url` is.
    pub url: String,
    told: Arc<AtomicUsize>,
}

impl Gateway {
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}/_matrix/push/v1/notify", listener.local_addr().unwrap());
        let told = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&told);
        std::thread::spawn(move || {
            rustix::process::nice(STANDS_BACK).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(answer(stream, Arc::clone(&counter)));
                }
            });
        });
        Self { url, told }
    }

    /// How many pushes it was told of.
    pub fn told(&self) -> usize {
        self.told.load(Ordering::Relaxed)
    }
}

/// Until the other side goes.
async fn answer(stream: TcpStream, told: Arc<AtomicUsize>) {
    let mut stream = BufReader::with_capacity(2048, stream);
    while read(&mut stream).await.is_ok() {
        told.fetch_add(1, Ordering::Relaxed);
        if stream.get_mut().write_all(ANSWER).await.is_err() {
            return;
        }
    }
}
