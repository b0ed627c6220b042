//! The domain: what a homeserver knows and does, without HTTP.

pub mod accounts;
pub mod backup;
mod behind;
pub mod clock;
pub mod config;
pub mod devices;
pub mod directory;
pub mod ephemeral;
pub mod error;
#[cfg(test)]
mod fixture;
pub mod follow;
pub mod ids;
pub mod lifecycle;
pub mod limiter;
mod locks;
pub mod media;
pub mod meters;
pub mod notices;
pub mod push;
pub mod remote;
pub mod reports;
pub mod rooms;
pub mod schema;
pub mod search;
pub mod signing;
pub mod streams;
pub mod sync;
pub mod tidy;
mod turns;
pub mod unread;

use std::sync::Arc;

use matron_storage::{Batch, Options, Store};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::Accounts;
use crate::clock::Clock;
use crate::config::Config;
use crate::devices::Devices;
use crate::directory::Directory;
use crate::ephemeral::Ephemeral;
pub use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::lifecycle::Lifecycle;
use crate::media::Media;
use crate::notices::Notices;
use crate::push::Push;
use crate::remote::addresses::Addresses;
use crate::remote::dns::SystemDns;
use crate::remote::http::Client;
use crate::remote::mail::Mailer;
use crate::remote::servers::Servers;
use crate::reports::Reports;
use crate::rooms::Rooms;
use crate::schema::ids::SERVER_NAME;
use crate::search::Search;
use crate::signing::SigningKey;
use crate::streams::{NewsReceiver, Streams};
use crate::sync::Sync;
use crate::tidy::Tidy;
use crate::unread::Counter;

/// A homeserver, built floor by floor. Everything that owns data is a field here; nobody finds anything by name.
#[derive(Debug)]
pub struct Homeserver {
    /// What it was told.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Clock,
    /// The store itself, for health and metrics.
    pub store: Arc<Store>,
    /// Names and numbers.
    pub ids: Arc<Ids>,
    /// News, and who waits for it.
    pub streams: Arc<Streams>,
    /// Accounts.
    pub accounts: Arc<Accounts>,
    /// Devices.
    pub devices: Arc<Devices>,
    /// Rooms.
    pub rooms: Arc<Rooms>,
    /// What users reported.
    pub reports: Arc<Reports>,
    /// Typing notices, receipts, presence.
    pub ephemeral: Arc<Ephemeral>,
    /// Media.
    pub media: Arc<Media>,
    /// Pushers, and pushing.
    pub push: Arc<Push>,
    /// Registering, logging in and out, closing accounts.
    pub lifecycle: Arc<Lifecycle>,
    /// What administrators tell users.
    pub notices: Arc<Notices>,
    /// Sync.
    pub sync: Arc<Sync>,
    /// The search.
    pub search: Arc<Search>,
    /// The user directory.
    pub directory: Arc<Directory>,
    /// The last good backup.
    pub last_backup: backup::Last,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A store belongs to one server for ever: its ids and signatures bear the name.
async fn check_owner(store: &Store, config: &Config) -> Result<()> {
    let name = config.server_name.to_string();
    match store.snapshot().get(&SERVER_NAME, &()).await? {
        Some(owner) if owner == name => Ok(()),
        Some(owner) => {
            let why = format!("the store is that of {owner}, not of {name}; a server's name never changes");
            Err(matron_storage::Error::Refused(why).into())
        }
        None => {
            let mut batch = Batch::new();
            batch.expect_absent(&SERVER_NAME, &());
            batch.put(&SERVER_NAME, &(), &name);
            store.commit(batch).await?;
            Ok(())
        }
    }
}

/// Notes whose rules are special; a full disk that has no room for it is no reason not to start.
async fn index_special_rules(accounts: &Arc<Accounts>, tasks: &TaskTracker) -> Result<()> {
    match accounts.index_special_rules().await {
        Err(error) if error.is_passing() => {
            let accounts = Arc::clone(accounts);
            behind::run(tasks, "noting special push rules", move || {
                let accounts = Arc::clone(&accounts);
                async move { accounts.index_special_rules().await }
            });
            Ok(())
        }
        done => done,
    }
}

/// Media, with a way out to addresses that users name and one to the configured bucket, wherever that is.
fn open_media(
    store: &Arc<Store>,
    clock: &Clock,
    config: &Arc<Config>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<Arc<Media>> {
    let tls = remote::trust::client(&config.outgoing.authorities)?;
    let pages = Client::new(&tls, Arc::new(config.outgoing.addresses.clone()));
    let bucket = Client::new(&tls, Arc::new(Addresses::all()));
    let (store, config) = (Arc::clone(store), Arc::clone(config));
    Ok(Arc::new(Media::new(store, clock.clone(), config, (pages, bucket), stop.clone(), tasks.clone())?))
}

/// Everything that is swept from time to time.
fn sweeps(rooms: &Arc<Rooms>, devices: &Arc<Devices>) -> Tidy {
    let (redacted, transactions, devices) = (Arc::clone(rooms), Arc::clone(rooms), Arc::clone(devices));
    Tidy::default()
        .with("redacted content", move |now| {
            let rooms = Arc::clone(&redacted);
            async move { rooms.sweep_redacted(now).await }
        })
        .with("old transactions", move |now| {
            let rooms = Arc::clone(&transactions);
            async move { rooms.sweep_transactions(now).await }
        })
        .with("old to-device messages", move |now| {
            let devices = Arc::clone(&devices);
            async move { devices.sweep_to_device(now).await }
        })
}

/// Other Matrix servers, which this one calls by their names.
fn open_servers(config: &Config, key: &Arc<SigningKey>, clock: &Clock) -> Result<Arc<Servers>> {
    let tls = remote::trust::client(&config.outgoing.authorities)?;
    let (own, addresses) = ((config.server_name.clone(), Arc::clone(key)), Arc::new(config.outgoing.servers.clone()));
    Ok(Arc::new(Servers::new(own, &tls, addresses, Arc::new(SystemDns::default()), clock.clone())))
}

fn open_push(
    ground: (Arc<Store>, Arc<Streams>, Arc<Ids>),
    (clock, config): (&Clock, &Arc<Config>),
    (accounts, rooms, unread): (&Arc<Accounts>, &Arc<Rooms>, Counter),
    mailer: Option<Arc<Mailer>>,
    stop: &CancellationToken,
) -> Result<Arc<Push>> {
    let tls = remote::trust::client(&config.outgoing.authorities)?;
    Ok(Arc::new(Push::new(
        ground,
        (clock.clone(), Arc::clone(config)),
        Arc::clone(accounts),
        Arc::clone(rooms),
        unread,
        (Client::new(&tls, Arc::new(config.outgoing.addresses.clone())), mailer),
        stop.clone(),
    )))
}

fn open_mailer(config: &Config) -> Result<Option<Arc<Mailer>>> {
    let Some(mail) = &config.mail else { return Ok(None) };
    let mailer = Mailer::new(mail, &config.outgoing.authorities, config.server_name.as_str())?;
    Ok(Some(Arc::new(mailer)))
}

/// The threads on which a server works, beside those that answer.
#[derive(Debug, Clone)]
pub struct Threads {
    /// For answers to a crowd that waited for one thing.
    pub crowds: Handle,
    /// For what nobody waits for.
    pub behind: Handle,
}

impl Threads {
    /// No others than those that answer.
    fn none() -> Self {
        Self { crowds: Handle::current(), behind: Handle::current() }
    }
}

impl Homeserver {
    /// Opens the store and starts the workers. Blocks while the store opens.
    ///
    /// # Errors
    /// The store is refused or cannot be read; the place of media is another server's.
    pub async fn start(config: Config, options: &Options, clock: Clock) -> Result<Arc<Self>> {
        Self::start_with(config, options, clock, Threads::none()).await
    }

    /// As [`Self::start`], with threads of other runtimes for what is not to hold up the answers.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(config: Config, options: &Options, clock: Clock, threads: Threads) -> Result<Arc<Self>> {
        let (homeserver, news) = Self::build(config, options, clock, threads.crowds).await?;
        homeserver.media.begin().await?;
        homeserver.rooms.resume_renaming().await?;
        homeserver.rooms.resume_turning_out().await?;
        homeserver.rooms.resume_upgrades().await?;
        homeserver.begin(news, &threads.behind);
        Ok(Arc::new(homeserver))
    }

    /// Opens the store for what is asked, and for nothing else: no worker begins, so nothing is pushed, mailed or swept, and
    /// what a stop left half done waits for the server. A copy may be looked at like this while its original serves. What
    /// is asked may call others all the same: an account that is closed leaves its rooms, and a room's policy server is
    /// asked about each leave.
    ///
    /// # Errors
    /// The store is refused or cannot be read.
    pub async fn open(config: Config, options: &Options, clock: Clock) -> Result<Arc<Self>> {
        let (homeserver, _) = Self::build(config, options, clock, Handle::current()).await?;
        Ok(Arc::new(homeserver))
    }

    /// Builds it floor by floor.
    async fn build(config: Config, options: &Options, clock: Clock, crowds: Handle) -> Result<(Self, NewsReceiver)> {
        let config = Arc::new(config);
        let (streams, news) = Streams::new(rand::random());
        let store = Arc::new(Store::open(options, Arc::<Streams>::clone(&streams))?);
        streams.begin(&store.snapshot()).await?;
        check_owner(&store, &config).await?;
        let ids = Arc::new(Ids::open(Arc::clone(&store)).await?);
        // What nearly every owner stands on.
        let ground = || (Arc::clone(&store), Arc::clone(&streams), Arc::clone(&ids));
        let accounts = Arc::new(Accounts::new(ground(), clock.clone(), Arc::clone(&config)));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        index_special_rules(&accounts, &tasks).await?;
        let devices = Arc::new(Devices::new(ground(), clock.clone(), Arc::clone(&config)));
        let key = SigningKey::open(&store).await?;
        let servers = open_servers(&config, &key, &clock)?;
        let rooms = Arc::new(Rooms::new(
            ground(),
            clock.clone(),
            Arc::clone(&config),
            (key, servers),
            Arc::clone(&accounts),
            tasks.clone(),
        ));
        let reports = Arc::new(Reports::new(Arc::clone(&store), Arc::clone(&ids), clock.clone(), Arc::clone(&rooms)));
        let ephemeral = Arc::new(Ephemeral::new(
            ground(),
            clock.clone(),
            Arc::clone(&rooms),
            (Arc::clone(&accounts), Arc::clone(&config)),
        ));
        let media = open_media(&store, &clock, &config, &stop, &tasks)?;
        let unread = Counter::new(Arc::clone(&accounts), Arc::clone(&rooms), Arc::clone(&ids));
        let sync = Arc::new(Sync::new(
            ground(),
            Arc::clone(&accounts),
            Arc::clone(&rooms),
            Arc::clone(&ephemeral),
            (unread.clone(), crowds),
        ));
        let mailer = open_mailer(&config)?;
        let owners = (&accounts, &rooms, unread);
        let push = open_push(ground(), (&clock, &config), owners, mailer.clone(), &stop)?;
        let search = Arc::new(Search::new(
            (Arc::clone(&store), Arc::clone(&ids)),
            Arc::clone(&config),
            Arc::clone(&accounts),
            Arc::clone(&rooms),
        ));
        let directory =
            Arc::new(Directory::new(ground(), Arc::clone(&config), Arc::clone(&accounts), Arc::clone(&rooms)));
        let lifecycle = Arc::new(Lifecycle::new(
            Arc::clone(&store),
            Arc::clone(&ids),
            clock.clone(),
            Arc::clone(&config),
            (Arc::clone(&accounts), Arc::clone(&devices), Arc::clone(&rooms), Arc::clone(&push)),
            mailer,
            (tasks.clone(), stop.clone()),
        ));
        let notices = Arc::new(Notices::new(
            (Arc::clone(&store), Arc::clone(&ids), Arc::clone(&config)),
            Arc::clone(&accounts),
            Arc::clone(&rooms),
            Arc::clone(&lifecycle),
        ));
        let last_backup = backup::Last::open(Arc::clone(&store)).await?;
        let homeserver = Self {
            config,
            clock,
            store,
            ids,
            streams,
            accounts,
            devices,
            rooms,
            reports,
            ephemeral,
            media,
            push,
            lifecycle,
            notices,
            sync,
            search,
            directory,
            last_backup,
            stop,
            tasks,
        };
        Ok((homeserver, news))
    }

    /// Starts what works beside the requests, and behind them what nobody waits for.
    fn begin(&self, news: NewsReceiver, behind: &Handle) {
        let (streams, store) = (Arc::clone(&self.streams), Arc::clone(&self.store));
        self.tasks.spawn(self.until_stop(async move { streams.serve(news, || store.snapshot()).await }));
        let ephemeral = Arc::clone(&self.ephemeral);
        self.tasks.spawn(self.until_stop(async move { ephemeral.watch_typing().await }));
        if self.config.presence {
            let ephemeral = Arc::clone(&self.ephemeral);
            self.tasks.spawn(self.until_stop(async move { ephemeral.watch_presence().await }));
        }
        // Searches wait for these.
        self.tasks.spawn(self.until_stop(Arc::clone(&self.search).follow()));
        self.tasks.spawn(self.until_stop(Arc::clone(&self.directory).follow()));
        self.tasks.spawn_on(Arc::clone(&self.push).serve(), behind);
        self.tasks.spawn_on(Arc::clone(&self.media).keep_clean(), behind);
        let sweeps = sweeps(&self.rooms, &self.devices);
        self.tasks.spawn_on(sweeps.run(self.clock.clone(), self.stop.clone()), behind);
    }

    /// Does to its end what spans several owners, though whoever asked for it may hang up meanwhile.
    ///
    /// # Errors
    /// As the work.
    pub async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.tasks.spawn(work).await.map_err(Error::internal)?
    }

    /// A worker that is dropped when the server stops.
    fn until_stop<F: Future<Output = ()> + Send>(&self, worker: F) -> impl Future<Output = ()> + Send + use<F> {
        let stop = self.stop.clone();
        async move {
            tokio::select! {
                () = worker => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Cancelled when the server is to stop: whoever waits long looks at it.
    #[must_use]
    pub const fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// Stops the workers and waits until what was begun is committed.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.streams.wake_everybody();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use matron_storage::{Error as StorageError, Options};
    use ruma::server_name;
    use tempfile::TempDir;

    use super::{Clock, Config, Error, Homeserver};
    use crate::config::MediaStorage;

    #[tokio::test]
    async fn a_store_is_opened_under_its_own_name_alone() {
        let folder = TempDir::new().unwrap();
        let options = Options::rocks(folder.path().join("store"), 16 << 20);
        for _ in 0..2 {
            let config = Config::named(server_name!("trust.example").to_owned());
            let server = Homeserver::start(config, &options, Clock::system()).await.unwrap();
            server.stop().await;
        }
        let config = Config::named(server_name!("other.example").to_owned());
        let refused = Homeserver::start(config, &options, Clock::system()).await;
        assert!(matches!(refused, Err(Error::Storage(StorageError::Refused(_)))));
    }

    #[tokio::test]
    async fn a_copy_touches_nothing_of_its_originals_media() {
        let folder = TempDir::new().unwrap();
        let media = folder.path().join("media");
        let config = || {
            let mut config = Config::named(server_name!("trust.example").to_owned());
            config.media.storage = MediaStorage::Folder(media.clone());
            config
        };
        let options = |store: &str| Options::rocks(folder.path().join(store), 16 << 20);
        let server = Homeserver::start(config(), &options("original"), Clock::system()).await.unwrap();
        server.stop().await;
        drop(server);
        // What only the original could know, and an upload that is on its way to it.
        let (known, half) = (media.join("ab").join(format!("ab{}", "0".repeat(62))), media.join("incoming/half"));
        for file in [&known, &half] {
            std::fs::write(file, b"a picture").unwrap();
        }
        let old = SystemTime::now() - Duration::from_hours(48);
        std::fs::File::options().write(true).open(&known).unwrap().set_modified(old).unwrap();

        let copy = Homeserver::open(config(), &options("copy"), Clock::system()).await.unwrap();
        assert!(copy.media.sweep_files().await.is_err());
        copy.stop().await;
        let refused = Homeserver::start(config(), &options("another copy"), Clock::system()).await;
        assert!(matches!(refused, Err(Error::Storage(StorageError::Refused(_)))));
        assert!(known.exists() && half.exists());

        let server = Homeserver::start(config(), &options("original"), Clock::system()).await.unwrap();
        server.media.sweep_files().await.unwrap();
        assert!(!known.exists() && !half.exists());
        server.stop().await;
    }
}
