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
    let rows = view.snapshot.scan(&MEMBERS, MEMBERS.under(&(view.room,))).take(LOOKS).await?;
    let others = |active: bool| {
        let rows = rows.iter().filter(move |((_, user), member)| {
            Some(*user) != own
                && matches!(member.membership, Membership::Join | Membership::Invite) == active
                && member.membership != Membership::Knock
        });
        rows.map(|((_, user), _)| *user).take(HEROES).collect::<Vec<_>>()
    };
    let mut heroes = others(true);
    if heroes.is_empty() {
        heroes = others(false);
    }
    let mut ids = Vec::with_capacity(heroes.len());
    for hero in &heroes {
        ids.push(view.rooms.ids.user_id(*hero).await?.to_string());
    }
    summary.heroes = Some(ids);
    Ok((summary, heroes))
}
