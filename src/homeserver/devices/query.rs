//! `keys/query`: users' devices and cross-signing keys, as the one who asks may see them, written into the answer as they
//! are kept.

use std::collections::{BTreeMap, HashMap, HashSet};

use matron_matrix::Error as MatrixError;
use matron_matrix::splice::Object;
use matron_storage::Snapshot;
use ruma::{OwnedDeviceId, OwnedUserId};
use serde_json::Value;

use super::Devices;
use super::directory::Listed;
use crate::accounts::Session;
use crate::error::{Error, Result};
use crate::schema::UserNum;
use crate::schema::devices::{FOREIGN_SIGNATURES, ForeignSignature};

/// How many users one request may ask for.
const MOST_USERS: usize = 10_000;
/// Signatures are read in one short scan where a user made fewer than this.
const FEW_SIGNATURES: usize = 32;

impl Devices {
    /// The devices (all, where none is named) and cross-signing keys of these users, as the JSON of the answer. Users and
    /// devices that do not exist are left out, other servers stand in `failures`.
    ///
    /// # Errors
    /// `M_TOO_LARGE` for too many users at once.
    pub async fn query(&self, session: &Session, wanted: BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>) -> Result<String> {
        if wanted.len() > MOST_USERS {
            return Err(MatrixError::too_large(format!("{MOST_USERS} users may be asked for at once")).into());
        }
        let snapshot = self.store.snapshot();
        let mut failures = BTreeMap::new();
        let mut asked = Vec::with_capacity(wanted.len());
        let mut users = Vec::with_capacity(wanted.len());
        for (user_id, devices) in wanted {
            if user_id.server_name() != self.config.server_name {
                self.unreachable(user_id.server_name().as_str(), &mut failures);
            } else if let Some(user) = self.ids.find_user(&user_id).await? {
                users.push(user);
                asked.push((user_id, devices));
            }
        }
        let listed = self.listed(&snapshot, &users).await?;
        let signatures = signatures_by(&snapshot, session.user, &users).await?;
        let exist = || listed.iter().zip(&users).zip(&asked).filter(|((listed, _), _)| listed.exists);
        let mut answer = String::with_capacity(256 + listed.iter().map(|listed| 2 * listed.bytes()).sum::<usize>());
        let mut whole = Object::begin(&mut answer);
        let mut all = Object::begin(whole.member("device_keys"));
        for ((listed, _), (user_id, devices)) in exist() {
            write_devices(listed, devices, all.named(user_id.as_str()));
        }
        all.end();
        write_failures(&failures, &mut whole)?;
        let mut keys = Object::begin(whole.member("master_keys"));
        for ((listed, user), (user_id, _)) in exist() {
            let Some(master) = &listed.master else { continue };
            match signatures.get(user) {
                Some(signature) if signature.master == master.public => {
                    let signer = session.user_id.as_str();
                    master.write_with_signatures(signer, &signature.signatures, keys.named(user_id.as_str()));
                }
                _ => keys.named(user_id.as_str()).push_str(&master.json),
            }
        }
        keys.end();
        let mut keys = Object::begin(whole.member("self_signing_keys"));
        for ((listed, _), (user_id, _)) in exist() {
            if let Some(key) = &listed.self_signing {
                keys.named(user_id.as_str()).push_str(key);
            }
        }
        keys.end();
        let mut keys = Object::begin(whole.member("user_signing_keys"));
        for ((listed, user), (user_id, _)) in exist() {
            if let Some(key) = listed.user_signing.as_ref().filter(|_| *user == session.user) {
                keys.named(user_id.as_str()).push_str(key);
            }
        }
        keys.end();
        whole.end();
        Ok(answer)
    }

    /// Notes that a server's users cannot be asked for.
    pub(super) fn unreachable(&self, server: &str, failures: &mut BTreeMap<String, Value>) {
        if !failures.contains_key(server) {
            let why = format!("{} does not reach other servers", self.config.server_name);
            failures.insert(server.to_owned(), serde_json::json!({ "errcode": "M_UNREACHABLE", "error": why }));
        }
    }
}

/// A user's devices with their keys: all of them where none is named.
fn write_devices(listed: &Listed, wanted: &[OwnedDeviceId], out: &mut String) {
    let mut devices = Object::begin(out);
    // Both may be many.
    let wanted: HashSet<_> = wanted.iter().collect();
    for device in listed.devices.iter().filter(|device| wanted.is_empty() || wanted.contains(&device.id)) {
        if let Some(keys) = &device.keys {
            devices.named(device.id.as_str()).push_str(keys);
        }
    }
    devices.end();
}

/// The servers that could not be asked.
pub(super) fn write_failures(failures: &BTreeMap<String, Value>, answer: &mut Object<'_>) -> Result<()> {
    answer.value("failures", failures).map_err(Error::internal)
}

/// The signatures that `signer` made on these users' master keys.
async fn signatures_by(
    snapshot: &Snapshot,
    signer: UserNum,
    users: &[UserNum],
) -> Result<HashMap<UserNum, ForeignSignature>> {
    let scan = snapshot.scan(&FOREIGN_SIGNATURES, FOREIGN_SIGNATURES.under(&(signer,)));
    let first = scan.take(FEW_SIGNATURES).await?;
    if first.len() < FEW_SIGNATURES {
        return Ok(first.into_iter().map(|((_, signed), signature)| (signed, signature)).collect());
    }
    let keys: Vec<_> = users.iter().map(|user| (signer, *user)).collect();
    let found = snapshot.get_many(&FOREIGN_SIGNATURES, &keys).await?;
    Ok(users.iter().zip(found).filter_map(|(user, signature)| Some((*user, signature?))).collect())
}
