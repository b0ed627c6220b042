// Alice creates an encrypted room and invites Bob, who joins.
import assert from "node:assert/strict";

import { groundStep } from "../step.mjs";
import { until } from "../wait.mjs";

const NAME = "A walk in the park";

groundStep("Alice creates an encrypted room and invites Bob", async (world) => {
    const { alice, bob } = world;
    const { room_id: roomId } = await alice.createRoom({
        preset: "private_chat",
        name: NAME,
        invite: [bob.getUserId()],
        initial_state: [
            { type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } },
        ],
    });
    world.roomId = roomId;
    await until("the room to be encrypted for Alice", () => alice.getCrypto().isEncryptionEnabledInRoom(roomId));
});

groundStep("Bob sees the invitation and joins", async ({ alice, bob, roomId }) => {
    await until("the invitation in Bob's sync", () => bob.getRoom(roomId)?.getMyMembership() === "invite");
    assert.equal(bob.getRoom(roomId).name, NAME, "the invitation's stripped state lacks the room's name");

    await bob.joinRoom(roomId);
    await until("the joined room in Bob's sync", () => bob.getRoom(roomId)?.getMyMembership() === "join");
    await until("the room to be encrypted for Bob", () => bob.getCrypto().isEncryptionEnabledInRoom(roomId));
    await until("Bob's join in Alice's sync", () => {
        const room = alice.getRoom(roomId);
        return room.getMember(bob.getUserId())?.membership === "join" && room.getJoinedMemberCount() === 2;
    });
});
