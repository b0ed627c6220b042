//! `matron user …` and `matron ready`: through the running server where there is one, else by opening the store itself.

use std::path::PathBuf;
use std::sync::Arc;

use matron_homeserver::Homeserver;
use matron_homeserver::clock::Clock;

use crate::cli::User as Command;
use crate::config::Config;
use crate::control::{self, Answer, Question};
use crate::data::{self, Data, Reached};
use crate::failure::{Failure, Result};
use crate::password;
use crate::work::Tell;

/// Who does what is asked.
pub enum Server {
    /// A running server, by its socket.
    Running(PathBuf),
    /// Nobody else: the store is opened here.
    Opened {
        /// The server, without listeners.
        homeserver: Arc<Homeserver>,
        /// Given back last.
        _held: Data,
    },
}

impl Server {
    /// Finds out who holds the store, or opens it.
    ///
    /// # Errors
    /// The data folder cannot be used, or the store not be opened.
    pub async fn reach(config: Config) -> Result<Self> {
        match Data::reach(&config.data_dir)? {
            Reached::Taken => Ok(Self::Running(data::socket(&config.data_dir))),
            Reached::Held(held) => {
                let options = data::options(&config);
                let homeserver = Homeserver::open(config.domain, &options, Clock::system()).await?;
                Ok(Self::Opened { homeserver, _held: held })
            }
        }
    }

    /// Asks, and hands on what is told meanwhile.
    ///
    /// # Errors
    /// Nobody answers, or it is not done.
    pub async fn ask(&self, question: Question, tell: Tell<'_>) -> Result<Answer> {
        let answer = match self {
            Self::Running(path) => control::ask(path, &question, tell).await?,
            Self::Opened { homeserver, .. } => control::answer(homeserver, question, tell).await,
        };
        match answer {
            Answer::Failed(why) => Err(Failure::new(why)),
            answer => Ok(answer),
        }
    }

    /// Closes the store, if it was opened here.
    pub async fn leave(self) {
        if let Self::Opened { homeserver, .. } = self {
            homeserver.stop().await;
        }
    }
}

/// Does one command.
///
/// # Errors
/// It is not done.
pub fn run(config: Config, command: Command) -> Result<()> {
    // Whoever must type something does so before the store is opened.
    let (question, shown) = match command {
        Command::List => (None, None),
        Command::Add { name, admin, random } => {
            let (password, shown) = password_for(&name, random)?;
            (Some(Question::Add { name, password, admin }), shown)
        }
        Command::SetPassword { name, random } => {
            let (password, shown) = password_for(&name, random)?;
            (Some(Question::SetPassword { name, password }), shown)
        }
        Command::Deactivate { name, erase } => (Some(Question::Deactivate { name, erase }), None),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::because("no threads can be started", &error))?;
    runtime.block_on(async {
        let server = Server::reach(config).await?;
        let done = match question {
            None => list(&server).await,
            Some(question) => one(&server, question, shown).await,
        };
        server.leave().await;
        done
    })
}

/// `matron ready`: for health checks of containers, which have no other program to ask by.
///
/// # Errors
/// No server runs, or it can be given no work.
pub fn ready(config: &Config) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because("no thread can be started", &error))?;
    let socket = data::socket(&config.data_dir);
    let asked = control::ask(&socket, &Question::Ready, &silent);
    match runtime.block_on(asked)? {
        Answer::Failed(why) => Err(Failure::new(why)),
        _ => crate::print("ready\n"),
    }
}

/// These commands are quick.
fn silent(_: String) {}

/// A password, and whether it must be shown.
fn password_for(name: &str, random: bool) -> Result<(String, Option<String>)> {
    if random {
        let password = password::random();
        return Ok((password.clone(), Some(password)));
    }
    Ok((password::ask(name)?, None))
}

async fn one(server: &Server, question: Question, shown: Option<String>) -> Result<()> {
    if let Answer::Done(user_id) = server.ask(question, &silent).await? {
        crate::print(&match shown {
            Some(password) => format!("{user_id} {password}\n"),
            None => format!("{user_id}\n"),
        })?;
    }
    Ok(())
}

async fn list(server: &Server) -> Result<()> {
    let mut after = None;
    loop {
        let Answer::Users(users) = server.ask(Question::List { after }, &silent).await? else { return Ok(()) };
        let Some(last) = users.last() else { return Ok(()) };
        after = Some(last.number);
        for user in &users {
            let role = if user.admin { "  administrator" } else { "" };
            let state = if user.deactivated { "  deactivated" } else { "" };
            crate::print(&format!("{}{role}{state}\n", user.id))?;
        }
    }
}
