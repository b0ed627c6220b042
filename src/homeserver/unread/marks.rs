//! Marked events: those whose outcome for a user may be another than their class's, judged by today's rules.

use std::collections::BTreeMap;

use matron_matrix::push::{Class, Mask, Outcome, asks_for_display_name, outcome, size_conditions};
use matron_storage::Position;
use ruma::push::{PushConditionPowerLevelsCtx, PushConditionRoomCtx, Ruleset};
use ruma::{RoomId, UInt};
use serde::Deserialize;

use super::{Counter, ReadUpTo, Tally};
use crate::accounts::Session;
use crate::error::{Error, Result};
use crate::rooms::view::View;
use crate::schema::EventNum;
use crate::schema::rooms::{Arrival, MARKS, Mark, TIMELINE};

/// How many marks are judged at once, the newest: those before them count as their class does.
const MOST_MARKS: usize = 1000;

/// What an outcome depends on beside event and rules: were it another, so might be the outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Circumstances {
    power_levels: Option<EventNum>,
    display_name: Option<String>,
    /// What the user's rules see of the room's size: as it is, and as it may have been when a message came.
    size: [Vec<bool>; 2],
}

/// What a member event tells of its user.
#[derive(Deserialize)]
struct Named {
    displayname: Option<String>,
}

impl Counter {
    /// Judges the marks since the tally's end, and takes out what was redacted.
    pub(super) async fn apply_marks(
        &self,
        view: &mut View<'_>,
        session: &Session,
        (ruleset, mask): (&Ruleset, Mask),
        read: &ReadUpTo,
        voided: &BTreeMap<Position, Mark>,
        tally: &mut Tally,
    ) -> Result<()> {
        let (snapshot, room) = (view.snapshot.clone(), view.room);
        let of_class = |class: Option<u8>| {
            class.and_then(Class::from_number).map_or_else(Outcome::default, |class| mask.of(class))
        };
        for (at, mark) in voided {
            if *at > tally.start(read.of(mark.thread)) {
                let usual = of_class(mark.class);
                tally.of(mark.thread).add_one(usual.notify, usual.highlight, -1);
            }
        }
        let since = tally.start(read.all).next();
        let marks = MARKS.range((session.user, room, since)..=(session.user, room, Position::MAX));
        let mut context = None;
        let mut newest_first = snapshot.scan(&MARKS, marks).reverse();
        let mut looked = 0;
        while looked < MOST_MARKS
            && let Some(((_, _, at), mark)) = newest_first.next().await?
        {
            looked += 1;
            if at <= tally.start(read.of(mark.thread)) || voided.contains_key(&at) {
                continue;
            }
            let usual = of_class(mark.class);
            if mark.ignored {
                tally.of(mark.thread).add_one(usual.notify, usual.highlight, -1);
                continue;
            }
            let Some(event) = snapshot.get(&TIMELINE, &(room, Arrival::Live(at))).await? else { continue };
            if event.header.redacted_by.is_some() {
                continue;
            }
            let context = match &mut context {
                Some(context) => context,
                None => {
                    tally.judged_by = Some(self.circumstances(view, session, ruleset).await?);
                    context.insert(self.context(view, session, ruleset, None).await?)
                }
            };
            context.member_count = members(view, mark.class.and_then(Class::from_number));
            let outcome = outcome(ruleset, view.show(event, true).await?.get(), context);
            let sum = tally.of(mark.thread);
            sum.add_one(usual.notify, usual.highlight, -1);
            sum.add_one(outcome.notify, outcome.highlight, 1);
        }
        Ok(())
    }

    /// What outcomes depend on now.
    pub(super) async fn circumstances(
        &self,
        view: &View<'_>,
        session: &Session,
        ruleset: &Ruleset,
    ) -> Result<Circumstances> {
        let joined = view.head.joined;
        Ok(Circumstances {
            power_levels: view.state_event(view.head.state, "m.room.power_levels", "").await?,
            display_name: self.display_name(view, session, ruleset).await?,
            size: [joined, above_two(joined)].map(|members| size_conditions(ruleset, members)),
        })
    }

    /// The user's name in the room, where their rules look for it; that of their profile where they have none there.
    async fn display_name(&self, view: &View<'_>, session: &Session, ruleset: &Ruleset) -> Result<Option<String>> {
        if !asks_for_display_name(ruleset) {
            return Ok(None);
        }
        if let Some(member) = view.state_event(view.head.state, "m.room.member", session.user_id.as_str()).await? {
            let member = self.rooms.authority(&view.snapshot, member).await?;
            let name = member.content_as::<Named>().ok().and_then(|member| member.displayname);
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                return Ok(Some(name));
            }
        }
        let profile = self.accounts.profile(&view.snapshot, session.user).await?;
        Ok(Some(profile.displayname.unwrap_or_else(|| session.user_id.localpart().to_owned())))
    }

    /// What a user's rules ask of a room and its user beside an event, whose class may remember the room's size.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn context(
        &self,
        view: &View<'_>,
        session: &Session,
        ruleset: &Ruleset,
        class: Option<Class>,
    ) -> Result<PushConditionRoomCtx> {
        let name = self.display_name(view, session, ruleset).await?.unwrap_or_default();
        let room_id = RoomId::parse(&view.room_id).map_err(Error::internal)?;
        let levels = self.rooms.power_levels(&view.snapshot, view.room).await?;
        let context = PushConditionRoomCtx::new(room_id, members(view, class), session.user_id.clone(), name);
        let levels =
            PushConditionPowerLevelsCtx::new(levels.users, levels.users_default, levels.notifications, levels.rules);
        Ok(context.with_power_levels(levels))
    }
}

/// How many members rules are told of. Whether a message came into a room of two its class remembers, as it is counted by
/// that; all else is judged by the room as it is.
fn members(view: &View<'_>, class: Option<Class>) -> UInt {
    let joined = view.head.joined;
    UInt::new_saturating(match class.and_then(Class::is_one_to_one) {
        Some(true) => 2,
        Some(false) => above_two(joined),
        None => joined,
    })
}

/// What is a room of two now was none.
fn above_two(joined: u64) -> u64 {
    joined.max(3)
}
