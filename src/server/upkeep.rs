//! `matron db …`: backups, the way back, and looking after the store; through the running server where it holds the store.

use matron_homeserver::backup;

use crate::cli::Db as Command;
use crate::config::Config;
use crate::control::Question;
use crate::data::{Data, Reached};
use crate::failure::{Failure, Result};
use crate::manage::{self, Server};
use crate::place;
use crate::work::Work;

const MIB: u64 = 1 << 20;

/// Does one command.
///
/// # Errors
/// It is not done; a backup or a store is not sound, or what was restored lacks media.
pub fn run(config: Config, command: Command) -> Result<()> {
    manage::runtime()?.block_on(async {
        match command {
            Command::Backup { to, anew, keep, pace } => {
                let place = place::named(&config, to)?;
                let bytes_per_second = (pace > 0).then(|| pace.saturating_mul(MIB));
                have_done(config, Work::Backup { place, anew, keep, bytes_per_second }).await
            }
            Command::Check => have_done(config, Work::Check).await,
            Command::Compact => have_done(config, Work::Compact).await,
            Command::Backups { from } => backups(&config, from).await,
            Command::Verify { from, name } => verify(&config, from, name.as_deref()).await,
            Command::Restore { from, name, take_media } => restore(&config, from, name.as_deref(), take_media).await,
        }
    })
}

/// Tells people how far it is, beside what the command answers.
#[expect(clippy::needless_pass_by_value, reason = "as others that tell have it")]
fn told(line: String) {
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{line}\n"));
}

async fn backups(config: &Config, from: Option<String>) -> Result<()> {
    let place = place::open(&place::named(config, from)?, &config.domain)?;
    for name in place.names().await? {
        let (name, manifest) = place.manifest(Some(&name)).await?;
        let (files, mib) = (manifest.files.len(), manifest.bytes() / MIB);
        crate::print(&format!("{name}  {files} files  {mib} MiB  version {}\n", manifest.program))?;
    }
    Ok(())
}

async fn verify(config: &Config, from: Option<String>, name: Option<&str>) -> Result<()> {
    let place = place::open(&place::named(config, from)?, &config.domain)?;
    let verified = backup::verify(&place, name, &told).await?;
    if verified.wrong.is_empty() {
        return crate::print(&format!("{} is sound: {} files\n", verified.name, verified.files));
    }
    let wrong = verified.wrong.join("\n");
    Err(Failure::new(format!("{} is not sound:\n{wrong}", verified.name)))
}

async fn restore(config: &Config, from: Option<String>, name: Option<&str>, takes_media: bool) -> Result<()> {
    let place = place::open(&place::named(config, from)?, &config.domain)?;
    let folder = config.data_dir.display();
    let Reached::Held(_held) = Data::reach(&config.data_dir)? else {
        return Err(Failure::new(format!("a server runs over {folder}: stop it, and restore into another folder")));
    };
    let server_name = config.domain.server_name.as_str();
    let media = place::media(&config.domain)?;
    let to = config.store_dir();
    let restored = backup::restore(&place, name, (server_name, &to), (&*media, takes_media), &told).await?;
    crate::print(&format!("{} is restored in {folder}; start the server\n", restored.name))?;
    if restored.damaged.is_empty() {
        return Ok(());
    }
    let (count, damaged) = (restored.damaged.len(), restored.damaged.join("\n"));
    Err(Failure::new(format!(
        "without {count} media that the backup has no more as they were (another place may):\n{damaged}"
    )))
}

/// Has work done by whoever holds the store.
async fn have_done(config: Config, work: Work) -> Result<()> {
    Server::have_done(config, Question::Db(work), &told).await
}
