//! What a user set for a room, set for the room that replaces it as well. Client-server API, "Room Upgrades".

use ruma::RoomId;
use ruma::events::direct::DirectEventContent;
use ruma::push::{
    AnyPushRule, ConditionalPushRule, NewConditionalPushRule, NewPushRule, NewSimplePushRule, PushCondition, Ruleset,
    SimplePushRule,
};

use super::{Accounts, Session, TAG};
use crate::error::{Error, Result};
use crate::schema::RoomNum;

#[cfg(test)]
mod tests;

/// The type of the account data that says who is spoken with in which direct chat.
const DIRECT: &str = "m.direct";

impl Accounts {
    /// Copies tags, push rules and the mark as a direct chat from a room to another one. What is set there stays.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn carry_over(&self, session: &Session, old: (RoomNum, &RoomId), new: (RoomNum, &RoomId)) -> Result<()> {
        let snapshot = self.store.snapshot();
        let tags = self.account_data(&snapshot, session.user, Some(old.0), TAG).await?;
        if let Some(tags) = tags {
            self.change_account_data(session.user, Some(new.0), TAG, |there| Ok(there.is_none().then(|| tags.clone())))
                .await?;
        }
        self.change_account_data(session.user, None, DIRECT, |content| {
            Ok(content.and_then(|text| direct(text, old.1, new.1)))
        })
        .await?;
        let copies = copied(&*self.ruleset(&snapshot, session.user).await?, old.1, new.1);
        if copies.is_empty() {
            return Ok(());
        }
        self.change_rules(session, |ruleset| {
            for (rule, enabled) in &copies {
                let (kind, id) = (rule.kind(), rule.rule_id().to_owned());
                if ruleset.get(kind.clone(), &id).is_none() {
                    ruleset.insert(rule.clone(), None, None).map_err(Error::internal)?;
                    ruleset.set_enabled(kind, &id, *enabled).map_err(Error::internal)?;
                }
            }
            Ok(())
        })
        .await
    }
}

/// The list of direct chats with the new room beside the old one, where that is in it.
fn direct(content: &str, old: &RoomId, new: &RoomId) -> Option<String> {
    let mut list: DirectEventContent = serde_json::from_str(content).ok()?;
    let mut changed = false;
    for rooms in list.values_mut() {
        if rooms.iter().any(|room| room == old) && !rooms.iter().any(|room| room == new) {
            rooms.push(new.to_owned());
            changed = true;
        }
    }
    if changed { serde_json::to_string(&list).ok() } else { None }
}

/// Rules for the new room like those for the old one, and whether each is enabled.
fn copied(ruleset: &Ruleset, old: &RoomId, new: &RoomId) -> Vec<(NewPushRule, bool)> {
    let about_old = |condition: &PushCondition| matches!(condition, PushCondition::EventMatch(data) if data.key == "room_id" && data.pattern == old.as_str());
    let conditional = |rule: &ConditionalPushRule| {
        rule.conditions.iter().any(about_old).then(|| {
            let conditions = rule.conditions.iter().cloned().map(|condition| match condition {
                PushCondition::EventMatch(mut data) if data.key == "room_id" && data.pattern == old.as_str() => {
                    data.pattern = new.to_string();
                    PushCondition::EventMatch(data)
                }
                other => other,
            });
            let id = if rule.rule_id.contains(old.as_str()) {
                rule.rule_id.replace(old.as_str(), new.as_str())
            } else {
                format!("{} {new}", rule.rule_id)
            };
            NewConditionalPushRule::new(id, conditions.collect(), rule.actions.clone())
        })
    };
    let room = |rule: &SimplePushRule<ruma::OwnedRoomId>| {
        (rule.rule_id == *old).then(|| NewSimplePushRule::new(new.to_owned(), rule.actions.clone()))
    };
    let rules = ruleset.iter().map(ruma::push::AnyPushRuleRef::to_owned);
    let copies = rules.filter_map(|rule| match rule {
        AnyPushRule::Override(rule) if !rule.default => {
            Some((NewPushRule::Override(conditional(&rule)?), rule.enabled))
        }
        AnyPushRule::Underride(rule) if !rule.default => {
            Some((NewPushRule::Underride(conditional(&rule)?), rule.enabled))
        }
        AnyPushRule::Room(rule) => Some((NewPushRule::Room(room(&rule)?), rule.enabled)),
        _ => None,
    });
    copies.collect()
}
