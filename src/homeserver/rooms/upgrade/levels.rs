//! Power levels in an upgrade: those of the new room, and those that close the old one.

use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value, json};

/// What an administrator's level is where nothing says otherwise.
const ADMINISTRATOR: i64 = 100;
/// What an upgrade of a room needs where creators outrank all: more than an administrator has (MSC4289).
const TOMBSTONE: i64 = 150;
/// The greatest number that canonical JSON has.
const GREATEST: i64 = (1 << 53) - 1;
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
pub(super) fn new_levels(mut levels: Map<String, Value>, change: &Change<'_>) -> Map<String, Value> {
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
    levels
}

/// Gives a user more power than anything asks and anybody has. Answers that level, and their own where they have an entry.
pub(super) fn raise(levels: &mut Map<String, Value>, user: &UserId) -> (Option<i64>, Option<i64>) {
    fn highest(levels: &Map<String, Value>) -> i64 {
        let of = |value: &Value| value.as_object().map_or_else(|| level(value).unwrap_or(0), highest);
        levels.values().map(of).max().unwrap_or(0)
    }
    let above = highest(levels).max(ADMINISTRATOR).saturating_add(1).min(GREATEST);
    let Some(users) = table(levels, "users") else { return (None, None) };
    let own = users.insert(user.to_string(), json!(above));
    (Some(above), own.as_ref().and_then(level))
}

/// Undoes [`raise`] in levels that may have changed since. Nothing where the user has another level by now.
pub(super) fn lowered(mut levels: Map<String, Value>, user: &UserId, raised: i64, own: Option<i64>) -> Option<Value> {
    let users = table(&mut levels, "users")?;
    if users.get(user.as_str()).and_then(level) != Some(raised) {
        return None;
    }
    match own {
        Some(own) => users.insert(user.to_string(), json!(own)),
        None => users.remove(user.as_str()),
    };
    Some(Value::Object(levels))
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

    use super::{Change, lowered, new_levels, raise, restricted};

    fn changed(levels: &Value, old_creators: &[OwnedUserId], privileged: bool, privileges: bool) -> Value {
        let creators: [&UserId; 1] = [user_id!("@ann:a")];
        let old_creators: HashSet<_> = old_creators.iter().cloned().collect();
        let change = Change { creators: &creators, old_creators: &old_creators, privileges, privileged };
        Value::Object(new_levels(levels.as_object().unwrap().clone(), &change))
    }

    #[test]
    fn who_is_raised_gets_their_own_level_back() {
        let ann = user_id!("@ann:a");
        let asked = json!({ "users": { "@ann:a": 50, "@bob:a": 100 }, "ban": 120, "events": { "m.space.child": 99 } });
        for levels in [asked, json!({ "users": { "@bob:a": 100 } }), json!({ "users": {} })] {
            let own = levels["users"]["@ann:a"].as_i64();
            let mut changed = levels.as_object().unwrap().clone();
            let (raised, level) = raise(&mut changed, ann);
            assert_eq!((raised, level), (Some(levels["ban"].as_i64().unwrap_or(100) + 1), own));
            assert_eq!(lowered(changed.clone(), ann, raised.unwrap(), level), Some(levels));
            changed["users"]["@ann:a"] = json!(7);
            assert_eq!(lowered(changed, ann, raised.unwrap(), level), None, "the room decided otherwise");
        }
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
