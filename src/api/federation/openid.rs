//! Who showed a token to another service: server-server API, "`OpenID`". The token is all that is asked for.

use std::sync::Arc;

use axum::response::Response;
use http::{Method, StatusCode};
use matron_homeserver::Homeserver;
use matron_matrix::Error as MatrixError;
use serde::Deserialize;
use serde_json::json;

use crate::error::{self, Result};
use crate::router::{Raw, Routes};

pub fn routes(routes: &mut Routes) {
    routes.add_open(Method::GET, "/_matrix/federation/v1/openid/userinfo", user_info);
}

#[derive(Deserialize)]
struct Query {
    access_token: Option<String>,
}

async fn user_info(homeserver: Arc<Homeserver>, raw: Raw) -> Result<Response> {
    let query: Query = serde_html_form::from_str(raw.parts.uri.query().unwrap_or_default())
        .map_err(|error| MatrixError::invalid_param(error.to_string()))?;
    let token = query.access_token.ok_or_else(|| MatrixError::missing_token("an OpenID token is needed"))?;
    let user_id = homeserver.accounts.openid_user(&token).await?;
    Ok(error::json(StatusCode::OK, &json!({ "sub": user_id })))
}
