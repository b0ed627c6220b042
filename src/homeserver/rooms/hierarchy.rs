//! The tree of rooms below a space: client-server API, "Discovering rooms within spaces".

use std::cmp::Ordering;
use std::collections::HashSet;

use matron_matrix::Error as MatrixError;
use matron_matrix::event::rules;
use matron_storage::Snapshot;
use ruma::{RoomId, RoomVersionId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Rooms;
use super::event::{by_nums, readable};
use crate::accounts::Session;
use crate::error::{Error, Result};
use crate::schema::RoomNum;
use crate::schema::directory::{SPACE_CHILDREN, Summary};
use crate::schema::rooms::StoredEvent;

/// The most rooms that one page may hold.
const MOST_ROOMS: usize = 50;
/// How deep a tree is walked at most.
const MOST_DEPTH: u64 = 32;
/// How many rooms of a tree are walked at most, over all pages.
const MOST_WALKED: usize = 10_000;
/// The longest `order` that counts (`m.space.child`).
const MAX_ORDER_CHARS: usize = 50;

/// What a client asks for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// How many rooms at most.
    pub limit: Option<usize>,
    /// How deep below the space.
    pub max_depth: Option<u64>,
    /// Only children that the space suggests.
    pub suggested_only: bool,
    /// Where the page begins.
    pub from: Option<String>,
}

/// A room of the tree.
#[derive(Debug)]
pub struct Branch {
    /// What is told of it.
    pub summary: Summary,
    /// Its children, if it is a space.
    pub children: Vec<Child>,
}

/// A page of the tree, depth first.
#[derive(Debug, Default)]
pub struct Tree {
    /// The rooms.
    pub rooms: Vec<Branch>,
    /// Where the next page begins; none where there is nothing more.
    pub next: Option<String>,
}

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
    /// Takes an event apart; none where it names no child, or a child that is not asked for.
    fn of(json: &str, suggested_only: bool) -> Option<Self> {
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
        let rest = |child: &Self| (child.origin_server_ts, child.state_key.clone());
        by_order.then_with(|| rest(self).cmp(&rest(other)))
    }
}

/// A page's beginning: how many rooms came before, of which walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct From {
    told: usize,
    room: RoomNum,
    max_depth: u64,
    suggested_only: bool,
}

impl From {
    fn render(self) -> String {
        format!("h{}_{}_{}_{}", self.told, self.room, self.max_depth, u8::from(self.suggested_only))
    }

    /// How many rooms came before in the same walk; none where the text is of no such walk.
    fn told(text: &str, walk: Self) -> Option<usize> {
        let told = text.strip_prefix('h')?.split_once('_')?.0.parse().ok()?;
        (Self { told, ..walk }.render() == text).then_some(told)
    }
}

impl Rooms {
    /// A page of the tree below a room.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where the asker may not see the room, or there is none; `M_INVALID_PARAM` where the page begins
    /// nowhere.
    pub async fn hierarchy(&self, session: &Session, room_id: &RoomId, asked: &Asked) -> Result<Tree> {
        let hidden = || MatrixError::forbidden("the room is not known, or you may not see it");
        let snapshot = self.store.snapshot();
        let top = self.ids.room(&snapshot, room_id.as_str()).await?.ok_or_else(hidden)?;
        let limit = asked.limit.unwrap_or(MOST_ROOMS).clamp(1, MOST_ROOMS);
        let max_depth = asked.max_depth.unwrap_or(MOST_DEPTH).min(MOST_DEPTH);
        let walk = From { told: 0, room: top, max_depth, suggested_only: asked.suggested_only };
        let before = match &asked.from {
            Some(text) => From::told(text, walk)
                .ok_or_else(|| MatrixError::invalid_param("the token is of no page of this tree"))?,
            None => 0,
        };
        let mut tree = Tree::default();
        let mut seen = HashSet::new();
        let mut open = vec![(top, 0)];
        let mut told = 0;
        while let Some((room, depth)) = open.pop() {
            if !seen.insert(room) || seen.len() > MOST_WALKED {
                continue;
            }
            let summary = self.summary_of(&snapshot, room).await?;
            if !self.may_preview(&snapshot, Some(session.user), room, &summary).await? {
                if room == top {
                    return Err(hidden().into());
                }
                continue;
            }
            if tree.rooms.len() == limit {
                tree.next = Some(From { told, ..walk }.render());
                break;
            }
            let children = self.children(&snapshot, room, &summary, asked.suggested_only).await?;
            if depth < max_depth {
                for child in children.iter().rev() {
                    // Rooms that this server does not know are left out: no other server is asked yet.
                    if let Some(num) = self.ids.room(&snapshot, &child.state_key).await? {
                        open.push((num, depth + 1));
                    }
                }
            }
            told += 1;
            if told > before {
                tree.rooms.push(Branch { summary, children });
            }
        }
        Ok(tree)
    }

    /// The children of a room in their order; none where it is no space.
    async fn children(
        &self,
        snapshot: &Snapshot,
        room: RoomNum,
        summary: &Summary,
        suggested_only: bool,
    ) -> Result<Vec<Child>> {
        if summary.room_type.as_deref() != Some("m.space") {
            return Ok(Vec::new());
        }
        let rows = snapshot.scan(&SPACE_CHILDREN, SPACE_CHILDREN.under(&(room,))).collect().await?;
        let nums: Vec<_> = rows.into_iter().map(|(_, num)| num).collect();
        let rules = rules(&RoomVersionId::try_from(summary.version.as_str()).map_err(Error::internal)?)?;
        let child = |event: StoredEvent| Ok(Child::of(&readable(event, &rules)?, suggested_only));
        let children = by_nums(snapshot, &nums).await?.into_iter().map(child).collect::<Result<Vec<_>>>()?;
        let mut children: Vec<_> = children.into_iter().flatten().collect();
        children.sort_by(Child::compare);
        Ok(children)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{Child, From};
    use crate::schema::RoomNum;

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

    proptest! {
        #[test]
        fn tokens_are_of_their_own_walk(told: usize, room: u64, max_depth: u64, suggested_only: bool, text: String) {
            let walk = From { told: 0, room: RoomNum(room), max_depth, suggested_only };
            let token = From { told, ..walk }.render();
            prop_assert_eq!(From::told(&token, walk), Some(told));
            prop_assert_eq!(From::told(&token, From { max_depth: max_depth ^ 1, ..walk }), None);
            prop_assert_eq!(From::told(&token, From { suggested_only: !suggested_only, ..walk }), None);
            let _ = From::told(&text, walk);
        }
    }
}
