//! Room summaries: how many members, and heroes to name a nameless room by. Client-server API, `RoomSummary`.

use super::answer::Summary;
use crate::error::Result;
use crate::rooms::view::View;
use crate::schema::UserNum;
use crate::schema::rooms::{MEMBERS, Membership};

/// As many as the spec names a room by.
const HEROES: usize = 5;

/// How many members are looked at for heroes.
const LOOKS: usize = 64;

/// The summary, and the heroes' numbers.
///
/// # Errors
/// The store cannot be read.
pub(super) async fn summary(view: &View<'_>) -> Result<(Summary, Vec<UserNum>)> {
    let mut summary = Summary { heroes: None, joined: Some(view.head.joined), invited: Some(view.head.invited) };
    let named = view.state_event(view.head.state, "m.room.name", "").await?.is_some()
        || view.state_event(view.head.state, "m.room.canonical_alias", "").await?.is_some();
    if named {
        return Ok((summary, Vec::new()));
    }
    let own = view.rooms.ids.find_user(view.user_id()).await?;
    let (mut heroes, mut gone) = (Vec::with_capacity(HEROES), Vec::new());
    let mut rows = view.snapshot.scan(&MEMBERS, MEMBERS.under(&(view.room,))).expecting(HEROES + 1);
    let mut looked = 0;
    while heroes.len() < HEROES
        && looked < LOOKS
        && let Some(((_, user), member)) = rows.next().await?
    {
        looked += 1;
        match member.membership {
            _ if Some(user) == own => {}
            Membership::Join | Membership::Invite => heroes.push(user),
            Membership::Leave | Membership::Ban => gone.push(user),
            Membership::Knock => {}
        }
    }
    if heroes.is_empty() {
        gone.truncate(HEROES);
        heroes = gone;
    }
    let mut ids = Vec::with_capacity(heroes.len());
    for hero in &heroes {
        ids.push(view.rooms.ids.user_id(*hero).await?.to_string());
    }
    summary.heroes = Some(ids);
    Ok((summary, heroes))
}
