//! Dehydrated devices: MSC3814, under its unstable name.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::{Method, StatusCode};
use matron_homeserver::Homeserver;
use matron_homeserver::accounts::Session;
use matron_homeserver::devices::NewDehydrated;
use matron_homeserver::streams::Token;
use matron_matrix::Error as MatrixError;
use ruma::OwnedOneTimeKeyId;
use ruma::encryption::{DeviceKeys, OneTimeKey};
use ruma::serde::Raw as RawJson;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use crate::body::read_body;
use crate::error::{Result, json as answer};
use crate::request::{bad_json, token};
use crate::router::{Raw, Routes};

const PATH: &str = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device";
const EVENTS: &str = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device/{device_id}/events";

pub fn routes(routes: &mut Routes) {
    routes.add_known(Method::PUT, PATH, put);
    routes.add_known(Method::GET, PATH, get);
    routes.add_known(Method::DELETE, PATH, delete);
    routes.add_known(Method::POST, EVENTS, events);
}

async fn read<T: for<'a> Deserialize<'a>>(body: Body) -> Result<T> {
    let bytes = read_body(body).await?;
    let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    Ok(serde_json::from_slice(bytes).map_err(|error| bad_json(&error))?)
}

#[derive(Deserialize)]
struct Put {
    device_id: String,
    #[serde(default)]
    initial_device_display_name: Option<String>,
    device_data: Box<RawValue>,
    device_keys: RawJson<DeviceKeys>,
    #[serde(default)]
    one_time_keys: BTreeMap<OwnedOneTimeKeyId, RawJson<OneTimeKey>>,
    #[serde(default)]
    fallback_keys: BTreeMap<OwnedOneTimeKeyId, RawJson<OneTimeKey>>,
}

async fn put(homeserver: Arc<Homeserver>, session: Session, raw: Raw) -> Result<Response> {
    let body: Put = read(raw.body).await?;
    let new = NewDehydrated {
        device_id: &body.device_id,
        display_name: body.initial_device_display_name,
        data: body.device_data.get(),
        device_keys: &body.device_keys,
        one_time: &body.one_time_keys,
        fallback: &body.fallback_keys,
    };
    homeserver.devices.dehydrate(&session, &new).await?;
    Ok(answer(StatusCode::OK, &json!({ "device_id": body.device_id })))
}

#[derive(Serialize)]
struct Dehydrated {
    device_id: String,
    device_data: Box<RawValue>,
}

async fn get(homeserver: Arc<Homeserver>, session: Session, _: Raw) -> Result<Response> {
    let (device_id, data) = homeserver.devices.dehydrated(&session).await?;
    let device_data = RawValue::from_string(data).map_err(matron_homeserver::Error::internal)?;
    Ok(answer(StatusCode::OK, &Dehydrated { device_id, device_data }))
}

async fn delete(homeserver: Arc<Homeserver>, session: Session, _: Raw) -> Result<Response> {
    let device_id = homeserver.devices.delete_dehydrated(&session).await?;
    Ok(answer(StatusCode::OK, &json!({ "device_id": device_id })))
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next_batch: Option<String>,
}

#[derive(Serialize)]
struct Events {
    events: Vec<Box<RawValue>>,
    next_batch: String,
}

async fn events(homeserver: Arc<Homeserver>, session: Session, raw: Raw) -> Result<Response> {
    let device_id = raw.path_args.first().cloned().unwrap_or_default();
    let body: Next = read(raw.body).await?;
    let after = match body.next_batch.map(|next| token(&homeserver, &next)).transpose()? {
        None => None,
        Some(Token::Stream { to_device, .. }) => Some(to_device),
        Some(Token::Room { .. }) => return Err(MatrixError::invalid_param("that is a token for rooms").into()),
    };
    let (events, last) = homeserver.devices.dehydrated_events(&session, &device_id, after).await?;
    let events =
        events.into_iter().map(|event| RawValue::from_string(event).map_err(matron_homeserver::Error::internal));
    let events = events.collect::<Result<_, _>>()?;
    let next_batch = Token::of_to_device(last).render(homeserver.store.epoch());
    Ok(answer(StatusCode::OK, &Events { events, next_batch }))
}
