//! Push: tells people's devices of notifications, by push gateways and by e-mail.
//!
//! `pushers` keeps whom to tell. `follow` walks the stream of events; `audience` knows whom they may concern, `judge` whom
//! they notify, `badge` how much is unread. `desk` keeps a queue per pusher, `deliver` sees to each, `told` is what is said,
//! `digest` what letters say, and `pace` when the next may go.
//! `notifications` lists what a user was notified of.

use std::sync::Arc;
use std::time::Duration;

use matron_storage::Store;
use tokio_util::sync::CancellationToken;

use crate::accounts::Accounts;
use crate::clock::Clock;
use crate::config::Config;
use crate::follow::Follower;
use crate::ids::Ids;
use crate::meters::{self, Letters};
use crate::remote::http::Client;
use crate::remote::mail::Mailer;
use crate::rooms::Rooms;
use crate::streams::Streams;
use crate::unread::Counter;

mod audience;
mod badge;
mod deliver;
mod desk;
mod digest;
mod follow;
mod judge;
mod notifications;
mod pace;
mod pushers;
mod told;

pub use notifications::{Notification, Page};
pub use pushers::NewPusher;

/// How long is waited after the store could not be read.
const AFTER_TROUBLE: Duration = Duration::from_secs(1);

/// The owner of pushers, and the follower of the stream that pushes.
#[derive(Debug)]
pub struct Push {
    store: Arc<Store>,
    streams: Arc<Streams>,
    ids: Arc<Ids>,
    clock: Clock,
    config: Arc<Config>,
    accounts: Arc<Accounts>,
    rooms: Arc<Rooms>,
    unread: Counter,
    gateways: Client,
    mailer: Option<Arc<Mailer>>,
    desk: desk::Desk,
    follower: Follower,
    /// What is counted.
    pub meters: meters::Push,
    stop: CancellationToken,
}

impl Push {
    /// Needs what lies below, and a client that calls no address but those that people may name.
    #[must_use]
    pub fn new(
        (store, streams, ids): (Arc<Store>, Arc<Streams>, Arc<Ids>),
        (clock, config): (Clock, Arc<Config>),
        accounts: Arc<Accounts>,
        rooms: Arc<Rooms>,
        unread: Counter,
        (gateways, mailer): (Client, Option<Arc<Mailer>>),
        stop: CancellationToken,
    ) -> Self {
        let (desk, meters) = (desk::Desk::new(&config.push), meters::Push::default());
        let follower = Follower::prompt("push", Arc::clone(&store), streams.grown());
        Self {
            store,
            streams,
            ids,
            clock,
            config,
            accounts,
            rooms,
            unread,
            gateways,
            mailer,
            desk,
            follower,
            meters,
            stop,
        }
    }

    /// How many positions are published up to which events have not been judged.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.follower.behind()
    }

    /// What is counted of letters, where any are sent.
    #[must_use]
    pub fn letters(&self) -> Option<&Letters> {
        self.mailer.as_ref().map(|mailer| &mailer.letters)
    }

    /// How many pushes wait for their gateways.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.desk.waiting()
    }

    /// Follows the stream until the server stops.
    pub async fn serve(self: Arc<Self>) {
        let mut walker = loop {
            match follow::Walker::open(Arc::clone(&self)).await {
                Ok(walker) => break walker,
                Err(error) => tracing::error!(%error, "push cannot begin"),
            }
            tokio::select! {
                () = tokio::time::sleep(AFTER_TROUBLE) => {}
                () = self.stop.cancelled() => return,
            }
        };
        self.follower.run_until(&mut walker, &self.stop).await;
    }
}
