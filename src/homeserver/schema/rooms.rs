//! Rooms: events and their two orders, state, members, relations, counts, aliases.

use matron_storage::{Corrupt, Encoder, Family, Field, Key, Keyspace, Position, Reader, Value, labels};

use super::{DeviceNum, Digest, EventNum, RoomNum, StateKeyNum, UserNum};

labels! {
    /// How an event stands in its room.
    pub enum Standing {
        /// Received as it happened: has a position.
        Live = 1,
        /// Fetched from the past: has a place before the live ones.
        Backfilled = 2,
        /// Known, without a place: state of another time, or an invite's.
        Outlier = 3,
        /// Failed authorization: has no place.
        Rejected = 4,
        /// Passed by its own state, failed by the room's: has no place.
        SoftFailed = 5,
    }
}

labels! {
    /// A user's membership, as `m.room.member` has it.
    pub enum Membership {
        /// `invite`
        Invite = 1,
        /// `join`
        Join = 2,
        /// `knock`
        Knock = 3,
        /// `leave`
        Leave = 4,
        /// `ban`
        Ban = 5,
    }
}

/// Where an event lies among its room's: the backfilled ones first, newest of them at -1, then the live ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arrival {
    /// Fetched from the past: a falling negative number.
    Backfilled(i64),
    /// Received as it happened: its position.
    Live(Position),
}

const NO_ARRIVAL: Corrupt = Corrupt("an arrival is neither live nor backfilled");

impl Key for Arrival {
    fn encode(&self, out: &mut Encoder) {
        match self {
            Self::Backfilled(number) => (0_u8, *number).encode(out),
            Self::Live(position) => (1_u8, *position).encode(out),
        }
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        match <u8 as Key>::decode(input)? {
            0 => <i64 as Key>::decode(input).map(Self::Backfilled),
            1 => <Position as Key>::decode(input).map(Self::Live),
            _ => Err(NO_ARRIVAL),
        }
    }
}

impl Field for Arrival {
    fn put(&self, out: &mut Encoder) {
        Key::encode(self, out);
    }

    fn get(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        match <u8 as Key>::decode(input)? {
            0 => <i64 as Key>::decode(input).map(Self::Backfilled),
            // Its number may not be given yet, as that of any position in a value.
            1 => <Position as Field>::get(input).map(Self::Live),
            _ => Err(NO_ARRIVAL),
        }
    }
}

matron_storage::record! {
    /// What is known of a room for ever.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct RoomRow {
        /// The room id.
        pub id: String,
        /// The room version.
        pub version: String,
        /// The number of its `m.room.create` event.
        pub create: EventNum,
        /// Whether its state is not yet known wholly (a join that is still being completed).
        pub partial: bool,
    }
}

matron_storage::record! {
    /// One end of the event graph.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Extremity {
        /// The event.
        pub num: EventNum,
        /// Its id.
        pub id: String,
        /// Its depth.
        pub depth: u64,
        /// The state after it.
        pub state: u32,
    }
}

matron_storage::record! {
    /// A room as it is now.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct RoomHead {
        /// The root of its resolved state.
        pub state: u32,
        /// The ends of its event graph.
        pub extremities: Vec<Extremity>,
        /// The greatest depth of any event with a place.
        pub depth: u64,
        /// Where the last live event lies.
        pub last: Position,
        /// Running counts of notifying events.
        pub counts: Vec<u32>,
        /// How many users are joined.
        pub joined: u64,
        /// How many users are invited.
        pub invited: u64,
        /// Where the next backfilled event goes.
        pub next_backfilled: i64,
    }
}

matron_storage::record! {
    /// A room's resolved state from a position on.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StateAt {
        /// The root.
        pub state: u32,
        /// The ends of the event graph.
        pub extremities: Vec<EventNum>,
    }
}

/// What stands before an event's JSON: all that its readers decide by, without parsing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventHeader {
    /// Its number.
    pub num: EventNum,
    /// What its id encodes.
    pub digest: Digest,
    /// How it stands.
    pub standing: Standing,
    /// The redaction that prunes it.
    pub redacted_by: Option<EventNum>,
    /// The root of the thread that it is in.
    pub thread: Option<EventNum>,
    /// The root of the state before it.
    pub state_before: u32,
    /// The root of the state after it: the same unless it is an accepted state event.
    pub state_after: u32,
    /// Whether those roots are incomplete.
    pub partial: bool,
    /// Its sender.
    pub sender: UserNum,
    /// Its type and state key, if it is a state event.
    pub state_key: Option<StateKeyNum>,
    /// Its type.
    pub kind: String,
    /// Its depth.
    pub depth: u64,
    /// The greatest depth in the room when it came.
    pub room_depth: u64,
    /// The device and transaction that sent it, if local.
    pub transaction: Option<(DeviceNum, String)>,
    /// The events before it in the graph.
    pub prev: Vec<EventNum>,
    /// The events that authorize it.
    pub auth: Vec<EventNum>,
    /// The class that plain members are notified by (`matron_matrix::push`).
    pub class: Option<u8>,
    /// The room's running counts, this event included.
    pub counts: Vec<u32>,
}

/// An event as it lies on disk: header, then its signed JSON, never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// What its readers decide by.
    pub header: EventHeader,
    /// Its canonical JSON, without foreign `unsigned`.
    pub json: Box<str>,
}

impl Value for StoredEvent {
    fn encode(&self, out: &mut Encoder) {
        let h = &self.header;
        let flags = u8::from(h.redacted_by.is_some())
            | u8::from(h.thread.is_some()) << 1
            | u8::from(h.partial) << 2
            | u8::from(h.state_key.is_some()) << 3
            | u8::from(h.transaction.is_some()) << 4;
        out.push(&[1, flags]);
        h.standing.put(out);
        h.num.put(out);
        h.digest.put(out);
        if let Some(redaction) = h.redacted_by {
            redaction.put(out);
        }
        if let Some(thread) = h.thread {
            thread.put(out);
        }
        h.state_before.put(out);
        h.state_after.put(out);
        h.sender.put(out);
        if let Some(state_key) = h.state_key {
            state_key.put(out);
        }
        h.kind.put(out);
        h.depth.put(out);
        h.room_depth.put(out);
        if let Some(transaction) = &h.transaction {
            transaction.put(out);
        }
        h.prev.put(out);
        h.auth.put(out);
        h.class.put(out);
        h.counts.put(out);
        out.push(self.json.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut input = Reader::new(bytes);
        let [version, flags] = input.array()?;
        if version != 1 {
            return Err(Corrupt("its version is unknown"));
        }
        let has = |bit: u8| flags & (1 << bit) != 0;
        let standing = Field::get(&mut input)?;
        let num = Field::get(&mut input)?;
        let digest = Field::get(&mut input)?;
        let redacted_by = has(0).then(|| Field::get(&mut input)).transpose()?;
        let thread = has(1).then(|| Field::get(&mut input)).transpose()?;
        let state_before = Field::get(&mut input)?;
        let state_after = Field::get(&mut input)?;
        let sender = Field::get(&mut input)?;
        let state_key = has(3).then(|| Field::get(&mut input)).transpose()?;
        let kind = Field::get(&mut input)?;
        let depth = Field::get(&mut input)?;
        let room_depth = Field::get(&mut input)?;
        let transaction = has(4).then(|| Field::get(&mut input)).transpose()?;
        let header = EventHeader {
            num,
            digest,
            standing,
            redacted_by,
            thread,
            state_before,
            state_after,
            partial: has(2),
            sender,
            state_key,
            kind,
            depth,
            room_depth,
            transaction,
            prev: Field::get(&mut input)?,
            auth: Field::get(&mut input)?,
            class: Field::get(&mut input)?,
            counts: Field::get(&mut input)?,
        };
        let json = std::str::from_utf8(input.rest()).map_err(|_| Corrupt("an event is not UTF-8"))?;
        Ok(Self { header, json: json.into() })
    }
}

matron_storage::record! {
    /// Where an event is to be found.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Place {
        /// Its room.
        pub room: RoomNum,
        /// Where it is in the room; none while it lies with the outliers.
        pub arrival: Option<Arrival>,
    }
}

matron_storage::record! {
    /// What is missing before an event.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct Gap {
        /// The ids of its previous events that have no place here.
        pub missing: Vec<String>,
    }
}

matron_storage::record! {
    /// A member of a room.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Member {
        /// Their membership.
        pub membership: Membership,
        /// Their `m.room.member` event.
        pub event: EventNum,
    }
}

matron_storage::record! {
    /// A local user's own view of a room.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct UserRoom {
        /// Their membership.
        pub membership: Membership,
        /// Their `m.room.member` event.
        pub event: EventNum,
        /// When that membership began.
        pub since: Position,
        /// When their member event last changed: its entry in their stream.
        pub news: Position,
        /// Whether they forgot the room after leaving it.
        pub forgotten: bool,
        /// When they last stopped being joined: they go on seeing what they could see then.
        pub left: Option<Position>,
        /// The stripped state that came with an invite or knock from another server, as a JSON list.
        pub stripped: Option<String>,
    }
}

matron_storage::record! {
    /// A thread as it is now.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Thread {
        /// How many events are in it, the root apart.
        pub events: u64,
        /// The latest of them.
        pub latest: EventNum,
        /// Where that lies.
        pub position: Position,
        /// Running counts of its notifying events.
        pub counts: Vec<u32>,
    }
}

matron_storage::record! {
    /// What a transaction answered.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Transaction {
        /// The event id, or nothing for endpoints that answer nothing.
        pub event_id: String,
        /// When, in milliseconds since 1970: rows older than a week are swept.
        pub at: u64,
    }
}

matron_storage::record! {
    /// How far the walk over old transactions got.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct TransactionsSwept {
        /// When the walk began, in milliseconds since 1970.
        pub begun: u64,
        /// The last one that it looked at; none where it came to the end.
        pub last: Option<(DeviceNum, Digest)>,
    }
}

matron_storage::record! {
    /// What an alias stands for.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Alias {
        /// The room.
        pub room: RoomNum,
        /// Who made it.
        pub creator: UserNum,
    }
}

matron_storage::record! {
    /// How far the state of a replaced room has come that goes over after its upgrade.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Moving {
        /// The replaced room.
        pub old: RoomNum,
        /// Who upgrades it.
        pub user: UserNum,
        /// The last child of a space that was looked at; none where all were.
        pub child: Option<String>,
        /// The last member who was looked at for a ban.
        pub ban: UserNum,
        /// The level that the upgrader has until all is over, where they need more than their own.
        pub raised: Option<i64>,
        /// Their own level; none where they have no entry.
        pub level: Option<i64>,
    }
}

/// A room for ever.
pub const ROOMS: Keyspace<RoomNum, RoomRow> = Keyspace::new(0x0201, "rooms", Family::Point);
/// A room now.
pub const HEADS: Keyspace<RoomNum, RoomHead> = Keyspace::new(0x0202, "room heads", Family::Current);
/// A room's events in stream order (and, below zero, backfilled ones).
pub const TIMELINE: Keyspace<(RoomNum, Arrival), StoredEvent> = Keyspace::new(0x0203, "timeline", Family::Log);
/// Events without a place.
pub const OUTLIERS: Keyspace<EventNum, StoredEvent> = Keyspace::new(0x0204, "outliers", Family::Point);
/// Where an event lies.
pub const PLACES: Keyspace<EventNum, Place> = Keyspace::new(0x0205, "places", Family::Point);
/// A room's events in room order: by depth, then arrival.
pub const ROOM_ORDER: Keyspace<(RoomNum, u64, Arrival), ()> = Keyspace::new(0x0206, "room order", Family::Index);
/// The event graph forwards: an event, and one that names it as previous.
pub const EDGES: Keyspace<(EventNum, EventNum), ()> = Keyspace::new(0x0207, "edges", Family::Index);
/// A room's events by when they were sent, in milliseconds since 1970.
pub const EVENT_TIMES: Keyspace<(RoomNum, u64, Arrival), ()> = Keyspace::new(0x023b, "event times", Family::Index);
/// Gaps in room order: an event whose previous ones are missing, and their ids.
pub const GAPS: Keyspace<(RoomNum, u64, Arrival), Gap> = Keyspace::new(0x0208, "gaps", Family::Index);
/// The same the other way round: an event that is missing, and where it leaves a gap.
pub const MISSING: Keyspace<(RoomNum, Digest, u64, Arrival), ()> = Keyspace::new(0x0231, "missing", Family::Index);
/// Every live event in the one order: which room.
pub const STREAM: Keyspace<Position, RoomNum> = Keyspace::new(0x0209, "stream", Family::Index);
/// A node of a room's state tree, by the room's own numbering.
pub const TREE: Keyspace<(RoomNum, u32), Vec<u8>> = Keyspace::new(0x020a, "state tree", Family::Tree);
/// A room's resolved state from a position on.
pub const STATES: Keyspace<(RoomNum, Position), StateAt> = Keyspace::new(0x020b, "room states", Family::Index);
/// Members of a room.
pub const MEMBERS: Keyspace<(RoomNum, UserNum), Member> = Keyspace::new(0x020c, "members", Family::Point);
/// Rooms of a local user.
pub const USER_ROOMS: Keyspace<(UserNum, RoomNum), UserRoom> = Keyspace::new(0x020d, "user rooms", Family::Point);
/// A room's threads.
pub const THREADS: Keyspace<(RoomNum, EventNum), Thread> = Keyspace::new(0x020f, "threads", Family::Current);
/// A room's threads by their latest event.
pub const THREAD_ORDER: Keyspace<(RoomNum, Position), EventNum> = Keyspace::new(0x0210, "thread order", Family::Index);
/// Running counts of a thread's notifying events, at each of its events.
pub const THREAD_COUNTS: Keyspace<(RoomNum, EventNum, Position), CountsAt> =
    Keyspace::new(0x0211, "thread counts", Family::Index);
/// A room's threads by the last of their notifying events: where their counters last moved.
pub const THREAD_MOVES: Keyspace<(RoomNum, Position), EventNum> = Keyspace::new(0x0224, "thread moves", Family::Index);
/// Events whose outcome for one user may differ from their class's.
pub const MARKS: Keyspace<(UserNum, RoomNum, Position), Mark> = Keyspace::new(0x0212, "marks", Family::Index);
/// Notifying events that were redacted: their thread and class.
pub const VOIDED: Keyspace<(RoomNum, Position), Mark> = Keyspace::new(0x0213, "voided", Family::Index);
/// Redactions that came before their target, by the target's id. (0x0214 was theirs before.)
pub const EARLY_REDACTIONS: Keyspace<(RoomNum, Digest, EventNum), ()> =
    Keyspace::new(0x0230, "early redactions", Family::Index);
/// What a device's transaction answered, by the digest of method and path.
pub const TRANSACTIONS: Keyspace<(DeviceNum, Digest), Transaction> =
    Keyspace::new(0x0215, "transactions", Family::Queue);
/// How far the walk over old transactions got.
pub const TRANSACTIONS_SWEPT: Keyspace<(), TransactionsSwept> =
    Keyspace::new(0x0226, "swept transactions", Family::Current);
/// Redacted events whose content still lies in the store, by when they were redacted (milliseconds since 1970).
pub const REDACTED: Keyspace<(u64, EventNum), ()> = Keyspace::new(0x0225, "redacted events", Family::Queue);
/// Aliases of this server.
pub const ALIASES: Keyspace<String, Alias> = Keyspace::new(0x0216, "aliases", Family::Point);
/// A room's aliases on this server.
pub const ROOM_ALIASES: Keyspace<(RoomNum, String), ()> = Keyspace::new(0x0217, "room aliases", Family::Index);
// 0x0218 was a list of public rooms without what is told of them.
/// Where a local user last spoke in a room: in a thread by its root, else 0. Who speaks has read.
pub const SPOKEN: Keyspace<(RoomNum, UserNum, EventNum), Position> = Keyspace::new(0x021a, "spoken", Family::Current);
/// A user's room for server notices.
pub const NOTICE_ROOMS: Keyspace<UserNum, RoomNum> = Keyspace::new(0x0245, "notice rooms", Family::Point);
/// What is still to go over to a room that replaces another one, by the new room.
pub const MOVING: Keyspace<RoomNum, Moving> = Keyspace::new(0x0246, "moving state", Family::Current);
/// Rooms that let guests in no more, and when that came to be: those who are in are to leave.
pub const GUESTS_LEAVING: Keyspace<RoomNum, Position> = Keyspace::new(0x0258, "leaving guests", Family::Current);
/// Joined members per server, for those who are to be told.
pub const SERVERS: Keyspace<(RoomNum, String), u64> = Keyspace::new(0x0219, "servers of a room", Family::Current);

matron_storage::record! {
    /// Running counts of notifying events, per class (`matron_matrix::push::Class`).
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct CountsAt {
        /// The counts; classes after the last that ever occurred are left out.
        pub counts: Vec<u32>,
    }
}

/// An event whose outcome may differ from its class's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The thread that it is in.
    pub thread: Option<EventNum>,
    /// Its class; none where plain members are not notified.
    pub class: Option<u8>,
    /// Whether the user ignored its sender when it came: it does nothing for them, ever.
    pub ignored: bool,
}

impl Value for Mark {
    fn encode(&self, out: &mut Encoder) {
        // Version 2 says nothing more than version 1, but that the sender was ignored.
        out.push(&[if self.ignored { 2 } else { 1 }]);
        self.thread.put(out);
        self.class.put(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut input = Reader::new(bytes);
        let ignored = match input.array()? {
            [1] => false,
            [2] => true,
            _ => return Err(Corrupt("its version is unknown")),
        };
        let mark = Self { thread: Field::get(&mut input)?, class: Field::get(&mut input)?, ignored };
        input.finish()?;
        Ok(mark)
    }
}

#[cfg(test)]
mod tests;
