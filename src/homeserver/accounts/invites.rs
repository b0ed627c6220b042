//! Who may invite a user: client-server API, "Invite permission", and MSC4155's lists of users and servers.

use matron_storage::Snapshot;
use ruma::UserId;
use serde::Deserialize;
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

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lists {
    enabled: Option<bool>,
    allowed_users: Vec<String>,
    ignored_users: Vec<String>,
    blocked_users: Vec<String>,
    allowed_servers: Vec<String>,
    ignored_servers: Vec<String>,
    blocked_servers: Vec<String>,
}

impl Lists {
    /// What the lists say of an inviter: users before servers, allowed before ignored before blocked.
    fn judge(&self, inviter: &UserId) -> Option<Invites> {
        if self.enabled == Some(false) {
            return None;
        }
        let named =
            |patterns: &[String], name: &str| patterns.iter().any(|pattern| WildMatch::new(pattern).matches(name));
        let (user, server) = (inviter.as_str(), inviter.server_name().as_str());
        let lists = [
            (&self.allowed_users, user, Invites::Allowed),
            (&self.ignored_users, user, Invites::Ignored),
            (&self.blocked_users, user, Invites::Blocked),
            (&self.allowed_servers, server, Invites::Allowed),
            (&self.ignored_servers, server, Invites::Ignored),
            (&self.blocked_servers, server, Invites::Blocked),
        ];
        lists.into_iter().find(|(patterns, name, _)| named(patterns, name)).map(|(.., judged)| judged)
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
        let lists: Option<Lists> = content.and_then(|content| serde_json::from_str(&content).ok());
        Ok(lists.and_then(|lists| lists.judge(inviter)).unwrap_or(Invites::Allowed))
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use serde_json::{Value, json};

    use super::{Invites, Lists, blocks_all};

    fn judge(lists: Value) -> Option<Invites> {
        serde_json::from_value::<Lists>(lists).unwrap().judge(user_id!("@ann:ward.example.org"))
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
    fn one_word_blocks_all() {
        assert!(blocks_all(r#"{"default_action":"block"}"#));
        assert!(!blocks_all(r#"{"default_action":"allow"}"#) && !blocks_all("{}") && !blocks_all("[]"));
    }
}
