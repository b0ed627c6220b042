//! Which members are told with a room's state where a client loads them lazily. Client-server API, "Lazy-loading room
//! members".

use std::collections::HashSet;
use std::sync::Arc;

use ruma::UserId;

use super::{Ends, Span, Stretch};
use crate::error::Result;
use crate::rooms::tree::diff;
use crate::rooms::view::View;
use crate::schema::rooms::StoredEvent;
use crate::schema::{EventNum, StateKeyNum, UserNum};
use crate::sync::sent::SentMembers;

const MEMBER: &str = "m.room.member";

/// Of the state of a room that is told whole, what is told in any case: all but members, the reader's own membership, and
/// members that changed since the client last asked.
pub(super) async fn without_members(
    view: &View<'_>,
    span: &Span<'_>,
    told: Vec<(StateKeyNum, EventNum)>,
    ends: &Ends,
) -> Result<Vec<(StateKeyNum, EventNum)>> {
    let ids = &view.rooms.ids;
    let mut kept: HashSet<StateKeyNum> =
        ids.find_state_key(MEMBER, view.user_id().as_str()).await?.into_iter().collect();
    if span.since.is_some() {
        kept.extend(diff(view.states(), ends.known, ends.now).await?.iter().map(|change| change.key));
    }
    let members = ids.kind(MEMBER).await?;
    let mut others = Vec::new();
    for (key, event) in told {
        if kept.contains(&key) || ids.state_key_name(key).await?.kind != members {
            others.push((key, event));
        }
    }
    Ok(others)
}

/// Lazy-loading: of all members, those who speak in the timeline (and heroes), once each.
///
/// Members that changed since the client last asked are told too. State as of the timeline's end stands for itself: what the
/// timeline tells of members is in it too. State as of its beginning has members as they were then. Answers who of them was
/// not known.
pub(super) async fn lazy_members(
    view: &View<'_>,
    span: &Span<'_>,
    stretch: &Stretch,
    events: &mut Vec<Arc<StoredEvent>>,
    ends: &Ends,
    sent: &SentMembers,
) -> Result<HashSet<UserNum>> {
    let speakers = stretch.events.iter().map(|(_, event)| event.header.sender);
    let mut wanted: HashSet<UserNum> = speakers.chain(ends.heroes.iter().copied()).collect();
    if span.is_whole() {
        wanted.insert(view.user());
    }
    let mut brought = HashSet::new();
    if let Some(asker) = span.asker {
        wanted = sent.unsent(asker, view.room, wanted);
        brought.clone_from(&wanted);
    }
    let mut in_timeline: HashSet<EventNum> = HashSet::new();
    for (_, event) in stretch.events.iter().filter(|(_, event)| event.header.kind == MEMBER) {
        if !span.state_after {
            in_timeline.insert(event.header.num);
        } else if let Some(member) = member_in(view, event).await? {
            wanted.insert(member);
        }
    }
    let begins_with = stretch.events.first().map(|(_, event)| event.header.state_before);
    // Their own membership may be told as of a later time than the rest.
    let told: HashSet<StateKeyNum> = events.iter().filter_map(|event| event.header.state_key).collect();
    let mut nums = Vec::new();
    for user in wanted {
        let id = view.rooms.ids.user_id(user).await?;
        let key = view.rooms.ids.find_state_key(MEMBER, id.as_str()).await?;
        let Some(key) = key.filter(|key| !told.contains(key)) else { continue };
        match (view.states().get(ends.now, key).await?, begins_with) {
            // They said something before they changed, perhaps.
            (Some(num), Some(before)) if in_timeline.contains(&num) => {
                nums.extend(view.states().get(before, key).await?);
            }
            (num, _) => nums.extend(num),
        }
    }
    events.extend(view.rooms.state_events(&view.snapshot, view.room, &nums).await?);
    Ok(brought)
}

/// Whose membership an event tells.
async fn member_in(view: &View<'_>, event: &StoredEvent) -> Result<Option<UserNum>> {
    let Some(key) = event.header.state_key.filter(|_| event.header.kind == MEMBER) else { return Ok(None) };
    let name = view.rooms.ids.state_key_name(key).await?;
    match UserId::parse(&name.key) {
        Ok(member) => view.rooms.ids.find_user(&member).await,
        Err(_) => Ok(None),
    }
}
