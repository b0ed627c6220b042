// Looking at a room as one device sees it: its events, decrypted, once they have come.
import assert from "node:assert/strict";

import { until } from "./wait.mjs";

/** The event, once this device has it; it may still be unreadable. */
export function arrived(client, roomId, eventId) {
    return until(`${eventId} in the timeline of ${client.getUserId()} ${client.getDeviceId()}`, () =>
        client.getRoom(roomId)?.findEventById(eventId),
    );
}

/** The event, once this device has decrypted it. It must have crossed the server encrypted. */
export async function decrypted(client, roomId, eventId) {
    const event = await arrived(client, roomId, eventId);
    assert.equal(event.getWireType(), "m.room.encrypted", `${eventId} crossed the server in the clear`);
    await until(`${eventId} decrypted by ${client.getUserId()} ${client.getDeviceId()}`, async () => {
        await client.decryptEventIfNeeded(event);
        if (event.isDecryptionFailure()) throw new Error(event.decryptionFailureReason);
        return event.getType() !== "m.room.encrypted";
    });
    return event;
}

/** Sends a text and waits until the other device has read it in the clear; answers with the event id. */
export async function tell(from, to, roomId, body) {
    const { event_id: eventId } = await from.sendMessage(roomId, { msgtype: "m.text", body });
    const event = await decrypted(to, roomId, eventId);
    assert.equal(event.getSender(), from.getUserId());
    assert.deepEqual(event.getContent(), { msgtype: "m.text", body });
    return eventId;
}
