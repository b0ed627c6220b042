//! Whether a room is whole: what one row promises, another one must hold.

use std::collections::HashMap;

use matron_storage::Snapshot;

use super::Rooms;
use super::event::{by_num, by_nums, membership_of, parse};
use crate::error::{Error, Result};
use crate::schema::rooms::{Arrival, HEADS, MEMBERS, Membership, ROOMS, StoredEvent, TIMELINE};
use crate::schema::{RoomNum, StateKeyNum, UserNum};

/// State is read so many events at a time.
const EVENTS_AT_ONCE: usize = 500;

impl Rooms {
    /// Reads what makes up a room now — its head, the ends of its event graph, its whole state, its members — and answers
    /// what is wrong, a line each.
    ///
    /// # Errors
    /// The store cannot be read at all.
    pub async fn check(&self, snapshot: &Snapshot, room: RoomNum) -> Result<Vec<String>> {
        let Some(row) = snapshot.get(&ROOMS, &room).await? else { return Ok(vec!["it has no row".to_owned()]) };
        let mut wrong = Vec::new();
        let Some(head) = snapshot.get(&HEADS, &room).await? else {
            return Ok(vec![format!("{}: it has no head", row.id)]);
        };
        for end in &head.extremities {
            match by_num(snapshot, end.num).await {
                Ok(found) if found.place.room == room && found.event.header.event_id() == end.id => {}
                Ok(_) => wrong.push(format!("its end {} is another event", end.id)),
                Err(error) => wrong.push(format!("its end {}: {error}", end.id)),
            }
        }
        let last = snapshot.get(&TIMELINE, &(room, Arrival::Live(head.last))).await?;
        if last.is_none() {
            wrong.push(format!("no event lies at its last position {}", head.last));
        }
        match self.states(snapshot, room).entries(head.state).await {
            Ok(entries) => self.check_state(snapshot, room, &entries, &mut wrong).await?,
            Err(error) => wrong.push(format!("its state cannot be read: {error}")),
        }
        Ok(wrong.into_iter().map(|line| format!("{}: {line}", row.id)).collect())
    }

    /// Every event of the state must be there, be what its key says, and agree with the members' rows.
    async fn check_state(
        &self,
        snapshot: &Snapshot,
        room: RoomNum,
        entries: &[(StateKeyNum, crate::schema::EventNum)],
        wrong: &mut Vec<String>,
    ) -> Result<()> {
        let mut members: HashMap<UserNum, Membership> = HashMap::new();
        let mut scan = snapshot.scan(&MEMBERS, MEMBERS.under(&(room,)));
        while let Some(((_, user), member)) = scan.next().await? {
            members.insert(user, member.membership);
        }
        for entries in entries.chunks(EVENTS_AT_ONCE) {
            let nums: Vec<_> = entries.iter().map(|(_, num)| *num).collect();
            let events = match by_nums(snapshot, &nums).await {
                Ok(events) => events,
                Err(error @ Error::Storage(_)) => return Err(error),
                Err(error) => {
                    wrong.push(format!("its state: {error}"));
                    continue;
                }
            };
            for ((key, _), event) in entries.iter().zip(&events) {
                if let Err(why) = self.check_entry(*key, event, &mut members).await? {
                    wrong.push(format!("its state event {}: {why}", event.header.event_id()));
                }
            }
        }
        let left = [Membership::Leave, Membership::Ban];
        for (user, membership) in members.into_iter().filter(|(_, membership)| !left.contains(membership)) {
            let user_id = self.ids.user_id(user).await?;
            wrong.push(format!("{user_id} is {membership:?} by a row, and not in its state"));
        }
        Ok(())
    }

    async fn check_entry(
        &self,
        key: StateKeyNum,
        event: &StoredEvent,
        members: &mut HashMap<UserNum, Membership>,
    ) -> Result<Result<(), String>> {
        if event.header.state_key != Some(key) {
            return Ok(Err("it lies under another event's key".to_owned()));
        }
        let pdu = match parse(event) {
            Ok(pdu) => pdu,
            Err(error) => return Ok(Err(error.to_string())),
        };
        if event.header.kind != "m.room.member" {
            return Ok(Ok(()));
        }
        let Some(user_id) = pdu.state_key.as_deref().and_then(|key| <&ruma::UserId>::try_from(key).ok()) else {
            return Ok(Err("it is a member event of nobody".to_owned()));
        };
        let row = match self.ids.find_user(user_id).await? {
            Some(user) => members.remove(&user),
            None => None,
        };
        let membership = membership_of(pdu.content.get());
        Ok(match row {
            Some(row) if row == membership => Ok(()),
            Some(row) => Err(format!("{user_id} is {membership:?} by it and {row:?} by a row")),
            None => Err(format!("{user_id} is {membership:?} by it and has no row")),
        })
    }
}
