//! Third-party ids: e-mail addresses of an account's. Client-server API, "Adding Account Administrative Contact Information".

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use matron_homeserver::lifecycle::{LetterRequest, Operation};
use matron_homeserver::schema::accounts::Purpose;
use matron_homeserver::{Error, Homeserver};
use matron_matrix::Error as MatrixError;
use ruma::api::Metadata;
use ruma::api::client::account::{
    ThirdPartyIdRemovalStatus, add_3pid, bind_3pid, delete_3pid, get_3pids, request_3pid_management_token_via_email,
    request_3pid_management_token_via_msisdn, request_password_change_token_via_email,
    request_password_change_token_via_msisdn, request_registration_token_via_email,
    request_registration_token_via_msisdn, unbind_3pid,
};
use ruma::api::path_builder::PathBuilder;
use ruma::thirdparty::Medium;
use ruma::{OwnedClientSecret, OwnedSessionId, SessionId, UInt};
use serde::Deserialize;
use serde_json::json;

use crate::error::{self, Result};
use crate::request::{Client, Loose, Ruma};
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    // ruma leaves an empty list out, which the spec requires.
    for path in get_3pids::v3::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, list);
    }
    routes.add(add);
    routes.add(delete);
    routes.add(bind);
    routes.add(unbind);
    routes.add(letter_to_add);
    routes.add(letter_to_register);
    routes.add(letter_to_change_password);
    routes.add(text_to_add);
    routes.add(text_to_register);
    routes.add(text_to_change_password);
}

async fn list(homeserver: Arc<Homeserver>, request: Ruma<get_3pids::v3::Request>) -> Result<Response> {
    let emails = homeserver.accounts.emails(request.identity.user).await?;
    let shown: Vec<_> = emails
        .into_iter()
        .map(|(address, email)| {
            json!({
                "medium": "email",
                "address": address,
                "validated_at": email.validated,
                "added_at": email.added,
            })
        })
        .collect();
    Ok(error::json(StatusCode::OK, &json!({ "threepids": shown })))
}

async fn add(homeserver: Arc<Homeserver>, request: Ruma<add_3pid::v3::Request>) -> Result<add_3pid::v3::Response> {
    let body = request.body;
    let operation = Operation { name: "account/3pid/add", subject: body.sid.as_str(), address: request.client.address };
    let letter = (body.sid.as_str(), body.client_secret.as_str());
    homeserver.lifecycle.add_email(&request.identity, body.auth.as_ref(), operation, letter).await?;
    Ok(add_3pid::v3::Response::new())
}

async fn delete(
    homeserver: Arc<Homeserver>,
    request: Ruma<delete_3pid::v3::Request>,
) -> Result<delete_3pid::v3::Response> {
    if request.body.medium == Medium::Email {
        homeserver.lifecycle.delete_email(&request.identity, &request.body.address).await?;
    }
    Ok(delete_3pid::v3::Response::new(ThirdPartyIdRemovalStatus::NoSupport))
}

/// No identity server is known here, and none is called because somebody names it.
async fn bind(_: Arc<Homeserver>, _: Ruma<bind_3pid::v3::Request>) -> Result<bind_3pid::v3::Response> {
    Err(MatrixError::server_not_trusted("this server speaks to no identity server").into())
}

async fn unbind(_: Arc<Homeserver>, _: Ruma<unbind_3pid::v3::Request>) -> Result<unbind_3pid::v3::Response> {
    Ok(unbind_3pid::v3::Response::new(ThirdPartyIdRemovalStatus::NoSupport))
}

/// What all requests for letters have. `id_server` is long deprecated; the link to go on by is not followed: whoever asks
/// for a letter must not choose where it leads.
#[derive(Deserialize)]
struct LetterBody {
    client_secret: OwnedClientSecret,
    email: String,
    send_attempt: UInt,
}

async fn letter(
    homeserver: &Homeserver,
    purpose: Purpose,
    client: &Client,
    body: LetterBody,
) -> Result<OwnedSessionId> {
    let request = LetterRequest {
        purpose,
        email: body.email,
        client_secret: body.client_secret.to_string(),
        send_attempt: body.send_attempt.into(),
        address: client.address,
    };
    let id = homeserver.lifecycle.request_letter(request).await?;
    Ok(SessionId::parse(id).map_err(Error::internal)?)
}

async fn letter_to_add(
    homeserver: Arc<Homeserver>,
    request: Ruma<Loose<request_3pid_management_token_via_email::v3::Request, LetterBody>>,
) -> Result<request_3pid_management_token_via_email::v3::Response> {
    let id = letter(&homeserver, Purpose::Add, &request.client, request.body.body).await?;
    Ok(request_3pid_management_token_via_email::v3::Response::new(id))
}

async fn letter_to_register(
    homeserver: Arc<Homeserver>,
    request: Ruma<Loose<request_registration_token_via_email::v3::Request, LetterBody>>,
) -> Result<request_registration_token_via_email::v3::Response> {
    homeserver.lifecycle.registration_is_open()?;
    let id = letter(&homeserver, Purpose::Register, &request.client, request.body.body).await?;
    Ok(request_registration_token_via_email::v3::Response::new(id))
}

async fn letter_to_change_password(
    homeserver: Arc<Homeserver>,
    request: Ruma<Loose<request_password_change_token_via_email::v3::Request, LetterBody>>,
) -> Result<request_password_change_token_via_email::v3::Response> {
    let id = letter(&homeserver, Purpose::Password, &request.client, request.body.body).await?;
    Ok(request_password_change_token_via_email::v3::Response::new(id))
}

fn no_phones<T>() -> Result<T> {
    Err(MatrixError::threepid_medium_not_supported("phone numbers are not known here").into())
}

async fn text_to_add(
    _: Arc<Homeserver>,
    _: Ruma<request_3pid_management_token_via_msisdn::v3::Request>,
) -> Result<request_3pid_management_token_via_msisdn::v3::Response> {
    no_phones()
}

async fn text_to_register(
    _: Arc<Homeserver>,
    _: Ruma<request_registration_token_via_msisdn::v3::Request>,
) -> Result<request_registration_token_via_msisdn::v3::Response> {
    no_phones()
}

async fn text_to_change_password(
    _: Arc<Homeserver>,
    _: Ruma<request_password_change_token_via_msisdn::v3::Request>,
) -> Result<request_password_change_token_via_msisdn::v3::Response> {
    no_phones()
}
