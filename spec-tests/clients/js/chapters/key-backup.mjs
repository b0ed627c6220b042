// Alice's first device uploads the keys of what it has read to the key backup.
import { step } from "../step.mjs";
import { arrived } from "../timeline.mjs";
import { until } from "../wait.mjs";

step("the key backup holds the keys of both first messages", async ({ alice, roomId, fromAlice, fromBob }) => {
    for (const eventId of [fromAlice, fromBob]) {
        const event = await arrived(alice, roomId, eventId);
        const session = event.getWireContent().session_id;
        await until(`session ${session} in the key backup`, () => inBackup(alice, roomId, session));
    }
});

async function inBackup(client, roomId, session) {
    const version = await client.getCrypto().getActiveSessionBackupVersion();
    const path = `/room_keys/keys/${encodeURIComponent(roomId)}/${encodeURIComponent(session)}`;
    const kept = await client.http.authedRequest("GET", path, { version });
    return kept.session_data;
}
