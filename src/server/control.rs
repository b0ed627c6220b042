//! The socket by which the command line speaks to a running server: one line of JSON asks, one answers, and those before it
//! tell how far the work is.

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use matron_homeserver::Homeserver;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::failure::{Failure, Result};
use crate::users::{self, Mark, User};
use crate::work::{self, Tell, Work};
use crate::{health, media, reports};

/// The longest question.
const MAX_QUESTION_BYTES: u64 = 64 << 10;
/// The longest line of an answer: a page of users.
const MAX_ANSWER_BYTES: u64 = 8 << 20;
/// A question that takes longer to arrive is none.
const ASKED_WITHIN: Duration = Duration::from_secs(10);
/// Users in one answer.
pub const PAGE: usize = 1000;

/// What the command line asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// Say whether you can be given work.
    Ready,
    /// Look after the store.
    Db(Work),
    /// Make an account.
    Add {
        /// Its name or id.
        name: String,
        /// Its password.
        password: String,
        /// Whether it is an administrator.
        admin: bool,
    },
    /// List accounts after the one of this number.
    List {
        /// The last number of the page before.
        after: Option<u64>,
    },
    /// Change a password.
    SetPassword {
        /// Its name or id.
        name: String,
        /// The new password.
        password: String,
    },
    /// Say something of an account.
    Mark {
        /// Its name or id.
        name: String,
        /// What.
        mark: Mark,
    },
    /// Look at reports.
    Report(reports::Task),
    /// Look after media.
    Media(media::Task),
    /// Close an account.
    Deactivate {
        /// Its name or id.
        name: String,
        /// Whether to hide what it sent.
        erase: bool,
    },
}

/// What the server answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Work can be given.
    Ready,
    /// It is done: for this user id, or what there is to say of it.
    Done(String),
    /// A line for people: how far it is, or a part of what was asked for. More answers follow.
    Told(String),
    /// A page of the list; empty at its end.
    Users(Vec<User>),
    /// It is not done.
    Failed(String),
}

/// Does what is asked. A server without a socket, the command line itself, calls this too.
pub async fn answer(homeserver: &Homeserver, question: Question, tell: Tell<'_>) -> Answer {
    let done = match question {
        Question::Db(work) => {
            let done = work::run(homeserver, work, tell).await;
            return done.map_or_else(|failure| Answer::Failed(failure.to_string()), Answer::Done);
        }
        Question::Ready => {
            return match health::why_not_ready(homeserver) {
                None => Answer::Ready,
                Some(reason) => Answer::Failed(reason.to_owned()),
            };
        }
        Question::Add { name, password, admin } => {
            users::add(homeserver, &name, &password, admin).await.map(Answer::Done)
        }
        Question::List { after } => users::list(homeserver, after, PAGE).await.map(Answer::Users),
        Question::SetPassword { name, password } => {
            users::set_password(homeserver, &name, &password).await.map(Answer::Done)
        }
        Question::Mark { name, mark } => users::mark(homeserver, &name, mark).await.map(Answer::Done),
        Question::Report(task) => reports::run(homeserver, task, tell).await.map(Answer::Done),
        Question::Media(task) => media::run(homeserver, task, tell).await.map(Answer::Done),
        Question::Deactivate { name, erase } => users::deactivate(homeserver, &name, erase).await.map(Answer::Done),
    };
    done.unwrap_or_else(|error| Answer::Failed(error.to_string()))
}

/// The socket while the server listens to it.
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Binds the socket. The data folder is held, so whatever lies there is a dead process's.
    ///
    /// # Errors
    /// It cannot be bound: its path is too long, say.
    pub fn bind(path: PathBuf) -> Result<Self> {
        let bind = || {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = UnixListener::bind(&path)?;
            // Until here the folder, which is its owner's alone, keeps others out.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        let listener = bind()
            .map_err(|error| Failure::because(format_args!("{} cannot be listened on", path.display()), &error))?;
        Ok(Self { listener, path })
    }

    /// Answers until it is time to stop; a long piece of work holds nobody up, and is done on the threads of `behind`.
    pub async fn serve(self, homeserver: Arc<Homeserver>, behind: Handle, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (homeserver, behind, stop) = (Arc::clone(&homeserver), behind.clone(), stop.clone());
                    tasks.spawn(async move {
                        let talked = tokio::select! {
                            talked = talk(stream, homeserver, behind) => talked,
                            () = stop.cancelled() => return,
                        };
                        if let Err(error) = talked {
                            tracing::debug!(%error, "a question by the socket ended badly");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the socket cannot be listened on");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        tasks.close();
        tasks.wait().await;
        let _ = fs::remove_file(&self.path);
    }
}

async fn talk(stream: UnixStream, homeserver: Arc<Homeserver>, behind: Handle) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(MAX_QUESTION_BYTES));
    tokio::time::timeout(ASKED_WITHIN, read.read_line(&mut line)).await??;
    let Ok(question) = serde_json::from_str(&line) else {
        // Without the line itself, which may hold a password.
        let why = "that is no question of this version's command line".to_owned();
        return say(&mut write, &Answer::Failed(why)).await;
    };
    let (lines, mut told) = mpsc::unbounded_channel();
    let tell = move |line: String| {
        // Who asked is gone: that ends the work by itself.
        let _ = lines.send(line);
    };
    // Work on the whole store is long. All else is asked by somebody who waits, and may touch rooms that others are in.
    let threads = if matches!(question, Question::Db(_)) { behind } else { Handle::current() };
    let answer = async move { answer(&homeserver, question, &tell).await };
    let mut answer = AbortOnDropHandle::new(threads.spawn(answer));
    loop {
        tokio::select! {
            biased;
            Some(line) = told.recv() => say(&mut write, &Answer::Told(line)).await?,
            answer = &mut answer => {
                let answer = answer.map_err(io::Error::other)?;
                // What was told in the last moment comes first.
                while let Ok(line) = told.try_recv() {
                    say(&mut write, &Answer::Told(line)).await?;
                }
                return say(&mut write, &answer).await;
            }
        }
    }
}

async fn say(write: &mut OwnedWriteHalf, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    tokio::time::timeout(ASKED_WITHIN, write.write_all(&line)).await?
}

/// Asks the server that listens there. What it tells meanwhile is handed on.
///
/// # Errors
/// Nobody answers, or not in our words.
pub async fn ask(path: &Path, question: &Question, tell: Tell<'_>) -> Result<Answer> {
    let talk = async {
        let (read, mut write) = UnixStream::connect(path).await?.into_split();
        let mut line = serde_json::to_vec(question)?;
        line.push(b'\n');
        write.write_all(&line).await?;
        let mut read = BufReader::new(read.take(MAX_ANSWER_BYTES));
        loop {
            let mut line = String::new();
            read.get_mut().set_limit(MAX_ANSWER_BYTES);
            read.read_line(&mut line).await?;
            match serde_json::from_str(&line)? {
                Answer::Told(line) => tell(line),
                answer => return io::Result::Ok(answer),
            }
        }
    };
    talk.await.map_err(|error| {
        Failure::because(format_args!("the running server does not answer at {}", path.display()), &error)
    })
}
