// User-interactive authentication by password: try without, read the server's flows, answer with the password.
import assert from "node:assert/strict";

/**
 * Calls `request(auth)`, first with null. The server may let that pass (it does for a user's first cross-signing
 * keys) or answer 401 with its flows, of which the password alone must be one.
 */
export async function withPassword(account, request) {
    try {
        return await request(null);
    } catch (error) {
        if (error.httpStatus !== 401 || !error.data?.flows) throw error;
        const alone = error.data.flows.some(({ stages }) => stages.length === 1 && stages[0] === "m.login.password");
        assert.ok(alone, `no flow by password alone in ${JSON.stringify(error.data)}`);
        return await request({
            type: "m.login.password",
            identifier: { type: "m.id.user", user: account.name },
            password: account.password,
            session: error.data.session,
        });
    }
}
