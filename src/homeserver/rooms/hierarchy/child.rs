//! The children of a space: `m.space.child` events, and their order.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The longest `order` that counts.
const MAX_ORDER_CHARS: usize = 50;
/// Bytes of children that are told of one space.
pub(super) const MOST_BYTES: usize = 4 << 20;

/// An `m.space.child` event, as the hierarchy tells it.
#[derive(Debug, Deserialize, Serialize)]
pub struct Child {
    #[serde(rename = "type")]
    kind: String,
    state_key: String,
    content: Box<RawValue>,
    sender: String,
    origin_server_ts: u64,
    #[serde(skip)]
    order: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    via: Vec<String>,
    #[serde(default)]
    order: Option<serde_json::Value>,
    #[serde(default)]
    suggested: Option<serde_json::Value>,
}

impl Child {
    /// The room.
    pub(super) fn room_id(&self) -> &str {
        &self.state_key
    }

    /// Takes an event apart; none where it names no child, or a child that is not asked for.
    pub(super) fn of(json: &str, suggested_only: bool) -> Option<Self> {
        let mut child: Self = serde_json::from_str(json).ok()?;
        let content: Content = serde_json::from_str(child.content.get()).ok()?;
        if content.via.is_empty() || (suggested_only && content.suggested != Some(true.into())) {
            return None;
        }
        let is_valid =
            |order: &&str| order.chars().count() <= MAX_ORDER_CHARS && order.chars().all(|c| (' '..='~').contains(&c));
        child.order = content.order.as_ref().and_then(|order| order.as_str()).filter(is_valid).map(ToOwned::to_owned);
        Some(child)
    }

    /// "Ordering of children within a space".
    fn compare(&self, other: &Self) -> Ordering {
        let by_order = match (&self.order, &other.order) {
            (Some(one), Some(other)) => one.cmp(other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        let by_time = || self.origin_server_ts.cmp(&other.origin_server_ts);
        by_order.then_with(by_time).then_with(|| self.state_key.cmp(&other.state_key))
    }

    /// Puts children in their order. Those go that come last, where all are more than is told of one space.
    pub(super) fn keep_first(children: &mut Vec<Self>) {
        children.sort_by(Self::compare);
        let mut bytes = 0;
        let fits = children.iter().take_while(|child| {
            bytes += child.content.get().len() + child.state_key.len() + child.sender.len();
            bytes <= MOST_BYTES
        });
        let kept = fits.count();
        children.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Child, MOST_BYTES};

    fn child(id: &str, at: u64, content: &Value) -> Option<Child> {
        let event = json!({
            "type": "m.space.child", "state_key": id, "sender": "@a:b", "origin_server_ts": at, "content": content,
        });
        Child::of(&event.to_string(), false)
    }

    #[test]
    fn children_lie_as_in_the_specs_example() {
        let via = json!(["example.org"]);
        let mut children: Vec<_> = [
            child("!e", 1_640_641, &json!({ "via": via })),
            child("!d", 1_640_741, &json!({ "via": via, "order": "é" })),
            child("!c", 1_640_841, &json!({ "via": via, "order": "first" })),
            child("!b", 1_640_341, &json!({ "via": via, "order": " " })),
            child("!a", 1_640_141, &json!({ "via": via, "order": "aaaa" })),
            child("!g", 1_640_741, &json!({ "via": via, "order": 7 })),
            child("!f", 1_640_741, &json!({ "via": via, "order": "x".repeat(51) })),
        ]
        .into_iter()
        .flatten()
        .collect();
        children.sort_by(Child::compare);
        let ids: Vec<_> = children.iter().map(|child| child.state_key.as_str()).collect();
        assert_eq!(ids, ["!b", "!a", "!c", "!e", "!d", "!f", "!g"]);
        for gone in [json!({}), json!({ "via": [] }), json!({ "via": "x" }), json!([])] {
            assert!(child("!x", 1, &gone).is_none(), "{gone}");
        }
    }

    #[test]
    fn of_too_many_children_the_first_are_kept() {
        let content = |order: &str| json!({ "via": ["example.org"], "order": order, "x": "x".repeat(MOST_BYTES / 3) });
        let mut children: Vec<_> =
            ["c", "a", "d", "b"].into_iter().filter_map(|order| child(order, 1, &content(order))).collect();
        Child::keep_first(&mut children);
        let ids: Vec<_> = children.iter().map(Child::room_id).collect();
        assert_eq!(ids, ["a", "b"]);
    }
}
