//! Power levels in an upgrade: those of the new room, and those that close the old one.

use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value, json};

/// What an administrator's level is where nothing says otherwise.
const ADMINISTRATOR: i64 = 100;
/// What an upgrade of a room needs where creators outrank all: more than an administrator has (MSC4289).
const TOMBSTONE: i64 = 150;
/// The least level that a closed room asks of who would speak in it.
const CLOSED: i64 = 50;

/// Between which sorts of rooms levels go over.
pub(super) struct Change<'a> {
    /// The new room's creators.
    pub creators: &'a [&'a UserId],
    /// The old room's, where they outranked all.
    pub old_creators: &'a std::collections::HashSet<OwnedUserId>,
    /// Whether creators outrank all in the new room, and have no entry.
    pub privileges: bool,
    /// Whether they did in the old one.
    pub privileged: bool,
}

/// A level; in rooms of long ago they were written as text, too.
fn level(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))
}

fn table<'a>(levels: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    let table = levels.entry(name).or_insert_with(|| json!({}));
    if !table.is_object() {
        *table = json!({});
    }
    table.as_object_mut()
}

/// Makes numbers of all levels; what is none is left out.
fn numbers(levels: &mut Map<String, Value>) {
    levels.retain(|_, value| value.is_object() || level(value).is_some());
    for value in levels.values_mut() {
        match value {
            Value::Object(inner) => numbers(inner),
            other => *other = json!(level(other).unwrap_or_default()),
        }
    }
}

/// The new room's levels.
pub(super) fn new_levels(mut levels: Map<String, Value>, change: &Change<'_>) -> Value {
    numbers(&mut levels);
    let had_users = levels.contains_key("users");
    if let Some(users) = table(&mut levels, "users") {
        if change.privileges {
            users.retain(|user, _| !change.creators.iter().any(|creator| creator.as_str() == user));
        } else {
            let raised = change.old_creators.iter().map(|user| &**user);
            let upgraders = change.creators.iter().copied().filter(|_| change.privileged || !had_users);
            for user in raised.chain(upgraders) {
                let entry = users.entry(user.as_str()).or_insert_with(|| json!(0));
                *entry = json!(level(entry).unwrap_or(0).max(ADMINISTRATOR));
            }
        }
    }
    if change.privileges
        && !change.privileged
        && let Some(events) = table(&mut levels, "events")
    {
        let tombstone = events.get("m.room.tombstone").and_then(level).unwrap_or(0);
        events.insert("m.room.tombstone".to_owned(), json!(tombstone.max(TOMBSTONE)));
    }
    Value::Object(levels)
}

/// The old room's levels, so that only moderators speak and invite. Nothing where that is so already.
pub(super) fn restricted(mut levels: Map<String, Value>) -> Option<Value> {
    let usual = levels.get("users_default").and_then(level).unwrap_or(0);
    let least = usual.saturating_add(1).max(CLOSED);
    let mut changed = false;
    for name in ["invite", "events_default"] {
        if levels.get(name).and_then(level).unwrap_or(0) < least {
            levels.insert(name.to_owned(), json!(least));
            changed = true;
        }
    }
    changed.then_some(Value::Object(levels))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use ruma::{OwnedUserId, UserId, owned_user_id, user_id};
    use serde_json::{Value, json};

    use super::{Change, new_levels, restricted};

    fn changed(levels: &Value, old_creators: &[OwnedUserId], privileged: bool, privileges: bool) -> Value {
        let creators: [&UserId; 1] = [user_id!("@ann:a")];
        let old_creators: HashSet<_> = old_creators.iter().cloned().collect();
        let change = Change { creators: &creators, old_creators: &old_creators, privileges, privileged };
        new_levels(levels.as_object().unwrap().clone(), &change)
    }

    #[test]
    fn creators_lose_their_entries_where_they_outrank_all() {
        let old = json!({ "users": { "@ann:a": 100, "@bob:a": "50" }, "events": { "m.room.tombstone": 100 }, "x": [] });
        let new = json!({ "users": { "@bob:a": 50 }, "events": { "m.room.tombstone": 150 } });
        assert_eq!(changed(&old, &[], false, true), new);
        // Once there, the room's own choice stays.
        let kept = json!({ "users": { "@bob:a": 50 }, "events": { "m.room.tombstone": 60 } });
        assert_eq!(changed(&kept, &[owned_user_id!("@cid:a")], true, true), kept);
    }

    #[test]
    fn creators_get_entries_where_they_outrank_nobody() {
        let old = json!({ "users": { "@bob:a": 50 } });
        let new = json!({ "users": { "@ann:a": 100, "@bob:a": 50, "@cid:a": 100 } });
        assert_eq!(changed(&old, &[owned_user_id!("@cid:a")], true, false), new);
        // Between versions without such creators everybody keeps what they had.
        assert_eq!(changed(&old, &[], false, false), old);
        assert_eq!(changed(&json!({}), &[], false, false), json!({ "users": { "@ann:a": 100 } }));
    }

    #[test]
    fn a_closed_room_is_for_moderators() {
        let levels = |text: Value| restricted(text.as_object().unwrap().clone());
        assert_eq!(levels(json!({})), Some(json!({ "invite": 50, "events_default": 50 })));
        let low = json!({ "users_default": 60, "invite": 70 });
        assert_eq!(levels(low), Some(json!({ "users_default": 60, "invite": 70, "events_default": 61 })));
        assert_eq!(levels(json!({ "invite": 50, "events_default": 99 })), None);
    }
}
