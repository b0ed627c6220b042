//! The authorization rules, by ruma: which state an event needs, and whether that state allows it.
//!
//! Server-server API, "Authorization rules"; the rules of each room version.

use std::sync::Arc;

use ruma::EventId;
use ruma::events::{StateEventType, TimelineEventType};
use ruma::room_version_rules::AuthorizationRules;
use ruma::state_res::{auth_types_for_event, check_state_dependent_auth_rules, check_state_independent_auth_rules};
use serde_json::value::{RawValue, to_raw_value};

use crate::event::{Pdu, Template};
use crate::{Error, Result};

/// The state that authorizes an event: (type, state key) pairs, in the order in which its `auth_events` name them.
///
/// # Errors
/// `M_BAD_JSON` where the content has not the form that its type needs.
pub fn auth_types(template: &Template, rules: &AuthorizationRules) -> Result<Vec<(StateEventType, String)>> {
    let types = |content: &RawValue| {
        auth_types_for_event(&template.kind, &template.sender, template.state_key.as_deref(), content, rules)
            .map_err(Error::bad_json)
    };
    // Of other events the content says nothing.
    if template.kind != TimelineEventType::RoomMember {
        return types(RawValue::NULL);
    }
    types(&to_raw_value(&template.content).map_err(|error| Error::bad_json(error.to_string()))?)
}

/// As [`auth_types`], for an event that exists.
///
/// # Errors
/// `M_BAD_JSON` where the content has not the form that its type needs.
pub fn auth_types_of(pdu: &Pdu, rules: &AuthorizationRules) -> Result<Vec<(StateEventType, String)>> {
    auth_types_for_event(&pdu.kind, &pdu.sender, pdu.state_key.as_deref(), &pdu.content, rules).map_err(Error::bad_json)
}

/// Whether the events that it names as its authority may be: checked once, when it comes.
///
/// # Errors
/// `M_FORBIDDEN`.
pub fn check_auth_events(
    rules: &AuthorizationRules,
    pdu: &Pdu,
    event: impl Fn(&EventId) -> Option<Arc<Pdu>>,
) -> Result<()> {
    check_state_independent_auth_rules(rules, pdu, event).map_err(Error::forbidden)
}

/// Whether a state allows the event.
///
/// # Errors
/// `M_FORBIDDEN`.
pub fn check_state(
    rules: &AuthorizationRules,
    pdu: &Pdu,
    state: impl Fn(&StateEventType, &str) -> Option<Arc<Pdu>>,
) -> Result<()> {
    check_state_dependent_auth_rules(rules, pdu, state).map_err(Error::forbidden)
}
