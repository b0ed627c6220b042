//! What the program asks of reports: every call into the domain for `matron report …` stands here.

use matron_homeserver::clock::readable;
use matron_homeserver::reports::Report;
use matron_homeserver::schema::rooms::ROOMS;
use matron_homeserver::{Error, Homeserver, Result};
use matron_storage::Position;
use serde::{Deserialize, Serialize};

use crate::text::{plain, short};
use crate::work::Tell;

/// Reports that are read at once.
const PAGE: usize = 100;
/// How many letters of a reason the list shows.
const SHOWN: usize = 80;

/// What to do with reports.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case", deny_unknown_fields)]
pub enum Task {
    /// List all of them.
    List,
    /// Show one.
    Show {
        /// Its number.
        number: u64,
    },
    /// Delete some.
    Delete {
        /// Their numbers.
        numbers: Vec<u64>,
    },
}

/// Does what is asked, and tells it line by line.
pub async fn run(homeserver: &Homeserver, task: Task, tell: Tell<'_>) -> Result<String> {
    match task {
        Task::List => list(homeserver, tell).await?,
        Task::Show { number } => show(homeserver, number, tell).await?,
        Task::Delete { numbers } => delete(homeserver, &numbers, tell).await?,
    }
    Ok(String::new())
}

async fn list(homeserver: &Homeserver, tell: Tell<'_>) -> Result<()> {
    let mut before = None;
    loop {
        let page = homeserver.reports.list(before, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        before = Some(*last);
        for (number, report) in &page {
            let by = homeserver.ids.user_id(report.by).await?;
            let (room, user) = (room(homeserver, report).await?, report.user_id.clone());
            let about = user.into_iter().chain(room).collect::<Vec<_>>().join(" in ");
            let (at, reason) = (readable(report.at), short(&report.reason, SHOWN));
            tell(plain(&format!("{number}  {at}  {by} reports {about}: {reason}")));
        }
        // What was told goes out before the next page is read.
        tokio::task::yield_now().await;
    }
}

async fn show(homeserver: &Homeserver, number: u64, tell: Tell<'_>) -> Result<()> {
    let report = homeserver.reports.get(Position::new(number)).await?.ok_or_else(|| missing(number))?;
    let said = homeserver.reports.said(&report).await?;
    for (what, text) in [
        ("report", Some(number.to_string())),
        ("at", Some(readable(report.at))),
        ("by", Some(homeserver.ids.user_id(report.by).await?.to_string())),
        ("user", report.user_id.clone()),
        ("room", room(homeserver, &report).await?),
        ("event", report.event_id.clone()),
        ("said", said.map(String::from)),
    ] {
        if let Some(text) = text {
            tell(format!("{what:8}{}", plain(&text)));
        }
    }
    for (nth, line) in report.reason.lines().enumerate() {
        tell(format!("{:8}{}", if nth == 0 { "reason" } else { "" }, plain(line)));
    }
    Ok(())
}

async fn delete(homeserver: &Homeserver, numbers: &[u64], tell: Tell<'_>) -> Result<()> {
    for number in numbers {
        if !homeserver.reports.delete(Position::new(*number)).await? {
            return Err(missing(*number));
        }
        tell(format!("{number} is deleted"));
    }
    Ok(())
}

/// The id of the room that a report names.
async fn room(homeserver: &Homeserver, report: &Report) -> Result<Option<String>> {
    let Some(room) = report.room else { return Ok(None) };
    Ok(homeserver.store.snapshot().get(&ROOMS, &room).await?.map(|room| room.id))
}

fn missing(number: u64) -> Error {
    matron_matrix::Error::not_found(format!("there is no report {number}")).into()
}
