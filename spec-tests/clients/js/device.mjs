// One device of a person: a log-in by password and a matrix-js-sdk client with its Rust crypto in memory.
import { createClient } from "matrix-js-sdk";
import { RustBackupManager } from "matrix-js-sdk/lib/rust-crypto/backup.js";

import { logOf } from "./sdk-log.mjs";
import { until } from "./wait.mjs";
import { world } from "./world.mjs";

// The library waits up to ten random seconds before an upload to the key backup; here nobody needs that politeness.
RustBackupManager.maxBackupLoopStartDelayMillis = 0;

const running = new Set();

/** Logs in by password; answers as the server does: user_id, device_id, access_token. */
export function logIn(account, label) {
    const visitor = createClient({ baseUrl: world.url, logger: logOf(label) });
    return visitor.loginRequest({
        type: "m.login.password",
        identifier: { type: "m.id.user", user: account.name },
        password: account.password,
        initial_device_display_name: label,
    });
}

/**
 * A client for a log-in, its crypto loaded, not yet syncing.
 * `recovery` holds the key of the secret storage in `recovery.privateKey`, as soon as the person has it.
 */
export async function openDevice(login, label, recovery = {}) {
    const client = createClient({
        baseUrl: world.url,
        userId: login.user_id,
        deviceId: login.device_id,
        accessToken: login.access_token,
        logger: logOf(label),
        cryptoCallbacks: {
            getSecretStorageKey: async ({ keys }) => {
                return recovery.privateKey ? [Object.keys(keys)[0], recovery.privateKey] : null;
            },
        },
    });
    await client.initRustCrypto({ useIndexedDB: false });
    running.add(client);
    return client;
}

/** Starts the sync loop with Element Web's settings and waits for the first answer. */
export async function startSync(client, { initialSyncLimit = 20 } = {}) {
    await client.startClient({
        initialSyncLimit,
        lazyLoadMembers: true,
        threadSupport: true,
        pendingEventOrdering: "detached",
    });
    await until(`the first sync of ${client.getUserId()}`, () => client.isInitialSyncComplete());
}

/** Ends all sync loops, so that the process can end after a failure too. */
export function stopAll() {
    for (const client of running) client.stopClient();
}
