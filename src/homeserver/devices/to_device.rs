//! Send-to-device messaging: messages that wait for devices until those have taken them.
//!
//! Client-server API, "Send-to-Device messaging".

use std::collections::BTreeMap;

use matron_matrix::{Error as MatrixError, digest};
use matron_storage::{Batch, Position, Snapshot, Store};
use ruma::OwnedUserId;
use ruma::events::AnyToDeviceEventContent;
use ruma::serde::Raw;
use ruma::to_device::DeviceIdOrAllDevices;

use super::directory::{Listed, quoted};
use super::inbox::{MOST_WAITING, weight};
use super::{Devices, check_length};
use crate::accounts::Session;
use crate::error::Result;
use crate::schema::devices::TO_DEVICE;
use crate::schema::rooms::{TRANSACTIONS, Transaction};
use crate::schema::{DeviceNum, UserNum};
use crate::streams::Subject;

/// Bytes of a message's type and of a transaction's id.
const MOST_NAME_BYTES: usize = 255;
/// Bytes of a message's content, as of an event's.
const MOST_CONTENT_BYTES: usize = 64 << 10;
/// Devices that one request names or reaches, and bytes that it leaves for all of them together.
const MOST_DEVICES: usize = 5_000;
const MOST_BYTES: u64 = 8 << 20;

/// How many messages are deleted at once; the others go with the next sync.
const MOST_DELETED: usize = 1000;

/// Contents by user and device.
pub type Messages = BTreeMap<OwnedUserId, BTreeMap<DeviceIdOrAllDevices, Raw<AnyToDeviceEventContent>>>;

/// Up to `limit` messages that wait for a device after `after`, in order: each with its position and as the JSON of an
/// event.
///
/// # Errors
/// The store cannot be read.
pub async fn waiting(
    snapshot: &Snapshot,
    device: DeviceNum,
    after: Position,
    limit: usize,
) -> Result<Vec<(Position, String)>> {
    if after == Position::MAX {
        return Ok(Vec::new());
    }
    let range = TO_DEVICE.range((device, after.next())..=(device, Position::MAX));
    let rows = snapshot.scan(&TO_DEVICE, range).take(limit).await?;
    Ok(rows.into_iter().map(|((_, position), message)| (position, message)).collect())
}

/// Deletes what a device has taken: its messages up to `position`. Not synced: after a power cut the device may get them
/// again, and says so again. Where there are none, as mostly, nothing is written. False where so many are left that the
/// next sync must go on.
///
/// Row by row: every read of the family has to look through all range deletions that are not compacted yet.
///
/// # Errors
/// The store cannot be read or written.
pub async fn delete_up_to(store: &Store, device: DeviceNum, position: Position) -> Result<bool> {
    let taken = TO_DEVICE.range((device, Position::ZERO)..=(device, position));
    let rows = store.snapshot().scan(&TO_DEVICE, taken).take(MOST_DELETED).await?;
    if rows.is_empty() {
        return Ok(true);
    }
    let is_all = rows.len() < MOST_DELETED;
    let mut batch = Batch::new();
    batch.unsynced();
    for (key, _) in rows {
        batch.delete(&TO_DEVICE, &key);
    }
    store.commit(batch).await?;
    Ok(is_all)
}

/// The messages of one request as they are built.
struct Outgoing {
    head: String,
    tail: String,
    position: Position,
    /// What was left for which device, in bytes.
    left: Vec<(DeviceNum, u64)>,
    bytes: u64,
}

impl Outgoing {
    fn put(&mut self, batch: &mut Batch, device: DeviceNum, content: &str) -> Result<(), MatrixError> {
        let message = format!("{}{content}{}", self.head, self.tail);
        let bytes = weight(&message);
        self.left.push((device, bytes));
        self.bytes += bytes;
        if self.left.len() > MOST_DEVICES || self.bytes > MOST_BYTES {
            return Err(too_much());
        }
        batch.put(&TO_DEVICE, &(device, self.position), &message);
        Ok(())
    }
}

impl Devices {
    /// Leaves a message of this type for each device named, or for all of a user's where the device is `*`. All of them in
    /// one batch with the transaction, so that a repeated request sends nothing again. Devices that do not exist get
    /// nothing; other servers' users are not reached yet. Where too much waits for a device, the oldest messages of
    /// whoever left most go.
    ///
    /// # Errors
    /// `M_INVALID_PARAM`, `M_BAD_JSON` or `M_TOO_LARGE` for what is malformed or too much.
    pub async fn send(&self, session: &Session, kind: &str, transaction: &str, messages: Messages) -> Result<()> {
        check_length("a message's type", kind, MOST_NAME_BYTES)?;
        check_length("a transaction's id", transaction, MOST_NAME_BYTES)?;
        // Also who is not there is looked up.
        if messages.values().map(|contents| contents.len().max(1)).sum::<usize>() > MOST_DEVICES {
            return Err(too_much().into());
        }
        for content in messages.values().flat_map(BTreeMap::values) {
            check_content(content)?;
        }
        // Method and path, in the one form that all its versions mean.
        let path = ["PUT", "sendToDevice", kind, transaction];
        let key = (session.device, digest::of_parts(path.map(str::as_bytes)));
        let snapshot = self.store.snapshot();
        if snapshot.get(&TRANSACTIONS, &key).await?.is_some() {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.expect_absent(&TRANSACTIONS, &key);
        let answer = Transaction { event_id: String::new(), at: self.clock.millis() };
        batch.put(&TRANSACTIONS, &key, &answer);
        let mut outgoing = Outgoing {
            head: "{\"content\":".to_owned(),
            tail: format!(",\"sender\":{},\"type\":{}}}", quoted(session.user_id.as_str())?, quoted(kind)?),
            position: batch.stamp(),
            left: Vec::new(),
            bytes: 0,
        };
        let mut users = Vec::with_capacity(messages.len());
        let mut contents = Vec::with_capacity(messages.len());
        for (user_id, content) in messages {
            if user_id.server_name() == self.config.server_name
                && let Some(user) = self.ids.find_user(&user_id).await?
            {
                users.push(user);
                contents.push(content);
            }
        }
        let listed = self.listed(&snapshot, &users).await?;
        for ((user, listed), contents) in users.into_iter().zip(listed).zip(contents) {
            self.address(&mut batch, &snapshot, &mut outgoing, (user, &listed), &contents).await?;
        }
        // A conflict says that the same transaction was faster: it sent all this.
        if self.try_commit(batch).await? {
            self.to_device.add(outgoing.left.len() as u64);
            self.bound(&outgoing.left).await;
        }
        Ok(())
    }

    /// Sees to it that not too much waits for devices that were sent something. The message is on its way: what fails is
    /// done another time.
    async fn bound(&self, left: &[(DeviceNum, u64)]) {
        for (device, bytes) in left {
            if self.growth.add(*device, *bytes)
                && let Err(error) = self.make_room(*device, MOST_WAITING).await
            {
                tracing::error!(%error, "the messages that wait for a device cannot be bounded");
            }
        }
    }

    /// Writes one user's messages. A message for one device stands before the one for all.
    async fn address(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        outgoing: &mut Outgoing,
        (user, listed): (UserNum, &Listed),
        contents: &BTreeMap<DeviceIdOrAllDevices, Raw<AnyToDeviceEventContent>>,
    ) -> Result<()> {
        let before = outgoing.left.len();
        for (device, content) in contents {
            if let DeviceIdOrAllDevices::DeviceId(id) = device
                && let Some(num) = self.device_num(snapshot, user, listed, id.as_str()).await?
            {
                outgoing.put(batch, num, content.json().get())?;
            }
        }
        if let Some(content) = contents.get(&DeviceIdOrAllDevices::AllDevices) {
            for device in &listed.devices {
                if !contents.contains_key(&DeviceIdOrAllDevices::DeviceId(device.id.clone())) {
                    outgoing.put(batch, device.num, content.json().get())?;
                }
            }
        }
        if outgoing.left.len() > before {
            batch.announce(Subject::User(user).into());
        }
        Ok(())
    }
}

fn too_much() -> MatrixError {
    MatrixError::too_large(format!("one request may reach {MOST_DEVICES} devices with {MOST_BYTES} bytes"))
}

fn check_content(content: &Raw<AnyToDeviceEventContent>) -> Result<(), MatrixError> {
    let json = content.json().get();
    if !json.starts_with('{') {
        return Err(MatrixError::bad_json("a message's content is no object"));
    }
    if json.len() > MOST_CONTENT_BYTES {
        return Err(MatrixError::too_large(format!("a message's content may have {MOST_CONTENT_BYTES} bytes")));
    }
    Ok(())
}
