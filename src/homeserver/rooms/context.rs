//! An event with what stands around it: client-server API, "Event context" (/context).

use matron_matrix::filter::Compiled;
use matron_matrix::splice::List;
use ruma::{EventId, RoomId};
use serde_json::value::RawValue;

use super::Rooms;
use super::history::{Between, History, Page, walk};
use super::state::state_of;
use super::view::View;
use crate::accounts::Session;
use crate::error::{Error, Result};

/// An event with what stands around it.
#[derive(Debug)]
pub struct Context {
    /// The event.
    pub event: Box<RawValue>,
    /// Those before it, newest first.
    pub before: History,
    /// Those after it, oldest first.
    pub after: History,
    /// The state after the last of them, as far as the filter wants it and the user may see it.
    pub state: List,
}

impl Rooms {
    /// An event with what stands around it.
    ///
    /// # Errors
    /// `M_FORBIDDEN`, `M_NOT_FOUND`.
    pub async fn context(
        &self,
        session: &Session,
        room_id: &RoomId,
        event_id: &EventId,
        limit: usize,
        filter: &Compiled,
        lazy: bool,
    ) -> Result<Context> {
        let snapshot = self.store.snapshot();
        let mut view = self.view(&snapshot, session, room_id).await?;
        let seen = view.state().await?;
        let found = view.find(event_id).await?;
        let depth = found.event.header.depth;
        let arrival = found.place.arrival.ok_or_else(|| Error::internal("an event that is seen has a place"))?;
        let until = snapshot.position();
        let older = Between::before(depth, arrival).token(until);
        let newer = Between::after(depth, arrival).token(until);
        let page = |from, forward, limit| Page { from: Some(from), to: None, forward, limit, filter };
        let mut before = around(&mut view, &page(older, false, limit / 2)).await?;
        let mut after = around(&mut view, &page(newer, true, limit - limit / 2)).await?;
        // Where somebody sees no more than what moves them, the room of then is not theirs to see.
        let root = if let Some((_, after)) = after.states.last() {
            *after
        } else if view.may_see_room_at(&found.event, Some(arrival)).await? {
            found.event.header.state_after
        } else {
            seen
        };
        let mut members: Vec<_> = before.senders.iter().chain(&after.senders).copied().collect();
        members.push(found.event.header.sender);
        let state = state_of(&mut view, root, lazy.then_some(members.as_slice()), filter).await?;
        before.end = before.end.or_else(|| Some(Between::START.token(until)));
        after.end = after.end.or(Some(newer));
        Ok(Context { event: view.show_bundled(found.event, true).await?, before, after, state })
    }
}

/// One side of a context: nothing at all where no events are asked for.
pub(crate) async fn around(view: &mut View<'_>, page: &Page<'_>) -> Result<History> {
    match page.from {
        Some(start) if page.limit == 0 => {
            Ok(History { events: List::default(), senders: Vec::new(), states: Vec::new(), start, end: Some(start) })
        }
        _ => walk(view, page).await,
    }
}

#[cfg(test)]
mod tests {
    use matron_matrix::canonical;
    use matron_matrix::filter::Compiled;
    use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};
    use serde_json::{Value, json};

    use crate::accounts::Session;
    use crate::fixture::{house, session};
    use crate::rooms::membership::Said;

    #[tokio::test]
    async fn who_is_banned_after_they_left_is_told_the_room_as_they_left_it() {
        let server = house().await;
        let (rooms, ann, bob) = (&server.rooms, session(&server, "ann").await, session(&server, "bob").await);
        let mut request = NewRoom::new();
        request.preset = Some(RoomPreset::PublicChat);
        let room = rooms.create(&ann, request).await.unwrap();
        rooms.join(&bob, &room, None, None).await.unwrap();
        let say = async |topic: &str| {
            let content = canonical::object(json!({ "topic": topic })).unwrap();
            rooms.send_state(&ann, &room, "m.room.topic".into(), String::new(), content).await.unwrap();
        };
        say("before").await;
        rooms.leave(&bob, &room, Said::default()).await.unwrap();
        say("after").await;
        let ban = rooms.ban(&ann, &room, &bob.user_id, Said::default()).await.unwrap();
        let topic = async |user: &Session| {
            let context = rooms.context(user, &room, &ban, 0, &Compiled::default(), false).await.unwrap();
            let state = context.state.to_raw().unwrap();
            let state = state.iter().map(|event| serde_json::from_str::<Value>(event.get()).unwrap());
            state.filter(|event| event["type"] == "m.room.topic").map(|event| event["content"]["topic"].clone()).next()
        };
        assert_eq!(topic(&ann).await, Some(json!("after")));
        assert_eq!(topic(&bob).await, Some(json!("before")));
        server.stop().await;
    }
}
