//! Alice opens an encrypted conversation with Bob, who joins.

use anyhow::{Result, ensure};
use matrix_sdk::{
    RoomState,
    ruma::{OwnedRoomId, events::room::member::MembershipState},
};

use super::sign_in::People;
use crate::{step::step, wait::until};

pub async fn walk(People { alice, bob, .. }: &People) -> Result<OwnedRoomId> {
    let room_id = step("Alice opens an encrypted conversation with Bob", async {
        let room = alice.create_dm(&bob.user_id).await?;
        until("the room to be encrypted for Alice", async || Ok(room.encryption_state().is_encrypted().then_some(())))
            .await?;
        until("the conversation among Alice's direct ones", async || Ok(alice.get_dm_room(&bob.user_id))).await?;
        Ok(room.room_id().to_owned())
    })
    .await?;

    step("Bob sees the invitation and joins", async {
        let room = until("the invitation in Bob's sync", async || Ok(bob.get_room(&room_id))).await?;
        ensure!(room.state() == RoomState::Invited);
        ensure!(room.invite_details().await?.inviter_id == alice.user_id);

        room.join().await?;
        until("the joined room, encrypted, in Bob's sync", async || {
            Ok((room.state() == RoomState::Joined && room.encryption_state().is_encrypted()).then_some(()))
        })
        .await?;
        let room = alice.room(&room_id)?;
        until("Bob's join in Alice's sync", async || {
            let member = room.get_member_no_sync(&bob.user_id).await?;
            Ok(member.filter(|member| *member.membership() == MembershipState::Join).map(drop))
        })
        .await
    })
    .await?;

    Ok(room_id)
}
