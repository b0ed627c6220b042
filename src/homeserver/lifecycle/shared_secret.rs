//! Registration by a shared secret, for scripts and other programs: `/_synapse/admin/v1/register`.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use matron_matrix::Error as MatrixError;
use quick_cache::sync::Cache;
use sha1::Sha1;

use super::{Lifecycle, NewDevice};
use crate::accounts::{check_name, check_password};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::lifecycle::register::Registered;
use crate::meters::Held;

/// How long a nonce can be used, in milliseconds.
const LIFETIME: u64 = 60_000;
/// How many nonces are remembered: more than one address is given in their lifetime (`limit.rs` of the API), lest it drives
/// out those of others.
const REMEMBERED: usize = 10_000;

/// Numbers that are used once.
#[derive(Debug)]
pub(super) struct Nonces {
    clock: Clock,
    expires: Cache<String, u64>,
}

impl Nonces {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, expires: Cache::new(REMEMBERED) }
    }

    pub(super) fn held(&self) -> Held {
        Held::of("registration_nonces", &self.expires)
    }

    fn give(&self) -> String {
        let nonce = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        self.expires.insert(nonce.clone(), self.clock.millis().saturating_add(LIFETIME));
        nonce
    }

    /// Whether the nonce was given lately and never used. It is used by this.
    fn take(&self, nonce: &str) -> bool {
        self.expires.remove(nonce).is_some_and(|(_, expires)| expires > self.clock.millis())
    }
}

/// Who is to be registered, and the proof of knowing the secret.
#[derive(Debug, Clone)]
pub struct SharedSecretRegistration {
    /// The nonce that the proof is over.
    pub nonce: String,
    /// The name.
    pub username: String,
    /// The display name, which the proof does not cover.
    pub display_name: Option<String>,
    /// The password.
    pub password: String,
    /// Whether it may call the admin API.
    pub admin: bool,
    /// Synapse's sort of user; covered by the proof where it is given, and of no meaning here.
    pub user_type: Option<String>,
    /// HMAC-SHA1, under the secret, of nonce, name, password, `admin` or `notadmin`, and the sort of user if given, with
    /// zero bytes between.
    pub mac: Vec<u8>,
    /// The device to log in; none to make the account alone.
    pub device: Option<NewDevice>,
    /// Where the client is.
    pub address: Option<IpAddr>,
}

impl Lifecycle {
    fn shared_secret(&self) -> Result<&str> {
        let secret = self.config.registration_shared_secret.as_deref().filter(|secret| !secret.is_empty());
        Ok(secret.ok_or_else(|| MatrixError::unrecognized("registration by shared secret is off"))?)
    }

    /// A nonce for one [`Self::register_by_secret`] within a minute.
    ///
    /// # Errors
    /// `M_UNRECOGNIZED` where there is no shared secret.
    pub fn registration_nonce(&self) -> Result<String> {
        self.shared_secret()?;
        Ok(self.nonces.give())
    }

    /// Makes an account for somebody who knows the shared secret.
    ///
    /// # Errors
    /// `M_UNRECOGNIZED` where there is no shared secret; `M_UNKNOWN` for a nonce that was not given, was used, or is too
    /// old; `M_FORBIDDEN` for a wrong proof, `M_LIMIT_EXCEEDED` after many; what [`Self::register`] says of name and password.
    pub async fn register_by_secret(&self, wanted: &SharedSecretRegistration) -> Result<Registered> {
        let secret = self.shared_secret()?;
        if !self.nonces.take(&wanted.nonce) {
            return Err(MatrixError::unknown("unrecognised nonce").into());
        }
        for text in [&wanted.username, &wanted.password] {
            // Zero bytes would let one proof stand for two registrations.
            if text.contains('\0') {
                return Err(MatrixError::invalid_param("name and password have no zero bytes").into());
            }
        }
        let attempt = self.accounts.begin_attempt(wanted.address)?;
        let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).map_err(Error::internal)?;
        let role = if wanted.admin { "admin" } else { "notadmin" };
        let parts = [&wanted.nonce, &wanted.username, &wanted.password, role];
        for (n, part) in parts.into_iter().chain(wanted.user_type.as_deref()).enumerate() {
            if n > 0 {
                mac.update(b"\0");
            }
            mac.update(part.as_bytes());
        }
        if mac.verify_slice(&wanted.mac).is_err() {
            return Err(MatrixError::forbidden("HMAC incorrect").into());
        }
        attempt.right();
        check_password(&wanted.password)?;
        let display_name = wanted.display_name.as_deref();
        display_name.map(check_name).transpose()?;
        self.create(
            &wanted.username,
            Some(&wanted.password),
            (wanted.device.as_ref(), None),
            wanted.admin,
            display_name,
        )
        .await
    }
}
