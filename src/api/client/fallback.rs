//! Pages for what an app cannot do itself: a stage of "User-Interactive Authentication" (client-server API, "Fallback"), and
//! the log-in ("Login Fallback").

use std::sync::Arc;

use axum::response::Response;
use http::{Method, StatusCode};
use matron_homeserver::lifecycle::Question;
use matron_homeserver::remote::mail::escaped;
use matron_homeserver::{Error, Homeserver};
use matron_matrix::Error as MatrixError;
use ruma::api::Metadata;
use ruma::api::client::uiaa::{AuthType, get_uiaa_fallback_page};
use ruma::api::path_builder::PathBuilder;
use serde::Deserialize;

use crate::body::read_form;
use crate::error::Result;
use crate::pages::{page, scripted};
use crate::router::{Raw, Routes};

/// What tells the app that a stage was passed, as the spec has it.
const DONE: &str = include_str!("fallback/done.js");
/// What logs somebody in, and tells the app.
const LOG_IN: &str = include_str!("fallback/login.js");

/// Where its script does not run, the form goes to nobody but this server, and in no address.
const LOG_IN_FORM: &str = "<form method=\"post\">\
    <label>User name<input name=\"user\" autocomplete=\"username\" autocapitalize=\"none\" required autofocus></label>\
    <label>Password<input name=\"password\" type=\"password\" autocomplete=\"current-password\" required></label>\
    <button>Log in</button></form>\n<output role=\"alert\"></output>\n";

pub fn routes(routes: &mut Routes) {
    for path in get_uiaa_fallback_page::v3::Request::PATH_BUILDER.all_paths() {
        routes.add_open(Method::GET, path, ask);
        routes.add_open(Method::POST, path, answer);
    }
    routes.add_open(Method::GET, "/_matrix/static/client/login/", log_in);
}

async fn log_in(homeserver: Arc<Homeserver>, _: Raw) -> Result<Response> {
    let server = homeserver.config.server_name.as_str();
    Ok(scripted(StatusCode::OK, server, "Log in to go on in your app.", LOG_IN_FORM, LOG_IN))
}

#[derive(Default, Deserialize)]
struct Query {
    session: String,
}

#[derive(Default, Deserialize)]
struct Form {
    #[serde(default)]
    answer: String,
}

/// The stage and the session that a page is for.
fn subject(raw: &Raw) -> (AuthType, String) {
    let stage = AuthType::from(raw.path_args.first().map_or("", String::as_str));
    let query = raw.parts.uri.query().unwrap_or_default();
    (stage, serde_html_form::from_str::<Query>(query).unwrap_or_default().session)
}

async fn ask(homeserver: Arc<Homeserver>, raw: Raw) -> Result<Response> {
    let (stage, session) = subject(&raw);
    show(&homeserver, &stage, &session, None).await
}

async fn answer(homeserver: Arc<Homeserver>, raw: Raw) -> Result<Response> {
    let (stage, session) = subject(&raw);
    let body = read_form(raw.body).await?;
    let given = serde_html_form::from_bytes::<Form>(&body).unwrap_or_default().answer;
    let wrong = match homeserver.lifecycle.answer(&session, &stage, &given, raw.client.address).await {
        Ok(()) => None,
        Err(Error::Matrix(error)) => Some(error),
        Err(error) => return Err(error.into()),
    };
    show(&homeserver, &stage, &session, wrong).await
}

/// What a stage asks now, after what was wrong if anything was.
async fn show(
    homeserver: &Homeserver,
    stage: &AuthType,
    session: &str,
    wrong: Option<MatrixError>,
) -> Result<Response> {
    let server = homeserver.config.server_name.as_str();
    let question = match homeserver.lifecycle.question(session, stage).await {
        Ok(question) => question,
        Err(Error::Matrix(error)) => {
            let says = format!("This does not go on here: {}. Begin again in your app.", escaped(&error.message));
            return Ok(page(status_of(&error), server, &says, ""));
        }
        Err(error) => return Err(error.into()),
    };
    let (status, alert) = match wrong {
        Some(error) => (status_of(&error), format!("<p role=\"alert\">{}</p>\n", escaped(&error.message))),
        None => (StatusCode::OK, String::new()),
    };
    let asked = |says: &str, field: &str| {
        let form = format!("{alert}<form method=\"post\">{field}<button>Go on</button></form>\n");
        page(status, server, says, &form)
    };
    Ok(match question {
        Question::Nothing => {
            let says = "Thank you. You can close this page and go on in your app.";
            scripted(StatusCode::OK, server, says, "", DONE)
        }
        Question::GoOn => asked("Your app wants to go on.", ""),
        Question::RegistrationToken => {
            let field = "<label>Token<input name=\"answer\" autocomplete=\"off\" required autofocus></label>";
            asked("To make an account here, you need a token.", field)
        }
        Question::Password { user_id, operation } => {
            let says = format!(
                "Your app wants to {}. If you want that, give the password of {}. If you did not ask for it just now, close \
                 this page: somebody else may be using your account.",
                deed(&operation),
                escaped(user_id.as_str())
            );
            let field = "<label>Password<input name=\"answer\" type=\"password\" autocomplete=\"current-password\" \
                         required autofocus></label>";
            asked(&says, field)
        }
        Question::Letter => {
            let says = "Open the link in the letter that was sent to you, then go on in your app.";
            page(status, server, says, &alert)
        }
    })
}

fn status_of(error: &MatrixError) -> StatusCode {
    StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST)
}

/// What an operation does, as people say it. Nobody is to give a password without knowing what for.
fn deed(operation: &str) -> &'static str {
    match operation {
        "delete device" | "delete devices" => "log out other devices of yours",
        "login/get_token" => "log in on another device",
        "account/password" => "set a new password",
        "account/deactivate" => "close your account for good",
        "account/3pid/add" => "add an e-mail address to your account",
        "keys/device_signing/upload" => "replace the keys by which others know that your devices are yours",
        _ => "change something of your account",
    }
}
