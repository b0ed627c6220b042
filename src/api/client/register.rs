//! Making accounts: client-server API, "Account registration".

use std::sync::Arc;
use std::time::Duration;

use matron_homeserver::Homeserver;
use matron_homeserver::lifecycle::{LoggedIn, NewDevice, Registration};
use matron_matrix::Error as MatrixError;
use ruma::OwnedUserId;
use ruma::api::client::account::register::RegistrationKind;
use ruma::api::client::account::{check_registration_token_validity, get_username_availability, register};

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(register_account);
    routes.add(available);
    routes.add(token_validity);
}

async fn register_account(
    homeserver: Arc<Homeserver>,
    request: Ruma<register::v3::Request>,
) -> Result<register::v3::Response> {
    let Ruma { client, body, .. } = request;
    match body.kind {
        RegistrationKind::Guest => {
            let name = body.initial_device_display_name;
            let guest = homeserver.lifecycle.register_guest(name, client.address).await?;
            return Ok(answer(guest.user_id.clone(), Some(guest)));
        }
        RegistrationKind::User => {}
        _ => return Err(MatrixError::invalid_param("this kind of account is not known").into()),
    }
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
        address: client.address,
    };
    let registered = homeserver.lifecycle.register(&wanted, body.auth.as_ref()).await?;
    Ok(answer(registered.user_id, registered.device))
}

fn answer(user_id: OwnedUserId, logged_in: Option<LoggedIn>) -> register::v3::Response {
    let mut response = register::v3::Response::new(user_id);
    if let Some(LoggedIn { device_id, tokens, .. }) = logged_in {
        response.device_id = Some(device_id);
        response.access_token = Some(tokens.access_token);
        response.refresh_token = tokens.refresh_token;
        response.expires_in = tokens.expires_in.map(Duration::from_millis);
    }
    response
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
