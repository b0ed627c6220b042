//! What a content says that rules ask for: `m.mentions`, notices, edits.

use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize, Default)]
struct Content<'a> {
    #[serde(borrow)]
    msgtype: Option<&'a RawValue>,
    #[serde(borrow, rename = "m.mentions")]
    mentions: Option<&'a RawValue>,
    #[serde(borrow, rename = "m.relates_to")]
    relates_to: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Mentions<'a> {
    #[serde(borrow)]
    room: Option<&'a RawValue>,
    #[serde(borrow)]
    user_ids: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct RelatesTo<'a> {
    #[serde(borrow)]
    rel_type: Option<&'a RawValue>,
}

/// What the default rules look for in a content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Clues {
    /// It mentions the room.
    pub room_mention: bool,
    /// It is a notice.
    pub notice: bool,
    /// It replaces another event.
    pub edit: bool,
}

impl Clues {
    /// Reads a content in one pass; what has another form than the spec says counts as absent.
    pub fn of(content: &RawValue) -> Self {
        let content: Content<'_> = part(Some(content));
        let mentions: Mentions<'_> = part(content.mentions);
        let relates_to: RelatesTo<'_> = part(content.relates_to);
        Self {
            room_mention: mentions.room.is_some_and(|room| room.get() == "true"),
            notice: text(content.msgtype).is_some_and(|msgtype| msgtype.eq_ignore_ascii_case("m.notice")),
            edit: text(relates_to.rel_type).is_some_and(|rel_type| rel_type == "m.replace"),
        }
    }
}

/// The users named in a content's `m.mentions`, each once. The size of an event bounds how many they are.
#[must_use]
pub fn mentioned(content: &RawValue) -> Vec<OwnedUserId> {
    if !content.get().contains("user_ids") {
        return Vec::new();
    }
    let content: Content<'_> = part(Some(content));
    let mentions: Mentions<'_> = part(content.mentions);
    let named: Vec<&RawValue> = part(mentions.user_ids);
    let ids = named.into_iter().filter_map(|id| UserId::parse(text(Some(id))?).ok());
    let mut ids: Vec<OwnedUserId> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn part<'a, T: Deserialize<'a> + Default>(json: Option<&'a RawValue>) -> T {
    json.and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default()
}

fn text(json: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(json?.get()).ok()
}
