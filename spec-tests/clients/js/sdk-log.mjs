// Keeps the last requests and warnings of matrix-js-sdk in memory, so that the output stays quiet until a step fails.
import { inspect } from "node:util";

import { logger } from "matrix-js-sdk/lib/logger.js";

const KEPT_LINES = 60;
const verbose = Boolean(process.env.JOURNEY_VERBOSE);
const lines = [];

// Below a warning only the requests are worth their line: the crypto's own chatter would push them out.
function isTelling(method, text) {
    return method === "warn" || method === "error" || text.includes("FetchHttpApi:");
}

logger.methodFactory = (method, _level, name) => (...parts) => {
    const text = parts.map((part) => (typeof part === "string" ? part : inspect(part, { depth: 3 }))).join(" ");
    const line = `${String(name).replace(/^matrix-?/, "")} ${method} ${text}`;
    if (verbose) console.error(line);
    if (!isTelling(method, text)) return;
    lines.push(line);
    if (lines.length > KEPT_LINES) lines.shift();
};
logger.rebuild();

/** A logger whose lines carry the name of one device. */
export function logOf(device) {
    return logger.getChild(`[${device}]`);
}

/** The kept lines, oldest first. */
export function recentLog() {
    return lines.join("\n");
}
