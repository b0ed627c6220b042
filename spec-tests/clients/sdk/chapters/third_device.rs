//! Alice logs in once more and compares emoji between her devices: the new one is given all secrets by another.

use anyhow::{Context, Result};
use matrix_sdk::ruma::RoomId;

use super::{second_device::read_old, sign_in::People, talk::Said, verification::compare_emoji};
use crate::{
    device::{Device, signed},
    step::step,
    timeline::page_back_to,
    wait::until,
    world::World,
};

pub async fn walk(world: &World, people: &People, room_id: &RoomId, said: &Said) -> Result<Device> {
    let People { alice_account, alice, .. } = people;
    let third = step("Alice verifies a third device by emoji", async {
        let third = Device::open(world, alice_account, "alice-3", 1).await?;
        third.encryption().wait_for_e2ee_initialization_tasks().await;
        let identity = third.encryption().request_user_identity(&third.user_id).await?;
        let request = identity.context("Alice's keys are not there for her")?.request_verification().await?;
        compare_emoji(&third, &request, alice).await?;
        for (watcher, device) in [(alice, &third), (&third, &third), (&third, alice)] {
            signed(watcher, device).await?;
        }
        Ok(third)
    })
    .await?;

    step("the third device is given the secrets and reads old messages", async {
        until("all secrets on the third device", async || {
            let keys = third.encryption().cross_signing_status().await.context("no status")?;
            Ok((keys.is_complete() && third.encryption().backups().are_enabled().await).then_some(()))
        })
        .await?;
        for event_id in [&said.by_alice, &said.by_bob] {
            page_back_to(&third, room_id, event_id).await?;
        }
        read_old(&third, room_id, said).await
    })
    .await?;

    Ok(third)
}
