//! What the program asks of media: every call into the domain for `matron media …` stands here.

use matron_homeserver::accounts::Session;
use matron_homeserver::clock::readable;
use matron_homeserver::media::{Listed, Name};
use matron_homeserver::{Error, Homeserver, Result};
use ruma::ServerName;
use serde::{Deserialize, Serialize};

use crate::text::plain;
use crate::users;
use crate::work::Tell;

/// Media that are read at once.
const PAGE: usize = 100;

/// What to do with media.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case", deny_unknown_fields)]
pub enum Task {
    /// List what a user has uploaded.
    List {
        /// The user's name or id.
        name: String,
    },
    /// Put some out of everybody's reach.
    Quarantine {
        /// Which.
        which: Which,
    },
    /// Put some back into reach.
    Unquarantine {
        /// Their addresses.
        media: Vec<String>,
    },
    /// Delete some.
    Delete {
        /// Which.
        which: Which,
    },
}

/// Which media.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// Those of these addresses.
    These(Vec<String>),
    /// All that the user of this name or id has uploaded.
    Of(String),
}

/// Does what is asked, and says how many media that were.
pub async fn run(homeserver: &Homeserver, task: Task, tell: Tell<'_>) -> Result<String> {
    let (media, operator) = (&homeserver.media, Session::of_operator(&homeserver.config.server_name)?);
    match task {
        Task::List { name } => {
            list(homeserver, &operator, &name, tell).await?;
            Ok(String::new())
        }
        Task::Quarantine { which: Which::These(texts) } => {
            let names = names(&texts)?;
            for name in &names {
                media.quarantine(&operator, name, true).await?;
            }
            Ok(format!("out of reach: {}", names.len()))
        }
        Task::Quarantine { which: Which::Of(user) } => {
            let (_, user) = users::find(homeserver, &user).await?;
            Ok(format!("out of reach: {}", media.quarantine_all(&operator, user).await?))
        }
        Task::Unquarantine { media: texts } => {
            let names = names(&texts)?;
            for name in &names {
                media.quarantine(&operator, name, false).await?;
            }
            Ok(format!("back in reach: {}", names.len()))
        }
        Task::Delete { which: Which::These(texts) } => {
            let names = names(&texts)?;
            for name in &names {
                media.delete(&operator, name).await?;
            }
            Ok(format!("deleted: {}", names.len()))
        }
        Task::Delete { which: Which::Of(user) } => {
            let (_, user) = users::find(homeserver, &user).await?;
            Ok(format!("deleted: {}", media.delete_all(&operator, user).await?))
        }
    }
}

async fn list(homeserver: &Homeserver, operator: &Session, name: &str, tell: Tell<'_>) -> Result<()> {
    let (_, user) = users::find(homeserver, name).await?;
    let mut last: Option<Listed> = None;
    loop {
        let page = homeserver.media.list(operator, user, last.as_ref(), PAGE).await?;
        for listed in &page {
            tell(plain(&line(listed)));
        }
        let Some(end) = page.into_iter().next_back() else { return Ok(()) };
        last = Some(end);
        // What was told goes out before the next page is read.
        tokio::task::yield_now().await;
    }
}

/// A medium as people read it.
fn line(Listed { name, medium }: &Listed) -> String {
    let content = medium.content.as_ref().map_or_else(
        || "awaited".to_owned(),
        |content| {
            let file = content.file_name.as_deref().map(|file| format!("  {file}")).unwrap_or_default();
            format!("{} bytes  {}{file}", content.bytes, content.content_type)
        },
    );
    let state = if medium.quarantined.is_some() { "  out of reach" } else { "" };
    format!("{}  {}  {content}{state}", name.uri(), readable(medium.created))
}

/// What addresses name.
fn names(texts: &[String]) -> Result<Vec<Name>> {
    let name = |text: &String| {
        let (server, id) = text.strip_prefix("mxc://")?.split_once('/')?;
        Name::new(<&ServerName>::try_from(server).ok()?, id).ok()
    };
    let no_address = |text: &String| {
        let why = format!("{text} is no medium's address, such as mxc://example.org/abc");
        Error::from(matron_matrix::Error::invalid_param(why))
    };
    texts.iter().map(|text| name(text).ok_or_else(|| no_address(text))).collect()
}
