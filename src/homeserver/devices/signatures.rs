//! `keys/signatures/upload`: signatures on own devices, the own master key, and others' master keys.
//!
//! Client-server API, "Cross-signing". Every signature is checked; what fails is told key by key.

use std::collections::BTreeMap;

use matron_matrix::{Error as MatrixError, Result as MatrixResult, canonical, signed};
use matron_storage::{Batch, Snapshot};
use ruma::api::client::keys::upload_signatures::v3::SignedKeys;
use ruma::{CanonicalJsonObject, OwnedUserId};
use serde_json::value::RawValue;

use super::cross_signing::device_signatures;
use super::directory::{object, public_part};
use super::{Devices, TRIES, overtaken};
use crate::accounts::Session;
use crate::error::{Error, Result};
use crate::schema::UserNum;
use crate::schema::devices::{FOREIGN_SIGNATURES, ForeignSignature, SIGNATURE_CHANGES, USER_KEYS, UserKeys};
use crate::streams::Subject;

/// Signed objects in one request; each costs a signature check or some.
const MOST_OBJECTS: usize = 500;
/// Bytes of a signed object.
const MOST_BYTES: usize = 32 << 10;

/// What failed: user, key id, why.
pub type Failures = BTreeMap<OwnedUserId, BTreeMap<String, MatrixError>>;

impl Devices {
    /// Adds signatures to keys; answers those that could not be added.
    ///
    /// # Errors
    /// `M_TOO_LARGE` for too many objects.
    pub async fn sign(&self, session: &Session, signed_keys: &BTreeMap<OwnedUserId, SignedKeys>) -> Result<Failures> {
        if signed_keys.values().map(|keys| keys.iter().count()).sum::<usize>() > MOST_OBJECTS {
            return Err(MatrixError::too_large(format!("{MOST_OBJECTS} objects may be signed at once")).into());
        }
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let mut batch = Batch::new();
            let mut failures = Failures::new();
            let row = snapshot.get(&USER_KEYS, &session.user).await?;
            let mut own = row.clone().unwrap_or_default();
            for (user_id, keys) in signed_keys {
                for (key_id, json) in keys {
                    let outcome = if *user_id == session.user_id {
                        sign_own(session, &mut own, key_id, json)
                    } else {
                        self.sign_other(&mut batch, &snapshot, session, &own, user_id, (key_id, json)).await
                    };
                    match outcome {
                        Ok(()) => {}
                        Err(Error::Matrix(error)) => {
                            failures.entry(user_id.clone()).or_default().insert(key_id.to_owned(), error);
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            if row.as_ref() != Some(&own) && own != UserKeys::default() {
                batch.put(&USER_KEYS, &session.user, &own);
                self.note_change(&mut batch, &snapshot, session.user).await?;
            }
            if batch.is_empty() {
                return Ok(failures);
            }
            // The keys that the signatures were checked by must still be the user's.
            batch.expect(&USER_KEYS, &session.user, row.as_ref());
            if self.try_commit(batch).await? {
                return Ok(failures);
            }
        }
        Err(overtaken())
    }

    /// A signature by the user-signing key on another user's master key: seen by the signer alone.
    async fn sign_other(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        session: &Session,
        own: &UserKeys,
        user_id: &OwnedUserId,
        (key_id, json): (&str, &RawValue),
    ) -> Result<()> {
        let new = parse(json)?;
        let unknown = || MatrixError::not_found(format!("{user_id} has no master key {key_id}"));
        let user = self.ids.find_user(user_id).await?.ok_or_else(unknown)?;
        let theirs = snapshot.get(&USER_KEYS, &user).await?.and_then(|keys| keys.master).ok_or_else(unknown)?;
        let theirs = object(&theirs)?;
        if public_part(&theirs).as_deref() != Some(key_id) {
            return Err(unknown().into());
        }
        check_same(&theirs, &new)?;
        let (signing_id, signature) = signature_by(session, own.user_signing.as_deref(), "user-signing", &new)?;
        put_foreign(batch, snapshot, (session.user, user), key_id, &signing_id, &signature).await
    }
}

/// Writes a signature on another's master key, unless it stands there already.
async fn put_foreign(
    batch: &mut Batch,
    snapshot: &Snapshot,
    key: (UserNum, UserNum),
    master: &str,
    signing_id: &str,
    signature: &str,
) -> Result<()> {
    let signatures = serde_json::to_string(&BTreeMap::from([(signing_id, signature)])).map_err(Error::internal)?;
    let old = snapshot.get(&FOREIGN_SIGNATURES, &key).await?;
    if old.as_ref().is_some_and(|old| old.master == master && old.signatures == signatures) {
        return Ok(());
    }
    batch.expect(&FOREIGN_SIGNATURES, &key, old.as_ref());
    if let Some(old) = old {
        batch.delete(&SIGNATURE_CHANGES, &(key.0, old.position));
    }
    let position = batch.stamp();
    batch.put(&FOREIGN_SIGNATURES, &key, &ForeignSignature { master: master.to_owned(), signatures, position });
    batch.put(&SIGNATURE_CHANGES, &(key.0, position), &key.1);
    batch.announce(Subject::User(key.0).into());
    Ok(())
}

/// A signature on an own device by the self-signing key, or on the own master key by an own device.
fn sign_own(session: &Session, own: &mut UserKeys, key_id: &str, json: &RawValue) -> Result<()> {
    let new = parse(json)?;
    let user = session.user_id.as_str();
    if let Some(at) = own.devices.iter().position(|device| device.device_id == key_id) {
        let (signing_id, signature) = signature_by(session, own.self_signing.as_deref(), "self-signing", &new)?;
        let Some(device) = own.devices.get_mut(at) else { return Ok(()) };
        let mut stored = object(&device.json)?;
        check_same(&stored, &new)?;
        // Its own signature and the self-signing key's: those of older self-signing keys go.
        let own_id = format!("ed25519:{key_id}");
        let mut signatures = signed::signatures_of(&stored, user);
        signatures.retain(|(id, _)| *id == own_id);
        signatures.push((signing_id, signature));
        signed::set_signatures(&mut stored, user, signatures);
        device.json = signed::to_json(&stored)?;
        return Ok(());
    }
    let unknown = || MatrixError::not_found(format!("there is no device and no master key {key_id}"));
    let mut master = object(own.master.as_deref().ok_or_else(unknown)?)?;
    if public_part(&master).as_deref() != Some(key_id) {
        return Err(unknown().into());
    }
    check_same(&master, &new)?;
    let added = device_signatures(&new, user, own)?;
    if added.is_empty() {
        return Err(MatrixError::invalid_signature("none of the user's devices signed the master key").into());
    }
    let mut signatures = signed::signatures_of(&master, user);
    signatures.retain(|(id, _)| added.iter().all(|(other, _)| other != id));
    signatures.extend(added);
    signed::set_signatures(&mut master, user, signatures);
    own.master = Some(signed::to_json(&master)?);
    Ok(())
}

fn parse(json: &RawValue) -> MatrixResult<CanonicalJsonObject> {
    if json.get().len() > MOST_BYTES {
        return Err(MatrixError::too_large(format!("a signed object may have {MOST_BYTES} bytes")));
    }
    canonical::parse_object(json.get().as_bytes())
}

/// What is signed must be what stands here.
fn check_same(stored: &CanonicalJsonObject, new: &CanonicalJsonObject) -> MatrixResult<()> {
    if signed::same(stored, new) {
        Ok(())
    } else {
        Err(MatrixError::invalid_signature("the signed object is not the published key"))
    }
}

/// The checked signature by one of the session user's cross-signing keys.
fn signature_by(
    session: &Session,
    key: Option<&str>,
    name: &str,
    new: &CanonicalJsonObject,
) -> Result<(String, String)> {
    let missing = || MatrixError::invalid_signature(format!("there is no {name} key"));
    let public = public_part(&object(key.ok_or_else(missing)?)?).ok_or_else(missing)?;
    let (user, id) = (session.user_id.as_str(), format!("ed25519:{public}"));
    signed::verify(new, user, &id, &public)?;
    let signature = signed::signature(new, user, &id).unwrap_or_default().to_owned();
    Ok((id, signature))
}
