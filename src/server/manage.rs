//! `matron user …`, `matron report …`, `matron media …` and `matron ready`: through the running server where there is one, else
//! by opening the store itself.

use std::path::PathBuf;
use std::sync::Arc;

use matron_homeserver::Homeserver;
use matron_homeserver::clock::Clock;

use crate::cli::{Media as MediaCommand, Report as ReportCommand, User as Command};
use crate::config::Config;
use crate::control::{self, Answer, Question};
use crate::data::{self, Data, Reached};
use crate::failure::{Failure, Result};
use crate::media::{self, Which};
use crate::users::Mark;
use crate::work::Tell;
use crate::{limits, password, reports};

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
    /// There is no store, the data folder cannot be used, or the store not be opened.
    pub async fn reach(config: Config) -> Result<Self> {
        must_exist(&config)?;
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

    /// Finds out who holds the store, has them do one thing, and says on standard output what came of it.
    ///
    /// # Errors
    /// It is not done.
    pub async fn have_done(config: Config, question: Question, tell: Tell<'_>) -> Result<()> {
        let server = Self::reach(config).await?;
        let answered = server.ask(question, tell).await;
        server.leave().await;
        match answered? {
            Answer::Done(what) if what.is_empty() => Ok(()),
            Answer::Done(what) => crate::print(&format!("{what}\n")),
            _ => Err(Failure::new("the server answers another question")),
        }
    }

    /// Closes the store, if it was opened here.
    pub async fn leave(self) {
        if let Self::Opened { homeserver, .. } = self {
            homeserver.stop().await;
        }
    }
}

/// Refuses where no server ever was: what a command founded there would bear a name that perhaps nobody chose, and be taken for
/// the server's.
fn must_exist(config: &Config) -> Result<()> {
    let store = config.store_dir();
    let folder = std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
    match store.try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::new(format!(
            "there is no store in the data folder {}; {}. A server makes its store when it starts",
            folder.display(),
            config.origin()
        ))),
        Err(error) => {
            Err(Failure::because(format_args!("the data folder {} cannot be read", folder.display()), &error))
        }
    }
}

/// Does one command.
///
/// # Errors
/// It is not done.
pub fn run(config: Config, command: Command) -> Result<()> {
    must_exist(&config)?;
    let marked = |name, mark| (Some(Question::Mark { name, mark }), None);
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
        Command::SetAdmin { name, revoke } => marked(name, Mark::Admin(!revoke)),
        Command::Lock { name } => marked(name, Mark::Locked(true)),
        Command::Unlock { name } => marked(name, Mark::Locked(false)),
        Command::Suspend { name } => marked(name, Mark::Suspended(true)),
        Command::Unsuspend { name } => marked(name, Mark::Suspended(false)),
        Command::Deactivate { name, erase } => (Some(Question::Deactivate { name, erase }), None),
    };
    runtime()?.block_on(async {
        let server = Server::reach(config).await?;
        let done = match question {
            None => list(&server).await,
            Some(question) => one(&server, question, shown).await,
        };
        server.leave().await;
        done
    })
}

/// Does one command about reports.
///
/// # Errors
/// It is not done.
pub fn report(config: Config, command: ReportCommand) -> Result<()> {
    let task = match command {
        ReportCommand::List => reports::Task::List,
        ReportCommand::Show { number } => reports::Task::Show { number },
        ReportCommand::Delete { numbers } => reports::Task::Delete { numbers },
    };
    runtime()?.block_on(Server::have_done(config, Question::Report(task), &shown))
}

/// Does one command about media.
///
/// # Errors
/// It is not done.
pub fn media(config: Config, command: MediaCommand) -> Result<()> {
    let which = |media, user: Option<String>| user.map_or(Which::These(media), Which::Of);
    let task = match command {
        MediaCommand::List { name } => media::Task::List { name },
        MediaCommand::Quarantine { media, user } => media::Task::Quarantine { which: which(media, user) },
        MediaCommand::Unquarantine { media } => media::Task::Unquarantine { media },
        MediaCommand::Delete { media, user } => media::Task::Delete { which: which(media, user) },
    };
    runtime()?.block_on(Server::have_done(config, Question::Media(task), &shown))
}

/// The threads of a command that may open the store, and with it all its files.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    limits::raise_open_files();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::because("no threads can be started", &error))
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

/// What these commands tell is what was asked for.
#[expect(clippy::needless_pass_by_value, reason = "as others that tell have it")]
fn shown(line: String) {
    // A standard output that takes no more ends the command soon.
    let _ = crate::print(&format!("{line}\n"));
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
            let states = [(user.locked, "locked"), (user.suspended, "suspended"), (user.deactivated, "deactivated")];
            let states = states.iter().filter(|(is_so, _)| *is_so).map(|(_, state)| format!("  {state}"));
            crate::print(&format!("{}{role}{}\n", user.id, states.collect::<String>()))?;
        }
    }
}
