//! Policy servers, which recommend events for a room by their signature: server-server API, "Policy Servers".

use ruma::events::TimelineEventType;
use ruma::room_version_rules::RoomVersionRules;
use ruma::{CanonicalJsonObject, CanonicalJsonValue, OwnedServerName, ServerName};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::Pdu;
use crate::{Error, Result, canonical, signed};

#[cfg(test)]
mod tests;

/// The id of every policy server's key.
pub const KEY_ID: &str = "ed25519:policy_server";

/// The policy server that a room's `m.room.policy` names. It is the room's as long as one of its users is joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyServer {
    /// Its name.
    pub name: OwnedServerName,
    /// Its public key in base64: what is no key is one by which nothing is signed.
    key: String,
}

#[derive(Deserialize)]
struct Content {
    via: String,
    public_keys: Keys,
}

#[derive(Deserialize)]
struct Keys {
    ed25519: String,
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::bad_json(error.to_string())
}

impl PolicyServer {
    /// The one that the content of an `m.room.policy` names; none where that is not valid. (A name that is no server's has
    /// no users.)
    #[must_use]
    pub fn of(content: &RawValue) -> Option<Self> {
        let content: Content = serde_json::from_str(content.get()).ok()?;
        let name = ServerName::parse(content.via).ok()?;
        // Some write keys in the alphabet that goes into addresses; the spec's own example does.
        let key = content.public_keys.ed25519.replace('-', "+").replace('_', "/");
        Some(Self { name, key })
    }

    /// Whether policy servers are asked about an event: about all but the one that names them.
    #[must_use]
    pub fn is_asked_about(pdu: &Pdu) -> bool {
        !pdu.is_state(&TimelineEventType::from("m.room.policy"), "")
    }

    /// Whether it signed an event.
    #[must_use]
    pub fn has_signed(&self, json: &str, rules: &RoomVersionRules) -> bool {
        let Ok(mut object) = serde_json::from_str::<CanonicalJsonObject>(json) else { return false };
        ruma::canonical_json::redact_in_place(&mut object, &rules.redaction, None).is_ok()
            && signed::verify(&object, self.name.as_str(), KEY_ID, &self.key).is_ok()
    }

    /// The event with the signature that the policy server answered, beside those that it has; nothing where the answer has
    /// none. Whether it is right is another question: [`Self::has_signed`].
    ///
    /// # Errors
    /// `M_TOO_LARGE` where the signature makes it larger than an event may be; `M_BAD_JSON` where it is no event.
    pub fn sign(&self, json: &str, answer: &CanonicalJsonObject) -> Result<Option<Box<str>>> {
        let signature = match answer.get(self.name.as_str()) {
            Some(CanonicalJsonValue::Object(own)) => own.get(KEY_ID).and_then(CanonicalJsonValue::as_str),
            _ => None,
        };
        let Some(signature) = signature else { return Ok(None) };
        let mut event: CanonicalJsonObject = serde_json::from_str(json).map_err(unreadable)?;
        let nothing = || CanonicalJsonValue::Object(CanonicalJsonObject::new());
        let all = event.entry("signatures".to_owned()).or_insert_with(nothing);
        let CanonicalJsonValue::Object(all) = all else { return Err(unreadable("its signatures are no object")) };
        let own = all.entry(self.name.to_string()).or_insert_with(nothing);
        let CanonicalJsonValue::Object(own) = own else {
            return Err(unreadable("a server's signatures are no object"));
        };
        own.insert(KEY_ID.to_owned(), CanonicalJsonValue::String(signature.to_owned()));
        canonical::to_event_json(&event).map(Some)
    }
}
