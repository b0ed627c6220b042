"""Looking at a room as one device sees it: its events, decrypted, once they have come; and sending into it."""

from nio import MegolmEvent, RoomSendResponse

from device import expect
from wait import until


async def arrived(device, event_id):
    """The event, once the sync of this device has brought it; it may still be unreadable."""
    return await until(f"{event_id} in the sync of {device.user_id} {device.device_id}", lambda: device.events.get(event_id))


async def decrypted(device, event_id):
    """The event, once this device has decrypted it. It must have crossed the server encrypted."""
    await arrived(device, event_id)

    def look():
        event = device.events[event_id]
        if isinstance(event, MegolmEvent):
            event = device.events[event_id] = device.client.decrypt_event(event)
        return event

    event = await until(f"{event_id} decrypted by {device.user_id} {device.device_id}", look)
    assert event.decrypted, f"{event_id} crossed the server in the clear"
    return event


async def send(device, room_id, content, kind="m.room.message"):
    """Sends an event, encrypted if the room is; answers with its id."""
    sent = await device.client.room_send(room_id, kind, content, ignore_unverified_devices=True)
    return expect(RoomSendResponse, sent).event_id


async def tell(sender, reader, room_id, body, **more):
    """Sends a text and waits until the other device has read it in the clear; answers with the event id."""
    content = {"msgtype": "m.text", "body": body, **more}
    event_id = await send(sender, room_id, content)
    event = await decrypted(reader, event_id)
    assert event.sender == sender.user_id, event
    assert event.source["content"] == content, event.source
    return event_id
