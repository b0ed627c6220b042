//! Making accounts: client-server API, "Account registration".

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use matron_homeserver::Homeserver;
use matron_homeserver::lifecycle::{LoggedIn, NewDevice, Registered, Registration};
use matron_matrix::Error as MatrixError;
use ruma::api::Metadata;
use ruma::api::client::account::register::RegistrationKind;
use ruma::api::client::account::{check_registration_token_validity, get_username_availability, register};
use ruma::api::path_builder::PathBuilder;
use ruma::{OwnedDeviceId, OwnedUserId};
use serde::Serialize;

use crate::error::{self, Result};
use crate::request::{Client, Ruma};
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    for path in register::v3::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, register_account);
    }
    routes.add(available);
    routes.add(token_validity);
}

async fn register_account(homeserver: Arc<Homeserver>, request: Ruma<register::v3::Request>) -> Result<Response> {
    let Ruma { client, body, .. } = request;
    let answer = match body.kind {
        RegistrationKind::Guest => {
            let name = body.initial_device_display_name;
            let guest = homeserver.lifecycle.register_guest(name, client.address).await?;
            Answer { user_id: guest.user_id.clone(), device: Some(guest.into()) }
        }
        RegistrationKind::User => {
            let registered = register_user(&homeserver, &client, body).await?;
            Answer { user_id: registered.user_id, device: registered.device.map(Opened::from) }
        }
        _ => return Err(MatrixError::invalid_param("this kind of account is not known").into()),
    };
    Ok(error::json(StatusCode::OK, &answer))
}

async fn register_user(homeserver: &Homeserver, client: &Client, body: register::v3::Request) -> Result<Registered> {
    if body.login_type.is_some() {
        return Err(MatrixError::forbidden("no application service is known here").into());
    }
    let device = NewDevice {
        device_id: body.device_id.map(|id| id.to_string()),
        display_name: body.initial_device_display_name,
        refresh: body.refresh_token,
        address: client.address,
    };
    let wanted = Registration {
        username: body.username,
        password: body.password,
        device: (!body.inhibit_login).then_some(device),
        guest_access_token: body.guest_access_token,
        address: client.address,
    };
    Ok(homeserver.lifecycle.register(&wanted, body.auth.as_ref()).await?)
}

/// Who was registered. ruma's type has a null for the device where none was logged in.
#[derive(Serialize)]
struct Answer {
    user_id: OwnedUserId,
    #[serde(flatten)]
    device: Option<Opened>,
}

#[derive(Serialize)]
struct Opened {
    device_id: OwnedDeviceId,
    access_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_ms: Option<u64>,
}

impl From<LoggedIn> for Opened {
    fn from(LoggedIn { device_id, tokens, .. }: LoggedIn) -> Self {
        Self {
            device_id,
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            expires_in_ms: tokens.expires_in,
        }
    }
}

async fn available(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_username_availability::v3::Request>,
) -> Result<get_username_availability::v3::Response> {
    homeserver.lifecycle.username_available(&request.body.username).await?;
    Ok(get_username_availability::v3::Response::new(true))
}

async fn token_validity(
    homeserver: Arc<Homeserver>,
    request: Ruma<check_registration_token_validity::v1::Request>,
) -> Result<check_registration_token_validity::v1::Response> {
    let valid = homeserver.lifecycle.registration_token_valid(&request.body.token, request.client.address)?;
    Ok(check_registration_token_validity::v1::Response::new(valid))
}
