//! Sending events: client-server API, "Sending events to a room" and "Redactions".

use std::sync::Arc;

use http::Method;
use matron_homeserver::Homeserver;
use matron_homeserver::accounts::Session;
use matron_homeserver::rooms::intent::TransactionKey;
use matron_matrix::Error as MatrixError;
use matron_matrix::canonical::parse_object;
use ruma::api::Metadata;
use ruma::api::client::message::send_message_event;
use ruma::api::client::redact::redact_event;
use ruma::api::client::state::send_state_event;
use ruma::api::path_builder::PathBuilder;
use ruma::events::TimelineEventType;
use ruma::{CanonicalJsonObject, RoomId, TransactionId};

use super::state::without_key;
use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

/// The longest transaction id: it is kept with its event.
const MAX_TXN_ID_BYTES: usize = 255;

pub fn routes(routes: &mut Routes) {
    routes.add(send);
    routes.add(redact);
    routes.add(send_state);
    for path in send_state_event::v3::Request::PATH_BUILDER.all_paths() {
        for path in without_key(path) {
            routes.add_at(&path, send_state);
        }
    }
}

/// The transaction of a request by its path: the same in all versions of the API.
fn transaction(session: &Session, room_id: &RoomId, rest: [&str; 2], txn_id: &TransactionId) -> Result<TransactionKey> {
    if txn_id.as_str().len() > MAX_TXN_ID_BYTES {
        return Err(MatrixError::invalid_param("a transaction id has 255 bytes at most").into());
    }
    // Decoded parts may hold slashes: a character that no client needs keeps them apart.
    let path = ["rooms", room_id.as_str(), rest[0], rest[1], txn_id.as_str()].join("\0");
    Ok(TransactionKey::new(session.device, Method::PUT.as_str(), &path, txn_id.as_str()))
}

fn content(json: &str) -> Result<CanonicalJsonObject> {
    Ok(parse_object(json.as_bytes())?)
}

async fn send(
    homeserver: Arc<Homeserver>,
    request: Ruma<send_message_event::v3::Request>,
) -> Result<send_message_event::v3::Response> {
    let send_message_event::v3::Request { room_id, event_type, txn_id, body, .. } = request.body;
    let session = &request.identity;
    let kind = event_type.to_string();
    let transaction = transaction(session, &room_id, ["send", &kind], &txn_id)?;
    let (kind, content) = (TimelineEventType::from(kind), content(body.json().get())?);
    let event_id = homeserver.rooms.send(session, &room_id, kind, content, transaction).await?;
    homeserver.ephemeral.was_active(session);
    Ok(send_message_event::v3::Response::new(event_id))
}

async fn send_state(
    homeserver: Arc<Homeserver>,
    request: Ruma<send_state_event::v3::Request>,
) -> Result<send_state_event::v3::Response> {
    let send_state_event::v3::Request { room_id, event_type, state_key, body, .. } = request.body;
    let (kind, content) = (TimelineEventType::from(event_type.to_string()), content(body.json().get())?);
    let event_id = homeserver.rooms.send_state(&request.identity, &room_id, kind, state_key, content).await?;
    homeserver.ephemeral.was_active(&request.identity);
    Ok(send_state_event::v3::Response::new(event_id))
}

async fn redact(
    homeserver: Arc<Homeserver>,
    request: Ruma<redact_event::v3::Request>,
) -> Result<redact_event::v3::Response> {
    let redact_event::v3::Request { room_id, event_id, txn_id, reason, .. } = request.body;
    let session = &request.identity;
    let transaction = transaction(session, &room_id, ["redact", event_id.as_str()], &txn_id)?;
    let redaction = homeserver.rooms.redact(session, &room_id, &event_id, reason.as_deref(), transaction).await?;
    Ok(redact_event::v3::Response::new(redaction))
}
