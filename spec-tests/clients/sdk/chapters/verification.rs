//! Alice and Bob compare emoji, so that each knows the other's keys.

use anyhow::{Context, Result, ensure};
use matrix_sdk::encryption::verification::{Verification, VerificationRequest};

use super::sign_in::People;
use crate::{device::Device, step::step, wait::until};

pub async fn walk(People { alice, bob, .. }: &People) -> Result<()> {
    step("Alice and Bob verify each other by emoji", async {
        let identity = alice.encryption().request_user_identity(&bob.user_id).await?;
        let request = identity.context("Bob's keys are not there for Alice")?.request_verification().await?;
        compare_emoji(alice, &request, bob).await?;
        for (one, other) in [(alice, bob), (bob, alice)] {
            until(&format!("{} to know {}", one.user_id, other.user_id), async || {
                let identity = one.encryption().get_user_identity(&other.user_id).await?;
                Ok(identity.filter(|identity| identity.is_verified()).map(drop))
            })
            .await?;
        }
        Ok(())
    })
    .await
}

/// Follows a request of one device on both sides, up to the end of the verification.
pub async fn compare_emoji(asker: &Device, request: &VerificationRequest, other: &Device) -> Result<()> {
    let (user_id, flow_id) = (&*asker.user_id, request.flow_id());
    let asked = until("the request to verify", async || {
        Ok(other.encryption().get_verification_request(user_id, flow_id).await)
    })
    .await?;
    asked.accept().await?;
    until("the request to be accepted", async || Ok(request.is_ready().then_some(()))).await?;

    let ours = request.start_sas().await?.context("the verification does not start")?;
    let theirs = until("the verification's start", async || {
        Ok(other.encryption().get_verification(user_id, flow_id).await.and_then(Verification::sas))
    })
    .await?;
    theirs.accept().await?;
    for sas in [&ours, &theirs] {
        until("emoji to compare", async || {
            ensure!(!sas.is_cancelled(), "cancelled: {:?}", sas.cancel_info());
            Ok(sas.can_be_presented().then_some(()))
        })
        .await?;
    }
    ensure!(ours.emoji().is_some() && ours.emoji() == theirs.emoji(), "the emoji differ");

    ours.confirm().await?;
    theirs.confirm().await?;
    for sas in [&ours, &theirs] {
        until("the verification's end", async || {
            ensure!(!sas.is_cancelled(), "cancelled: {:?}", sas.cancel_info());
            Ok(sas.is_done().then_some(()))
        })
        .await?;
    }
    Ok(())
}
