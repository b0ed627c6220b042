//! Alice logs in anew, recovers by her recovery key and reads old messages out of the key backup.

use anyhow::{Result, ensure};
use matrix_sdk::{encryption::recovery::RecoveryState, ruma::RoomId};

use super::{sign_in::People, talk::Said};
use crate::{
    device::{Device, signed},
    step::step,
    timeline::{message, page_back_to, tell},
    world::World,
};

pub async fn walk(world: &World, people: &People, room_id: &RoomId, said: &Said) -> Result<Device> {
    let People { alice_account, alice, bob, recovery_key } = people;
    let second = step("Alice logs in on a second device", async {
        // One event of the room only, so that the old messages must come by pagination.
        let second = Device::open(world, alice_account, "alice-2", 1).await?;
        ensure!(second.device_id != alice.device_id);
        Ok(second)
    })
    .await?;

    step("the second device pages back to the old messages, unreadable yet", async {
        for event_id in [&said.by_alice, &said.by_bob] {
            let event = page_back_to(&second, room_id, event_id).await?;
            ensure!(event.kind.is_utd(), "an old message was readable without the key backup");
        }
        Ok(())
    })
    .await?;

    step("the recovery key opens secret storage and verifies the second device", async {
        second.encryption().wait_for_e2ee_initialization_tasks().await;
        second.encryption().recovery().recover(recovery_key).await?;
        ensure!(second.encryption().recovery().state() == RecoveryState::Enabled);
        for watcher in [&second, alice, bob] {
            signed(watcher, &second).await?;
        }
        signed(&second, alice).await
    })
    .await?;

    step("old messages become readable out of the key backup", read_old(&second, room_id, said)).await?;

    step("both of Alice's devices read Bob, and Bob reads the second", async {
        let event_id = tell(bob, alice, room_id, "Both of you").await?;
        ensure!(message(&second, room_id, &event_id).await?.content.body() == "Both of you");
        tell(&second, bob, room_id, "From my second device").await
    })
    .await?;

    Ok(second)
}

/// Waits until this device has decrypted the first messages.
pub async fn read_old(device: &Device, room_id: &RoomId, said: &Said) -> Result<()> {
    for (event_id, body) in [(&said.by_alice, "Hello Bob"), (&said.by_bob, "Hello Alice")] {
        ensure!(message(device, room_id, event_id).await?.content.body() == body);
    }
    Ok(())
}
