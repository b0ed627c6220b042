//! Alice and Bob talk: messages, an edit, a reaction, a reply, a receipt, typing and a redaction.

use anyhow::{Context, Result, bail, ensure};
use matrix_sdk::{
    room::{
        IncludeRelations, RelationsOptions,
        edit::EditedContent,
        reply::{EnforceThread, Reply},
    },
    ruma::{
        OwnedEventId, RoomId,
        api::client::receipt::create_receipt::v3::ReceiptType as SentReceiptType,
        events::{
            reaction::ReactionEventContent,
            receipt::{ReceiptThread, ReceiptType},
            relation::{Annotation, RelationType},
            room::message::{AddMentions, Relation, RoomMessageEventContentWithoutRelation},
        },
    },
};
use serde_json::{Value, json};

use super::sign_in::People;
use crate::{
    step::step,
    timeline::{arrived, events, message, send, tell},
    wait::until,
};

/// The first messages, to which later chapters come back.
pub struct Said {
    pub by_alice: OwnedEventId,
    pub by_bob: OwnedEventId,
}

pub async fn walk(People { alice, bob, .. }: &People, room_id: &RoomId) -> Result<Said> {
    let by_alice = step("Bob reads Alice's encrypted message", tell(alice, bob, room_id, "Hello Bob")).await?;
    let by_bob = step("Alice reads Bob's encrypted message", tell(bob, alice, room_id, "Hello Alice")).await?;

    step("Bob sees Alice's edit", async {
        let event_id = tell(alice, bob, room_id, "The park at noom").await?;
        let better = RoomMessageEventContentWithoutRelation::text_plain("The park at noon");
        let edit = alice.room(room_id)?.make_edit_event(&event_id, EditedContent::RoomMessage(better)).await?;
        let edit_id = send(alice, room_id, edit).await?;
        let Some(Relation::Replacement(edit)) = message(bob, room_id, &edit_id).await?.content.relates_to else {
            bail!("{edit_id} replaces nothing")
        };
        ensure!(edit.event_id == event_id);
        ensure!(edit.new_content.msgtype.body() == "The park at noon");

        let include_relations = IncludeRelations::RelationsOfType(RelationType::Replacement);
        let options = RelationsOptions { include_relations, ..RelationsOptions::default() };
        let found = bob.room(room_id)?.relations(event_id, options).await?.chunk;
        ensure!(found.len() == 1 && found[0].event_id() == Some(edit_id), "the server's edits are not the one");
        Ok(())
    })
    .await?;

    step("Alice sees Bob's reaction", async {
        let reaction = ReactionEventContent::new(Annotation::new(by_alice.clone(), "👍".to_owned()));
        let reaction_id = send(bob, room_id, reaction).await?;
        arrived(alice, room_id, &reaction_id).await?;
        let filter = Some(vec![RelationType::Annotation]);
        let found = events(alice, room_id).await?.find_event_relations(&by_alice, filter).await?;
        ensure!(found.len() == 1 && found[0].event_id() == Some(reaction_id));
        Ok(())
    })
    .await?;

    step("Alice reads Bob's reply", async {
        let text = RoomMessageEventContentWithoutRelation::text_plain("Hello again");
        let to = Reply {
            event_id: by_alice.clone(),
            enforce_thread: EnforceThread::Unthreaded,
            add_mentions: AddMentions::Yes,
        };
        let reply = bob.room(room_id)?.make_reply_event(text, to).await?;
        let reply_id = send(bob, room_id, reply).await?;
        let content = message(alice, room_id, &reply_id).await?.content;
        ensure!(content.body() == "Hello again");
        let Some(Relation::Reply(reply)) = content.relates_to else { bail!("{reply_id} is no reply") };
        ensure!(reply.in_reply_to.event_id == by_alice);
        ensure!(content.mentions.context("no mentions")?.user_ids.contains(&alice.user_id));
        Ok(())
    })
    .await?;

    step("Alice sees Bob's read receipt", async {
        let event_id = tell(alice, bob, room_id, "Have you read this?").await?;
        bob.room(room_id)?
            .send_single_receipt(SentReceiptType::Read, ReceiptThread::Unthreaded, event_id.clone())
            .await?;
        let room = alice.room(room_id)?;
        until("Bob's receipt in Alice's sync", async || {
            let receipt = room.load_user_receipt(ReceiptType::Read, ReceiptThread::Unthreaded, &bob.user_id).await?;
            Ok(receipt.filter(|(read, _)| *read == event_id).map(drop))
        })
        .await
    })
    .await?;

    step("Alice sees Bob type and stop", async {
        let (_guard, mut who_types) = alice.room(room_id)?.subscribe_to_typing_notifications();
        let room = bob.room(room_id)?;
        room.typing_notice(true).await?;
        while who_types.recv().await? != [bob.user_id.clone()] {}
        room.typing_notice(false).await?;
        while !who_types.recv().await?.is_empty() {}
        Ok(())
    })
    .await?;

    step("Bob sees Alice's redaction", async {
        let event_id = tell(alice, bob, room_id, "I wish I had not said this").await?;
        alice.room(room_id)?.redact(&event_id, Some("second thoughts"), None).await?;
        let events = events(bob, room_id).await?;
        until("the redaction in Bob's sync", async || {
            let event = events.find_event(&event_id).await?.context("the event is gone")?;
            Ok((event.raw().get_field::<Value>("content")? == Some(json!({}))).then_some(()))
        })
        .await?;
        let event = bob.room(room_id)?.event(&event_id, None).await?;
        let content = event.raw().get_field::<Value>("content")?;
        ensure!(content == Some(json!({})), "the server still gives the redacted content");
        Ok(())
    })
    .await?;

    Ok(Said { by_alice, by_bob })
}
