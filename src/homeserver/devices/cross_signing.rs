//! `keys/device_signing/upload`: a user's master, self-signing and user-signing keys.
//!
//! Client-server API, "Cross-signing".

use matron_matrix::{Error as MatrixError, Result as MatrixResult, canonical, signed};
use matron_storage::{Batch, Snapshot};
use ruma::encryption::{CrossSigningKey as AnyCrossSigningKey, KeyUsage};
use ruma::serde::Raw;
use ruma::{CanonicalJsonObject, CanonicalJsonValue, UserId};

use super::directory::{object, public_part};
use super::upload::is_cross_signing_key;
use super::{Devices, TRIES, overtaken};
use crate::accounts::Session;
use crate::error::Result;
use crate::schema::UserNum;
use crate::schema::devices::{DEVICES, USER_KEYS, UserKeys};

/// Bytes of a cross-signing key.
const MOST_BYTES: usize = 16 << 10;

/// A cross-signing key of the right form.
#[derive(Debug)]
struct CrossSigningKey {
    public: String,
    object: CanonicalJsonObject,
}

/// Cross-signing keys that somebody wants to publish, of the right form.
#[derive(Debug)]
pub struct CrossSigningKeys {
    master: Option<CrossSigningKey>,
    self_signing: Option<CrossSigningKey>,
    user_signing: Option<CrossSigningKey>,
}

/// What came of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Published {
    /// The keys stand.
    Done,
    /// They would replace others: the user must prove who they are first.
    NeedsAuthorization,
}

impl CrossSigningKeys {
    /// Checks the form of keys: whose they are, their usage, one ed25519 key each.
    ///
    /// # Errors
    /// `M_BAD_JSON`, `M_INVALID_PARAM` or `M_TOO_LARGE`.
    pub fn parse(
        user_id: &UserId,
        master: Option<&Raw<AnyCrossSigningKey>>,
        self_signing: Option<&Raw<AnyCrossSigningKey>>,
        user_signing: Option<&Raw<AnyCrossSigningKey>>,
    ) -> MatrixResult<Self> {
        let parse = |key: Option<&Raw<_>>, usage| key.map(|key| parse(user_id, key, usage)).transpose();
        Ok(Self {
            master: parse(master, &KeyUsage::Master)?,
            self_signing: parse(self_signing, &KeyUsage::SelfSigning)?,
            user_signing: parse(user_signing, &KeyUsage::UserSigning)?,
        })
    }

    fn all(&self) -> impl Iterator<Item = &CrossSigningKey> {
        [&self.master, &self.self_signing, &self.user_signing].into_iter().flatten()
    }

    /// Whether every key here is the one that stands already.
    fn are_all_in(&self, keys: &UserKeys) -> Result<bool> {
        let pairs = [
            (&self.master, &keys.master),
            (&self.self_signing, &keys.self_signing),
            (&self.user_signing, &keys.user_signing),
        ];
        for (new, stored) in pairs {
            let Some(new) = new else { continue };
            let Some(stored) = stored else { return Ok(false) };
            if !signed::same(&new.object, &object(stored)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn parse(user_id: &UserId, key: &Raw<AnyCrossSigningKey>, usage: &KeyUsage) -> MatrixResult<CrossSigningKey> {
    let json = key.json().get();
    if json.len() > MOST_BYTES {
        return Err(MatrixError::too_large(format!("a cross-signing key may have {MOST_BYTES} bytes")));
    }
    let typed: AnyCrossSigningKey = key.deserialize().map_err(|error| MatrixError::bad_json(error.to_string()))?;
    if typed.user_id != user_id {
        return Err(MatrixError::invalid_param("the cross-signing key is of another user"));
    }
    if typed.usage.as_slice() != std::slice::from_ref(usage) {
        return Err(MatrixError::invalid_param(format!("the key's usage is not {}", usage.as_str())));
    }
    let mut keys = typed.keys.iter();
    let (Some((id, public)), None) = (keys.next(), keys.next()) else {
        return Err(MatrixError::invalid_param("a cross-signing key holds exactly one public key"));
    };
    signed::public_key(public)?;
    if id.as_str() != format!("ed25519:{public}") {
        return Err(MatrixError::invalid_param("the key's id is not ed25519 and the public key itself"));
    }
    Ok(CrossSigningKey { public: public.clone(), object: canonical::parse_object(json.as_bytes())? })
}

impl Devices {
    /// Publishes cross-signing keys. The first ones, and the same ones again, need no more than an access token; others
    /// stand only where `authorized` says that the user proved anew who they are.
    ///
    /// # Errors
    /// `M_MISSING_PARAM` without any master key, `M_INVALID_SIGNATURE` where a key is not signed by the master key,
    /// `M_FORBIDDEN` where a public key is the id of one of the user's devices.
    pub async fn publish(&self, session: &Session, keys: &CrossSigningKeys, authorized: bool) -> Result<Published> {
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let row = snapshot.get(&USER_KEYS, &session.user).await?;
            let mut stored = row.clone().unwrap_or_default();
            if stored.master.is_some() {
                if keys.are_all_in(&stored)? {
                    return Ok(Published::Done);
                }
                if !authorized {
                    return Ok(Published::NeedsAuthorization);
                }
            }
            check_ids(&snapshot, session, keys).await?;
            replace(session, keys, &mut stored)?;
            let mut batch = Batch::new();
            batch.expect(&USER_KEYS, &session.user, row.as_ref());
            batch.put(&USER_KEYS, &session.user, &stored);
            self.note_change(&mut batch, &snapshot, session.user).await?;
            if self.try_commit(batch).await? {
                return Ok(Published::Done);
            }
        }
        Err(overtaken())
    }

    /// Refuses a new device whose id is one of its user's public keys. `batch` makes the device, and conflicts where keys are
    /// published at the same time.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where it is.
    pub(crate) async fn check_new_id(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        user: UserNum,
        device_id: &str,
    ) -> Result<()> {
        let keys = snapshot.get(&USER_KEYS, &user).await?;
        batch.expect(&USER_KEYS, &user, keys.as_ref());
        if is_cross_signing_key(&keys.unwrap_or_default(), device_id)? {
            return Err(MatrixError::forbidden("the device's id is the public key of a cross-signing key").into());
        }
        Ok(())
    }
}

/// A public key must not be a device's id: both name keys as `ed25519:…`.
async fn check_ids(snapshot: &Snapshot, session: &Session, keys: &CrossSigningKeys) -> Result<()> {
    let ids: Vec<_> = keys.all().map(|key| (session.user, key.public.clone())).collect();
    if snapshot.get_many(&DEVICES, &ids).await?.iter().any(Option::is_some) {
        return Err(MatrixError::forbidden("a public key is the id of one of the user's devices").into());
    }
    Ok(())
}

/// Puts the new keys in place of the stored ones, with those signatures that were checked.
fn replace(session: &Session, keys: &CrossSigningKeys, stored: &mut UserKeys) -> Result<()> {
    let user = session.user_id.as_str();
    let old_master = stored.master.as_deref().map(object).transpose()?;
    let old_public = old_master.as_ref().and_then(public_part);
    let public = keys.master.as_ref().map(|key| key.public.clone()).or_else(|| old_public.clone());
    let public =
        public.ok_or_else(|| MatrixError::missing_param("there is no master key yet, and none comes along"))?;
    let key_id = format!("ed25519:{public}");

    if let Some(new) = &keys.master {
        let mut signatures = if old_public.as_ref() == Some(&public) {
            old_master.map_or_else(Vec::new, |old| signed::signatures_of(&old, user))
        } else {
            // What the old master key signed is nobody's any more.
            stored.self_signing = None;
            stored.user_signing = None;
            Vec::new()
        };
        for added in device_signatures(&new.object, user, stored)? {
            signatures.retain(|(id, _)| *id != added.0);
            signatures.push(added);
        }
        let mut object = new.object.clone();
        signed::set_signatures(&mut object, user, signatures);
        stored.master = Some(signed::to_json(&object)?);
    }
    for (new, stored) in
        [(&keys.self_signing, &mut stored.self_signing), (&keys.user_signing, &mut stored.user_signing)]
    {
        let Some(new) = new else { continue };
        signed::verify(&new.object, user, &key_id, &public)?;
        let mut object = new.object.clone();
        let by_master =
            signed::signature(&object, user, &key_id).map(|signature| (key_id.clone(), signature.to_owned()));
        signed::set_signatures(&mut object, user, by_master.into_iter().collect());
        *stored = Some(signed::to_json(&object)?);
    }
    Ok(())
}

/// The signatures on a master key that the user's own devices made; wrong ones and others' are left out.
pub(super) fn device_signatures(
    master: &CanonicalJsonObject,
    user: &str,
    stored: &UserKeys,
) -> Result<Vec<(String, String)>> {
    let mut checked = Vec::new();
    for (key_id, signature) in signed::signatures_of(master, user) {
        let device_id = key_id.strip_prefix("ed25519:").unwrap_or_default();
        let Some(device) = stored.devices.iter().find(|device| device.device_id == device_id) else { continue };
        let device = object(&device.json)?;
        let Some(CanonicalJsonValue::Object(keys)) = device.get("keys") else { continue };
        let public = keys.get(&key_id).and_then(CanonicalJsonValue::as_str).unwrap_or_default();
        if signed::verify(master, user, &key_id, public).is_ok() {
            checked.push((key_id, signature));
        }
    }
    Ok(checked)
}
