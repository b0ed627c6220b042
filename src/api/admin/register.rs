//! Registration by a shared secret: Synapse's admin API, `/_synapse/admin/v1/register`.

use std::sync::Arc;

use axum::response::Response;
use http::{Method, StatusCode};
use matron_homeserver::Homeserver;
use matron_homeserver::lifecycle::{NewDevice, SharedSecretRegistration};
use matron_matrix::Error as MatrixError;
use serde::Deserialize;
use serde_json::json;

use crate::body::read_form;
use crate::error::{self, Result};
use crate::request;
use crate::router::{Raw, Routes};

const PATH: &str = "/_synapse/admin/v1/register";

pub fn routes(routes: &mut Routes) {
    routes.add_open(Method::GET, PATH, nonce);
    routes.add_open(Method::POST, PATH, register);
}

async fn nonce(homeserver: Arc<Homeserver>, _: Raw) -> Result<Response> {
    let nonce = homeserver.lifecycle.registration_nonce()?;
    Ok(error::json(StatusCode::OK, &json!({ "nonce": nonce })))
}

#[derive(Deserialize)]
struct Body {
    nonce: String,
    username: String,
    #[serde(default)]
    displayname: Option<String>,
    password: String,
    #[serde(default)]
    admin: bool,
    #[serde(default)]
    user_type: Option<String>,
    mac: String,
    #[serde(default)]
    inhibit_login: bool,
}

async fn register(homeserver: Arc<Homeserver>, raw: Raw) -> Result<Response> {
    let bytes = read_form(raw.body).await?;
    let body: Body = serde_json::from_slice(&bytes).map_err(|error| request::bad_json(&error))?;
    let mac = hex(&body.mac).ok_or_else(|| MatrixError::invalid_param("the mac is not in hexadecimal"))?;
    let device = NewDevice { address: raw.client.address, ..NewDevice::default() };
    let wanted = SharedSecretRegistration {
        nonce: body.nonce,
        username: body.username,
        display_name: body.displayname,
        password: body.password,
        admin: body.admin,
        user_type: body.user_type,
        mac,
        device: (!body.inhibit_login).then_some(device),
        address: raw.client.address,
    };
    let registered = homeserver.lifecycle.register_by_secret(&wanted).await?;
    let server = &homeserver.config.server_name;
    let answer = match registered.device {
        Some(device) => json!({
            "user_id": registered.user_id,
            "home_server": server,
            "access_token": device.tokens.access_token,
            "device_id": device.device_id,
        }),
        None => json!({ "user_id": registered.user_id, "home_server": server }),
    };
    Ok(error::json(StatusCode::OK, &answer))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    // A SHA-1 has 20 bytes.
    if text.len() != 40 {
        return None;
    }
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    Some(digits?.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

#[cfg(test)]
mod tests {
    use super::hex;

    #[test]
    fn hexadecimal() {
        let good = hex(&"0fA9".repeat(10)).unwrap();
        assert_eq!(good.len(), 20);
        assert_eq!(good[..2], [0x0f, 0xa9]);
        for bad in ["", "0f", &"0g".repeat(20), &"ä".repeat(20), &"00".repeat(21)] {
            assert_eq!(hex(bad), None);
        }
    }
}
