//! Who may invite a user: client-server API, "Invite permission", and MSC4155's lists of users and servers.

use matron_storage::Snapshot;
use ruma::UserId;
use serde::Deserialize;
use serde_json::{Map, Value};
use wildmatch::WildMatch;

use super::Accounts;
use crate::error::Result;
use crate::schema::UserNum;

/// Blocks all invites, or none: the spec's name and the one before it was in the spec.
const PERMISSION: [&str; 2] = ["m.invite_permission_config", "org.matrix.msc4380.invite_permission_config"];
/// Lists of users and servers.
const LISTS: &str = "org.matrix.msc4155.invite_permission_config";

/// What becomes of an invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invites {
    /// It reaches the user.
    Allowed,
    /// It is taken, and the user is not told.
    Ignored,
    /// It is refused.
    Blocked,
}

#[derive(Deserialize)]
struct Permission {
    default_action: Option<String>,
}

/// The lists as somebody's client wrote them. What is no list is an empty one, and what is no text in a list is left out: one
/// mistake does not let in whom all the rest keeps out.
struct Lists(Map<String, Value>);

impl Lists {
    /// What the lists say of an inviter: users before servers, allowed before ignored before blocked. Ports are no part of
    /// the servers' names here.
    fn judge(&self, inviter: &UserId) -> Option<Invites> {
        if self.0.get("enabled") == Some(&Value::Bool(false)) {
            return None;
        }
        let (user, server) = (inviter.as_str(), inviter.server_name().host());
        let lists = [
            ("allowed_users", user, Invites::Allowed),
            ("ignored_users", user, Invites::Ignored),
            ("blocked_users", user, Invites::Blocked),
            ("allowed_servers", server, Invites::Allowed),
            ("ignored_servers", server, Invites::Ignored),
            ("blocked_servers", server, Invites::Blocked),
        ];
        lists.into_iter().find(|(list, name, _)| self.has(list, name)).map(|(.., judged)| judged)
    }

    /// Whether a pattern of a list is one of this name.
    fn has(&self, list: &str, name: &str) -> bool {
        let entries = self.0.get(list).and_then(Value::as_array).into_iter().flatten();
        entries.filter_map(Value::as_str).any(|pattern| WildMatch::new(pattern).matches(name))
    }
}

fn blocks_all(content: &str) -> bool {
    let content = serde_json::from_str::<Permission>(content);
    content.is_ok_and(|content| content.default_action.as_deref() == Some("block"))
}

impl Accounts {
    /// What becomes of an invite to a user of this server.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn invites(&self, snapshot: &Snapshot, invited: UserNum, inviter: &UserId) -> Result<Invites> {
        for kind in PERMISSION {
            let content = self.account_data(snapshot, invited, None, kind).await?;
            if content.is_some_and(|content| blocks_all(&content)) {
                return Ok(Invites::Blocked);
            }
        }
        let content = self.account_data(snapshot, invited, None, LISTS).await?;
        let lists = content.and_then(|content| serde_json::from_str(&content).ok()).map(Lists);
        Ok(lists.and_then(|lists| lists.judge(inviter)).unwrap_or(Invites::Allowed))
    }
}

#[cfg(test)]
mod tests {
    use ruma::{UserId, user_id};
    use serde_json::{Value, json};

    use super::{Invites, Lists, blocks_all};

    fn judge(lists: Value) -> Option<Invites> {
        judge_of(user_id!("@ann:ward.example.org"), lists)
    }

    fn judge_of(inviter: &UserId, lists: Value) -> Option<Invites> {
        Lists(serde_json::from_value(lists).unwrap()).judge(inviter)
    }

    #[test]
    fn users_are_looked_up_before_servers_and_allowed_ones_first() {
        assert_eq!(judge(json!({})), None);
        assert_eq!(judge(json!({ "blocked_servers": ["*"] })), Some(Invites::Blocked));
        assert_eq!(judge(json!({ "blocked_servers": ["*.example.org"], "enabled": false })), None);
        let users = json!({ "blocked_servers": ["*"], "ignored_users": ["@a?n:*"] });
        assert_eq!(judge(users), Some(Invites::Ignored));
        let allowed = json!({ "blocked_users": ["@ann:*"], "allowed_users": ["@ann:ward.example.org"] });
        assert_eq!(judge(allowed), Some(Invites::Allowed));
        assert_eq!(judge(json!({ "blocked_servers": ["example.org", "@ann*"], "blocked_users": ["@bob:*"] })), None);
    }

    #[test]
    fn a_mistake_takes_back_nothing_else() {
        let none = json!({ "allowed_users": null, "ignored_users": null, "blocked_servers": ["*.example.org"] });
        assert_eq!(judge(none), Some(Invites::Blocked));
        let other = json!({ "enabled": "no", "allowed_servers": "*", "ignored_users": { "@ann:*": {} },
            "blocked_servers": [null, 7, "*"] });
        assert_eq!(judge(other), Some(Invites::Blocked));
        assert_eq!(judge(json!({ "enabled": null, "blocked_users": ["@ann:*"] })), Some(Invites::Blocked));
    }

    #[test]
    fn servers_are_named_without_their_ports() {
        let (named, six) = (user_id!("@ann:ward.example.org:8448"), user_id!("@ann:[2001:db8::1]:8448"));
        let servers = json!({ "blocked_servers": ["ward.example.org", "[2001:db8::1]"] });
        assert_eq!(judge_of(named, servers.clone()), Some(Invites::Blocked));
        assert_eq!(judge_of(six, servers), Some(Invites::Blocked));
        assert_eq!(judge_of(named, json!({ "blocked_servers": ["*:8448"] })), None);
        assert_eq!(judge_of(named, json!({ "blocked_users": ["@ann:ward.example.org"] })), None);
    }

    #[test]
    fn one_word_blocks_all() {
        assert!(blocks_all(r#"{"default_action":"block"}"#));
        assert!(!blocks_all(r#"{"default_action":"allow"}"#) && !blocks_all("{}") && !blocks_all("[]"));
    }
}
