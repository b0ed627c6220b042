//! What rules see of a room's size.

use std::ops::RangeBounds as _;

use ruma::UInt;
use ruma::push::{PushCondition, Ruleset};

/// Which of the conditions on the number of a room's members hold, in the order of the rules. Two numbers for which this is
/// the same are the same to all rules.
#[must_use]
pub fn size_conditions(ruleset: &Ruleset, members: u64) -> Vec<bool> {
    let members = UInt::new_saturating(members);
    let conditions = ruleset.override_.iter().chain(&ruleset.underride).flat_map(|rule| &rule.conditions);
    let holds = |condition: &PushCondition| match condition {
        PushCondition::RoomMemberCount(data) => Some(data.is.contains(&members)),
        _ => None,
    };
    conditions.filter_map(holds).collect()
}

#[cfg(test)]
mod tests {
    use ruma::push::Ruleset;
    use ruma::user_id;
    use serde_json::json;

    use super::size_conditions;

    #[test]
    fn only_conditions_tell_sizes_apart() {
        let usual = Ruleset::server_default(user_id!("@ann:localhost"));
        assert_ne!(size_conditions(&usual, 2), size_conditions(&usual, 3));
        assert_eq!(size_conditions(&usual, 3), size_conditions(&usual, 20_000));
        let rule = json!({ "rule_id": "large", "default": false, "enabled": true, "actions": [],
            "conditions": [{ "kind": "room_member_count", "is": ">10" }] });
        let own: Ruleset = serde_json::from_value(json!({ "override": [rule] })).unwrap();
        assert_eq!(size_conditions(&own, 3), [false]);
        assert_eq!(size_conditions(&own, 10), [false]);
        assert_eq!(size_conditions(&own, 11), [true]);
    }
}
