//! Push rules: what an event does for whom, decided once per event where that is possible. Client-server API, "Push
//! notifications".
//!
//! Most events do the same for every plain member, so [`class_of`] names once what the server-default rules see in an
//! event, rooms keep running counts per [`Class`], and a user's rules become a [`Mask`] over classes: unread counts need
//! no rows per member. Where one event may differ for one user (they are named in it, or their rules look deeper:
//! [`specials`]), it is evaluated for that user alone, by [`outcome`].

mod class;
mod evaluate;
mod keywords;
mod mask;
mod mentions;
mod size;
mod specials;
mod words;

#[cfg(test)]
mod tests;

pub use class::{Base, Class, EventFacts, class_of, count};
pub use evaluate::{Outcome, actions, asks_for_display_name, outcome};
pub use keywords::{Keywords, body};
pub use mask::{Mask, Unread, actions_of, is_for_all_rooms, mask};
pub use mentions::mentioned;
pub use size::size_conditions;
pub use specials::{Specials, specials};
