// Alice and Bob register and log in; Alice sets up cross-signing, secret storage and key backup.
import assert from "node:assert/strict";

import { register } from "../account.mjs";
import { logIn, openDevice, startSync } from "../device.mjs";
import { withPassword } from "../password.mjs";
import { groundStep, step } from "../step.mjs";
import { until } from "../wait.mjs";

groundStep("Alice and Bob register by the shared secret", async (world) => {
    world.aliceAccount = await register("alice");
    world.bobAccount = await register("bob");
});

step("a wrong password is refused", async ({ aliceAccount }) => {
    const stranger = { ...aliceAccount, password: "wrong" };
    await assert.rejects(logIn(stranger, "stranger"), { httpStatus: 403, errcode: "M_FORBIDDEN" });
});

groundStep("both log in by password and sync", async (world) => {
    const aliceLogin = await logIn(world.aliceAccount, "alice");
    assert.equal(aliceLogin.user_id, world.aliceAccount.userId);
    world.alice = await openDevice(aliceLogin, "alice", world.recovery);
    await startSync(world.alice);

    const bobLogin = await logIn(world.bobAccount, "bob");
    world.bob = await openDevice(bobLogin, "bob");
    await startSync(world.bob);
});

step("Alice publishes cross-signing keys", async ({ alice, aliceAccount }) => {
    const crypto = alice.getCrypto();
    await crypto.bootstrapCrossSigning({
        authUploadDeviceSigningKeys: (request) => withPassword(aliceAccount, request),
    });
    assert.ok(await crypto.userHasCrossSigningKeys(), "the server does not give Alice's cross-signing keys back");
    await until("Alice's own device to be signed by Alice", () => isSigned(alice));
});

step("Alice sets up secret storage and a key backup", async ({ alice, recovery }) => {
    const crypto = alice.getCrypto();
    await crypto.bootstrapSecretStorage({
        setupNewSecretStorage: true,
        setupNewKeyBackup: true,
        createSecretStorageKey: async () => {
            const key = await crypto.createRecoveryKeyFromPassphrase();
            Object.assign(recovery, { privateKey: key.privateKey, written: key.encodedPrivateKey });
            return key;
        },
    });
    await until("secret storage to hold all secrets", () => crypto.isSecretStorageReady());
    assert.ok(await crypto.isCrossSigningReady(), "cross-signing is not ready");
    assert.ok(await crypto.getActiveSessionBackupVersion(), "no active key backup");
});

async function isSigned(client) {
    const status = await client.getCrypto().getDeviceVerificationStatus(client.getUserId(), client.getDeviceId());
    return status?.crossSigningVerified;
}
