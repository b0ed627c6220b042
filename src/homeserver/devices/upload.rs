//! `keys/upload`: a device's identity keys, one-time keys and fallback keys.

use std::collections::{BTreeMap, HashMap};

use matron_matrix::{Error as MatrixError, canonical, signed};
use matron_storage::{Batch, Snapshot, Written};
use ruma::encryption::{DeviceKeys, OneTimeKey as AnyOneTimeKey};
use ruma::serde::Raw;
use ruma::{CanonicalJsonObject, CanonicalJsonValue, OwnedOneTimeKeyId};

use super::claim::{REMEMBERED, algorithm};
use super::directory::{object, public_part};
use super::{Devices, KeyCounts, TRIES, check_length, overtaken};
use crate::accounts::Session;
use crate::error::{Error, Result};
use crate::schema::DeviceNum;
use crate::schema::devices::{
    CLAIM_HEADS, ClaimHead, DEVICES, DeviceKeys as StoredKeys, FallbackKey, KeyQueue, ONE_TIME_KEYS, OneTimeKey,
    USER_KEYS, UserKeys,
};
use crate::streams::Subject;

/// Bytes of a device's identity keys; of one of its other keys; of a key's id.
const MOST_DEVICE_KEYS_BYTES: usize = 16 << 10;
const MOST_KEY_BYTES: usize = 4 << 10;
const MOST_ID_BYTES: usize = 255;
/// Bytes of the identity keys of all of a user's devices: one row, which each upload writes anew.
const MOST_USERS_KEYS_BYTES: usize = 4 << 20;
/// One-time keys in one request, and held for a device in one algorithm. Clients keep 50 to 100.
const MOST_UPLOADED: usize = 500;
pub(super) const MOST_HELD: u64 = 1_000;
/// Algorithms that a device has keys in.
pub(super) const MOST_ALGORITHMS: usize = 8;

/// A parsed and bounded upload.
#[derive(Default)]
pub(super) struct Upload {
    device_keys: Option<CanonicalJsonObject>,
    one_time: BTreeMap<String, Vec<OneTimeKey>>,
    fallback: Vec<OneTimeKey>,
}

impl Upload {
    /// Checks the form and the bounds of what a device uploads.
    pub(super) fn parse(
        session: &Session,
        device_keys: Option<&Raw<DeviceKeys>>,
        one_time: &BTreeMap<OwnedOneTimeKeyId, Raw<AnyOneTimeKey>>,
        fallback: &BTreeMap<OwnedOneTimeKeyId, Raw<AnyOneTimeKey>>,
    ) -> Result<Self> {
        Ok(Self {
            device_keys: device_keys.map(|keys| parse_device_keys(session, keys)).transpose()?,
            one_time: parse_one_time(one_time)?,
            fallback: parse_fallback(fallback)?,
        })
    }
}

impl Devices {
    /// Publishes keys of the session's device; answers how many one-time keys it has then.
    ///
    /// # Errors
    /// `M_BAD_JSON` or `M_INVALID_PARAM` for malformed keys, `M_INVALID_SIGNATURE` where the device keys are not signed by
    /// the device's own key, `M_UNKNOWN` where a one-time key's id stands for another key already, `M_TOO_LARGE`.
    pub async fn upload(
        &self,
        session: &Session,
        device_keys: Option<&Raw<DeviceKeys>>,
        one_time: &BTreeMap<OwnedOneTimeKeyId, Raw<AnyOneTimeKey>>,
        fallback: &BTreeMap<OwnedOneTimeKeyId, Raw<AnyOneTimeKey>>,
    ) -> Result<KeyCounts> {
        let upload = Upload::parse(session, device_keys, one_time, fallback)?;
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let mut batch = Batch::new();
            let counts = self.add_keys(&mut batch, &snapshot, session, &upload).await?;
            if batch.is_empty() {
                return Ok(counts);
            }
            // A device that is deleted meanwhile must not leave keys behind.
            let row = (session.user, session.device_id.as_str().to_owned());
            let device = snapshot.get(&DEVICES, &row).await?.filter(|device| device.num == session.device);
            let device = device.ok_or_else(|| MatrixError::not_found("the device is not there any more"))?;
            batch.expect_value(&DEVICES, &row, &device);
            if self.try_commit(batch).await? {
                return Ok(counts);
            }
        }
        Err(overtaken())
    }

    /// Adds all of an upload's keys.
    pub(super) async fn add_keys(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        session: &Session,
        upload: &Upload,
    ) -> Result<KeyCounts> {
        let counts = add_claimable(batch, snapshot, session, upload).await?;
        self.add_device_keys(batch, snapshot, session, upload).await?;
        Ok(counts)
    }

    /// Puts identity keys in place of the device's old ones. On the same keys the signatures made since stay, and nobody is
    /// told, unless there is a new one.
    async fn add_device_keys(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        session: &Session,
        upload: &Upload,
    ) -> Result<()> {
        let Some(new) = &upload.device_keys else { return Ok(()) };
        let written = batch.written(&USER_KEYS, &session.user)?;
        let row = match &written {
            Written::Value(keys) => Some(keys.clone()),
            Written::Deleted => None,
            Written::Nothing => snapshot.get(&USER_KEYS, &session.user).await?,
        };
        let mut keys = row.clone().unwrap_or_default();
        if is_cross_signing_key(&keys, session.device_id.as_str())? {
            return Err(MatrixError::forbidden("the device's id is the public key of a cross-signing key").into());
        }
        let mut signatures = signatures_that_hold(new, session, &keys)?;
        let place = keys.devices.iter().position(|device| device.device_id == session.device_id.as_str());
        let stored = place.and_then(|place| keys.devices.get(place)).map(|device| object(&device.json)).transpose()?;
        if let Some(stored) = stored.filter(|stored| signed::same(stored, new)) {
            let before = signatures_that_hold(&stored, session, &keys)?;
            if signatures.keys().all(|id| before.contains_key(id)) {
                return Ok(());
            }
            signatures.extend(before);
        }
        let mut new = new.clone();
        signed::set_signatures(&mut new, session.user_id.as_str(), signatures.into_iter().collect());
        let json = signed::to_json(&new)?;
        let others = keys.devices.iter().filter(|device| device.device_id != session.device_id.as_str());
        if others.map(|device| device.json.len()).sum::<usize>() + json.len() > MOST_USERS_KEYS_BYTES {
            let why = format!("the keys of all devices of a user may have {MOST_USERS_KEYS_BYTES} bytes");
            return Err(MatrixError::too_large(why).into());
        }
        match place.and_then(|place| keys.devices.get_mut(place)) {
            Some(stored) => stored.json = json,
            None => keys.devices.push(StoredKeys { device_id: session.device_id.to_string(), json }),
        }
        if written == Written::Nothing {
            batch.expect(&USER_KEYS, &session.user, row.as_ref());
        }
        batch.put(&USER_KEYS, &session.user, &keys);
        self.note_change(batch, snapshot, session.user).await
    }
}

/// The signatures on a device's keys that others may rely on: its own, which was checked when it came, and that of the
/// self-signing key which its user has now, where it is right.
fn signatures_that_hold(
    keys: &CanonicalJsonObject,
    session: &Session,
    of_user: &UserKeys,
) -> Result<BTreeMap<String, String>> {
    let (user, own) = (session.user_id.as_str(), own_key_id(session));
    let self_signing = of_user.self_signing.as_deref().map(object).transpose()?;
    let self_signing = self_signing.as_ref().and_then(public_part);
    let holds = |id: &str| {
        id == own
            || self_signing.as_ref().is_some_and(|public| {
                id.strip_prefix("ed25519:") == Some(public.as_str()) && signed::verify(keys, user, id, public).is_ok()
            })
    };
    Ok(signed::signatures_of(keys, user).into_iter().filter(|(id, _)| holds(id)).collect())
}

/// The id of the key that a device signs with.
fn own_key_id(session: &Session) -> String {
    format!("ed25519:{}", session.device_id)
}

/// Checks a device's identity keys: whose they are, their form, and the device's own signature, if there is one.
fn parse_device_keys(session: &Session, keys: &Raw<DeviceKeys>) -> Result<CanonicalJsonObject, MatrixError> {
    let json = keys.json().get();
    if json.len() > MOST_DEVICE_KEYS_BYTES {
        return Err(MatrixError::too_large(format!("device keys may have {MOST_DEVICE_KEYS_BYTES} bytes")));
    }
    let typed: DeviceKeys = keys.deserialize().map_err(|error| MatrixError::bad_json(error.to_string()))?;
    if typed.user_id != session.user_id || typed.device_id != session.device_id {
        return Err(MatrixError::invalid_param("the device keys are of another user or device"));
    }
    let mut object = canonical::parse_object(json.as_bytes())?;
    let (user, key_id) = (session.user_id.as_str(), own_key_id(session));
    let Some(CanonicalJsonValue::Object(public_keys)) = object.get("keys") else {
        return Err(MatrixError::bad_json("the device keys have no keys"));
    };
    let Some(public) = public_keys.get(&key_id).and_then(CanonicalJsonValue::as_str) else {
        return Err(MatrixError::invalid_param("the device's own ed25519 key is missing"));
    };
    signed::public_key(public)?;
    // Other clients refuse keys without it; a wrong one is refused here already.
    let signatures = signed::signatures_of(&object, user);
    if signatures.iter().any(|(id, _)| *id == key_id) {
        signed::verify(&object, user, &key_id, public)?;
    }
    // Which of the others hold is seen beside their user's keys.
    signed::set_signatures(&mut object, user, signatures);
    Ok(object)
}

/// Whether a device's id is the public key of one of its user's cross-signing keys: both name keys as `ed25519:…`.
pub(super) fn is_cross_signing_key(keys: &UserKeys, device_id: &str) -> Result<bool> {
    for json in [&keys.master, &keys.self_signing, &keys.user_signing].into_iter().flatten() {
        if public_part(&object(json)?).as_deref() == Some(device_id) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Checks a one-time or fallback key's form and bounds.
fn parse_key(id: &OwnedOneTimeKeyId, key: &Raw<AnyOneTimeKey>) -> Result<OneTimeKey, MatrixError> {
    check_length("a key's id", id.as_str(), MOST_ID_BYTES)?;
    let json = key.json().get();
    if json.len() > MOST_KEY_BYTES {
        return Err(MatrixError::too_large(format!("a key may have {MOST_KEY_BYTES} bytes")));
    }
    let bad = |why: &str| MatrixError::bad_json(format!("{id}: {why}"));
    canonical::check_depth(json.as_bytes())?;
    let value: CanonicalJsonValue = serde_json::from_str(json).map_err(|error| bad(&error.to_string()))?;
    let is_signed = algorithm(id.as_str()).starts_with("signed_");
    match &value {
        CanonicalJsonValue::Object(object) => {
            if object.get("key").and_then(CanonicalJsonValue::as_str).is_none() {
                return Err(bad("it has no key"));
            }
            if is_signed && !matches!(object.get("signatures"), Some(CanonicalJsonValue::Object(_))) {
                return Err(bad("it has no signatures"));
            }
        }
        CanonicalJsonValue::String(_) if !is_signed => {}
        _ => return Err(bad("it is no key object")),
    }
    let json = serde_json::to_string(&value).map_err(|error| bad(&error.to_string()))?;
    Ok(OneTimeKey { id: id.as_str().to_owned(), json })
}

fn parse_one_time(
    keys: &BTreeMap<OwnedOneTimeKeyId, Raw<AnyOneTimeKey>>,
) -> Result<BTreeMap<String, Vec<OneTimeKey>>, MatrixError> {
    if keys.len() > MOST_UPLOADED {
        return Err(MatrixError::too_large(format!("{MOST_UPLOADED} one-time keys may be uploaded at once")));
    }
    let mut parsed: BTreeMap<String, Vec<OneTimeKey>> = BTreeMap::new();
    for (id, key) in keys {
        let key = parse_key(id, key)?;
        parsed.entry(algorithm(&key.id).to_owned()).or_default().push(key);
    }
    Ok(parsed)
}

fn parse_fallback(keys: &BTreeMap<OwnedOneTimeKeyId, Raw<AnyOneTimeKey>>) -> Result<Vec<OneTimeKey>, MatrixError> {
    let mut parsed: Vec<OneTimeKey> = Vec::new();
    for (id, key) in keys {
        let key = parse_key(id, key)?;
        if parsed.iter().any(|other| algorithm(&other.id) == algorithm(&key.id)) {
            return Err(MatrixError::invalid_param("there can be one fallback key per algorithm"));
        }
        if parsed.len() == MOST_ALGORITHMS {
            return Err(MatrixError::too_large(format!("a device may have keys in {MOST_ALGORITHMS} algorithms")));
        }
        parsed.push(key);
    }
    Ok(parsed)
}

/// Adds one-time and fallback keys to what can be claimed from the device; answers the counts that it then has.
async fn add_claimable(
    batch: &mut Batch,
    snapshot: &Snapshot,
    session: &Session,
    upload: &Upload,
) -> Result<KeyCounts> {
    let device = session.device;
    let row = snapshot.get(&CLAIM_HEADS, &device).await?;
    let mut head = row.clone().unwrap_or_default();
    for (algorithm, keys) in &upload.one_time {
        let nth = queue_of(&mut head, algorithm)?;
        let Some(queue) = head.queues.get_mut(usize::from(nth)) else { continue };
        add_one_time(batch, snapshot, device, nth, queue, keys).await?;
    }
    for key in &upload.fallback {
        add_fallback(&mut head, key)?;
    }
    if row.as_ref() != Some(&head) && head != ClaimHead::default() {
        batch.expect(&CLAIM_HEADS, &device, row.as_ref());
        batch.put(&CLAIM_HEADS, &device, &head);
        // As with claims: who counted the keys just before must not take the count for that of now.
        batch.stamp();
        batch.announce(Subject::Claimable(session.user).into());
    }
    Ok(KeyCounts::of(&head))
}

/// The index of an algorithm's queue, which is made where there is none.
fn queue_of(head: &mut ClaimHead, algorithm: &str) -> Result<u8> {
    let nth = head.queues.iter().position(|queue| queue.algorithm == algorithm).unwrap_or(head.queues.len());
    if nth >= MOST_ALGORITHMS {
        let why = format!("a device may have keys in {MOST_ALGORITHMS} algorithms");
        return Err(MatrixError::too_large(why).into());
    }
    if nth == head.queues.len() {
        head.queues.push(KeyQueue { algorithm: algorithm.to_owned(), next: 0, end: 0 });
    }
    u8::try_from(nth).map_err(Error::internal)
}

async fn add_one_time(
    batch: &mut Batch,
    snapshot: &Snapshot,
    device: DeviceNum,
    nth: u8,
    queue: &mut KeyQueue,
    keys: &[OneTimeKey],
) -> Result<()> {
    // The latest keys that were handed out are among them: a client whose upload was answered too late repeats it, and
    // must not bring back what somebody has claimed meanwhile.
    let first = queue.next.saturating_sub(REMEMBERED);
    let range = ONE_TIME_KEYS.range((device, nth, first)..(device, nth, queue.end));
    let known = snapshot.scan(&ONE_TIME_KEYS, range).collect().await?;
    let known: HashMap<String, (u64, String)> =
        known.into_iter().map(|((_, _, place), key)| (key.id, (place, key.json))).collect();
    for key in keys {
        match known.get(&key.id) {
            Some((_, json)) if *json == key.json => {}
            Some((place, _)) if *place >= queue.next => {
                // Clients know this sentence of Synapse's.
                return Err(MatrixError::unknown(format!("One time key {} already exists.", key.id)).into());
            }
            _ => {
                if queue.end - queue.next >= MOST_HELD {
                    let why = format!("a device may have {MOST_HELD} one-time keys of an algorithm");
                    return Err(MatrixError::too_large(why).into());
                }
                batch.put(&ONE_TIME_KEYS, &(device, nth, queue.end), key);
                queue.end += 1;
            }
        }
    }
    Ok(())
}

/// Puts a fallback key in place of its algorithm's old one; the same one again stays as used as it is.
fn add_fallback(head: &mut ClaimHead, key: &OneTimeKey) -> Result<()> {
    let count = head.fallback.len();
    let old = head.fallback.iter_mut().find(|old| algorithm(&old.key.id) == algorithm(&key.id));
    match old {
        Some(old) if old.key == *key => {}
        Some(old) => *old = FallbackKey { key: key.clone(), used: false },
        None if count >= MOST_ALGORITHMS => {
            let why = format!("a device may have keys in {MOST_ALGORITHMS} algorithms");
            return Err(MatrixError::too_large(why).into());
        }
        None => head.fallback.push(FallbackKey { key: key.clone(), used: false }),
    }
    Ok(())
}
