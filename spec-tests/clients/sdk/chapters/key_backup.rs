//! Alice's first device uploads the keys of what it has read to the key backup.

use anyhow::{Context, Result};
use matrix_sdk::ruma::{
    RoomId,
    api::client::backup::{get_backup_keys_for_session, get_latest_backup_info},
};

use super::{sign_in::People, talk::Said};
use crate::{step::step, timeline::decrypted, wait::until};

pub async fn walk(People { alice, .. }: &People, room_id: &RoomId, said: &Said) -> Result<()> {
    step("the key backup holds the keys of both first messages", async {
        let version = alice.send(get_latest_backup_info::v3::Request::new()).await?.version;
        for event_id in [&said.by_alice, &said.by_bob] {
            let event = decrypted(alice, room_id, event_id).await?;
            let session = event.kind.session_id().context("an event without a session")?.to_owned();
            let awaited = format!("session {session} in the key backup");
            let request = get_backup_keys_for_session::v3::Request::new(version.clone(), room_id.to_owned(), session);
            until(&awaited, async || Ok(Some(alice.send(request.clone()).await?))).await?;
        }
        Ok(())
    })
    .await
}
