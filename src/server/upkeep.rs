//! `matron db …`: backups, the way back, and looking after the store; through the running server where it holds the store.

mod place;

use std::path::PathBuf;
use std::sync::Arc;

use matron_homeserver::Homeserver;
use matron_homeserver::backup::{self, Asked};
use matron_homeserver::schema::rooms::ROOMS;
use matron_storage::Family;
use serde::{Deserialize, Serialize};

use crate::cli::Db as Command;
use crate::config::Config;
use crate::control::{Answer, Question, Tell};
use crate::data::{Data, Reached};
use crate::failure::{Failure, Result};
use crate::manage::Server;

const MIB: u64 = 1 << 20;

/// Does one command.
///
/// # Errors
/// It is not done; a backup or a store is not sound.
pub fn run(config: Config, command: Command) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::because("no threads can be started", &error))?;
    runtime.block_on(async {
        match command {
            Command::Backup { to, keep, pace } => {
                let place = place::absolute(&config, to)?;
                let bytes_per_second = pace.map(|pace| pace.saturating_mul(MIB));
                ask(config, Work::Backup { place, keep, bytes_per_second }).await
            }
            Command::Check => ask(config, Work::Check).await,
            Command::Compact => ask(config, Work::Compact).await,
            Command::Backups { from } => backups(&config, from).await,
            Command::Verify { from, name } => verify(&config, from, name.as_deref()).await,
            Command::Restore { from, name } => restore(&config, from, name.as_deref()).await,
        }
    })
}

/// Tells people how far it is, beside what the command answers.
fn told(line: String) {
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{line}\n"));
}

async fn backups(config: &Config, from: Option<String>) -> Result<()> {
    let place = place::open(&place::absolute(config, from)?)?;
    for name in place.names().await? {
        let (name, manifest) = place.manifest(Some(&name)).await?;
        let (files, mib) = (manifest.files.len(), manifest.bytes() / MIB);
        crate::print(&format!("{name}  {files} files  {mib} MiB  version {}\n", manifest.program))?;
    }
    Ok(())
}

async fn verify(config: &Config, from: Option<String>, name: Option<&str>) -> Result<()> {
    let place = place::open(&place::absolute(config, from)?)?;
    let verified = backup::verify(&place, name, &told).await?;
    if verified.wrong.is_empty() {
        return crate::print(&format!("{} is sound: {} files\n", verified.name, verified.files));
    }
    let wrong = verified.wrong.join("\n");
    Err(Failure::new(format!("{} is not sound:\n{wrong}", verified.name)))
}

async fn restore(config: &Config, from: Option<String>, name: Option<&str>) -> Result<()> {
    let place = place::open(&place::absolute(config, from)?)?;
    let folder = config.data_dir.display();
    let Reached::Held(_held) = Data::reach(&config.data_dir)? else {
        return Err(Failure::new(format!("a server runs over {folder}: stop it, and restore into another folder")));
    };
    let server_name = config.domain.server_name.as_str();
    let media = place::media(config)?;
    let name = backup::restore(&place, name, (server_name, &config.store_dir()), &*media, &told).await?;
    crate::print(&format!("{name} is restored in {folder}; start the server\n"))
}

/// Has work done by whoever holds the store.
async fn ask(config: Config, work: Work) -> Result<()> {
    let server = Server::reach(config).await?;
    let answered = server.ask(Question::Db(work), &told).await;
    server.leave().await;
    match answered? {
        Answer::Done(what) => crate::print(&format!("{what}\n")),
        _ => Err(Failure::new("the server answers another question")),
    }
}

/// Work on an open store.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case", deny_unknown_fields)]
pub enum Work {
    /// Take a backup.
    Backup {
        /// The folder.
        place: PathBuf,
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
pub async fn work(homeserver: &Homeserver, work: Work, tell: Tell<'_>) -> Result<String> {
    match work {
        Work::Backup { place, keep, bytes_per_second } => {
            let asked = Asked {
                server_name: homeserver.config.server_name.to_string(),
                store: Arc::clone(&homeserver.store),
                media: Some(homeserver.media.objects()),
                now: homeserver.clock.millis(),
                keep,
                bytes_per_second,
            };
            let taken = backup::take(asked, &place::open(&place)?, tell).await?;
            let (files, mib, copied) = (taken.files, taken.bytes / MIB, taken.copied / MIB);
            let gone = if taken.removed == 0 { String::new() } else { format!("; {} older ones went", taken.removed) };
            Ok(format!("backup {}: {files} files, {mib} MiB, of which {copied} MiB are new{gone}", taken.name))
        }
        Work::Check => check(homeserver, tell).await,
        Work::Compact => compact(homeserver, tell).await,
    }
}

/// Reads a whole open store and says whether it is sound.
async fn check(homeserver: &Homeserver, tell: Tell<'_>) -> Result<String> {
    let store = Arc::clone(&homeserver.store);
    tell("reading all files".to_owned());
    blocking(move || store.check_files()).await?;
    tell("reading all rooms".to_owned());
    let snapshot = homeserver.store.snapshot();
    let (mut rooms, mut count, mut wrong) = (snapshot.scan(&ROOMS, ROOMS.all()), 0_u64, Vec::new());
    while let Some((room, _)) = rooms.next().await.map_err(matron_homeserver::Error::from)? {
        // Each by a snapshot of its own: none is held for long.
        wrong.extend(homeserver.rooms.check(&homeserver.store.snapshot(), room).await?);
        count += 1;
        if count.is_multiple_of(1000) {
            tell(format!("{count} rooms"));
        }
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
