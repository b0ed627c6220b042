//! A new account through `/_synapse/admin/v1/register`, the door for whoever knows the server's shared secret.

use anyhow::{Context, Result};
use hmac::{Hmac, Mac};
use matrix_sdk::ruma::{OwnedUserId, TransactionId, UserId};
use serde_json::{Value, json};
use sha1::Sha1;

use crate::world::World;

/// What a person remembers of an account.
pub struct Account {
    pub name: String,
    pub password: String,
    pub user_id: OwnedUserId,
}

/// Registers a user called `kind` plus a random tail.
pub async fn register(world: &World, kind: &str) -> Result<Account> {
    // Transaction ids are random hexadecimal digits, good for names and passwords too.
    let name = format!("{kind}-{}", TransactionId::new());
    let password = TransactionId::new().to_string();
    let door = format!("{}/_synapse/admin/v1/register", world.url);

    // The nonce keeps a recorded request from being played again.
    let asked: Value = world.http.get(&door).send().await?.error_for_status()?.json().await?;
    let nonce = asked["nonce"].as_str().context("no nonce")?;
    let mut mac = Hmac::<Sha1>::new_from_slice(world.shared_secret.as_bytes()).expect("a key of any length will do");
    mac.update([nonce, &name, &password, "notadmin"].join("\0").as_bytes());
    let mac = format!("{:x}", mac.finalize().into_bytes());
    let body = json!({ "nonce": nonce, "username": name, "password": password, "admin": false, "mac": mac });
    let made: Value = world.http.post(&door).json(&body).send().await?.error_for_status()?.json().await?;
    let user_id = UserId::parse(made["user_id"].as_str().context("no user id")?)?;
    Ok(Account { name, password, user_id })
}
