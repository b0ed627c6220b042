// Waiting for a condition, never for a fixed time, with a failure that says what was awaited.
import { setTimeout as sleep } from "node:timers/promises";

const DEFAULT_LIMIT_MS = 20_000;
const POLL_MS = 25;

/**
 * Resolves with the first truthy value of `look` (which may be async).
 * An error thrown by `look` counts as "not yet" and is told if the time runs out.
 */
export async function until(awaited, look, limitMs = DEFAULT_LIMIT_MS) {
    const end = Date.now() + limitMs;
    let seen;
    for (;;) {
        try {
            const value = await look();
            if (value) return value;
            seen = value;
        } catch (error) {
            seen = error;
        }
        if (Date.now() > end) {
            throw new Error(`waited ${limitMs} ms in vain for: ${awaited} (last seen: ${seen})`);
        }
        await sleep(POLL_MS);
    }
}
