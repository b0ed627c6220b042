//! `keys/claim`: one-time keys, handed out once each in the order of their upload, and fallback keys after them.

use std::collections::BTreeMap;

use matron_matrix::Error as MatrixError;
use matron_matrix::splice::Object;
use matron_storage::{Batch, Snapshot};
use ruma::{OneTimeKeyAlgorithm, OwnedDeviceId, OwnedUserId, UInt};
use serde_json::Value;

use super::query::write_failures;
use super::{Devices, TRIES, overtaken};
use crate::error::{Error, Result};
use crate::schema::devices::{CLAIM_HEADS, ClaimHead, ONE_TIME_KEYS, OneTimeKey};
use crate::schema::{DeviceNum, UserNum};
use crate::streams::Subject;

/// How many of a queue's latest claimed keys stay, so that a repeated upload does not bring them back.
pub(super) const REMEMBERED: u64 = 100;
/// How many keys one request may claim; a user of whom it names no device counts as one.
const MOST_CLAIMS: usize = 5_000;

/// How many keys a device has left: what `/sync` and `keys/upload` tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// One-time keys per algorithm; `signed_curve25519` is always there.
    pub one_time: BTreeMap<OneTimeKeyAlgorithm, UInt>,
    /// Algorithms with a fallback key that was not handed out yet.
    pub unused_fallback: Vec<String>,
}

impl KeyCounts {
    pub(super) fn of(head: &ClaimHead) -> Self {
        let mut one_time = BTreeMap::from([(OneTimeKeyAlgorithm::SignedCurve25519, UInt::MIN)]);
        for queue in &head.queues {
            let count = UInt::new_saturating(queue.end.saturating_sub(queue.next));
            one_time.insert(queue.algorithm.as_str().into(), count);
        }
        let unused = head.fallback.iter().filter(|fallback| !fallback.used);
        Self { one_time, unused_fallback: unused.map(|fallback| algorithm(&fallback.key.id).to_owned()).collect() }
    }
}

/// How many keys a device has left. Reads one row.
///
/// # Errors
/// The store cannot be read.
pub async fn key_counts(snapshot: &Snapshot, device: DeviceNum) -> Result<KeyCounts> {
    let head = snapshot.get(&CLAIM_HEADS, &device).await?.unwrap_or_default();
    Ok(KeyCounts::of(&head))
}

/// The algorithm in a key's id.
pub(super) fn algorithm(key_id: &str) -> &str {
    key_id.split_once(':').map_or(key_id, |(algorithm, _)| algorithm)
}

/// A key that is asked for.
struct Claim {
    user_id: OwnedUserId,
    device_id: OwnedDeviceId,
    algorithm: OneTimeKeyAlgorithm,
    user: UserNum,
    device: DeviceNum,
}

/// Where a claimed key is.
enum Source {
    Queue(DeviceNum, u8, u64),
    Fallback(OneTimeKey),
}

impl Devices {
    /// Hands out one key for each device and algorithm asked for, as the JSON of the answer. Whoever does not exist or has
    /// none is left out.
    ///
    /// # Errors
    /// `M_TOO_LARGE` for too many keys at once.
    pub async fn claim(
        &self,
        wanted: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, OneTimeKeyAlgorithm>>,
    ) -> Result<String> {
        if wanted.values().map(|devices| devices.len().max(1)).sum::<usize>() > MOST_CLAIMS {
            return Err(MatrixError::too_large(format!("{MOST_CLAIMS} keys may be claimed at once")).into());
        }
        let mut failures = BTreeMap::new();
        let claims = self.resolve(wanted, &mut failures).await?;
        let Some(keys) = self.try_claim(&claims).await? else {
            // Somebody claims from the same device: from here on one at a time.
            let _turn = self.contended.lock().await;
            for _ in 0..TRIES {
                if let Some(keys) = self.try_claim(&claims).await? {
                    return answer(&claims, &keys, &failures);
                }
            }
            return Err(overtaken());
        };
        answer(&claims, &keys, &failures)
    }

    /// The claims whose device exists.
    async fn resolve(
        &self,
        wanted: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, OneTimeKeyAlgorithm>>,
        failures: &mut BTreeMap<String, Value>,
    ) -> Result<Vec<Claim>> {
        let snapshot = self.store.snapshot();
        let mut users = Vec::with_capacity(wanted.len());
        let mut asked = Vec::with_capacity(wanted.len());
        for (user_id, devices) in wanted {
            if user_id.server_name() != self.config.server_name {
                self.unreachable(user_id.server_name().as_str(), failures);
            } else if let Some(user) = self.ids.find_user(&user_id).await? {
                users.push(user);
                asked.push((user_id, devices));
            }
        }
        let listed = self.listed(&snapshot, &users).await?;
        let mut claims = Vec::with_capacity(asked.len());
        for ((listed, user), (user_id, devices)) in listed.iter().zip(users).zip(asked) {
            for (device_id, algorithm) in devices {
                if let Some(device) = self.device_num(&snapshot, user, listed, device_id.as_str()).await? {
                    claims.push(Claim { user_id: user_id.clone(), device_id, algorithm, user, device });
                }
            }
        }
        Ok(claims)
    }

    /// One try: the claimed keys in the order of the claims, or nothing where another claim or upload was faster.
    async fn try_claim(&self, claims: &[Claim]) -> Result<Option<Vec<Option<OneTimeKey>>>> {
        let snapshot = self.store.snapshot();
        let heads = snapshot.get_many(&CLAIM_HEADS, claims.iter().map(|claim| &claim.device)).await?;
        let mut batch = Batch::new();
        let mut sources = Vec::with_capacity(claims.len());
        for (claim, head) in claims.iter().zip(heads) {
            sources.push(head.and_then(|head| take(&mut batch, claim, &head)));
        }
        let rows: Vec<_> = sources
            .iter()
            .filter_map(|source| match source {
                Some(Source::Queue(device, queue, place)) => Some((*device, *queue, *place)),
                _ => None,
            })
            .collect();
        let mut rows = snapshot.get_many(&ONE_TIME_KEYS, &rows).await?.into_iter();
        let mut keys = Vec::with_capacity(claims.len());
        for source in sources {
            keys.push(match source {
                Some(Source::Queue(..)) => {
                    let row = rows.next().flatten();
                    Some(row.ok_or_else(|| Error::internal("a counted one-time key is not there"))?)
                }
                Some(Source::Fallback(key)) => Some(key),
                None => None,
            });
        }
        if !batch.is_empty() {
            // No row holds it, but only what has a position of its own is news to somebody who has read up to now.
            batch.stamp();
        }
        if batch.is_empty() || self.try_commit(batch).await? { Ok(Some(keys)) } else { Ok(None) }
    }
}

/// Takes a key from a device's head, or its fallback key; writes the head where it changes.
fn take(batch: &mut Batch, claim: &Claim, head: &ClaimHead) -> Option<Source> {
    let mut changed = head.clone();
    let mut queues = changed.queues.iter_mut().zip(0_u8..);
    let queue = queues.find(|(queue, _)| queue.algorithm == claim.algorithm.as_str() && queue.next < queue.end);
    let source = if let Some((queue, nth)) = queue {
        let place = queue.next;
        queue.next += 1;
        if let Some(old) = place.checked_sub(REMEMBERED) {
            batch.delete(&ONE_TIME_KEYS, &(claim.device, nth, old));
        }
        Source::Queue(claim.device, nth, place)
    } else {
        let mut fallbacks = changed.fallback.iter_mut();
        let fallback = fallbacks.find(|fallback| algorithm(&fallback.key.id) == claim.algorithm.as_str())?;
        let key = fallback.key.clone();
        if fallback.used {
            return Some(Source::Fallback(key));
        }
        fallback.used = true;
        Source::Fallback(key)
    };
    batch.expect_value(&CLAIM_HEADS, &claim.device, head);
    batch.put(&CLAIM_HEADS, &claim.device, &changed);
    batch.announce(Subject::User(claim.user).into());
    batch.announce(Subject::Claimable(claim.user).into());
    Some(source)
}

/// The answer with the keys in it. Claims of one user stand together.
fn answer(claims: &[Claim], keys: &[Option<OneTimeKey>], failures: &BTreeMap<String, Value>) -> Result<String> {
    let mut out = String::with_capacity(256 + 256 * claims.len());
    let mut whole = Object::begin(&mut out);
    write_failures(failures, &mut whole)?;
    let mut users = Object::begin(whole.member("one_time_keys"));
    let claimed: Vec<_> = claims.iter().zip(keys).filter_map(|(claim, key)| Some((claim, key.as_ref()?))).collect();
    for of_user in claimed.chunk_by(|(one, _), (other, _)| one.user == other.user) {
        let Some((first, _)) = of_user.first() else { continue };
        let mut devices = Object::begin(users.named(first.user_id.as_str()));
        for (claim, key) in of_user {
            let mut keys = Object::begin(devices.named(claim.device_id.as_str()));
            keys.named(&key.id).push_str(&key.json);
            keys.end();
        }
        devices.end();
    }
    users.end();
    whole.end();
    Ok(out)
}
