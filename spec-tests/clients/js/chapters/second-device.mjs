// Alice logs in anew, becomes verified by her recovery key and reads old messages out of the key backup.
import assert from "node:assert/strict";

import { decodeRecoveryKey } from "matrix-js-sdk/lib/crypto-api/recovery-key.js";

import { logIn, openDevice, startSync } from "../device.mjs";
import { groundStep, step } from "../step.mjs";
import { decrypted, tell } from "../timeline.mjs";
import { until } from "../wait.mjs";

groundStep("Alice logs in on a second device", async (world) => {
    const login = await logIn(world.aliceAccount, "alice-2");
    assert.notEqual(login.device_id, world.alice.getDeviceId());
    world.recovery2 = {};
    world.alice2 = await openDevice(login, "alice-2", world.recovery2);
    // One event of the room only, so that the old messages must come by pagination.
    await startSync(world.alice2, { initialSyncLimit: 1 });
});

step("the second device pages back to the old messages, unreadable yet", async (world) => {
    const { alice2, roomId, fromAlice, fromBob } = world;
    const token = alice2.getRoom(roomId).getLiveTimeline().getPaginationToken("b");
    assert.ok(token, "the first sync came without prev_batch");
    for (const eventId of [fromAlice, fromBob]) {
        const event = await pageBackTo(alice2, roomId, eventId);
        await alice2.decryptEventIfNeeded(event);
        assert.ok(event.isDecryptionFailure(), "an old message was readable without the key backup");
    }
});

step("the recovery key opens secret storage and verifies the second device", async (world) => {
    const { alice2, recovery, recovery2 } = world;
    const crypto = alice2.getCrypto();
    assert.ok(!(await verifiedFor(alice2, alice2)), "verified too early");
    recovery2.privateKey = decodeRecoveryKey(recovery.written);
    assert.ok(await crypto.userHasCrossSigningKeys(undefined, true), "the second device finds no cross-signing keys");
    await crypto.bootstrapCrossSigning({});
    assert.ok(await crypto.isCrossSigningReady(), "cross-signing is not ready on the second device");
});

step("all devices see that Alice signed her second device", async ({ alice, alice2, bob }) => {
    await until("the second device to be verified for itself", () => verifiedFor(alice2, alice2));
    await until("the second device to be verified for the first", () => verifiedFor(alice, alice2));
    await until("the first device to be verified for the second", () => verifiedFor(alice2, alice));
    // Bob has not verified Alice, but her signature tells him that the device is hers.
    const signedForBob = async () => (await statusFor(bob, alice2))?.signedByOwner;
    await until("Alice's signature in Bob's sight", signedForBob);
});

step("the key backup is restored and old messages become readable", async ({ alice2, roomId, fromAlice, fromBob }) => {
    const crypto = alice2.getCrypto();
    await crypto.loadSessionBackupPrivateKeyFromSecretStorage();
    const check = await crypto.checkKeyBackupAndEnable();
    assert.ok(check?.trustInfo.trusted, "the backup's signature by Alice's master key is not trusted");
    const restored = await crypto.restoreKeyBackup();
    assert.ok(restored.total >= 2, `only ${restored.total} keys in the backup`);
    assert.equal(restored.imported, restored.total);

    const alicesMessage = await decrypted(alice2, roomId, fromAlice);
    assert.equal(alicesMessage.getContent().body, "Hello Bob");
    const bobsMessage = await decrypted(alice2, roomId, fromBob);
    assert.equal(bobsMessage.getContent().body, "Hello Alice");
});

step("both of Alice's devices read Bob, and Bob reads the second", async ({ alice, alice2, bob, roomId }) => {
    const eventId = await tell(bob, alice, roomId, "Both of you");
    const event = await decrypted(alice2, roomId, eventId);
    assert.equal(event.getContent().body, "Both of you");
    await tell(alice2, bob, roomId, "From my second device");
});

async function pageBackTo(client, roomId, eventId) {
    const room = client.getRoom(roomId);
    return until(`${eventId} by paging back`, async () => {
        if (!room.findEventById(eventId)) await client.scrollback(room, 10);
        return room.findEventById(eventId);
    });
}

function statusFor(watcher, device) {
    return watcher.getCrypto().getDeviceVerificationStatus(device.getUserId(), device.getDeviceId());
}

async function verifiedFor(watcher, device) {
    return (await statusFor(watcher, device))?.crossSigningVerified;
}
