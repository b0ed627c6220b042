//! `matron user …`: through the running server where there is one, else by opening the store itself.

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

/// Who does what is asked.
enum Server {
    Running(PathBuf),
    Opened {
        homeserver: Arc<Homeserver>,
        /// Given back last.
        _held: Data,
    },
}

impl Server {
    async fn reach(config: Config) -> Result<Self> {
        match Data::reach(&config.data_dir)? {
            Reached::Taken => Ok(Self::Running(data::socket(&config.data_dir))),
            Reached::Held(held) => {
                let options = data::options(&config);
                let homeserver = Homeserver::start(config.domain, &options, Clock::system()).await?;
                Ok(Self::Opened { homeserver, _held: held })
            }
        }
    }

    async fn ask(&self, question: Question) -> Result<Answer> {
        let answer = match self {
            Self::Running(path) => control::ask(path, &question).await?,
            Self::Opened { homeserver, .. } => control::answer(homeserver, question).await,
        };
        match answer {
            Answer::Failed(why) => Err(Failure::new(why)),
            answer => Ok(answer),
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
        if let Server::Opened { homeserver, .. } = &server {
            homeserver.stop().await;
        }
        done
    })
}

/// A password, and whether it must be shown.
fn password_for(name: &str, random: bool) -> Result<(String, Option<String>)> {
    if random {
        let password = password::random();
        return Ok((password.clone(), Some(password)));
    }
    Ok((password::ask(name)?, None))
}

async fn one(server: &Server, question: Question, shown: Option<String>) -> Result<()> {
    if let Answer::Done(user_id) = server.ask(question).await? {
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
        let Answer::Users(users) = server.ask(Question::List { after }).await? else { return Ok(()) };
        let Some(last) = users.last() else { return Ok(()) };
        after = Some(last.number);
        for user in &users {
            let role = if user.admin { "  administrator" } else { "" };
            let state = if user.deactivated { "  deactivated" } else { "" };
            crate::print(&format!("{}{role}{state}\n", user.id))?;
        }
    }
}
