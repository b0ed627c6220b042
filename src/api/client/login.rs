//! Logging in and out, and refreshing tokens: client-server API, "Login".

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use matron_homeserver::Homeserver;
use matron_homeserver::lifecycle::{LogIn, LoggedIn, NewDevice, Operation};
use matron_matrix::Error as MatrixError;
use ruma::api::client::session::{get_login_token, get_login_types, login, logout, logout_all, refresh_token};
use ruma::api::client::uiaa::{MatrixUserIdentifier, UserIdentifier};
use ruma::api::error::DeserializationError;
use ruma::api::{IncomingRequest, Metadata};
use serde::Deserialize;

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(flows);
    routes.add(log_in);
    routes.add(login_token);
    routes.add(log_out);
    routes.add(log_out_everywhere);
    routes.add(refresh);
}

async fn flows(_: Arc<Homeserver>, _: Ruma<get_login_types::v3::Request>) -> Result<get_login_types::v3::Response> {
    use get_login_types::v3::{LoginType, PasswordLoginType, TokenLoginType};
    let token = TokenLoginType { get_login_token: true };
    let flows = vec![LoginType::Password(PasswordLoginType::new()), LoginType::Token(token)];
    Ok(get_login_types::v3::Response::new(flows))
}

/// A log-in request that names its type: ruma's own type panics where there is none.
struct TypedLogin(login::v3::Request);

impl Metadata for TypedLogin {
    const METHOD: Method = login::v3::Request::METHOD;
    const RATE_LIMITED: bool = login::v3::Request::RATE_LIMITED;
    type Authentication = <login::v3::Request as Metadata>::Authentication;
    type PathBuilder = <login::v3::Request as Metadata>::PathBuilder;
    const PATH_BUILDER: Self::PathBuilder = login::v3::Request::PATH_BUILDER;
}

impl IncomingRequest for TypedLogin {
    type EndpointError = <login::v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = login::v3::Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        #[derive(Deserialize)]
        struct Typed {
            #[serde(rename = "type")]
            _type: String,
        }
        serde_json::from_slice::<Typed>(request.body())?;
        login::v3::Request::try_from_http_request_inner(request, path_args).map(Self)
    }
}

#[expect(deprecated, reason = "older clients name the user at the top level")]
async fn log_in(homeserver: Arc<Homeserver>, request: Ruma<TypedLogin>) -> Result<login::v3::Response> {
    let TypedLogin(body) = request.body;
    let device = NewDevice {
        device_id: body.device_id.map(|id| id.to_string()),
        display_name: body.initial_device_display_name,
        refresh: body.refresh_token,
        address: request.client.address,
    };
    let lifecycle = &homeserver.lifecycle;
    let logged_in = match body.login_info {
        login::v3::LoginInfo::Password(info) => {
            let identifier = match (info.identifier, info.user, info.medium, info.address) {
                (Some(identifier), ..) => identifier,
                (None, Some(user), ..) => UserIdentifier::Matrix(MatrixUserIdentifier::new(user)),
                (None, None, Some(medium), Some(address)) => UserIdentifier::third_party_id(medium.into(), address),
                _ => return Err(MatrixError::missing_param("a log-in needs an identifier").into()),
            };
            lifecycle.log_in(LogIn::Password { identifier: &identifier, password: &info.password }, &device).await?
        }
        login::v3::LoginInfo::Token(info) => lifecycle.log_in(LogIn::Token(&info.token), &device).await?,
        _ => return Err(MatrixError::unknown("this type of log-in is not known here").into()),
    };
    let LoggedIn { user_id, device_id, tokens } = logged_in;
    let mut response = login::v3::Response::new(user_id, tokens.access_token, device_id);
    response.home_server = Some(homeserver.config.server_name.clone());
    response.refresh_token = tokens.refresh_token;
    response.expires_in = tokens.expires_in.map(Duration::from_millis);
    response.well_known = homeserver
        .config
        .public_url
        .clone()
        .map(|base_url| login::v3::DiscoveryInfo::new(login::v3::HomeserverInfo::new(base_url)));
    Ok(response)
}

async fn login_token(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_login_token::v1::Request>,
) -> Result<get_login_token::v1::Response> {
    let operation = Operation { name: "login/get_token", subject: "", address: request.client.address };
    let auth = request.body.auth.as_ref();
    let (token, lifetime) = homeserver.lifecycle.login_token(&request.identity, auth, operation).await?;
    Ok(get_login_token::v1::Response::new(Duration::from_millis(lifetime), token))
}

async fn log_out(homeserver: Arc<Homeserver>, request: Ruma<logout::v3::Request>) -> Result<logout::v3::Response> {
    homeserver.lifecycle.log_out(&request.identity).await?;
    Ok(logout::v3::Response::new())
}

async fn log_out_everywhere(
    homeserver: Arc<Homeserver>,
    request: Ruma<logout_all::v3::Request>,
) -> Result<logout_all::v3::Response> {
    homeserver.lifecycle.log_out_everywhere(request.identity.user).await?;
    Ok(logout_all::v3::Response::new())
}

async fn refresh(
    homeserver: Arc<Homeserver>,
    request: Ruma<refresh_token::v3::Request>,
) -> Result<refresh_token::v3::Response> {
    let tokens = homeserver.accounts.refresh(&request.body.refresh_token).await?;
    let mut response = refresh_token::v3::Response::new(tokens.access_token);
    response.refresh_token = tokens.refresh_token;
    response.expires_in_ms = tokens.expires_in.map(Duration::from_millis);
    Ok(response)
}
