//! What a member event says beside the membership: what the client gave, as far as that is its to say.

use matron_matrix::Error as MatrixError;
use serde_json::{Map, Value};

use crate::error::Result;

/// The longest reason that is passed on.
const MAX_REASON_BYTES: usize = 2048;

/// What the server alone says, or nobody: which move it is, and by whose leave.
const OURS: [&str; 4] = ["membership", "third_party_invite", "third_party_signed", "join_authorised_via_users_server"];

/// What is said with a move.
#[derive(Debug, Clone, Default)]
pub struct Said(Map<String, Value>);

impl Said {
    /// The reason that a client gives, if it gives one.
    #[must_use]
    pub fn because(reason: Option<&str>) -> Self {
        Self::default().and("reason", reason.map(Value::from))
    }

    /// All that a client wrote, without what is not its to say.
    pub(super) fn by_client(fields: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self(fields.into_iter().filter(|(name, _)| !OURS.contains(&name.as_str())).collect())
    }

    /// And this, if there is anything: in the place of what a client said there.
    pub(in crate::rooms) fn and(mut self, name: &str, value: Option<Value>) -> Self {
        self.0.extend(value.map(|value| (name.to_owned(), value)));
        self
    }

    /// The content of a member event that says nothing of the profile.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` where the reason is too long.
    pub(in crate::rooms) fn alone(self, membership: &str) -> Result<Value> {
        self.beside(membership, Map::new())
    }

    /// The content of a member event: `content` as far as nothing else is said.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` where the reason is too long.
    pub(super) fn beside(self, membership: &str, mut content: Map<String, Value>) -> Result<Value> {
        let reason = self.0.get("reason").and_then(Value::as_str);
        if reason.is_some_and(|reason| reason.len() > MAX_REASON_BYTES) {
            return Err(MatrixError::invalid_param("the reason is too long").into());
        }
        content.extend(self.0);
        content.insert("membership".to_owned(), membership.into());
        Ok(Value::Object(content))
    }
}
