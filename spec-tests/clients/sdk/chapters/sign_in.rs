//! Alice and Bob register and log in; both set up cross-signing, Alice recovery and key backup.

use anyhow::{Context, Result, bail, ensure};
use matrix_sdk::{
    encryption::{CrossSigningResetAuthType, recovery::RecoveryState},
    ruma::api::error::ErrorKind,
};

use crate::{
    account::{Account, register},
    device::{Device, signed, visitor},
    password::{answer, with_password},
    step::step,
    world::World,
};

pub struct People {
    pub alice_account: Account,
    pub alice: Device,
    pub bob: Device,
    /// What Alice has on paper.
    pub recovery_key: String,
}

pub async fn walk(world: &World) -> Result<People> {
    let (alice_account, bob_account) = step("Alice and Bob register by the shared secret", async {
        Ok((register(world, "alice").await?, register(world, "bob").await?))
    })
    .await?;

    step("a wrong password is refused", async {
        let stranger = visitor(world).await?.matrix_auth().login_username(&alice_account.name, "wrong").send().await;
        let refusal = stranger.err().context("a wrong password opened the account")?;
        ensure!(matches!(refusal.client_api_error_kind(), Some(ErrorKind::Forbidden)), "{refusal}");
        Ok(())
    })
    .await?;

    let (alice, bob) = step("both log in by password and sync", async {
        Ok((
            Device::open(world, &alice_account, "alice", 20).await?,
            Device::open(world, &bob_account, "bob", 20).await?,
        ))
    })
    .await?;

    step("both publish cross-signing keys", async {
        for (device, account) in [(&alice, &alice_account), (&bob, &bob_account)] {
            ensure!(device.user_id == account.user_id);
            with_password(account, async |auth| device.encryption().bootstrap_cross_signing(auth).await).await?;
            signed(device, device).await?;
        }
        Ok(())
    })
    .await?;

    step("Alice makes her keys anew, with her password", async {
        let reset = alice.encryption().reset_cross_signing().await?;
        let reset = reset.context("the keys were replaced without the password")?;
        let CrossSigningResetAuthType::Uiaa(asked) = reset.auth_type() else { bail!("asked for something else") };
        reset.auth(Some(answer(&alice_account, asked)?)).await?;
        signed(&alice, &alice).await
    })
    .await?;

    let recovery_key = step("Alice sets up recovery and a key backup", async {
        alice.encryption().wait_for_e2ee_initialization_tasks().await;
        let key = alice.encryption().recovery().enable().await?;
        ensure!(alice.encryption().recovery().state() == RecoveryState::Enabled);
        ensure!(alice.encryption().backups().are_enabled().await, "no active key backup");
        Ok(key)
    })
    .await?;

    Ok(People { alice_account, alice, bob, recovery_key })
}
