// A new account through /_synapse/admin/v1/register, the door for whoever knows the server's shared secret.
import { createHmac, randomBytes } from "node:crypto";

import { world } from "./world.mjs";

/** Registers a user called `kind` plus a random tail; answers with what a person would remember. */
export async function register(kind) {
    const name = `${kind}-${randomBytes(6).toString("hex")}`;
    const password = randomBytes(12).toString("base64url");
    const door = `${world.url}/_synapse/admin/v1/register`;

    // The nonce keeps a recorded request from being played again.
    const { nonce } = await json(await fetch(door));
    const mac = createHmac("sha1", world.sharedSecret)
        .update([nonce, name, password, "notadmin"].join("\0"))
        .digest("hex");
    const body = JSON.stringify({ nonce, username: name, password, admin: false, mac });
    const headers = { "Content-Type": "application/json" };
    const { user_id: userId } = await json(await fetch(door, { method: "POST", headers, body }));
    return { name, password, userId };
}

async function json(response) {
    const text = await response.text();
    if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${text}`);
    return JSON.parse(text);
}
