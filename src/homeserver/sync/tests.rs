//! Unread counts against a naive model: every event after the reader's position, judged one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use matron_matrix::canonical;
use matron_matrix::event::Template;
use matron_storage::Options;
use proptest::prelude::*;
use ruma::api::client::filter::FilterDefinition;
use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};
use ruma::{EventId, OwnedEventId, OwnedRoomId, UserId};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Request, SyncFilter};
use crate::Homeserver;
use crate::accounts::Session;
use crate::clock::Clock;
use crate::config::Config;
use crate::ephemeral::Mark;
use crate::rooms::writer::{Intent, TransactionKey};
use crate::schema::ephemeral::ReceiptKind;
use crate::unread::Unread;

#[derive(Debug, Clone, Copy)]
enum What {
    Plain,
    Mention,
    Notice,
    Reaction,
}

#[derive(Debug, Clone)]
enum Step {
    /// Somebody says something: the reader or another, in the main timeline or in the thread of an earlier event.
    Say { by_reader: bool, thread: Option<usize>, what: What },
    /// The reader reads up to an event: of everything, or of what the event is in.
    Read { event: usize, threaded: bool, private: bool },
    /// An event is redacted by its sender.
    Redact(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let what = prop::sample::select(vec![What::Plain, What::Plain, What::Mention, What::Notice, What::Reaction]);
    prop_oneof![
        6 => (prop::bool::weighted(0.2), prop::option::weighted(0.4, 0_usize..8), what)
            .prop_map(|(by_reader, thread, what)| Step::Say { by_reader, thread, what }),
        2 => (0_usize..40, any::<bool>(), any::<bool>())
            .prop_map(|(event, threaded, private)| Step::Read { event, threaded, private }),
        1 => (0_usize..40).prop_map(Step::Redact),
    ]
}

/// An event as the model knows it; its place in the list is its place in the stream.
struct Said {
    id: OwnedEventId,
    by_reader: bool,
    thread: Option<usize>,
    what: What,
    redacted: bool,
}

#[derive(Default)]
struct Model {
    events: Vec<Said>,
    /// Events up to this index are read, whatever thread (one more than the index).
    read_all: usize,
    read: std::collections::BTreeMap<Option<usize>, usize>,
}

impl Model {
    fn expected(&self) -> (Unread, std::collections::BTreeMap<String, Unread>) {
        let mut main = Unread::default();
        let mut threads = std::collections::BTreeMap::new();
        for (at, event) in self.events.iter().enumerate() {
            let read = self.read.get(&event.thread).copied().unwrap_or(0).max(self.read_all);
            let notifies = matches!(event.what, What::Plain | What::Mention);
            if event.by_reader || event.redacted || !notifies || at < read {
                continue;
            }
            let unread = match event.thread {
                None => &mut main,
                Some(root) => threads.entry(self.events[root].id.to_string()).or_default(),
            };
            unread.notification_count += 1;
            unread.highlight_count += u64::from(matches!(event.what, What::Mention));
        }
        (main, threads)
    }
}

struct House {
    server: Arc<Homeserver>,
    reader: Session,
    other: Session,
    room: OwnedRoomId,
}

async fn session(server: &Homeserver, name: &str) -> Session {
    let user_id = UserId::parse(format!("@{name}:localhost")).unwrap();
    Session {
        user: server.ids.user(&user_id).await.unwrap(),
        user_id,
        device_id: "D".into(),
        device: server.ids.new_device().await.unwrap(),
        guest: false,
        admin: false,
    }
}

impl House {
    async fn new() -> Self {
        let config = Config::named(ruma::server_name!("localhost").to_owned());
        let now = AtomicU64::new(1_700_000_000_000);
        let clock = Clock::by(move || now.fetch_add(1, Ordering::Relaxed));
        let server = Homeserver::start(config, &Options::memory(), clock).await.unwrap();
        let (reader, other) = (session(&server, "reader").await, session(&server, "other").await);
        let third = session(&server, "third").await;
        let mut request = NewRoom::new();
        request.preset = Some(RoomPreset::PublicChat);
        let room = server.rooms.create(&other, request).await.unwrap();
        // A third one, so that no event is of a room of two.
        server.rooms.join(&third, &room, None, None).await.unwrap();
        server.rooms.join(&reader, &room, None, None).await.unwrap();
        Self { server, reader, other, room }
    }

    async fn say(&self, by_reader: bool, kind: &str, content: Value) -> OwnedEventId {
        let sender = if by_reader { &self.reader } else { &self.other };
        let snapshot = self.server.store.snapshot();
        let room = self.server.ids.room(&snapshot, self.room.as_str()).await.unwrap().unwrap();
        let template = Template {
            sender: sender.user_id.clone(),
            kind: kind.into(),
            state_key: None,
            content: canonical::object(content).unwrap(),
            redacts: None,
            origin_server_ts: self.server.clock.now(),
        };
        self.server.rooms.submit(room, Intent::new(template)).await.unwrap().event_id
    }

    async fn unread(&self) -> (Unread, std::collections::BTreeMap<String, Unread>) {
        let filter: FilterDefinition =
            serde_json::from_value(json!({ "room": { "timeline": { "unread_thread_notifications": true } } })).unwrap();
        let request = Request {
            since: None,
            mends: false,
            filter: SyncFilter::from(&filter),
            full_state: false,
            state_after: false,
            timeout: Duration::ZERO,
            set_presence: ruma::presence::PresenceState::Offline,
        };
        let answer = self.server.sync.classic(&self.reader, &request, &CancellationToken::new()).await.unwrap();
        let room = &answer.rooms.join[self.room.as_str()];
        (room.unread_notifications.unwrap(), room.unread_thread_notifications.clone())
    }
}

fn content(what: What, thread: Option<&EventId>, target: Option<&EventId>) -> (&'static str, Value) {
    let mut content = json!({ "msgtype": "m.text", "body": "hello" });
    match what {
        What::Plain => {}
        What::Mention => content["m.mentions"] = json!({ "user_ids": ["@reader:localhost"] }),
        What::Notice => content["msgtype"] = json!("m.notice"),
        What::Reaction => {
            let relates_to =
                json!({ "rel_type": "m.annotation", "event_id": target, "key": rand::random::<u64>().to_string() });
            return ("m.reaction", json!({ "m.relates_to": relates_to }));
        }
    }
    if let Some(root) = thread {
        content["m.relates_to"] = json!({ "rel_type": "m.thread", "event_id": root });
    }
    ("m.room.message", content)
}

async fn take(house: &House, model: &mut Model, step: Step) {
    match step {
        Step::Say { by_reader, thread, what } => {
            // Threads begin at events of the main timeline alone.
            let begins = |event: &Said| event.thread.is_none() && !matches!(event.what, What::Reaction);
            let main: Vec<usize> = (0..model.events.len()).filter(|at| begins(&model.events[*at])).collect();
            let root = thread.and_then(|nth| main.get(nth)).copied();
            let target = model.events.last().map(|event| event.id.clone());
            if matches!(what, What::Reaction) && target.is_none() {
                return;
            }
            let root_id = root.map(|root| model.events[root].id.clone());
            let (kind, body) = content(what, root_id.as_deref(), target.as_deref());
            let id = house.say(by_reader, kind, body).await;
            // A reaction is where its target is.
            let thread = if matches!(what, What::Reaction) { model.events.last().unwrap().thread } else { root };
            model.events.push(Said { id, by_reader, thread, what, redacted: false });
            if by_reader {
                model.read.insert(thread, model.events.len());
            }
        }
        Step::Read { event, threaded, private } => {
            let Some(said) = model.events.get(event) else { return };
            let thread = match said.thread {
                None => "main".to_owned(),
                Some(root) => model.events[root].id.to_string(),
            };
            let kind = if private { ReceiptKind::Private } else { ReceiptKind::Public };
            let (id, of) = (said.id.clone(), said.thread);
            let thread = threaded.then_some(thread.as_str());
            let mark = Mark::Receipt(kind);
            house.server.ephemeral.read(&house.reader, &house.room, mark, &id, thread).await.unwrap();
            if threaded {
                let read = model.read.entry(of).or_default();
                *read = (*read).max(event + 1);
            } else {
                model.read_all = model.read_all.max(event + 1);
            }
        }
        Step::Redact(event) => {
            let Some(said) = model.events.get_mut(event) else { return };
            if said.by_reader || said.redacted {
                return;
            }
            said.redacted = true;
            let id = said.id.clone();
            let transaction = TransactionKey::new(house.other.device, "PUT", id.as_str(), "t");
            house.server.rooms.redact(&house.other, &house.room, &id, None, transaction).await.unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn unread_counts_are_what_one_by_one_judging_finds(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let house = House::new().await;
            let mut model = Model::default();
            for (nth, step) in steps.into_iter().enumerate() {
                take(&house, &mut model, step).await;
                if nth % 3 == 0 {
                    assert_eq!(house.unread().await, model.expected());
                }
            }
            assert_eq!(house.unread().await, model.expected());
            house.server.stop().await;
        });
    }
}
