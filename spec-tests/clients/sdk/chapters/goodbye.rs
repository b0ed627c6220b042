//! Devices go: one by log-out, one removed by another with the password, then the last ones log out.

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::Value;

use super::sign_in::People;
use crate::{device::Device, password::with_password, step::step, wait::until, world::World};

pub async fn walk(world: &World, people: People, second: Device, third: Device) -> Result<()> {
    let People { alice_account, alice, bob, .. } = people;
    step("the second device logs out and is gone for Alice and Bob", async {
        log_out(world, &second).await?;
        let left = alice.devices().await?.devices;
        ensure!(left.iter().any(|device| device.device_id == alice.device_id), "the first device is gone too");
        ensure!(left.iter().all(|device| device.device_id != second.device_id), "the second device is still listed");
        until("the device to leave Bob's list of Alice's devices", async || {
            let devices = bob.encryption().get_user_devices(&alice.user_id).await?;
            Ok(devices.get(&second.device_id).is_none().then_some(()))
        })
        .await
    })
    .await?;

    step("Alice removes her third device with her password", async {
        third.stop();
        let token = third.access_token().context("no token")?;
        let ids = [third.device_id.clone()];
        let without = alice.delete_devices(&ids, None).await;
        ensure!(without.is_err(), "a device was removed without the password");
        with_password(&alice_account, async |auth| Ok(alice.delete_devices(&ids, auth).await?)).await?;
        is_dead(world, &token).await
    })
    .await?;

    step("Alice and Bob log out", async {
        log_out(world, &alice).await?;
        log_out(world, &bob).await
    })
    .await
}

async fn log_out(world: &World, device: &Device) -> Result<()> {
    device.stop();
    let token = device.access_token().context("no token")?;
    device.logout().await?;
    is_dead(world, &token).await
}

async fn is_dead(world: &World, token: &str) -> Result<()> {
    let url = format!("{}/_matrix/client/v3/account/whoami", world.url);
    let answer = world.http.get(url).bearer_auth(token).send().await?;
    ensure!(answer.status() == StatusCode::UNAUTHORIZED);
    let answer: Value = answer.json().await?;
    ensure!(answer["errcode"] == "M_UNKNOWN_TOKEN", "{answer}");
    Ok(())
}
