//! How far somebody has read: client-server API, "Receipts" and "Read and unread markers".

use std::sync::Arc;

use matron_homeserver::Homeserver;
use matron_homeserver::ephemeral::Mark;
use matron_homeserver::schema::ephemeral::ReceiptKind;
use matron_matrix::Error as MatrixError;
use ruma::api::client::read_marker::set_read_marker;
use ruma::api::client::receipt::create_receipt;
use ruma::api::client::receipt::create_receipt::v3::ReceiptType;
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;
use serde_json::Value;

use crate::error::Result;
use crate::request::{Loose, Ruma};
use crate::router::Routes;

/// The thread in whatever form: what is no text has an errcode of its own.
#[derive(Deserialize)]
struct Body {
    thread_id: Option<Value>,
}

pub fn routes(routes: &mut Routes) {
    routes.add(receipt);
    routes.add(markers);
}

async fn receipt(
    homeserver: Arc<Homeserver>,
    request: Ruma<Loose<create_receipt::v3::Request, Body>>,
) -> Result<create_receipt::v3::Response> {
    let body = &request.body;
    let (room_id, event_id) = (body.id::<OwnedRoomId>(0)?, body.id::<OwnedEventId>(2)?);
    let mark = match ReceiptType::from(body.path.get(1).map_or("", String::as_str)) {
        ReceiptType::Read => Mark::Receipt(ReceiptKind::Public),
        ReceiptType::ReadPrivate => Mark::Receipt(ReceiptKind::Private),
        ReceiptType::FullyRead => Mark::FullyRead,
        _ => return Err(MatrixError::invalid_param("the receipt type is not known").into()),
    };
    let no_text = || MatrixError::invalid_param("thread_id is a text");
    let thread = body.body.thread_id.as_ref().map(|thread| thread.as_str().ok_or_else(no_text)).transpose()?;
    homeserver.ephemeral.read(&request.identity, &room_id, mark, &event_id, thread).await?;
    homeserver.ephemeral.was_active(&request.identity);
    Ok(create_receipt::v3::Response::new())
}

async fn markers(
    homeserver: Arc<Homeserver>,
    request: Ruma<set_read_marker::v3::Request>,
) -> Result<set_read_marker::v3::Response> {
    let set_read_marker::v3::Request { room_id, fully_read, read_receipt, private_read_receipt, .. } = request.body;
    let marks = [
        (Mark::FullyRead, fully_read),
        (Mark::Receipt(ReceiptKind::Public), read_receipt),
        (Mark::Receipt(ReceiptKind::Private), private_read_receipt),
    ];
    for (mark, event_id) in marks {
        if let Some(event_id) = event_id {
            homeserver.ephemeral.read(&request.identity, &room_id, mark, &event_id, None).await?;
        }
    }
    Ok(set_read_marker::v3::Response::new())
}
