//! A client that syncs on and on with the token it holds, and keeps what it is told.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::door::{Door, Person};
use super::talker::{Ear, Talker};

/// A message as a client is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub id: String,
    pub sender: String,
    pub body: String,
}

/// The messages among events.
fn messages(events: &Value) -> impl DoubleEndedIterator<Item = Heard> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    events.as_array().into_iter().flatten().filter(|event| event["type"] == "m.room.message").map(move |event| Heard {
        id: text(&event["event_id"]),
        sender: text(&event["sender"]),
        body: text(&event["content"]["body"]),
    })
}

/// A syncing client. Token and news are kept together, as a client's own store does.
#[derive(Debug)]
pub struct Listener {
    pub person: Person,
    since: String,
    filter: String,
    rooms: HashMap<String, (Vec<Heard>, HashSet<String>)>,
    /// Sender and number of each to-device message.
    whispers: Vec<(String, u64)>,
    syncs: usize,
}

impl Listener {
    /// With timelines of at most so many events.
    pub async fn new(door: &Door, person: Person, timeline: u32) -> Self {
        let filter = json!({ "room": { "timeline": { "limit": timeline } } });
        let path = format!("/v3/user/{}/filter", person.id);
        let filter = door.post(&person.token, &path, &filter).await.expect("a filter can be kept");
        let filter = filter["filter_id"].as_str().unwrap_or_default().to_owned();
        let (rooms, whispers) = (HashMap::new(), Vec::new());
        let mut listener = Self { person, since: String::new(), filter, rooms, whispers, syncs: 0 };
        listener.sync(door, 0).await;
        listener
    }

    /// What it heard in a room.
    pub fn heard(&self, room: &str) -> &[Heard] {
        self.rooms.get(room).map_or(&[], |(heard, _)| heard)
    }

    /// Syncs once and answers whether there was news.
    async fn sync(&mut self, door: &Door, timeout: u32) -> Option<bool> {
        let since = if self.since.is_empty() { String::new() } else { format!("&since={}", self.since) };
        let path = format!("/v3/sync?timeout={timeout}&filter={}{since}", self.filter);
        let answer = door.get(&self.person.token, &path).await?;
        let mut told = Vec::new();
        for (room, news) in answer["rooms"]["join"].as_object().into_iter().flatten() {
            let timeline = &news["timeline"];
            let mut heard: Vec<_> = messages(&timeline["events"]).collect();
            if timeline["limited"] == true && !self.since.is_empty() {
                let gap = self.missed(door, room, timeline["prev_batch"].as_str()?).await?;
                heard.splice(0..0, gap);
            }
            told.push((room.clone(), heard));
        }
        let whispers = answer["to_device"]["events"].as_array().cloned().unwrap_or_default();
        let is_news = !whispers.is_empty() || told.iter().any(|(_, heard)| !heard.is_empty());
        for (room, heard) in told {
            let (all, ids) = self.rooms.entry(room).or_default();
            ids.extend(heard.iter().map(|heard| heard.id.clone()));
            all.extend(heard);
        }
        for whisper in whispers {
            let sender = whisper["sender"].as_str().unwrap_or_default().to_owned();
            self.whispers.push((sender, whisper["content"]["number"].as_u64().unwrap_or(u64::MAX)));
        }
        answer["next_batch"].as_str().unwrap_or_default().clone_into(&mut self.since);
        self.syncs += 1;
        Some(is_news)
    }

    /// The messages of a gap, oldest first.
    async fn missed(&self, door: &Door, room: &str, before: &str) -> Option<Vec<Heard>> {
        let known = self.rooms.get(room).map(|(_, ids)| ids);
        self.back(door, room, Some(before), |id| known.is_some_and(|ids| ids.contains(id))).await
    }

    /// Pages back through a room's messages, from a token or the end, until one is known. Oldest first.
    pub async fn back(
        &self,
        door: &Door,
        room: &str,
        from: Option<&str>,
        is_known: impl Fn(&str) -> bool,
    ) -> Option<Vec<Heard>> {
        let mut from = from.map(str::to_owned);
        let mut found = Vec::new();
        'pages: loop {
            let start = from.map(|from| format!("&from={from}")).unwrap_or_default();
            let path = format!("/v3/rooms/{room}/messages?dir=b&limit=100{start}");
            let page = door.get(&self.person.token, &path).await?;
            for heard in messages(&page["chunk"]) {
                if is_known(&heard.id) {
                    break 'pages;
                }
                found.push(heard);
            }
            let Some(end) = page["end"].as_str() else { break };
            from = Some(end.to_owned());
        }
        found.reverse();
        Some(found)
    }

    /// Syncs on.
    pub async fn act(&mut self, door: &Door) {
        self.sync(door, 200).await;
    }

    /// Syncs until there is no news.
    pub async fn catch_up(&mut self, door: &Door) {
        while self.sync(door, 0).await == Some(true) {}
    }

    /// What a talker said must have come exactly once each, in order, and nothing else of it.
    pub fn check(&self, door: &Door, talker: &Talker) {
        let me = &self.person.id;
        let (name, said) = (&talker.person.id, &talker.said);
        match &talker.ear {
            Ear::Room(room) => {
                let heard = self.heard(room).iter().filter(|heard| heard.sender == *name);
                let heard: Vec<_> = heard.map(|heard| (heard.body.clone(), heard.id.clone())).collect();
                let said: Vec<_> = said.iter().enumerate().map(|(n, id)| (n.to_string(), id.clone())).collect();
                door.verdict.must(heard == said, || difference(&format!("{me} heard {name}"), &heard, &said));
            }
            Ear::Device { user, device } if *user == *me && *device == self.person.device => {
                let heard = self.whispers.iter().filter(|(sender, _)| sender == name);
                let heard: Vec<_> = heard.map(|(_, number)| *number).collect();
                let said: Vec<_> = (0..said.len() as u64).collect();
                door.verdict.must(heard == said, || difference(&format!("{me} got from {name}"), &heard, &said));
            }
            Ear::Device { .. } => {}
        }
    }

    /// How often it was answered.
    pub const fn syncs(&self) -> usize {
        self.syncs
    }
}

/// Where two lists that should be the same part.
pub fn difference<T: PartialEq + std::fmt::Debug>(what: &str, got: &[T], wanted: &[T]) -> String {
    let at = got.iter().zip(wanted).take_while(|(got, wanted)| got == wanted).count();
    let ahead = |list: &[T]| format!("{:?}", list.iter().skip(at).take(3).collect::<Vec<_>>());
    let (got_len, wanted_len) = (got.len(), wanted.len());
    format!(
        "{what}: {got_len} things, not {wanted_len}; from number {at}: {} in place of {}",
        ahead(got),
        ahead(wanted)
    )
}
