//! One device of a person: a log-in by password and matrix-sdk's client with its stores in memory.

use std::ops::Deref;

use anyhow::{Context, Result};
use matrix_sdk::{
    Client, Room,
    config::{RequestConfig, SyncSettings},
    encryption::{BackupDownloadStrategy, EncryptionSettings},
    ruma::{OwnedDeviceId, OwnedUserId, RoomId, api::client::filter::FilterDefinition},
};
use tokio::task::AbortHandle;

use crate::{account::Account, wait::until, world::World};

/// A client that is logged in and syncs.
pub struct Device {
    client: Client,
    pub user_id: OwnedUserId,
    pub device_id: OwnedDeviceId,
    syncing: AbortHandle,
}

impl Device {
    /// Logs in by password and starts to sync, at first with this much of each room's timeline.
    pub async fn open(world: &World, account: &Account, label: &str, timeline_limit: u32) -> Result<Self> {
        let client = visitor(world).await?;
        let login = client
            .matrix_auth()
            .login_username(&account.name, &account.password)
            .initial_device_display_name(label)
            .send()
            .await?;
        client.event_cache().subscribe()?;

        let mut filter = FilterDefinition::with_lazy_loading();
        filter.room.timeline.limit = Some(timeline_limit.into());
        let settings = SyncSettings::new().filter(filter.into());
        client.sync_once(settings.clone()).await?;
        let syncing = tokio::spawn(keep_syncing(client.clone(), settings, label.to_owned())).abort_handle();
        Ok(Self { client, user_id: login.user_id, device_id: login.device_id, syncing })
    }

    /// The room, if this device knows it.
    pub fn room(&self, room_id: &RoomId) -> Result<Room> {
        self.get_room(room_id).with_context(|| format!("{room_id} is unknown to {} {}", self.user_id, self.device_id))
    }

    /// Ends the sync loop.
    pub fn stop(&self) {
        self.syncing.abort();
    }
}

impl Deref for Device {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// A client that has not logged in.
pub async fn visitor(world: &World) -> Result<Client> {
    let settings = EncryptionSettings {
        // As Element X is set: one key after the other, when an event needs it.
        backup_download_strategy: BackupDownloadStrategy::AfterDecryptionFailure,
        ..EncryptionSettings::default()
    };
    let client = Client::builder()
        .homeserver_url(&world.url)
        .respect_login_well_known(false)
        .http_client(world.http.clone())
        // What needs a second try is to be seen.
        .request_config(RequestConfig::new().disable_retry())
        .with_encryption_settings(settings)
        .build()
        .await?;
    Ok(client)
}

/// The library's own loop would wait a second after whatever came at once.
async fn keep_syncing(client: Client, settings: SyncSettings, label: String) {
    loop {
        if let Err(error) = client.sync_once(settings.clone()).await {
            eprintln!("the sync of {label} ends: {error}");
            return;
        }
    }
}

/// Waits until one device sees that another is signed by whom it belongs to.
pub async fn signed(watcher: &Device, device: &Device) -> Result<()> {
    until(&format!("{} signed in the sight of {}", device.device_id, watcher.device_id), async || {
        let found = watcher.encryption().get_device(&device.user_id, &device.device_id).await?;
        Ok(found.filter(|found| found.is_cross_signed_by_owner()).map(drop))
    })
    .await
}
