//! A user's push rules: account data that the server keeps whole. Client-server API, "Push Rules: API".

use std::sync::Arc;

use matron_matrix::Error as MatrixError;
use matron_storage::{Position, Snapshot};
use ruma::UserId;
use ruma::push::{
    Action, AnyPushRule, InsertPushRuleError, NewPushRule, PushCondition, RemovePushRuleError, RuleKind, Ruleset,
};
use serde::{Deserialize, Serialize};

use super::account_data::{PUSH_RULES, key};
use super::{Accounts, Session};
use crate::error::{Error, Result};
use crate::schema::UserNum;
use crate::schema::accounts::ACCOUNT_DATA;

mod special;
#[cfg(test)]
mod tests;

/// The longest rule id and pattern: a pattern is searched for in every message.
const MAX_NAME_BYTES: usize = 255;
/// The most conditions and actions of a rule.
const MAX_PARTS: usize = 32;
/// The longest conditions or actions of a rule, as JSON.
const MAX_PARTS_BYTES: usize = 4096;
/// The default rules as JSON, about.
const DEFAULT_BYTES: usize = 5 << 10;

/// `m.push_rules`.
#[derive(Deserialize)]
struct Content {
    global: Ruleset,
}

#[derive(Serialize)]
struct ContentRef<'a> {
    global: &'a Ruleset,
}

impl Accounts {
    /// A user's push rules, with all default rules. From memory where nothing of the user's changed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn ruleset(&self, snapshot: &Snapshot, user: UserNum) -> Result<Arc<Ruleset>> {
        if let Some(ruleset) = self.derived.rulesets.get(&self.streams, snapshot, user) {
            return Ok(ruleset);
        }
        let row = snapshot.get(&ACCOUNT_DATA, &key(user, None, PUSH_RULES)).await?;
        let written = row.as_ref().map_or(Position::ZERO, |row| row.position);
        if let Some(ruleset) = self.derived.rulesets.of_row(snapshot, user, written) {
            return Ok(ruleset);
        }
        let user_id = self.ids.user_id(user).await?;
        let content = row.as_ref().map(|row| row.content.as_str());
        let bytes = 2 * content.map_or(0, str::len).max(DEFAULT_BYTES);
        Ok(self.derived.rulesets.keep(snapshot, user, written, (read(content, &user_id)?, bytes)))
    }

    /// The push rules of who asks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn push_rules(&self, session: &Session) -> Result<Arc<Ruleset>> {
        self.ruleset(&self.store.snapshot(), session.user).await
    }

    /// One push rule of who asks.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is none.
    pub async fn push_rule(&self, session: &Session, kind: &RuleKind, rule_id: &str) -> Result<AnyPushRule> {
        known(kind)?;
        let ruleset = self.push_rules(session).await?;
        let rule = ruleset.get(kind.clone(), rule_id).ok_or_else(no_such_rule)?;
        Ok(rule.to_owned())
    }

    /// Adds a push rule or changes it, and moves it where `after` or `before` say so.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` where the rule or its place may not be, `M_UNKNOWN` where `after` or `before` are not there,
    /// `M_TOO_LARGE`.
    pub async fn set_push_rule(
        &self,
        session: &Session,
        rule: NewPushRule,
        after: Option<&str>,
        before: Option<&str>,
    ) -> Result<()> {
        check(&rule)?;
        self.change_rules(session, |ruleset| insert(ruleset, rule.clone(), after, before)).await
    }

    /// Removes a push rule.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is none, `M_INVALID_PARAM` where it is a default rule.
    pub async fn delete_push_rule(&self, session: &Session, kind: &RuleKind, rule_id: &str) -> Result<()> {
        known(kind)?;
        self.change_rules(session, |ruleset| match ruleset.remove(kind.clone(), rule_id) {
            Ok(()) => Ok(()),
            Err(RemovePushRuleError::ServerDefault) => {
                Err(MatrixError::invalid_param("default rules cannot be removed").into())
            }
            Err(_) => Err(no_such_rule().into()),
        })
        .await
    }

    /// Enables a push rule or disables it.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is none.
    pub async fn set_push_rule_enabled(
        &self,
        session: &Session,
        kind: &RuleKind,
        rule_id: &str,
        enabled: bool,
    ) -> Result<()> {
        known(kind)?;
        self.change_rules(session, |ruleset| {
            ruleset.set_enabled(kind.clone(), rule_id, enabled).map_err(|_| no_such_rule().into())
        })
        .await
    }

    /// Sets the actions of a push rule, be it a default rule or the user's own. Those that mean nothing here, or nothing any
    /// more ("Historical Actions"), are kept for clients that look for what they wrote, and do nothing.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is none, `M_INVALID_PARAM` where the actions are too many.
    pub async fn set_push_rule_actions(
        &self,
        session: &Session,
        kind: &RuleKind,
        rule_id: &str,
        actions: Vec<Action>,
    ) -> Result<()> {
        known(kind)?;
        check_parts(&actions)?;
        self.change_rules(session, |ruleset| {
            ruleset.set_actions(kind.clone(), rule_id, actions.clone()).map_err(|_| no_such_rule().into())
        })
        .await
    }

    /// The content of a user's `m.push_rules`.
    pub(super) async fn push_rules_content(&self, snapshot: &Snapshot, user: UserNum) -> Result<String> {
        write(&*self.ruleset(snapshot, user).await?)
    }

    pub(super) async fn change_rules(
        &self,
        session: &Session,
        mut change: impl FnMut(&mut Ruleset) -> Result<()> + Send,
    ) -> Result<()> {
        self.change_account_data(session.user, None, PUSH_RULES, |content| {
            let mut ruleset = read(content, &session.user_id)?;
            change(&mut ruleset)?;
            write(&ruleset).map(Some)
        })
        .await
    }
}

/// The rules of a content, brought up to date with the default rules; those alone where there is no content.
fn read(content: Option<&str>, user_id: &UserId) -> Result<Ruleset> {
    let default = Ruleset::server_default(user_id);
    let Some(content) = content else { return Ok(default) };
    let mut ruleset = serde_json::from_str::<Content>(content).map_err(Error::internal)?.global;
    ruleset.update_with_server_default(default);
    Ok(ruleset)
}

fn write(ruleset: &Ruleset) -> Result<String> {
    serde_json::to_string(&ContentRef { global: ruleset }).map_err(Error::internal)
}

/// ruma moves a rule that is there by counting with it still in its old place, up to past the end. So it is taken out
/// first and comes in as a new one, and is never placed relative to itself.
fn insert(ruleset: &mut Ruleset, rule: NewPushRule, after: Option<&str>, before: Option<&str>) -> Result<()> {
    let (kind, rule_id) = (rule.kind(), rule.rule_id().to_owned());
    let not_there = || MatrixError::unknown("the rule of before or after is not there");
    if [after, before].contains(&Some(rule_id.as_str())) {
        return Err(not_there().into());
    }
    let mut enabled = true;
    if (after.is_some() || before.is_some())
        && let Some(old) = ruleset.get(kind.clone(), &rule_id)
    {
        enabled = old.enabled();
        ruleset.remove(kind.clone(), &rule_id).map_err(|_| default_rule_id())?;
    }
    ruleset.insert(rule, after, before).map_err(|error| match error {
        InsertPushRuleError::ServerDefaultRuleId => default_rule_id(),
        InsertPushRuleError::UnknownRuleId => not_there(),
        error => MatrixError::invalid_param(error.to_string()),
    })?;
    if !enabled {
        ruleset.set_enabled(kind, rule_id, false).map_err(Error::internal)?;
    }
    Ok(())
}

/// Whether a rule is within bounds.
fn check(rule: &NewPushRule) -> Result<()> {
    if rule.rule_id().is_empty() || rule.rule_id().len() > MAX_NAME_BYTES {
        return Err(MatrixError::invalid_param("a rule id has 1 to 255 bytes").into());
    }
    let actions = match rule {
        NewPushRule::Override(rule) | NewPushRule::Underride(rule) => {
            check_conditions(&rule.conditions)?;
            &rule.actions
        }
        NewPushRule::Content(rule) => {
            check_pattern(&rule.pattern)?;
            &rule.actions
        }
        NewPushRule::Room(rule) => &rule.actions,
        NewPushRule::Sender(rule) => &rule.actions,
    };
    check_parts(actions)
}

fn check_conditions(conditions: &[PushCondition]) -> Result<()> {
    for condition in conditions {
        if let PushCondition::EventMatch(data) = condition {
            check_pattern(&data.pattern)?;
        }
    }
    check_parts(conditions)
}

fn check_parts<T: Serialize>(parts: &[T]) -> Result<()> {
    let length = serde_json::to_string(parts).map_err(Error::internal)?.len();
    if parts.len() > MAX_PARTS || length > MAX_PARTS_BYTES {
        return Err(MatrixError::invalid_param("the rule has too many conditions or actions").into());
    }
    Ok(())
}

fn check_pattern(pattern: &str) -> Result<()> {
    if pattern.len() > MAX_NAME_BYTES {
        return Err(MatrixError::invalid_param("a pattern has 255 bytes at most").into());
    }
    Ok(())
}

/// There are no rules of kinds that the spec does not have.
fn known(kind: &RuleKind) -> Result<()> {
    match kind {
        RuleKind::Override | RuleKind::Underride | RuleKind::Sender | RuleKind::Room | RuleKind::Content => Ok(()),
        _ => Err(no_such_rule().into()),
    }
}

fn default_rule_id() -> MatrixError {
    MatrixError::invalid_param("rule ids that begin with a dot are the server's")
}

fn no_such_rule() -> MatrixError {
    MatrixError::not_found("the push rule was not found")
}
