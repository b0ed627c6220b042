//! The pages that links in letters open: small, without scripts, and nothing happens before a button is pressed, since mail
//! servers follow links too.

use std::sync::Arc;

use axum::response::Response;
use http::{Method, StatusCode};
use matron_homeserver::Homeserver;
use matron_homeserver::remote::mail::escaped;
use matron_homeserver::schema::accounts::Purpose;

use crate::body::read_form;
use crate::error::Result;
use crate::pages::page;
use crate::router::{Raw, Routes};

const VALIDATE: &str = "/_matron/email/validate";
const UNSUBSCRIBE: &str = "/_matron/email/unsubscribe";

pub fn routes(routes: &mut Routes) {
    routes.add_open(Method::GET, VALIDATE, ask_to_validate);
    routes.add_open(Method::POST, VALIDATE, validate);
    routes.add_open(Method::GET, UNSUBSCRIBE, ask_to_unsubscribe);
    routes.add_open(Method::POST, UNSUBSCRIBE, unsubscribe);
}

/// A parameter of a query or a form. Ours need no escapes.
fn parameter<'a>(text: &'a str, name: &str) -> &'a str {
    let mut pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map_or("", |(_, value)| value)
}

fn button(path: &str, fields: &[(&str, &str)], name: &str) -> String {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escaped(value)))
        .collect();
    format!("<form method=\"post\" action=\"{path}\">{}<button>{name}</button></form>\n", fields.concat())
}

fn is_over(server: &str) -> Response {
    let says = "This link works no more. Links work for an hour; you can ask for another one where you asked for this.";
    page(StatusCode::BAD_REQUEST, server, says, "")
}

async fn ask_to_validate(homeserver: Arc<Homeserver>, raw: Raw) -> Result<Response> {
    let query = raw.parts.uri.query().unwrap_or_default();
    let (id, token) = (parameter(query, "sid"), parameter(query, "token"));
    let server = homeserver.config.server_name.as_str();
    let found = homeserver.lifecycle.validation(id, token, raw.client.address).await?;
    let Some((purpose, address)) = found else { return Ok(is_over(server)) };
    let address = escaped(&address);
    let (says, name) = match purpose {
        Purpose::Add => (format!("Add {address} to your account?"), "Add it"),
        Purpose::Register => (format!("Make an account with {address}?"), "Go on"),
        Purpose::Password => (format!("Set a new password for the account with {address}?"), "Go on"),
    };
    Ok(page(StatusCode::OK, server, &says, &button(VALIDATE, &[("sid", id), ("token", token)], name)))
}

async fn validate(homeserver: Arc<Homeserver>, raw: Raw) -> Result<Response> {
    let body = read_form(raw.body).await?;
    let form = std::str::from_utf8(&body).unwrap_or_default();
    let (id, token) = (parameter(form, "sid"), parameter(form, "token"));
    let server = homeserver.config.server_name.as_str();
    if !homeserver.lifecycle.validate(id, token, raw.client.address).await? {
        return Ok(is_over(server));
    }
    Ok(page(StatusCode::OK, server, "Thank you. You can close this page and go on in your app.", ""))
}

async fn ask_to_unsubscribe(homeserver: Arc<Homeserver>, raw: Raw) -> Result<Response> {
    let token = parameter(raw.parts.uri.query().unwrap_or_default(), "token");
    let server = homeserver.config.server_name.as_str();
    let Some(address) = homeserver.push.subscription(token).await? else { return Ok(is_ended(server)) };
    let says = format!("Send no more letters about unread messages to {}?", escaped(&address));
    let path = format!("{UNSUBSCRIBE}?token={}", escaped(token));
    Ok(page(StatusCode::OK, server, &says, &button(&path, &[], "Send no more")))
}

/// Also what mail programs call for "unsubscribe" (RFC 8058).
async fn unsubscribe(homeserver: Arc<Homeserver>, raw: Raw) -> Result<Response> {
    let token = parameter(raw.parts.uri.query().unwrap_or_default(), "token");
    homeserver.push.unsubscribe(token).await?;
    Ok(is_ended(homeserver.config.server_name.as_str()))
}

fn is_ended(server: &str) -> Response {
    page(StatusCode::OK, server, "No more letters about unread messages are sent to this address.", "")
}

#[cfg(test)]
mod tests {
    use super::{button, parameter};

    #[test]
    fn parameters() {
        assert_eq!(parameter("sid=a&token=b-_", "token"), "b-_");
        assert_eq!(parameter("sid=a&token=b&token=c", "token"), "b");
        for none in ["", "&&", "token", "=token", "xtoken=a"] {
            assert_eq!(parameter(none, "token"), "", "{none}");
        }
    }

    #[test]
    fn forms_are_escaped() {
        assert!(button("/p", &[("sid", "\"><script>")], "Go").contains("value=\"&quot;&gt;&lt;script&gt;\""));
    }
}
