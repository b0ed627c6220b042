//! Tokens that prove to other services who somebody is: client-server API, "`OpenID`".

use std::sync::Arc;
use std::time::Duration;

use matron_homeserver::Homeserver;
use ruma::api::client::account::request_openid_token::v3::{Request, Response};
use ruma::authentication::TokenType;

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(request_token);
}

async fn request_token(homeserver: Arc<Homeserver>, request: Ruma<Request>) -> Result<Response> {
    let (token, millis) = homeserver.accounts.new_openid_token(&request.identity, &request.body.user_id).await?;
    let server = homeserver.config.server_name.clone();
    Ok(Response::new(token, TokenType::Bearer, server, Duration::from_millis(millis)))
}
