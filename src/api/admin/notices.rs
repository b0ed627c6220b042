//! Server notices: Synapse's admin API, `/_synapse/admin/v1/send_server_notice`.

use std::sync::Arc;

use axum::response::Response;
use http::{Method, StatusCode};
use matron_homeserver::Homeserver;
use matron_homeserver::notices::Notice;
use matron_homeserver::rooms::intent::TransactionKey;
use matron_matrix::{Error as MatrixError, canonical};
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::administrator;
use crate::body::read_body;
use crate::error::{self, Result};
use crate::request;
use crate::router::{Raw, Routes};

const PATH: &str = "/_synapse/admin/v1/send_server_notice";
/// The longest transaction id.
const MAX_TXN_ID_BYTES: usize = 255;

pub fn routes(routes: &mut Routes) {
    routes.add_raw(Method::POST, PATH, send);
    routes.add_raw(Method::PUT, "/_synapse/admin/v1/send_server_notice/{txn_id}", send);
}

#[derive(Deserialize)]
struct Body {
    user_id: OwnedUserId,
    content: Box<RawValue>,
    #[serde(rename = "type", default = "message")]
    kind: String,
    #[serde(default)]
    state_key: Option<String>,
}

fn message() -> String {
    "m.room.message".to_owned()
}

async fn send(homeserver: Arc<Homeserver>, raw: Raw) -> Result<Response> {
    let session = administrator(&homeserver, &raw.parts, &raw.client).await?;
    let transaction = raw.path_args.first().map(|id| {
        if id.len() > MAX_TXN_ID_BYTES {
            return Err(MatrixError::invalid_param("a transaction id has 255 bytes at most"));
        }
        Ok(TransactionKey::new(session.device, Method::PUT.as_str(), &format!("send_server_notice\0{id}"), id))
    });
    let transaction = transaction.transpose()?;
    let bytes = read_body(raw.body).await?;
    let body: Body = serde_json::from_slice(&bytes).map_err(|error| request::bad_json(&error))?;
    let notice = Notice {
        user_id: body.user_id,
        kind: body.kind.into(),
        state_key: body.state_key,
        content: canonical::parse_object(body.content.get().as_bytes())?,
    };
    let event_id = homeserver.notices.send(&session, notice, transaction).await?;
    Ok(error::json(StatusCode::OK, &json!({ "event_id": event_id })))
}
