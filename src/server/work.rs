//! Long work on an open store: backups, checking, compacting. The running server does it, or the command line where none runs.

use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use matron_homeserver::Homeserver;
use matron_homeserver::backup::{self, Asked};
use matron_homeserver::schema::rooms::ROOMS;
use matron_storage::Family;
use serde::{Deserialize, Serialize};

use crate::config::Location;
use crate::failure::{Failure, Result};
use crate::place;

const MIB: u64 = 1 << 20;
/// How many rooms are checked before it is told.
const ROOMS_AT_ONCE: usize = 1000;

/// Tells how far a long piece of work is.
pub type Tell<'a> = &'a (dyn Fn(String) + Send + Sync);

/// Work on an open store.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case", deny_unknown_fields)]
pub enum Work {
    /// Take a backup.
    Backup {
        /// The place, with the keys to it.
        place: Location,
        /// Whether it may be empty though backups were taken to it.
        anew: bool,
        /// How many of the newest backups stay.
        keep: Option<usize>,
        /// How many bytes a second may be moved.
        bytes_per_second: Option<u64>,
    },
    /// Read the whole store.
    Check,
    /// Write the store anew.
    Compact,
}

/// Does work on an open store, and answers what was done.
///
/// # Errors
/// It is not done; the store is not sound.
pub async fn run(homeserver: &Homeserver, work: Work, tell: Tell<'_>) -> Result<String> {
    match work {
        Work::Backup { place, anew, keep, bytes_per_second } => {
            back_up(homeserver, (place, anew), keep, bytes_per_second, tell).await
        }
        Work::Check => check(homeserver, tell).await,
        Work::Compact => compact(homeserver, tell).await,
    }
}

/// Takes a backup, and notes where it is.
async fn back_up(
    homeserver: &Homeserver,
    (location, anew): (Location, bool),
    keep: Option<usize>,
    bytes_per_second: Option<u64>,
    tell: Tell<'_>,
) -> Result<String> {
    let (now, named) = (homeserver.clock.millis(), location.to_string());
    let asked = Asked {
        server_name: homeserver.config.server_name.to_string(),
        store: Arc::clone(&homeserver.store),
        media: Some(homeserver.media.objects()),
        has_backups: !anew && homeserver.last_backup.is_in(&named).await?,
        now,
        keep,
        bytes_per_second,
    };
    let taken = backup::take(asked, &place::open(&location, &homeserver.config)?, tell).await?;
    sweep(location, tell).await;
    let (files, mib, copied) = (taken.files, taken.bytes / MIB, taken.copied / MIB);
    let gone = if taken.removed == 0 { String::new() } else { format!("; {} older ones went", taken.removed) };
    let said = format!("backup {}: {files} files, {mib} MiB, of which {copied} MiB are new{gone}", taken.name);
    if let Err(error) = homeserver.last_backup.set(&named, now, taken.damaged.is_empty()).await {
        tell(format!("it cannot be noted in the store that this backup was taken: {error}"));
    }
    if taken.damaged.is_empty() {
        return Ok(said);
    }
    // It is whole but for what was lost before: yet nobody may miss that.
    let damaged = taken.damaged.join("\n");
    Err(Failure::new(format!("{said}; but these media are damaged or missing and could not be taken:\n{damaged}")))
}

/// Sweeps a place that is ours, since a backup was just taken there.
async fn sweep(location: Location, tell: Tell<'_>) {
    let swept = tokio::task::spawn_blocking(move || place::sweep(&location)).await;
    if let Err(error) = swept.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        tell(format!("what was left half written in the place cannot be deleted: {error}"));
    }
}

/// Reads a whole open store and says whether it is sound.
async fn check(homeserver: &Homeserver, tell: Tell<'_>) -> Result<String> {
    let store = Arc::clone(&homeserver.store);
    tell("reading all files".to_owned());
    blocking(move || store.check_files()).await?;
    tell("reading all rooms".to_owned());
    let (mut after, mut count, mut wrong) = (Unbounded, 0, Vec::new());
    loop {
        // Each room by a snapshot of its own, and none is held for all of them.
        let rooms = homeserver.store.snapshot().scan(&ROOMS, ROOMS.range((after, Unbounded))).take(ROOMS_AT_ONCE).await;
        let rooms = rooms.map_err(matron_homeserver::Error::from)?;
        for (room, _) in &rooms {
            wrong.extend(homeserver.rooms.check(&homeserver.store.snapshot(), *room).await?);
        }
        count += rooms.len();
        let Some((last, _)) = rooms.last().filter(|_| rooms.len() == ROOMS_AT_ONCE) else { break };
        after = Excluded(*last);
        tell(format!("{count} rooms"));
    }
    if wrong.is_empty() {
        return Ok(format!("the store is sound: {count} rooms"));
    }
    Err(Failure::new(format!("the store is not sound:\n{}", wrong.join("\n"))))
}

/// Writes an open store's files anew.
async fn compact(homeserver: &Homeserver, tell: Tell<'_>) -> Result<String> {
    let before = homeserver.store.usage().disk_bytes;
    for family in Family::ALL {
        tell(format!("compacting {}", family.name()));
        let store = Arc::clone(&homeserver.store);
        blocking(move || store.compact(family)).await?;
    }
    let after = homeserver.store.usage().disk_bytes;
    Ok(format!("compacted: {} MiB before, {} MiB now", before / MIB, after / MIB))
}

async fn blocking(work: impl FnOnce() -> matron_storage::Result<()> + Send + 'static) -> Result<()> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::because("the work was given up", &error))?
        .map_err(|error| Failure::new(error.to_string()))
}
