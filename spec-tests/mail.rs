//! An SMTP server of one's own, in memory: it keeps the letters that it takes for the test.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, Notify};

/// How long a letter may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A letter that came.
#[derive(Debug, Clone)]
pub struct Letter {
    /// To whom, as the envelope says.
    pub to: String,
    /// The whole of it, its soft line ends and escapes undone.
    pub text: String,
}

impl Letter {
    /// The first link in its body that begins so, after the server's own address.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn link(&self, path: &str) -> String {
        let body = self.text.find("\n\n").map_or("", |end| &self.text[end..]);
        let start = body.find(path).unwrap_or_else(|| panic!("no link to {path} in {}", self.text));
        let rest = &body[start..];
        rest[..rest.find(|char: char| char.is_whitespace() || "\"<>".contains(char)).unwrap_or(rest.len())].to_owned()
    }
}

/// What it is like at the moment.
#[derive(Debug, Default)]
struct Mood {
    refuses: AtomicBool,
    silent: AtomicBool,
    /// Told of every connection that it says nothing to.
    waits: Notify,
}

/// A running server. It ends with the test's runtime.
#[derive(Debug)]
pub struct MailServer {
    /// Where it listens.
    pub port: u16,
    letters: Mutex<UnboundedReceiver<Letter>>,
    mood: Arc<Mood>,
}

impl MailServer {
    /// Starts a server.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, receiver) = unbounded_channel();
        let mood: Arc<Mood> = Arc::default();
        let (sender, its_mood) = (Arc::new(sender), Arc::clone(&mood));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sender, mood) = (Arc::clone(&sender), Arc::clone(&its_mood));
                tokio::spawn(async move {
                    // A client that hangs up has nothing more to say.
                    let _ = talk(stream, &sender, &mood).await;
                });
            }
        });
        Self { port, letters: Mutex::new(receiver), mood }
    }

    /// From now on it takes no letters, or takes them again.
    pub fn refuse(&self, refuses: bool) {
        self.mood.refuses.store(refuses, Ordering::Relaxed);
    }

    /// From now on it takes connections and says nothing.
    pub fn fall_silent(&self) {
        self.mood.silent.store(true, Ordering::Relaxed);
    }

    /// Waits until somebody waits for a word.
    ///
    /// # Panics
    /// Nobody comes for long.
    pub async fn keep_waiting(&self) {
        tokio::time::timeout(PATIENCE, self.mood.waits.notified()).await.expect("nobody brings a letter");
    }

    /// The next letter.
    ///
    /// # Panics
    /// None comes for long.
    pub async fn next(&self) -> Letter {
        let mut letters = self.letters.lock().await;
        tokio::time::timeout(PATIENCE, letters.recv()).await.expect("no letter comes").unwrap()
    }
}

async fn talk(stream: TcpStream, letters: &UnboundedSender<Letter>, mood: &Mood) -> std::io::Result<()> {
    if mood.silent.load(Ordering::Relaxed) {
        mood.waits.notify_one();
        return std::future::pending().await;
    }
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"220 here\r\n").await?;
    let mut to = String::new();
    while let Some(line) = lines.next_line().await? {
        let answer: &[u8] = match line.get(..4).unwrap_or_default().to_uppercase().as_str() {
            "EHLO" => b"250-here\r\n250 8BITMIME\r\n",
            "RCPT" if mood.refuses.load(Ordering::Relaxed) => b"451 not now\r\n",
            "RCPT" => {
                to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                b"250 ok\r\n"
            }
            "DATA" => {
                writer.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                    text.push_str(line.strip_prefix("..").map_or(line.as_str(), |_| &line[1..]));
                    text.push('\n');
                }
                let _ = letters.send(Letter { to: to.clone(), text: plain(&text) });
                b"250 taken\r\n"
            }
            "QUIT" => {
                writer.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => b"250 ok\r\n",
        };
        writer.write_all(answer).await?;
    }
    Ok(())
}

/// Undoes the quoting of the parts that are quoted (quoted-printable).
fn plain(text: &str) -> String {
    let (mut plain, mut quoted, mut part) = (String::new(), false, String::new());
    for line in text.lines() {
        let ends = line.starts_with("--");
        if ends {
            plain.push_str(&if quoted { unquoted(&part) } else { part.clone() });
            (quoted, part) = (false, String::new());
        }
        quoted |= line.eq_ignore_ascii_case("Content-Transfer-Encoding: quoted-printable");
        part.push_str(line);
        part.push('\n');
    }
    plain.push_str(&part);
    plain
}

fn unquoted(text: &str) -> String {
    let joined = text.replace("=\n", "");
    let mut bytes = Vec::with_capacity(joined.len());
    let mut rest = joined.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).filter(|_| *first == b'=').and_then(|code| std::str::from_utf8(code).ok());
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
