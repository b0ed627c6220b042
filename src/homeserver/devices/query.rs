//! `keys/query`: users' devices and cross-signing keys, as the one who asks may see them.

use std::collections::{BTreeMap, HashMap};

use matron_matrix::Error as MatrixError;
use matron_storage::Snapshot;
use ruma::api::client::keys::get_keys::v3::Response;
use ruma::{OwnedDeviceId, OwnedUserId};

use super::Devices;
use crate::accounts::Session;
use crate::error::Result;
use crate::schema::UserNum;
use crate::schema::devices::{FOREIGN_SIGNATURES, ForeignSignature};

/// How many users one request may ask for.
const MOST_USERS: usize = 10_000;
/// Signatures are read in one short scan where a user made fewer than this.
const FEW_SIGNATURES: usize = 32;

impl Devices {
    /// The devices (all, where none is named) and cross-signing keys of these users. Users and devices that do not exist
    /// are left out, other servers stand in `failures`.
    ///
    /// # Errors
    /// `M_TOO_LARGE` for too many users at once.
    pub async fn query(
        &self,
        session: &Session,
        wanted: BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>,
    ) -> Result<Response> {
        if wanted.len() > MOST_USERS {
            return Err(MatrixError::too_large(format!("{MOST_USERS} users may be asked for at once")).into());
        }
        let snapshot = self.store.snapshot();
        let mut answer = Response::new();
        let mut asked = Vec::with_capacity(wanted.len());
        let mut users = Vec::with_capacity(wanted.len());
        for (user_id, devices) in wanted {
            if user_id.server_name() != self.config.server_name {
                self.unreachable(user_id.server_name().as_str(), &mut answer.failures);
            } else if let Some(user) = self.ids.find_user(&user_id).await? {
                users.push(user);
                asked.push((user_id, devices));
            }
        }
        let listed = self.listed(&snapshot, &users).await?;
        let signatures = signatures_by(&snapshot, session.user, &users).await?;
        for ((listed, user), (user_id, devices)) in listed.iter().zip(users).zip(asked) {
            if !listed.exists {
                continue;
            }
            let shown = listed.devices.iter().filter(|device| devices.is_empty() || devices.contains(&device.id));
            let keys = shown.filter_map(|device| Some((device.id.clone(), device.keys.clone()?)));
            answer.device_keys.insert(user_id.clone(), keys.collect());
            if let Some(master) = &listed.master {
                let key = match signatures.get(&user) {
                    Some(signature) if signature.master == master.public => {
                        master.with_signatures(session.user_id.as_str(), &signature.signatures)?
                    }
                    _ => master.key.clone(),
                };
                answer.master_keys.insert(user_id.clone(), key);
            }
            if let Some(key) = &listed.self_signing {
                answer.self_signing_keys.insert(user_id.clone(), key.clone());
            }
            if let Some(key) = &listed.user_signing
                && user == session.user
            {
                answer.user_signing_keys.insert(user_id, key.clone());
            }
        }
        Ok(answer)
    }

    /// Notes that a server's users cannot be asked for.
    pub(super) fn unreachable(&self, server: &str, failures: &mut BTreeMap<String, serde_json::Value>) {
        if !failures.contains_key(server) {
            let why = format!("{} does not reach other servers", self.config.server_name);
            failures.insert(server.to_owned(), serde_json::json!({ "errcode": "M_UNREACHABLE", "error": why }));
        }
    }
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
