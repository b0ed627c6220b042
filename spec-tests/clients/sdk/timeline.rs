//! Looking at a room as one device sees it: its events, decrypted, once they have come; and sending into it.

use anyhow::{Context, Result, bail, ensure};
use matrix_sdk::{
    deserialized_responses::TimelineEvent,
    event_cache::RoomEventCache,
    ruma::{
        EventId, OwnedEventId, RoomId,
        events::{
            AnySyncMessageLikeEvent, AnySyncTimelineEvent, MessageLikeEventContent, SyncMessageLikeEvent,
            room::message::{OriginalSyncRoomMessageEvent, RoomMessageEventContent},
        },
    },
};

use crate::{device::Device, wait::until};

/// The room's events, as the library keeps and decrypts them.
pub async fn events(device: &Device, room_id: &RoomId) -> Result<RoomEventCache> {
    let (cache, _) = device.room(room_id)?.event_cache().await?;
    Ok(cache)
}

/// The event, once this device has got it; it may still be unreadable.
pub async fn arrived(device: &Device, room_id: &RoomId, event_id: &EventId) -> Result<TimelineEvent> {
    let events = events(device, room_id).await?;
    until(&format!("{event_id} in the timeline of {}", device.user_id), async || {
        Ok(events.find_event(event_id).await?)
    })
    .await
}

/// The event, by paging back to it; it may still be unreadable.
pub async fn page_back_to(device: &Device, room_id: &RoomId, event_id: &EventId) -> Result<TimelineEvent> {
    let events = events(device, room_id).await?;
    until(&format!("{event_id} by paging back"), async || {
        if let Some(event) = events.find_event(event_id).await? {
            return Ok(Some(event));
        }
        events.pagination().run_backwards_once(10).await?;
        Ok(None)
    })
    .await
}

/// The event, once this device has decrypted it. It must have crossed the server encrypted.
pub async fn decrypted(device: &Device, room_id: &RoomId, event_id: &EventId) -> Result<TimelineEvent> {
    let events = events(device, room_id).await?;
    let event = until(&format!("{event_id} decrypted by {} {}", device.user_id, device.device_id), async || {
        Ok(events.find_event(event_id).await?.filter(|event| !event.kind.is_utd()))
    })
    .await?;
    ensure!(event.encryption_info().is_some(), "{event_id} crossed the server in the clear");
    Ok(event)
}

/// The message of an event, once this device has decrypted it.
pub async fn message(device: &Device, room_id: &RoomId, event_id: &EventId) -> Result<OriginalSyncRoomMessageEvent> {
    let event = decrypted(device, room_id, event_id).await?;
    match event.raw().deserialize()? {
        AnySyncTimelineEvent::MessageLike(AnySyncMessageLikeEvent::RoomMessage(SyncMessageLikeEvent::Original(
            message,
        ))) => Ok(message),
        other => bail!("{other:?} is no message"),
    }
}

/// Sends an event, encrypted if the room is; gives its id.
pub async fn send(device: &Device, room_id: &RoomId, content: impl MessageLikeEventContent) -> Result<OwnedEventId> {
    let sent = device.room(room_id)?.send(content).await.context("sending")?;
    Ok(sent.response.event_id)
}

/// Sends a text and waits until the other device has read it in the clear; gives the event id.
pub async fn tell(from: &Device, to: &Device, room_id: &RoomId, body: &str) -> Result<OwnedEventId> {
    let event_id = send(from, room_id, RoomMessageEventContent::text_plain(body)).await?;
    let message = message(to, room_id, &event_id).await?;
    ensure!(message.sender == from.user_id);
    ensure!(message.content.body() == body);
    Ok(event_id)
}
