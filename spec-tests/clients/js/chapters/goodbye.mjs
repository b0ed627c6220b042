// Devices go: one by log-out, one removed by another with the password, then the last ones log out.
import assert from "node:assert/strict";

import { logIn } from "../device.mjs";
import { withPassword } from "../password.mjs";
import { step } from "../step.mjs";
import { until } from "../wait.mjs";
import { world } from "../world.mjs";

step("the second device logs out and is gone for Alice and Bob", async ({ alice, alice2, bob }) => {
    const deviceId = alice2.getDeviceId();
    const token = alice2.getAccessToken();
    await alice2.logout(true);
    await assertDead(token);

    const ids = (await alice.getDevices()).devices.map((device) => device.device_id);
    assert.ok(ids.includes(alice.getDeviceId()), "the first device is gone too");
    assert.ok(!ids.includes(deviceId), "the second device is still listed");
    await until("the device to leave Bob's list of Alice's devices", async () => {
        const lists = await bob.getCrypto().getUserDeviceInfo([alice.getUserId()]);
        return !lists.get(alice.getUserId()).has(deviceId);
    });
});

step("Alice removes a forgotten device with her password", async ({ alice, aliceAccount }) => {
    const forgotten = await logIn(aliceAccount, "forgotten");
    let refusals = 0;
    await withPassword(aliceAccount, async (auth) => {
        if (auth !== null) refusals += 1;
        return alice.deleteDevice(forgotten.device_id, auth ?? undefined);
    });
    assert.equal(refusals, 1, "a device was removed without the password");
    await assertDead(forgotten.access_token);
});

step("Alice and Bob log out", async ({ alice, bob }) => {
    for (const client of [alice, bob]) {
        const token = client.getAccessToken();
        await client.logout(true);
        await assertDead(token);
    }
});

async function assertDead(token) {
    const url = `${world.url}/_matrix/client/v3/account/whoami`;
    const response = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
    assert.equal(response.status, 401);
    assert.equal((await response.json()).errcode, "M_UNKNOWN_TOKEN");
}
