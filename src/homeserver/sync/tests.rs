//! Unread counts against a naive model: every event after the reader's position, judged one by one by ruma's evaluator.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use matron_matrix::canonical;
use matron_matrix::event::Template;
use matron_matrix::push::{Outcome, specials};
use matron_storage::Options;
use proptest::prelude::*;
use ruma::api::client::filter::FilterDefinition;
use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};
use ruma::push::{
    Action, NewConditionalPushRule, NewPatternedPushRule, NewPushRule, NewSimplePushRule, PushConditionPowerLevelsCtx,
    PushConditionRoomCtx, RuleKind, Ruleset, Tweak,
};
use ruma::serde::Raw;
use ruma::{EventId, OwnedEventId, OwnedRoomId, UInt};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Request, StateName, SyncFilter};
use crate::Homeserver;
use crate::accounts::{IGNORED_USER_LIST, Session};
use crate::clock::Clock;
use crate::config::Config;
use crate::ephemeral::Mark;
use crate::fixture::session;
use crate::rooms::intent::{Intent, TransactionKey};
use crate::schema::ephemeral::ReceiptKind;
use crate::unread::Unread;

mod crowd;
mod heroes;
mod turns;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Plain,
    Keyword,
    Mention,
    RoomMention,
    Notice,
    Reaction,
    Topic,
    Redaction,
}

#[derive(Debug, Clone)]
enum Step {
    /// Somebody says something: the reader or one of the others, in the main timeline or in the thread of an earlier event.
    Say { by: usize, thread: Option<usize>, what: What },
    /// The reader reads up to an event: of everything, or of what the event is in.
    Read { event: usize, threaded: bool, private: bool },
    /// An event is redacted by its sender.
    Redact(usize),
    /// The reader's rules change.
    Rule(Rule),
    /// The reader ignores another one, or does so no more.
    Ignore(bool),
    /// The reader leaves and comes back.
    Rejoin,
}

#[derive(Debug, Clone)]
enum Rule {
    Keyword(Option<usize>),
    Sender(Option<usize>),
    Room(Option<usize>),
    Mute(Option<usize>),
    Custom(Option<usize>),
    Enable(&'static str, RuleKind, bool),
}

fn actions(which: usize) -> Vec<Action> {
    let highlight = Action::SetTweak(Tweak::Highlight(ruma::push::HighlightTweakValue::Yes));
    match which {
        0 => vec![],
        1 => vec![Action::Notify],
        _ => vec![Action::Notify, highlight],
    }
}

fn rule() -> impl Strategy<Value = Rule> {
    let some = || prop::option::weighted(0.7, 0_usize..3);
    let defaults = prop::sample::select(vec![
        (".m.rule.master", RuleKind::Override),
        (".m.rule.suppress_notices", RuleKind::Override),
        (".m.rule.is_user_mention", RuleKind::Override),
        (".m.rule.reaction", RuleKind::Override),
        (".m.rule.message", RuleKind::Underride),
    ]);
    prop_oneof![
        3 => some().prop_map(Rule::Keyword),
        2 => some().prop_map(Rule::Sender),
        1 => some().prop_map(Rule::Room),
        1 => some().prop_map(Rule::Mute),
        1 => some().prop_map(Rule::Custom),
        1 => (defaults, any::<bool>()).prop_map(|((id, kind), enabled)| Rule::Enable(id, kind, enabled)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let what = prop::sample::select(vec![
        What::Plain,
        What::Plain,
        What::Keyword,
        What::Keyword,
        What::Mention,
        What::RoomMention,
        What::Notice,
        What::Reaction,
        What::Topic,
    ]);
    let by = prop::sample::select(vec![0_usize, 1, 1, 1, 2, 2]);
    prop_oneof![
        12 => (by, prop::option::weighted(0.4, 0_usize..8), what)
            .prop_map(|(by, thread, what)| Step::Say { by, thread, what }),
        4 => (0_usize..40, any::<bool>(), any::<bool>())
            .prop_map(|(event, threaded, private)| Step::Read { event, threaded, private }),
        3 => (0_usize..40).prop_map(Step::Redact),
        4 => rule().prop_map(Step::Rule),
        2 => any::<bool>().prop_map(Step::Ignore),
        1 => Just(Step::Rejoin),
    ]
}

/// An event as the model knows it; its place in the list is its place in the stream.
struct Said {
    id: OwnedEventId,
    by: usize,
    thread: Option<usize>,
    what: What,
    event: Value,
    /// Whether the reader's rules singled it out when it was sent.
    special: bool,
    /// Whether the reader ignored its sender then.
    ignored: bool,
    redacted: bool,
}

#[derive(Default)]
struct Model {
    events: Vec<Said>,
    ignores: bool,
    /// Events up to this index are read, whatever thread (one more than the index).
    read_all: usize,
    read: BTreeMap<Option<usize>, usize>,
}

type Counts = (Unread, BTreeMap<String, Unread>);

impl What {
    /// Whether a thread may begin with it.
    fn may_be_root(self) -> bool {
        !matches!(self, Self::Topic | Self::Redaction | Self::Reaction)
    }
}

impl Model {
    fn expected(&self, ruleset: &Ruleset, context: &PushConditionRoomCtx) -> Counts {
        let plain = plain(ruleset);
        let mut main = Unread::default();
        let mut threads = BTreeMap::new();
        for (at, event) in self.events.iter().enumerate() {
            let read = self.read.get(&event.thread).copied().unwrap_or(0).max(self.read_all);
            if event.ignored || event.redacted || at < read {
                continue;
            }
            // The default rules keep a reaction from everybody: it has no class that a rule about the room could count.
            if event.what == What::Reaction && !event.special {
                continue;
            }
            let outcome = by_ruma(if event.special { ruleset } else { &plain }, &event.event, context);
            if !outcome.notify {
                continue;
            }
            let unread = match event.thread {
                None => &mut main,
                Some(root) => threads.entry(self.events[root].id.to_string()).or_default(),
            };
            unread.notification_count += 1;
            unread.highlight_count += u64::from(outcome.highlight);
        }
        (main, threads)
    }
}

/// The rules that hold for events that nothing singled out: those about rooms, and the server's own. Rules that keep an
/// event from everybody work from when they are changed on.
fn plain(ruleset: &Ruleset) -> Ruleset {
    let mut plain = ruleset.clone();
    plain.content.clear();
    plain.sender.clear();
    plain.override_.retain(|rule| rule.rule_id != "custom");
    plain.set_enabled(RuleKind::Override, ".m.rule.reaction", true).unwrap();
    plain
}

fn by_ruma(ruleset: &Ruleset, event: &Value, context: &PushConditionRoomCtx) -> Outcome {
    let event: Raw<Value> = Raw::from_json_string(event.to_string()).unwrap();
    match pin!(ruleset.get_actions(&event, context)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(actions) => Outcome::of(actions),
        Poll::Pending => panic!("ruma waits"),
    }
}

struct House {
    server: Arc<Homeserver>,
    /// The reader comes first.
    users: Vec<Session>,
    room: OwnedRoomId,
}

impl House {
    async fn new() -> Self {
        let config = Config::named(ruma::server_name!("localhost").to_owned());
        let now = AtomicU64::new(1_700_000_000_000);
        let clock = Clock::by(move || now.fetch_add(1, Ordering::Relaxed));
        Self::at(Homeserver::start(config, &Options::memory(), clock).await.unwrap()).await
    }

    async fn at(server: Arc<Homeserver>) -> Self {
        let mut users = Vec::new();
        for name in ["reader", "other", "third"] {
            users.push(session(&server, name).await);
        }
        let mut request = NewRoom::new();
        request.preset = Some(RoomPreset::PublicChat);
        let levels = json!({ "users_default": 50, "notifications": { "room": 60 } });
        request.power_level_content_override = serde_json::from_value(levels).unwrap();
        let room = server.rooms.create(&users[1], request).await.unwrap();
        server.rooms.join(&users[2], &room, None, None).await.unwrap();
        server.rooms.join(&users[0], &room, None, None).await.unwrap();
        Self { server, users, room }
    }

    fn reader(&self) -> &Session {
        &self.users[0]
    }

    async fn ruleset(&self) -> Arc<Ruleset> {
        self.server.accounts.push_rules(self.reader()).await.unwrap()
    }

    async fn context(&self) -> PushConditionRoomCtx {
        let snapshot = self.server.store.snapshot();
        let room = self.server.ids.room(&snapshot, self.room.as_str()).await.unwrap().unwrap();
        let levels = self.server.rooms.power_levels(&snapshot, room).await.unwrap();
        let levels =
            PushConditionPowerLevelsCtx::new(levels.users, levels.users_default, levels.notifications, levels.rules);
        let name = "reader".to_owned();
        PushConditionRoomCtx::new(self.room.clone(), UInt::from(3_u8), self.reader().user_id.clone(), name)
            .with_power_levels(levels)
    }

    async fn say(&self, by: usize, kind: &str, state_key: Option<String>, content: Value) -> OwnedEventId {
        let snapshot = self.server.store.snapshot();
        let room = self.server.ids.room(&snapshot, self.room.as_str()).await.unwrap().unwrap();
        let template = Template {
            sender: self.users[by].user_id.clone(),
            kind: kind.into(),
            state_key,
            content: canonical::object(content).unwrap(),
            redacts: None,
            origin_server_ts: self.server.clock.now(),
        };
        self.server.rooms.submit(room, Intent::new(template)).await.unwrap().event_id
    }

    async fn unread(&self) -> Counts {
        let filter: FilterDefinition =
            serde_json::from_value(json!({ "room": { "timeline": { "unread_thread_notifications": true } } })).unwrap();
        let request = Request {
            since: None,
            mends: false,
            filter: SyncFilter::try_from(&filter).unwrap(),
            full_state: false,
            state: StateName::State,
            timeout: Duration::ZERO,
            set_presence: ruma::presence::PresenceState::Offline,
        };
        let answer = self.server.sync.classic(self.reader(), &request, &CancellationToken::new()).await.unwrap();
        let room = &answer.rooms.join[self.room.as_str()];
        (room.unread_notifications.unwrap(), room.unread_thread_notifications.clone())
    }

    async fn set_rule(&self, rule: Rule) {
        let (accounts, reader) = (&self.server.accounts, self.reader());
        let conditions = |json: Value| serde_json::from_value(json).unwrap();
        let (kind, id, new) = match rule {
            Rule::Enable(id, kind, enabled) => {
                accounts.set_push_rule_enabled(reader, &kind, id, enabled).await.unwrap();
                return;
            }
            Rule::Keyword(which) => {
                let rule = which
                    .map(|which| NewPatternedPushRule::new("word".to_owned(), "Cake".to_owned(), actions(which)))
                    .map(NewPushRule::Content);
                (RuleKind::Content, "word".to_owned(), rule)
            }
            Rule::Sender(which) => {
                let id = self.users[1].user_id.clone();
                let rule =
                    which.map(|which| NewSimplePushRule::new(id.clone(), actions(which))).map(NewPushRule::Sender);
                (RuleKind::Sender, id.to_string(), rule)
            }
            Rule::Room(which) => {
                let rule =
                    which.map(|which| NewSimplePushRule::new(self.room.clone(), actions(which))).map(NewPushRule::Room);
                (RuleKind::Room, self.room.to_string(), rule)
            }
            Rule::Mute(which) => {
                let here = json!([{ "kind": "event_match", "key": "room_id", "pattern": self.room }]);
                let rule = which
                    .map(|which| NewConditionalPushRule::new("mute".to_owned(), conditions(here), actions(which)))
                    .map(NewPushRule::Override);
                (RuleKind::Override, "mute".to_owned(), rule)
            }
            Rule::Custom(which) => {
                let text = json!([{ "kind": "event_match", "key": "content.topic", "pattern": "*" }]);
                let rule = which
                    .map(|which| NewConditionalPushRule::new("custom".to_owned(), conditions(text), actions(which)))
                    .map(NewPushRule::Override);
                (RuleKind::Override, "custom".to_owned(), rule)
            }
        };
        match new {
            Some(new) => accounts.set_push_rule(reader, new, None, None).await.unwrap(),
            None => {
                // There may be none.
                let _ = accounts.delete_push_rule(reader, &kind, &id).await;
            }
        }
    }

    /// Whether the reader's rules single an event out of what is the same for everybody.
    async fn is_special(&self, what: What, by: usize, event: &Value) -> bool {
        let ruleset = self.ruleset().await;
        let mut keywords = Ruleset::new();
        keywords.content.clone_from(&ruleset.content);
        let context = self.context().await;
        let event: Raw<Value> = Raw::from_json_string(event.to_string()).unwrap();
        let hit = match pin!(keywords.get_match(&event, &context)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(rule) => rule.is_some(),
            Poll::Pending => panic!("ruma waits"),
        };
        let sender = ruleset.sender.iter().any(|rule| rule.rule_id == self.users[by].user_id);
        let looks_deeper = specials(&ruleset).custom;
        what == What::Mention || looks_deeper || (what != What::Reaction && (hit || sender))
    }
}

fn content(what: What, thread: Option<&EventId>, target: Option<&EventId>) -> (&'static str, Option<String>, Value) {
    let mut content = json!({ "msgtype": "m.text", "body": "hello" });
    match what {
        What::Plain => {}
        What::Keyword => content["body"] = json!("there is (cake)!"),
        What::Mention => content["m.mentions"] = json!({ "user_ids": ["@reader:localhost"] }),
        What::RoomMention => content["m.mentions"] = json!({ "room": true }),
        What::Notice => content["msgtype"] = json!("m.notice"),
        What::Reaction => {
            let key = rand::random::<u64>().to_string();
            let relates_to = json!({ "rel_type": "m.annotation", "event_id": target, "key": key });
            return ("m.reaction", None, json!({ "m.relates_to": relates_to }));
        }
        What::Redaction => unreachable!("redactions have a way of their own"),
        What::Topic => return ("m.room.topic", Some(String::new()), json!({ "topic": "cake" })),
    }
    if let Some(root) = thread {
        content["m.relates_to"] = json!({ "rel_type": "m.thread", "event_id": root });
    }
    ("m.room.message", None, content)
}

async fn say(house: &House, model: &mut Model, by: usize, thread: Option<usize>, what: What) {
    // Threads begin at events of the main timeline alone.
    let main: Vec<usize> = (0..model.events.len())
        .filter(|at| model.events[*at].thread.is_none() && model.events[*at].what.may_be_root())
        .collect();
    let root = thread.and_then(|nth| main.get(nth)).copied().filter(|_| what != What::Topic);
    let target = model.events.last().map(|event| event.id.clone());
    if matches!(what, What::Reaction) && target.is_none() {
        return;
    }
    let root_id = root.map(|root| model.events[root].id.clone());
    let (kind, state_key, body) = content(what, root_id.as_deref(), target.as_deref());
    let mut event = json!({ "type": kind, "sender": house.users[by].user_id, "room_id": house.room, "content": body });
    if let Some(state_key) = &state_key {
        event["state_key"] = json!(state_key);
    }
    let special = house.is_special(what, by, &event).await;
    let is_state = state_key.is_some();
    let id = house.say(by, kind, state_key, body).await;
    // A reaction is where its target is.
    let thread = if matches!(what, What::Reaction) { model.events.last().unwrap().thread } else { root };
    let ignored = by == 1 && model.ignores;
    model.events.push(Said { id, by, thread, what, event, special, ignored, redacted: false });
    if by == 0 && !is_state {
        model.read.insert(thread, model.events.len());
    }
}

async fn take(house: &House, model: &mut Model, step: Step) {
    match step {
        Step::Say { by, thread, what } => say(house, model, by, thread, what).await,
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
            house.server.ephemeral.read(house.reader(), &house.room, mark, &id, thread).await.unwrap();
            if threaded {
                let read = model.read.entry(of).or_default();
                *read = (*read).max(event + 1);
            } else {
                model.read_all = model.read_all.max(event + 1);
            }
        }
        Step::Redact(event) => {
            let Some(said) = model.events.get_mut(event) else { return };
            if said.by == 0 || said.redacted || said.what == What::Redaction {
                return;
            }
            said.redacted = true;
            let (id, by) = (said.id.clone(), said.by);
            let sender = &house.users[by];
            let event = json!({
                "type": "m.room.redaction",
                "sender": sender.user_id,
                "room_id": house.room,
                "content": { "redacts": id },
            });
            let special = house.is_special(What::Redaction, by, &event).await;
            let transaction = TransactionKey::new(sender.device, "PUT", id.as_str(), "t");
            let id = house.server.rooms.redact(sender, &house.room, &id, None, transaction).await.unwrap();
            let ignored = by == 1 && model.ignores;
            let what = What::Redaction;
            model.events.push(Said { id, by, thread: None, what, event, special, ignored, redacted: false });
        }
        Step::Rule(rule) => house.set_rule(rule).await,
        Step::Ignore(ignores) => {
            model.ignores = ignores;
            let list = if ignores { json!({ house.users[1].user_id.as_str(): {} }) } else { json!({}) };
            let list = json!({ "ignored_users": list }).to_string();
            let user = house.reader().user;
            house.server.accounts.set_account_data(user, None, IGNORED_USER_LIST, &list).await.unwrap();
        }
        Step::Rejoin => {
            house
                .server
                .rooms
                .leave(house.reader(), &house.room, crate::rooms::membership::Said::default())
                .await
                .unwrap();
            house.say(1, "m.room.message", None, json!({ "msgtype": "m.text", "body": "cake, unseen" })).await;
            house.server.rooms.join(house.reader(), &house.room, None, None).await.unwrap();
            model.read_all = model.events.len();
        }
    }
}

async fn check(house: &House, model: &Model) {
    let expected = model.expected(&*house.ruleset().await, &house.context().await);
    assert_eq!(house.unread().await, expected);
    // What is remembered says the same as what is counted anew.
    assert_eq!(house.unread().await, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn unread_counts_are_what_one_by_one_judging_finds(
        steps in prop::collection::vec(step(), 1..40),
        every in 1_usize..5,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let house = House::new().await;
            let mut model = Model::default();
            for (nth, step) in steps.into_iter().enumerate() {
                take(&house, &mut model, step).await;
                if nth % every == 0 {
                    check(&house, &model).await;
                }
            }
            check(&house, &model).await;
            house.server.stop().await;
        });
    }
}
