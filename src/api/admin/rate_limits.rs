//! Limits of a user's own: Synapse's admin API, `/_synapse/admin/v1/users/{user_id}/override_ratelimit`.

use std::sync::Arc;

use axum::response::Response;
use http::{Method, StatusCode};
use matron_homeserver::Homeserver;
use matron_homeserver::schema::accounts::RateLimitOverride;
use matron_matrix::Error as MatrixError;
use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value, json};

use super::administrator;
use crate::body::read_body;
use crate::error::{self, Result};
use crate::request;
use crate::router::{Raw, Routes};

const PATH: &str = "/_synapse/admin/v1/users/{user_id}/override_ratelimit";

pub fn routes(routes: &mut Routes) {
    routes.add_raw(Method::GET, PATH, get);
    routes.add_raw(Method::POST, PATH, set);
    routes.add_raw(Method::DELETE, PATH, unset);
}

/// The user that the path names.
fn named(path_args: &[String]) -> Result<OwnedUserId, MatrixError> {
    let user_id = path_args.first().map(String::as_str).unwrap_or_default();
    UserId::parse(user_id).map_err(|_| MatrixError::invalid_param("the user id is none"))
}

/// A number of the body, which may be left out.
fn number(body: &Map<String, Value>, name: &str) -> Result<u32, MatrixError> {
    let Some(value) = body.get(name) else { return Ok(0) };
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| MatrixError::invalid_param(format!("{name} is a whole number from 0 to {}", u32::MAX)))
}

fn shown(limit: Option<RateLimitOverride>) -> Response {
    let shown = limit.map_or_else(
        || json!({}),
        |limit| json!({ "messages_per_second": limit.messages_per_second, "burst_count": limit.burst_count }),
    );
    error::json(StatusCode::OK, &shown)
}

async fn get(homeserver: Arc<Homeserver>, raw: Raw) -> Result<Response> {
    let session = administrator(&homeserver, &raw.parts, &raw.client).await?;
    let user_id = named(&raw.path_args)?;
    Ok(shown(homeserver.accounts.rate_limit_override(&session, &user_id).await?))
}

async fn set(homeserver: Arc<Homeserver>, raw: Raw) -> Result<Response> {
    let session = administrator(&homeserver, &raw.parts, &raw.client).await?;
    let user_id = named(&raw.path_args)?;
    let bytes = read_body(raw.body).await?;
    // No body is an empty one: no limits at all.
    let body: Map<String, Value> = if bytes.is_empty() {
        Map::new()
    } else {
        serde_json::from_slice(&bytes).map_err(|error| request::bad_json(&error))?
    };
    let limit = RateLimitOverride {
        messages_per_second: number(&body, "messages_per_second")?,
        burst_count: number(&body, "burst_count")?,
    };
    homeserver.accounts.set_rate_limit_override(&session, &user_id, Some(limit)).await?;
    Ok(shown(Some(limit)))
}

async fn unset(homeserver: Arc<Homeserver>, raw: Raw) -> Result<Response> {
    let session = administrator(&homeserver, &raw.parts, &raw.client).await?;
    let user_id = named(&raw.path_args)?;
    homeserver.accounts.set_rate_limit_override(&session, &user_id, None).await?;
    Ok(shown(None))
}
