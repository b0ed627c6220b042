//! Who is in which room, in memory: sets that every coming and going mends, so that nobody walks over a room's members
//! because one of them came.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use matron_storage::{Position, Snapshot};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::Streams;
use super::recent::Recent;
use crate::error::Result;
use crate::locks::lock;
use crate::meters::Held;
use crate::schema::rooms::{HEADS, MEMBERS, Member, Membership, USER_ROOMS};
use crate::schema::{RoomNum, UserNum};

/// Bytes of rooms' members that are kept, about.
const KEPT_BYTES: u64 = 256 << 20;
/// As many rooms the cache is told that it holds. It makes a part for every 32, and no part holds more than its share of the
/// bytes: few parts have room for the largest rooms.
const KEPT_ROOMS: usize = 512;
/// What a set of members takes of memory, about, and each of them.
const SET_BYTES: u64 = 1024;
const MEMBER_BYTES: u64 = 32;
/// Of how many users the rooms are kept.
const USERS: usize = 20_000;
/// How many of the latest comings and goings are.
const MOVES: usize = 16_384;
/// To read a room of up to so many members whole takes a moment, and it will be asked for again.
const SMALL: u64 = 1024;
/// So many rows of a room's members, former ones too, are read in a moment.
const MOST_ROWS: usize = 2048;
/// Up to so many users are looked for by a row each in a larger room that is not in memory.
pub(super) const FEW: usize = 64;

/// Who is joined to a room. A copy costs nothing, and stays as it is when others change.
pub type Joined = imbl::HashSet<UserNum>;

/// What a set of members weighs in memory, about.
#[derive(Debug, Clone)]
struct Weigh;

impl Weighter<RoomNum, Joined> for Weigh {
    fn weight(&self, _: &RoomNum, joined: &Joined) -> u64 {
        SET_BYTES + MEMBER_BYTES * joined.len() as u64
    }
}

/// Somebody came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Move {
    room: RoomNum,
    user: UserNum,
    came: bool,
}

impl Move {
    fn mend(self, joined: &mut Joined) {
        if self.came {
            joined.insert(self.user);
        } else {
            joined.remove(&self.user);
        }
    }
}

/// The joined members of rooms.
///
/// A set that is here is always that of the latest batch which the committer told of, so it is at least as new as any
/// snapshot. For whatever puts one here holds the lock of `moves`, which the committer takes for each move before the
/// move can be read: what was read from a snapshot gets all moves that came after that snapshot, and then it is here and
/// is mended by all that come later. A move that came before the snapshot is in what was read. So it does not matter how
/// long a walk takes, nor how old its snapshot is, nor who else walks at the same time. Where moves are in doubt, no set
/// stays, and none comes here from a snapshot of before.
#[derive(Debug)]
pub(super) struct Members {
    sets: Cache<RoomNum, Joined, Weigh>,
    moves: Mutex<Recent<Move>>,
}

impl Members {
    pub fn new() -> Self {
        Self { sets: Cache::with_weighter(KEPT_ROOMS, KEPT_BYTES, Weigh), moves: Mutex::default() }
    }

    /// Says from which position on all moves are told.
    pub fn begin(&self, position: Position) {
        lock(&self.moves).begin(position, []);
    }

    /// Somebody came or went, as the committer tells it.
    pub fn mend(&self, position: Position, room: RoomNum, user: UserNum, came: bool) {
        let moved = Move { room, user, came };
        let mut moves = lock(&self.moves);
        moves.push(MOVES, position, moved);
        if let Some(mut joined) = self.sets.get(&room) {
            moved.mend(&mut joined);
            self.sets.insert(room, joined);
        }
    }

    /// Moves up to here may have been, or not: who is joined is read anew.
    pub fn doubt(&self, position: Position) {
        let mut moves = lock(&self.moves);
        moves.begin(position, []);
        self.sets.clear();
    }

    /// Who is joined now, where that is in memory.
    pub fn newest(&self, room: RoomNum) -> Option<Joined> {
        self.sets.get(&room)
    }

    /// As [`Self::newest`], with those who came or went after a position.
    fn newest_and_moved(&self, room: RoomNum, since: Position) -> Option<(Joined, Vec<UserNum>)> {
        let moves = lock(&self.moves);
        let joined = self.sets.get(&room)?;
        let moved = moves.after(since)?.filter(|(_, moved)| moved.room == room).map(|(_, moved)| moved.user).collect();
        Some((joined, moved))
    }

    /// Keeps who was joined as of a position, mended by who came and went since. Where memory does not reach back so far,
    /// it is of no use.
    fn keep(&self, room: RoomNum, as_of: Position, mut joined: Joined) {
        let moves = lock(&self.moves);
        if let Some(later) = moves.after(as_of) {
            later.filter(|(_, moved)| moved.room == room).for_each(|(_, moved)| moved.mend(&mut joined));
            self.sets.insert(room, joined);
        }
    }

    /// The rooms that somebody came into or left after `since`, each once, if memory reaches back so far.
    pub fn rooms_moved_since(&self, since: Position) -> Option<Vec<RoomNum>> {
        let mut seen = HashSet::new();
        let moves = lock(&self.moves);
        Some(moves.after(since)?.map(|(_, moved)| moved.room).filter(|room| seen.insert(*room)).collect())
    }

    pub fn held(&self) -> Held {
        Held::of("joined_members", &self.sets)
    }
}

/// The rooms that users are joined to, and as of when.
pub(super) type JoinedRooms = Cache<UserNum, (Position, Arc<[RoomNum]>)>;

pub(super) fn joined_rooms() -> JoinedRooms {
    Cache::new(USERS)
}

impl Streams {
    /// Who is joined to a room as of a snapshot, from memory where that is known.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn joined(&self, snapshot: &Snapshot, room: RoomNum) -> Result<Joined> {
        if let Some((mut joined, moved)) = self.members.newest_and_moved(room, snapshot.position()) {
            // The snapshot is a moment old: those who moved since are in it as they were.
            for user in &moved {
                joined.remove(user);
            }
            joined.extend(ask(snapshot, room, &moved).await?);
            return Ok(joined);
        }
        let mut joined = Joined::new();
        let mut scan = snapshot.scan(&MEMBERS, MEMBERS.under(&(room,)));
        while let Some(((_, user), member)) = scan.next().await? {
            if member.membership == Membership::Join {
                joined.insert(user);
            }
        }
        self.members.keep(room, snapshot.position(), joined.clone());
        Ok(joined)
    }

    /// As [`Self::joined`], for a room that is not in memory and where that takes a moment: none where so many were in the
    /// room once that it takes longer.
    pub(super) async fn joined_at_once(&self, snapshot: &Snapshot, room: RoomNum) -> Result<Option<Joined>> {
        let rows = snapshot.scan(&MEMBERS, MEMBERS.under(&(room,))).take(MOST_ROWS + 1).await?;
        if rows.len() > MOST_ROWS {
            return Ok(None);
        }
        let joined = rows.into_iter().filter(|(_, member)| member.membership == Membership::Join);
        let joined: Joined = joined.map(|((_, user), _)| user).collect();
        self.members.keep(room, snapshot.position(), joined.clone());
        Ok(Some(joined))
    }

    /// Those of `users` who are joined to a room: by a row each where they are few and the room is large and not in
    /// memory.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn joined_of(&self, snapshot: &Snapshot, room: RoomNum, users: &[UserNum]) -> Result<Vec<UserNum>> {
        if users.len() <= FEW && self.is_large_and_unknown(snapshot, room).await? {
            return ask(snapshot, room, users).await;
        }
        let joined = self.joined(snapshot, room).await?;
        Ok(users.iter().copied().filter(|user| joined.contains(user)).collect())
    }

    /// Whether a user is joined to a room.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn is_joined(&self, snapshot: &Snapshot, room: RoomNum, user: UserNum) -> Result<bool> {
        Ok(!self.joined_of(snapshot, room, &[user]).await?.is_empty())
    }

    /// Whether it takes more than a moment to say who is joined to a room.
    pub(super) async fn is_large_and_unknown(&self, snapshot: &Snapshot, room: RoomNum) -> Result<bool> {
        if self.members.sets.contains_key(&room) {
            return Ok(false);
        }
        Ok(snapshot.get(&HEADS, &room).await?.is_some_and(|head| head.joined > SMALL))
    }

    /// The rooms that a user of this server is joined to as of a snapshot, in order; from memory where that is known.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn rooms_of(&self, snapshot: &Snapshot, user: UserNum) -> Result<Arc<[RoomNum]>> {
        if let Some((as_of, rooms)) = self.joined_rooms.get(&user) {
            // Asked for after the rooms were taken out: no change that they show is later than this one.
            let changed = self.memberships_changed_at(user);
            if as_of >= changed && snapshot.holds(changed) {
                return Ok(rooms);
            }
        }
        let mut rooms = Vec::new();
        let mut scan = snapshot.scan(&USER_ROOMS, USER_ROOMS.under(&(user,)));
        while let Some(((_, room), own)) = scan.next().await? {
            if own.membership == Membership::Join {
                rooms.push(room);
            }
        }
        let rooms: Arc<[RoomNum]> = rooms.into();
        if snapshot.holds(self.memberships_changed_at(user)) {
            self.joined_rooms.insert(user, (snapshot.position(), Arc::clone(&rooms)));
        }
        Ok(rooms)
    }
}

/// Those of `users` who are joined to a room, by a row each.
pub(super) async fn ask(snapshot: &Snapshot, room: RoomNum, users: &[UserNum]) -> Result<Vec<UserNum>> {
    let keys: Vec<_> = users.iter().map(|user| (room, *user)).collect();
    let rows = snapshot.get_many(&MEMBERS, &keys).await?;
    let is_joined = |member: &Member| member.membership == Membership::Join;
    let joined = users.iter().zip(rows).filter(|(_, row)| row.as_ref().is_some_and(is_joined));
    Ok(joined.map(|(user, _)| *user).collect())
}

#[cfg(test)]
mod tests {
    use matron_storage::Position;

    use super::{Joined, MEMBER_BYTES, Members};
    use crate::schema::{RoomNum, UserNum};

    #[test]
    fn members_weigh_something_those_who_came_too() {
        let members = Members::new();
        let (room, many) = (RoomNum(1), 400_000);
        members.keep(RoomNum(2), Position::ZERO, Joined::new());
        let empty = members.sets.weight();
        assert!(empty > 0);
        members.keep(room, Position::ZERO, (0..many).map(UserNum).collect());
        assert!(members.newest(room).is_some(), "the largest rooms have their place");
        let whole = members.sets.weight();
        assert!(whole >= empty + MEMBER_BYTES * many);
        members.mend(Position::new(1), room, UserNum(many), true);
        assert_eq!(members.sets.weight(), whole + MEMBER_BYTES);
        members.mend(Position::new(2), room, UserNum(many), false);
        assert_eq!(members.sets.weight(), whole);
    }
}
