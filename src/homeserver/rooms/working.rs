//! A room while it is written: its head, its state tree, what was read of its state. Only the room's writer has one.

mod state;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use matron_matrix::digest;
use matron_matrix::event::{Pdu, rules};
use matron_matrix::policy::PolicyServer;
use matron_storage::{Position, Snapshot};
use ruma::events::StateEventType;
use ruma::room_version_rules::RoomVersionRules;
use ruma::{OwnedRoomId, RoomId, RoomVersionId};

use self::state::KnownState;
use super::Rooms;
use super::allowed::Allowed;
use super::event::{Found, by_num};
use super::tree::{EMPTY, Editor};
use super::watchers::Watchers;
use crate::error::{Error, Result};
use crate::schema::relations::{Aggregate, Relation};
use crate::schema::rooms::{
    Arrival, Gap, HEADS, MEMBERS, Member, Place, ROOMS, RoomHead, RoomRow, SERVERS, StoredEvent, Thread, UserRoom,
};
use crate::schema::{DeviceNum, Digest, EventNum, RoomNum, UserNum};

/// An event of the room's state: its number and itself.
pub(super) type StateEvent = (EventNum, Arc<Pdu>);

/// What a working copy takes of memory beside what it remembers, about.
const BARE_BYTES: u64 = 4096;

/// The working copy.
#[derive(Debug)]
pub struct Working {
    pub(super) num: RoomNum,
    pub(super) id: OwnedRoomId,
    pub(super) row: RoomRow,
    pub(super) rules: RoomVersionRules,
    pub(super) head: RoomHead,
    pub(super) editor: Editor,
    pub(super) snapshot: Snapshot,
    /// What was looked up of the current state.
    pub(super) state: KnownState,
    /// Whether the state names a policy server.
    pub(super) policy: Policy,
    /// Who was allowed what lately.
    pub(super) allowed: Allowed,
    /// Events of the batch that is being built.
    pub(super) fresh: HashMap<EventNum, StoredEvent>,
    /// What the batch that is being built changed so far.
    pub(super) touched: Touched,
    /// Whom events may concern beyond their class; none before the first event.
    pub(super) watchers: Option<Watchers>,
}

/// What is known of a room's policy server. Whether it has a user in the room is another question.
#[derive(Debug)]
pub(super) enum Policy {
    /// Nothing yet.
    Unknown,
    /// That the state names none.
    None,
    /// Which one the state names.
    Server(Arc<PolicyServer>),
}

/// Rows that a batch changed before it is committed: later events of the batch read them here first.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// The event that is being placed: a state may name it before it has its row.
    pub arriving: Option<(EventNum, Arc<Pdu>)>,
    pub places: HashMap<EventNum, Option<Arrival>>,
    pub threads: HashMap<EventNum, Thread>,
    pub speakers: HashMap<(EventNum, UserNum), u64>,
    /// Relations by target and place: none where one was taken away.
    pub relations: HashMap<(Digest, u64, Arrival), Option<Relation>>,
    pub aggregates: HashMap<Digest, Aggregate>,
    /// Events that were redacted.
    pub redacted: HashSet<EventNum>,
    /// Counts of threads whose row is made a moment later.
    pub first_counts: HashMap<EventNum, Vec<u32>>,
    /// Where threads' counters last moved.
    pub thread_moves: HashMap<EventNum, Position>,
    pub members: HashMap<UserNum, Option<Member>>,
    pub user_rooms: HashMap<UserNum, Option<UserRoom>>,
    pub servers: HashMap<String, u64>,
    pub transactions: HashMap<(DeviceNum, Digest), String>,
    /// Redactions that came before their target.
    pub early_redactions: HashMap<Digest, Vec<EventNum>>,
    /// Gaps as they will be.
    pub gaps: HashMap<(u64, Arrival), Gap>,
    /// Where a missing event leaves gaps that are new.
    pub missing: HashMap<Digest, Vec<(u64, Arrival)>>,
    /// Events that stand otherwise now, or say less.
    pub restood: Vec<EventNum>,
}

impl Working {
    /// Reads a room.
    ///
    /// # Errors
    /// The store cannot be read, or a row of the room is missing.
    pub async fn load(rooms: &Rooms, snapshot: Snapshot, num: RoomNum) -> Result<Self> {
        let row = snapshot.get(&ROOMS, &num).await?.ok_or_else(|| Error::internal(format!("no room {num}")))?;
        let head =
            snapshot.get(&HEADS, &num).await?.ok_or_else(|| Error::internal(format!("room {num} has no head")))?;
        let version = RoomVersionId::try_from(row.version.as_str()).map_err(Error::internal)?;
        let last = Editor::last_number(&snapshot, num).await?;
        Ok(Self {
            num,
            id: RoomId::parse(&row.id).map_err(Error::internal)?,
            row,
            rules: rules(&version)?,
            head,
            editor: Editor::new(rooms.states(&snapshot, num), last),
            snapshot,
            state: KnownState::default(),
            policy: Policy::Unknown,
            allowed: Allowed::default(),
            fresh: HashMap::new(),
            touched: Touched::default(),
            watchers: None,
        })
    }

    /// A room that is being made.
    ///
    /// # Errors
    /// The room version is not served.
    pub fn new(rooms: &Rooms, num: RoomNum, id: OwnedRoomId, version: &RoomVersionId) -> Result<Self> {
        let snapshot = rooms.store.snapshot();
        let row = RoomRow { id: id.to_string(), version: version.to_string(), create: EventNum(0), partial: false };
        let head = RoomHead {
            state: EMPTY,
            extremities: Vec::new(),
            depth: 0,
            last: Position::ZERO,
            counts: Vec::new(),
            joined: 0,
            invited: 0,
            next_backfilled: -1,
        };
        Ok(Self {
            num,
            id,
            row,
            rules: rules(version)?,
            head,
            editor: Editor::new(rooms.states(&snapshot, num), 0),
            watchers: Some(Watchers::of_nobody(&snapshot)),
            snapshot,
            state: KnownState::default(),
            policy: Policy::None,
            allowed: Allowed::default(),
            fresh: HashMap::new(),
            touched: Touched::default(),
        })
    }

    /// An event of the room's current state.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn state_event(
        &mut self,
        rooms: &Rooms,
        kind: &StateEventType,
        key: &str,
    ) -> Result<Option<StateEvent>> {
        let name = (kind.clone(), key.to_owned());
        if let Some(found) = self.state.get(&name) {
            return Ok(found.clone());
        }
        let found = self.state_event_at(rooms, self.head.state, kind, key).await?;
        self.state.insert(name, found.clone());
        Ok(found)
    }

    /// An event of any of the room's states.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn state_event_at(
        &self,
        rooms: &Rooms,
        root: u32,
        kind: &StateEventType,
        key: &str,
    ) -> Result<Option<StateEvent>> {
        let Some(state_key) = rooms.ids.find_state_key(&kind.to_string(), key).await? else { return Ok(None) };
        let Some(num) = self.editor.reader().get(root, state_key).await? else { return Ok(None) };
        Ok(Some((num, self.pdu(rooms, num).await?)))
    }

    /// An event as the rules see it, also one that is not committed yet.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn pdu(&self, rooms: &Rooms, num: EventNum) -> Result<Arc<Pdu>> {
        if let Some((_, pdu)) = self.touched.arriving.as_ref().filter(|(arriving, _)| *arriving == num) {
            return Ok(Arc::clone(pdu));
        }
        let Some(event) = self.fresh.get(&num) else { return rooms.authority(&self.snapshot, num).await };
        // It has no row yet that it could be read from, should it be forgotten.
        match rooms.remembered(num).filter(|_| event.header.redacted_by.is_none()) {
            Some(pdu) => Ok(pdu),
            None => Ok(Arc::new(super::event::pruned(event, &self.rules)?)),
        }
    }

    /// An event of the room and its place, as of the batch so far; none where it is another room's.
    ///
    /// # Errors
    /// The store cannot be read, or the event's row is missing.
    pub(super) async fn found(&self, num: EventNum) -> Result<Option<Found>> {
        if let Some(event) = self.fresh.get(&num) {
            let arrival = self.touched.places.get(&num).copied().flatten();
            return Ok(Some(Found { event: event.clone(), place: Place { room: self.num, arrival } }));
        }
        let found = by_num(&self.snapshot, num).await?;
        Ok((found.place.room == self.num).then_some(found))
    }

    /// An event's number by its id, also of one that is not committed yet.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn event_num(&self, rooms: &Rooms, id: &str) -> Result<Option<EventNum>> {
        let digest = digest::of_event_id(id);
        let fresh = self.fresh.values().find(|event| event.header.digest == digest);
        match fresh {
            Some(event) => Ok(Some(event.header.num)),
            None => rooms.ids.event(&self.snapshot, &digest).await,
        }
    }

    /// A member's row as of the batch so far: each user's row is written once a batch but for rare repeats, and those are
    /// read from the working state.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn member(&self, user: UserNum) -> Result<Option<Member>> {
        if let Some(member) = self.touched.members.get(&user) {
            return Ok(member.clone());
        }
        Ok(self.snapshot.get(&MEMBERS, &(self.num, user)).await?)
    }

    /// How many users of a server are joined, as of the batch so far.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn joined_of(&self, server: &str) -> Result<u64> {
        if let Some(count) = self.touched.servers.get(server) {
            return Ok(*count);
        }
        Ok(self.snapshot.get(&SERVERS, &(self.num, server.to_owned())).await?.unwrap_or(0))
    }

    /// The batch is committed, its first position being `first`.
    pub(super) fn committed(&mut self, rooms: &Rooms, first: Position) {
        if let Some(nth) = self.head.last.pending_index() {
            self.head.last = Position::new(first.get() + u64::from(nth));
        }
        self.editor.committed();
        self.see(rooms.store.snapshot());
        self.fresh.clear();
        for num in std::mem::take(&mut self.touched.restood) {
            rooms.forget_authority(num);
        }
        self.touched = Touched::default();
    }

    /// Bytes that it takes while nobody writes, about.
    pub(super) fn weight(&self) -> u64 {
        let watchers = self.watchers.as_ref().map_or(0, Watchers::weight);
        BARE_BYTES + self.state.weight() + self.allowed.weight() + watchers
    }

    /// Reads from this snapshot from now on. While a room has no writer, its copy sees nothing, since the engine keeps what
    /// a snapshot shows.
    pub(super) fn see(&mut self, snapshot: Snapshot) {
        self.editor.see(snapshot.clone());
        self.snapshot = snapshot;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ruma::RoomVersionId;
    use ruma::events::StateEventType;
    use serde_json::{Value, json};

    use super::state::MOST_EVENTS;
    use crate::rooms::tests::scene::{FAR, Scene};

    #[tokio::test]
    async fn what_was_looked_up_of_a_large_room_does_not_pile_up() {
        let mut scene = Scene::new(RoomVersionId::V11).await;
        let rooms = Arc::clone(&scene.server.rooms);
        for nth in 0..=2 * MOST_EVENTS {
            let somebody = format!("@somebody{nth}:other.example");
            let found = scene.working.state_event(&rooms, &StateEventType::RoomMember, &somebody).await.unwrap();
            assert!(found.is_none() && scene.working.state.len() <= MOST_EVENTS);
        }
        let create = scene.working.state_event(&rooms, &StateEventType::RoomCreate, "").await.unwrap();
        assert!(create.is_some(), "what was forgotten is read again");
    }

    #[tokio::test]
    async fn an_event_of_the_batch_is_whole_also_where_it_was_forgotten() {
        let mut scene = Scene::new(RoomVersionId::V11).await;
        let root = scene.working.head.state;
        let topic = json!({ "topic": "Ward 7" });
        let sent = scene.make(FAR, "m.room.topic", Some(""), topic.clone(), &[scene.last()], root, None).await;
        let built = scene.built(&sent, root).await;
        let (rooms, num) = (Arc::clone(&scene.server.rooms), built.num);
        scene
            .commit(async |append| {
                append.live(built, None).await.unwrap();
                assert!(rooms.remembered(num).is_some());
                rooms.forget_authority(num);
                append.working.touched.arriving = None;
                let pdu = append.working.pdu(&rooms, num).await.unwrap();
                assert_eq!(serde_json::from_str::<Value>(pdu.content.get()).unwrap(), topic);
            })
            .await;
    }

    #[tokio::test]
    async fn who_came_and_went_is_not_remembered() {
        let mut scene = Scene::new(RoomVersionId::V11).await;
        let rooms = Arc::clone(&scene.server.rooms);
        let (visitor, mut last) = ("@visitor:third.example", scene.last());
        let mut placed = Vec::new();
        for membership in ["join", "leave"] {
            let (root, content) = (scene.working.head.state, json!({ "membership": membership }));
            let sent = scene.make(visitor, "m.room.member", Some(visitor), content, &[last], root, None).await;
            scene.live(&sent).await;
            placed.push(scene.stored(&sent.0).await.unwrap().event.header.num);
            assert_eq!(rooms.remembered(placed[0]).is_some(), membership == "join");
            last = sent.0;
        }
        assert!(placed.iter().all(|num| rooms.remembered(*num).is_none()));
        let name = (StateEventType::RoomMember, visitor.to_owned());
        assert!(scene.working.state.get(&name).is_none());
        let (num, _) = scene.working.state_event(&rooms, &name.0, visitor).await.unwrap().unwrap();
        assert_eq!(num, placed[1], "what was forgotten is read again");
    }

    #[tokio::test]
    async fn a_working_copy_weighs_what_it_remembers() {
        let mut scene = Scene::new(RoomVersionId::V11).await;
        let rooms = Arc::clone(&scene.server.rooms);
        scene.working.state.clear();
        let bare = scene.working.weight();
        let create = scene.working.state_event(&rooms, &StateEventType::RoomCreate, "").await.unwrap().unwrap();
        let heavier = scene.working.weight();
        assert!(heavier >= bare + create.1.content.get().len() as u64);
        let name = (StateEventType::RoomCreate, String::new());
        scene.working.state.insert(name.clone(), Some(create));
        assert_eq!(scene.working.weight(), heavier, "nothing is weighed twice");
        scene.working.state.insert(name, None);
        assert!(scene.working.weight() < heavier);
    }
}
