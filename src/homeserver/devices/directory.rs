//! What is known of users' devices and public keys, in memory in the form in which it is handed out.
//!
//! An entry is made from one row of keys and one short scan of device rows, and holds until the user's device list
//! changes: a query of known users reads nothing from the store and parses no JSON.

use std::collections::HashMap;
use std::sync::Arc;

use matron_matrix::splice::push_text;
use matron_storage::{Position, Snapshot};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use ruma::{CanonicalJsonObject, OwnedDeviceId};

use super::Devices;
use crate::error::{Error, Result};
use crate::meters::Held;
use crate::schema::accounts::ACCOUNTS;
use crate::schema::devices::{DEVICES, USER_KEYS, UserKeys};
use crate::schema::{DeviceNum, UserNum};

/// Bytes that the cache may hold, about.
const CACHE_BYTES: u64 = 32 << 20;

/// A device, with its keys as others see them.
#[derive(Debug)]
pub(super) struct ListedDevice {
    pub id: OwnedDeviceId,
    pub num: DeviceNum,
    pub keys: Option<String>,
}

/// A master key, whole, and cut open where another user's signature goes in.
#[derive(Debug)]
pub(super) struct Master {
    pub json: String,
    pub public: String,
    open: String,
    close: String,
}

/// What is known of a user: keys as JSON.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Whether there is an account.
    pub exists: bool,
    /// In the order of their ids.
    pub devices: Vec<ListedDevice>,
    pub master: Option<Master>,
    pub self_signing: Option<String>,
    pub user_signing: Option<String>,
    as_of: Position,
    weight: u64,
}

impl Listed {
    /// Bytes in memory, about.
    pub fn bytes(&self) -> usize {
        usize::try_from(self.weight).unwrap_or_default()
    }

    /// A device by its id.
    pub fn device(&self, id: &str) -> Option<&ListedDevice> {
        let at = self.devices.binary_search_by(|device| device.id.as_str().cmp(id)).ok()?;
        self.devices.get(at)
    }
}

impl Master {
    /// Appends the key with `signer`'s own signatures (a JSON object) on it.
    pub fn write_with_signatures(&self, signer: &str, signatures: &str, out: &mut String) {
        out.push_str(&self.open);
        if !self.open.ends_with('{') {
            out.push(',');
        }
        push_text(out, signer);
        out.push(':');
        out.push_str(signatures);
        out.push_str(&self.close);
    }

    fn new(json: &str) -> Result<Self> {
        let mut rest = object(json)?;
        let public = public_part(&rest).unwrap_or_default();
        let signatures = rest.remove("signatures");
        let signatures = signatures.map_or_else(|| Ok("{}".to_owned()), |all| serde_json::to_string(&all));
        let signatures = signatures.map_err(Error::internal)?;
        let rest = matron_matrix::signed::to_json(&rest)?;
        let open = format!("{{\"signatures\":{}", signatures.strip_suffix('}').unwrap_or("{"));
        let close = format!("}},{}", rest.strip_prefix('{').unwrap_or("}"));
        Ok(Self { json: json.to_owned(), public, open, close })
    }
}

#[derive(Debug, Clone)]
struct Weigh;

impl Weighter<UserNum, Arc<Listed>> for Weigh {
    fn weight(&self, _: &UserNum, listed: &Arc<Listed>) -> u64 {
        listed.weight
    }
}

/// The cache.
#[derive(Debug)]
pub(super) struct Directory(Cache<UserNum, Arc<Listed>, Weigh>);

impl Default for Directory {
    fn default() -> Self {
        Self(Cache::with_weighter(10_000, CACHE_BYTES, Weigh))
    }
}

impl Directory {
    pub(super) fn held(&self) -> Held {
        Held::of("device_lists", &self.0)
    }
}

impl Devices {
    /// What is known of these users, in their order.
    pub(super) async fn listed(&self, snapshot: &Snapshot, users: &[UserNum]) -> Result<Vec<Arc<Listed>>> {
        let cached = |user: &UserNum| {
            let listed = self.directory.0.get(user)?;
            (listed.as_of >= self.streams.device_list_changed_at(*user)).then_some(listed)
        };
        let mut found: Vec<Option<Arc<Listed>>> = users.iter().map(cached).collect();
        let missing: Vec<UserNum> =
            users.iter().zip(&found).filter(|(_, listed)| listed.is_none()).map(|(user, _)| *user).collect();
        if !missing.is_empty() {
            let keys = snapshot.get_many(&USER_KEYS, &missing).await?;
            let accounts = snapshot.get_many(&ACCOUNTS, &missing).await?;
            let mut read = HashMap::with_capacity(missing.len());
            for ((user, keys), account) in missing.into_iter().zip(keys).zip(accounts) {
                let listed = Arc::new(read_listed(snapshot, user, keys.unwrap_or_default(), account.is_some()).await?);
                if listed.exists {
                    self.directory.0.insert(user, Arc::clone(&listed));
                }
                read.insert(user, listed);
            }
            for (user, listed) in users.iter().zip(&mut found) {
                if listed.is_none() {
                    *listed = read.get(user).cloned();
                }
            }
        }
        Ok(found.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// The number of a user's device: from what is known, or from its row where it is newer than that.
    pub(super) async fn device_num(
        &self,
        snapshot: &Snapshot,
        user: UserNum,
        listed: &Listed,
        id: &str,
    ) -> Result<Option<DeviceNum>> {
        if let Some(device) = listed.device(id) {
            return Ok(Some(device.num));
        }
        if !listed.exists {
            return Ok(None);
        }
        Ok(snapshot.get(&DEVICES, &(user, id.to_owned())).await?.map(|device| device.num))
    }
}

async fn read_listed(snapshot: &Snapshot, user: UserNum, keys: UserKeys, exists: bool) -> Result<Listed> {
    let mut texts: HashMap<String, String> =
        keys.devices.into_iter().map(|device| (device.device_id, device.json)).collect();
    let mut weight = 256;
    let mut devices = Vec::with_capacity(texts.len());
    let mut rows = snapshot.scan(&DEVICES, DEVICES.under(&(user,)));
    while let Some(((_, id), device)) = rows.next().await? {
        let keys = match texts.remove(&id) {
            Some(json) => Some(named(json, device.display_name.as_deref())?),
            None => None,
        };
        weight += 128 + keys.as_ref().map_or(0, |keys| keys.len() as u64);
        devices.push(ListedDevice { id: id.into(), num: device.num, keys });
    }
    let cross_signing = [&keys.master, &keys.self_signing, &keys.user_signing];
    weight += cross_signing.into_iter().flatten().map(|json| 2 * json.len() as u64).sum::<u64>();
    Ok(Listed {
        exists,
        devices,
        master: keys.master.as_deref().map(Master::new).transpose()?,
        self_signing: keys.self_signing,
        user_signing: keys.user_signing,
        as_of: snapshot.position(),
        weight,
    })
}

/// A device's keys with its display name in `unsigned`. What is stored has no `unsigned` and is never empty.
fn named(json: String, display_name: Option<&str>) -> Result<String> {
    let Some(name) = display_name else { return Ok(json) };
    let open = json.strip_suffix('}').ok_or_else(|| Error::internal("stored device keys are no object"))?;
    Ok(format!("{open},\"unsigned\":{{\"device_display_name\":{}}}}}", quoted(name)?))
}

/// Text as a JSON string.
pub(super) fn quoted(text: &str) -> Result<String> {
    serde_json::to_string(text).map_err(Error::internal)
}

/// Stored JSON as an object.
pub(super) fn object(json: &str) -> Result<CanonicalJsonObject> {
    serde_json::from_str(json).map_err(Error::internal)
}

/// The one public key that a cross-signing key holds.
pub(super) fn public_part(key: &CanonicalJsonObject) -> Option<String> {
    let ruma::CanonicalJsonValue::Object(keys) = key.get("keys")? else { return None };
    keys.values().next()?.as_str().map(ToOwned::to_owned)
}
