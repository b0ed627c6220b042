//! The life of the server: lock, bind, open, found, accept; then reload or stop when a signal says so.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use matron_homeserver::clock::Clock;
use matron_homeserver::config::Config as Domain;
use matron_homeserver::{Homeserver, Threads};
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::control::Control;
use crate::data::{self, Data, Reached};
use crate::face::Face;
use crate::failure::{Failure, Result};
use crate::listen::{Bound, Tls};
use crate::logs::Logs;
use crate::metrics::Traffic;
use crate::traces::Traces;
use crate::{first_start, health, limits, metrics, threads};

/// Requests that run when it is time to stop may go on for this long.
const FINISH_WITHIN: Duration = Duration::from_secs(10);
/// What the domain began may take this long to be committed.
const COMMIT_WITHIN: Duration = Duration::from_secs(15);
/// Between two tries to bind the socket of the command line, or that of metrics.
const BIND_AGAIN: Duration = Duration::from_secs(10);

/// Sockets that are bound before anything else is begun: what would fail fails at once. A server that cannot be watched, or be
/// managed by the command line, is still a server.
struct Sockets {
    api: Vec<Bound>,
    metrics: Option<TcpListener>,
    control: Option<Control>,
}

/// What runs.
struct Running {
    config: Config,
    logs: Logs,
    domain: Arc<Domain>,
    face: Arc<Face>,
    /// Those of the listeners that have one.
    certificates: Vec<(SocketAddr, Arc<Tls>)>,
}

/// Serves until a signal says stop.
///
/// # Errors
/// It cannot start.
pub fn run(config: Config) -> Result<()> {
    let (runtime, crowds, behind) = (threads::answering()?, threads::crowds()?, threads::behind()?);
    let threads = Threads { crowds: crowds.handle().clone(), behind: behind.handle().clone() };
    let traces = Traces::open(&config, runtime.handle())?;
    let logs = Logs::open(config.log_format, &config.log_filter, traces.as_ref())?;
    limits::raise_open_files();
    let Reached::Held(data) = Data::reach(&config.data_dir)? else {
        let folder = config.data_dir.display();
        return Err(Failure::new(format!("another process serves the data folder {folder}: stop it first")));
    };
    let served = runtime.block_on(serve(config, logs, &data, threads));
    if let Some(traces) = traces {
        traces.close();
    }
    // What still runs holds the store: it is dropped first, so that the store closes here, and the lock goes last.
    runtime.shutdown_timeout(Duration::from_secs(5));
    crowds.shutdown_timeout(Duration::from_secs(5));
    behind.shutdown_timeout(Duration::from_secs(5));
    let (homeserver, logs) = served?;
    drop(homeserver);
    tracing::info!("stopped");
    drop(logs);
    Ok(())
}

async fn serve(config: Config, logs: Logs, data: &Data, threads: Threads) -> Result<(Arc<Homeserver>, Logs)> {
    // Taken before anything is opened: a signal that comes early is heeded when the start is done.
    let mut signals = Signals::new()?;
    let sockets = bind(&config).await?;
    let options = data::options(&config);
    tracing::info!(server_name = %config.domain.server_name, data = %config.data_dir.display(), "starting");
    let behind = threads.behind.clone();
    let homeserver = Homeserver::start_with(config.domain.clone(), &options, Clock::system(), threads).await?;
    let founder = first_start::found(&homeserver, data).await?;

    let stop = CancellationToken::new();
    let connections = TaskTracker::new();
    let here = sockets.api.first().map(Bound::url).unwrap_or_default();
    let running = accept((config, logs), sockets, &homeserver, &stop, (&connections, &behind));
    notify(&[NotifyState::Ready]);
    if let Some(founder) = founder {
        let (public, file) = (running.config.domain.public_url.as_deref(), running.config.file.as_deref());
        crate::print(&first_start::next_steps(&founder, &here, public, file))?;
    }

    while let Signal::Reload = signals.next().await {
        running.reload();
    }
    notify(&[NotifyState::Stopping]);
    tracing::info!("stopping");
    stop.cancel();
    // Parked requests end by these two, so that their connections can.
    homeserver.stopping().cancel();
    homeserver.streams.wake_everybody();
    connections.close();
    tokio::select! {
        finished = tokio::time::timeout(FINISH_WITHIN, connections.wait()) => {
            if finished.is_err() {
                tracing::warn!(connections = connections.len(), "requests that did not end in time are dropped");
            }
        }
        _ = signals.next() => tracing::warn!("stopping at once"),
    }
    if tokio::time::timeout(COMMIT_WITHIN, homeserver.stop()).await.is_err() {
        tracing::warn!("the workers did not end in time");
    }
    Ok((homeserver, running.logs))
}

async fn bind(config: &Config) -> Result<Sockets> {
    let mut api = Vec::with_capacity(config.listeners.len());
    for listener in &config.listeners {
        api.push(Bound::new(listener).await?);
    }
    let metrics = match config.metrics {
        None => None,
        Some(address) => {
            let bound = TcpListener::bind(address).await;
            let why = "metrics are not served while their address is taken (metrics.bind; empty is off)";
            bound.inspect_err(|error| tracing::warn!(%address, %error, "{why}")).ok()
        }
    };
    let control = Control::bind(data::socket(&config.data_dir));
    let control = control.inspect_err(|error| tracing::warn!(%error, "`matron user` cannot reach this server")).ok();
    Ok(Sockets { api, metrics, control })
}

/// Begins to serve all sockets.
fn accept(
    (config, logs): (Config, Logs),
    sockets: Sockets,
    homeserver: &Arc<Homeserver>,
    stop: &CancellationToken,
    (connections, behind): (&TaskTracker, &Handle),
) -> Running {
    let matron_api::Service { router, mut routes, limits } = matron_api::service(Arc::clone(homeserver));
    let (alive, able) = health::paths();
    routes.extend([alive.clone(), able.clone()]);
    let traffic = Arc::new(Traffic::new(routes, limits));
    let with_address = |bound: &Bound| Some((bound.address, bound.certificate()?));
    let certificates: Vec<_> = sockets.api.iter().filter_map(with_address).collect();
    let registry = metrics::registry(homeserver, &traffic, config.data_dir.clone(), certificates.clone());
    let api = health::routes(router, (alive, able), homeserver);
    let face = Arc::new(Face::new(api, traffic, config.trusted_proxies.clone(), config.traces.is_some()));
    for bound in sockets.api {
        tracing::info!(address = %bound.address, url = bound.url(), "listening");
        tokio::spawn(bound.serve(Arc::clone(&face), stop.clone(), connections.clone()));
    }
    if let Some(address) = config.metrics {
        let router = health::routes(metrics::routes(registry), health::paths(), homeserver);
        tokio::spawn(watch((sockets.metrics, address), router, stop.clone()));
    }
    let socket = data::socket(&config.data_dir);
    connections.spawn(manage(sockets.control, socket, (Arc::clone(homeserver), behind.clone()), stop.clone()));
    let domain = Arc::clone(&homeserver.config);
    Running { config, logs, domain, face, certificates }
}

/// Serves metrics; where their address was another program's, as soon as it is free.
async fn watch((mut bound, address): (Option<TcpListener>, SocketAddr), router: Router, stop: CancellationToken) {
    while bound.is_none() {
        tokio::select! {
            () = tokio::time::sleep(BIND_AGAIN) => bound = TcpListener::bind(address).await.ok(),
            () = stop.cancelled() => return,
        }
    }
    let Some(listener) = bound else { return };
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await {
        tracing::error!(%error, "metrics are served no more");
    }
}

/// Serves the command line; where its socket could not be bound, as soon as it can: a full disk may have had no room.
async fn manage(
    mut bound: Option<Control>,
    socket: PathBuf,
    (homeserver, behind): (Arc<Homeserver>, Handle),
    stop: CancellationToken,
) {
    while bound.is_none() {
        tokio::select! {
            () = tokio::time::sleep(BIND_AGAIN) => bound = Control::bind(socket.clone()).ok(),
            () = stop.cancelled() => return,
        }
    }
    if let Some(control) = bound {
        control.serve(homeserver, behind, stop).await;
    }
}

impl Running {
    /// Takes over what can change while it runs; where anything is wrong, all stays as it was.
    fn reload(&self) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            notify(&[NotifyState::Reloading, now]);
        }
        match self.take_over() {
            Err(problems) => tracing::error!("not reloaded:\n{problems}"),
            Ok(waiting) => {
                if !waiting.is_empty() {
                    tracing::warn!(keys = waiting.join(", "), "these keys changed and need a new start");
                }
                tracing::info!("reloaded");
            }
        }
        notify(&[NotifyState::Ready]);
    }

    /// Reads everything, then takes everything over; answers which keys changed and wait for a new start.
    fn take_over(&self) -> Result<Vec<&'static str>> {
        let config =
            Config::load(self.config.file.as_deref()).map_err(|problems| Failure::new(problems.to_string()))?;
        let read = self.certificates.iter().map(|(_, tls)| tls.read());
        let certificates = read.collect::<Result<Vec<_>>>()?;
        self.logs.set_filter(&config.log_filter)?;
        for ((_, tls), certificate) in self.certificates.iter().zip(certificates) {
            tls.set(certificate);
        }
        self.face.trust(config.trusted_proxies.clone());
        self.domain.rate_limits.set(config.domain.rate_limits.get());
        Ok(self.config.needs_restart(&config))
    }
}

enum Signal {
    Stop,
    Reload,
}

/// The signals that are heeded. As process 1 nothing else would end the program.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(|error| Failure::because("signals cannot be heeded", &error));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }
}

/// Tells systemd, where it is there.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}
