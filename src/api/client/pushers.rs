//! Pushers: client-server API, "Push Notifications".

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use matron_homeserver::Homeserver;
use matron_homeserver::push::NewPusher;
use matron_homeserver::schema::push::{Pusher, PusherKind};
use matron_matrix::Error as MatrixError;
use ruma::api::Metadata;
use ruma::api::client::push::{get_pushers, set_pusher};
use ruma::api::path_builder::PathBuilder;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::error::{self, Result};
use crate::request::{Loose, Ruma};
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    // ruma knows nothing of MSC3881.
    for path in get_pushers::v3::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, pushers);
    }
    routes.add(set);
}

async fn pushers(homeserver: Arc<Homeserver>, request: Ruma<get_pushers::v3::Request>) -> Result<Response> {
    let pushers = homeserver.push.pushers(request.identity.user).await?;
    let pushers: Vec<_> = pushers.into_iter().map(shown).collect();
    Ok(error::json(StatusCode::OK, &json!({ "pushers": pushers })))
}

fn shown(pusher: Pusher) -> Value {
    let data: Option<Box<RawValue>> = RawValue::from_string(pusher.data).ok();
    let mut shown = json!({
        "app_id": pusher.app_id,
        "pushkey": pusher.pushkey,
        "kind": match pusher.kind {
            PusherKind::Http => "http",
            PusherKind::Email => "email",
        },
        "app_display_name": pusher.app_display_name,
        "device_display_name": pusher.device_display_name,
        "lang": pusher.lang,
        "data": data,
        "org.matrix.msc3881.enabled": pusher.enabled,
        "org.matrix.msc3881.device_id": pusher.device_id,
    });
    if let (Some(tag), Some(fields)) = (pusher.profile_tag, shown.as_object_mut()) {
        fields.insert("profile_tag".to_owned(), tag.into());
    }
    shown
}

/// What is needed of a pusher depends on `kind`, which must be there, be it null.
#[derive(Deserialize)]
struct Body {
    app_id: String,
    pushkey: String,
    #[serde(deserialize_with = "Option::deserialize")]
    kind: Option<String>,
    app_display_name: Option<String>,
    device_display_name: Option<String>,
    profile_tag: Option<String>,
    lang: Option<String>,
    data: Option<Map<String, Value>>,
    #[serde(default)]
    append: bool,
    #[serde(default = "yes", rename = "org.matrix.msc3881.enabled")]
    enabled: bool,
}

const fn yes() -> bool {
    true
}

async fn set(
    homeserver: Arc<Homeserver>,
    request: Ruma<Loose<set_pusher::v3::Request, Body>>,
) -> Result<set_pusher::v3::Response> {
    let (session, body) = (request.identity, request.body.body);
    match body.kind {
        None => homeserver.push.delete_pusher(session.user, &body.app_id, &body.pushkey).await?,
        Some(kind) => {
            let needed = |name: &str| MatrixError::missing_param(format!("{name} is needed"));
            let new = NewPusher {
                kind,
                app_id: body.app_id,
                pushkey: body.pushkey,
                app_display_name: body.app_display_name.ok_or_else(|| needed("app_display_name"))?,
                device_display_name: body.device_display_name.ok_or_else(|| needed("device_display_name"))?,
                profile_tag: body.profile_tag,
                lang: body.lang.ok_or_else(|| needed("lang"))?,
                data: body.data.ok_or_else(|| needed("data"))?,
                enabled: body.enabled,
                append: body.append,
            };
            homeserver.push.set_pusher(&session, new).await?;
        }
    }
    Ok(set_pusher::v3::Response::new())
}
