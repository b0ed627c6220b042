//! What the program is told: one TOML file, every key also by environment; a key that is unknown or wrong stops the start.

mod backup;
mod bucket;
mod document;
mod keys;
mod mail;
mod media;
mod outgoing;
mod rate_limits;
mod source;
#[cfg(test)]
mod tests;
mod traces;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use matron_homeserver::config::{
    Config as Domain, Findable, Finding, Live, Notices, PasswordHashing, Publication, Push, Registration, Turn,
    TurnAccess,
};
use ruma::{OwnedServerName, RoomVersionId};
use serde::Deserialize;

pub use backup::{Backup, Location};
pub use document::page as document;
pub use source::Problem;
use source::{File, Mark, Source};
pub use traces::Traces;
use values::{networks, path, text, url, within};

/// Where the file is that a package brings.
pub const PACKAGED: &str = "/etc/matron/matron.toml";
/// The longest configuration file.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// One address that is listened on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Listener {
    /// Address and port.
    pub bind: SocketAddr,
    /// The file of the certificate; it stands with `tls_key`.
    pub tls_certificate: Option<PathBuf>,
    /// The file of its key.
    pub tls_key: Option<PathBuf>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Closed,
    Token,
    Open,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Publishers {
    Everybody,
    Administrators,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum People {
    Known,
    All,
}

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that it was read from; none where there is none.
    pub file: Option<PathBuf>,
    /// What concerns the domain.
    pub domain: Domain,
    /// The folder that holds everything.
    pub data_dir: PathBuf,
    /// Where to listen.
    pub listeners: Vec<Listener>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_filter: String,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    /// Where traces are sent; none where they are off.
    pub traces: Option<Traces>,
    /// Bytes for the store's cache.
    pub cache_bytes: usize,
    /// What is said of backups.
    pub backup: Backup,
    /// Every value in force, in TOML, without secrets.
    pub shown: BTreeMap<&'static str, String>,
    /// What tells every value from others, secrets and what files hold included.
    marks: BTreeMap<&'static str, Mark>,
}

/// All that is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// The configuration file: what the command line names, or the environment, whose empty name says that there is none; else that
/// of a package, where it is there.
pub fn file(named: Option<PathBuf>, variable: Option<OsString>, packaged: &Path) -> Option<PathBuf> {
    match (named, variable) {
        (Some(file), _) => Some(file),
        (None, Some(file)) => (!file.is_empty()).then(|| file.into()),
        // One that may not be looked at is read all the same, so that this is told.
        (None, None) => packaged.try_exists().unwrap_or(true).then(|| packaged.to_owned()),
    }
}

impl Config {
    /// Reads the file, if there is one, and the environment.
    ///
    /// # Errors
    /// All that is wrong, each with its line or variable.
    pub fn load(file: Option<&Path>) -> Result<Self, Problems> {
        let read = file.map(|path| {
            let name = path.display().to_string();
            let problem = |message: String| Problems(vec![Problem { place: name.clone(), message }]);
            let length = std::fs::metadata(path).map_err(|error| problem(error.to_string()))?.len();
            if length > MAX_FILE_BYTES {
                return Err(problem(format!("a configuration file may have {MAX_FILE_BYTES} bytes")));
            }
            let text = std::fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
            Ok((name, text))
        });
        let read = read.transpose()?;
        // A variable that is no Unicode cannot be one of ours, or is a wrong one: its name is then still looked at.
        let variables: Vec<_> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
            .collect();
        let parsed = Self::parse(read.as_ref().map(|(name, text)| File { name, text }), &variables)?;
        Ok(Self { file: file.map(Path::to_path_buf), ..parsed })
    }

    fn parse(file: Option<File<'_>>, variables: &[(String, String)]) -> Result<Self, Problems> {
        let mut source = Source::new(file, variables);
        let config = read(&mut source);
        match config {
            Some(config) if source.problems.is_empty() => Ok(config),
            _ => Err(Problems(source.problems)),
        }
    }

    /// Which file it was read from, for people.
    pub fn origin(&self) -> String {
        self.file.as_ref().map_or_else(
            || format!("no configuration file was read (--config or MATRON_CONFIG names one, or it is {PACKAGED})"),
            |file| format!("the configuration file is {}", file.display()),
        )
    }

    /// Where the store lies.
    pub fn store_dir(&self) -> PathBuf {
        self.data_dir.join("store")
    }

    /// The keys whose values differ and that only a new start takes over.
    pub fn needs_restart(&self, other: &Self) -> Vec<&'static str> {
        let fixed = keys::all().filter(|key| !key.reload);
        fixed.map(|key| key.name).filter(|name| self.marks.get(name) != other.marks.get(name)).collect()
    }
}

/// Reads every key, so that all problems are told at once.
fn read(source: &mut Source<'_>) -> Option<Config> {
    let server_name = server_name(source);
    let data_dir = path(source, "data_dir");
    let public_url = url(source, "public_url");
    let room_version = room_version(source);
    let outgoing = outgoing::read(source);
    let media = media::read(source, data_dir.as_deref());
    let plain_gateways = source.get("push.plain_gateways");
    let count_rooms = source.get("push.count_rooms");
    let email_after = within(source, "push.email_after_seconds", 0, 7 * 24 * 3600);
    let email_pause = within(source, "push.email_pause_seconds", 0, 24 * 3600);
    let mail = mail::read(source, public_url.is_some());
    let trusted_proxies = proxies(source);
    let listeners = listeners(source);
    let registration = registration(source);
    let registration_shared_secret = text(source, "registration.shared_secret");
    let guests = source.get("guests.enabled");
    let presence = source.get("presence.enabled");
    let finding = finding(source);
    let rate_limits = rate_limits::read(source);
    let turn = turn(source);
    let notices = notices(source);
    let memory_kib = within(source, "password_hashing.memory_kib", 8, 4 << 20);
    let iterations = within(source, "password_hashing.iterations", 1, 1000);
    let keep_days = within(source, "redaction.keep_days", 0, 3650);
    let log_format = source.get("log.format");
    let log_filter = log_filter(source);
    let metrics = metrics(source);
    let traces = traces::read(source);
    let cache_mib = within(source, "store.cache_mib", 16, 1 << 20);
    let backup = backup::read(source);
    let support_email = text(source, "support.email");
    let support_page = url(source, "support.page");

    let domain = Domain {
        public_url,
        registration: registration?,
        registration_shared_secret,
        guests: guests?,
        presence: presence?,
        turn,
        notices,
        finding: finding?,
        default_room_version: room_version?,
        password_hashing: PasswordHashing { memory_kib: memory_kib?, iterations: iterations? },
        redacted_lifetime: u64::from(keep_days?) * 24 * 60 * 60 * 1000,
        rate_limits: Live::new(rate_limits?),
        outgoing: outgoing?,
        media: media?,
        push: Push {
            plain_gateways: plain_gateways?,
            count_rooms: count_rooms?,
            email_after: u64::from(email_after?) * 1000,
            email_pause: u64::from(email_pause?) * 1000,
        },
        mail,
        support_email,
        support_page,
        ..Domain::named(server_name?)
    };
    Some(Config {
        file: None,
        domain,
        data_dir: data_dir?,
        listeners: listeners?,
        trusted_proxies: trusted_proxies?,
        log_format: log_format?,
        log_filter: log_filter?,
        metrics,
        traces,
        cache_bytes: usize::try_from(cache_mib?).ok()?.checked_mul(1 << 20)?,
        backup: backup?,
        shown: source.shown(),
        marks: source.marks(),
    })
}

/// The server's name. A package's file leaves it empty: whoever forgets it is not to be called `localhost` for ever.
fn server_name(source: &mut Source<'_>) -> Option<OwnedServerName> {
    let name = "server_name";
    if source.get::<String>(name)?.is_empty() {
        source.wrong(name, "choose what user ids end with, `example.org` say: it can never be changed");
        return None;
    }
    source.get(name)
}

/// TURN servers: nothing where none is named.
fn turn(source: &mut Source<'_>) -> Option<Turn> {
    let uris = source.get::<Vec<String>>("turn.uris")?;
    let secret = text(source, "turn.shared_secret");
    let (username, password) = (text(source, "turn.username"), text(source, "turn.password"));
    let ttl = u64::from(within(source, "turn.ttl_seconds", 60, 604_800)?);
    if uris.is_empty() {
        return None;
    }
    if let Some(uri) = uris.iter().find(|uri| !uri.starts_with("turn:") && !uri.starts_with("turns:")) {
        source.wrong("turn.uris", format!("{uri} begins with neither turn: nor turns:"));
        return None;
    }
    let access = match (secret, username, password) {
        (Some(secret), _, _) => TurnAccess::SharedSecret(secret),
        (None, Some(username), Some(password)) => TurnAccess::User { username, password },
        _ => {
            source.wrong("turn.uris", "they need turn.shared_secret, or turn.username and turn.password");
            return None;
        }
    };
    Some(Turn { uris, access, ttl })
}

/// Server notices: nothing where no user is named.
fn notices(source: &mut Source<'_>) -> Option<Notices> {
    let localpart = text(source, "server_notices.localpart");
    let display_name = source.get::<String>("server_notices.display_name")?;
    let room_name = source.get::<String>("server_notices.room_name")?;
    let localpart = localpart?;
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'=' | b'-' | b'/' | b'+');
    if localpart.len() > 100 || !localpart.bytes().all(allowed) {
        source.wrong("server_notices.localpart", "a user name has a-z, 0-9, and ._=-/+ only");
        return None;
    }
    Some(Notices { localpart, display_name, room_name })
}

fn room_version(source: &mut Source<'_>) -> Option<RoomVersionId> {
    let name = "default_room_version";
    let text = source.get::<String>(name)?;
    if !matches!(text.parse(), Ok(6..=12_u8)) {
        source.wrong(name, format_args!("room version `{text}` is not between 6 and 12"));
        return None;
    }
    RoomVersionId::try_from(text).ok()
}

fn proxies(source: &mut Source<'_>) -> Option<Vec<IpNet>> {
    let name = "trusted_proxies";
    let texts = source.get::<Vec<String>>(name)?;
    Some(networks(source, name, &texts))
}

fn listeners(source: &mut Source<'_>) -> Option<Vec<Listener>> {
    let name = "listeners";
    let listeners = source.get::<Vec<Listener>>(name)?;
    if listeners.is_empty() {
        source.wrong(name, "at least one is needed");
    }
    for listener in &listeners {
        if listener.tls_certificate.is_some() != listener.tls_key.is_some() {
            let message = format!("{} has one of tls_certificate and tls_key: both are needed, or none", listener.bind);
            source.wrong(name, message);
        }
    }
    Some(listeners)
}

fn registration(source: &mut Source<'_>) -> Option<Registration> {
    let mode = source.get::<Mode>("registration.mode");
    let tokens = source.get::<Vec<String>>("registration.tokens")?;
    let legal = |token: &String| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        (1..=64).contains(&token.len()) && token.bytes().all(legal)
    };
    if !tokens.iter().all(legal) {
        source.wrong("registration.tokens", "a token has 1 to 64 of the characters A-Z a-z 0-9 . _ ~ -");
    }
    if mode == Some(Mode::Token) && tokens.is_empty() {
        source.wrong("registration.mode", "mode `token` needs at least one of `registration.tokens`");
    }
    Some(match mode? {
        Mode::Closed => Registration::Closed,
        Mode::Token => Registration::Token(tokens),
        Mode::Open => Registration::Open,
    })
}

fn finding(source: &mut Source<'_>) -> Option<Finding> {
    let publishers = source.get("room_list.publish");
    let list_for_strangers = source.get("room_list.without_account");
    let people = source.get("user_directory.search");
    let messages = source.get("search.enabled");
    Some(Finding {
        publication: match publishers? {
            Publishers::Everybody => Publication::Everybody,
            Publishers::Administrators => Publication::Administrators,
        },
        list_for_strangers: list_for_strangers?,
        people: match people? {
            People::Known => Findable::Known,
            People::All => Findable::All,
        },
        messages: messages?,
    })
}

fn log_filter(source: &mut Source<'_>) -> Option<String> {
    let filter = source.get::<String>("log.filter")?;
    if let Err(error) = crate::logs::filter::parse(&filter) {
        source.wrong("log.filter", error);
    }
    Some(filter)
}

/// None where it is off, and where it is wrong: that is noted.
fn metrics(source: &mut Source<'_>) -> Option<SocketAddr> {
    let text = text(source, "metrics.bind")?;
    let bind = text.parse().ok();
    if bind.is_none() {
        source.wrong("metrics.bind", "an address such as 127.0.0.1:9008 is needed, or nothing");
    }
    bind
}
