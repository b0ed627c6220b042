// One step of the journey: a node:test case with a time limit, which tells what the library did when it fails.
import test from "node:test";

import { recentLog } from "./sdk-log.mjs";
import { world } from "./world.mjs";

const STEP_LIMIT_MS = 60_000;

// The failed step that the rest of the journey cannot do without, if there is one.
let brokenGround;

/** A step that stands alone: when it fails, the next ones still run and can tell more. `walk` is given the world. */
export function step(name, walk) {
    add(name, walk, false);
}

/** A step that all later ones build on: when it fails, they are skipped instead of each running into its time limit. */
export function groundStep(name, walk) {
    add(name, walk, true);
}

function add(name, walk, isGround) {
    test(name, async (t) => {
        if (brokenGround !== undefined) return t.skip(`after the failure of "${brokenGround}"`);
        try {
            await withinLimit(name, walk(world));
        } catch (error) {
            if (isGround) brokenGround = name;
            console.error(`--- "${name}" failed; the library's last lines:\n${recentLog()}\n---`);
            throw error;
        }
    });
}

// node:test has a time limit too, but would end the case before the library's lines are told.
async function withinLimit(name, walking) {
    let timer;
    const limit = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`"${name}" is not done after ${STEP_LIMIT_MS} ms`)), STEP_LIMIT_MS);
    });
    try {
        await Promise.race([walking, limit]);
    } finally {
        clearTimeout(timer);
    }
}
