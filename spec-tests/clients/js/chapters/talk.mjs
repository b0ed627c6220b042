// Alice and Bob talk: messages, an edit, a reaction, a reply, a receipt, typing and a redaction.
import assert from "node:assert/strict";

import { groundStep, step } from "../step.mjs";
import { decrypted, tell } from "../timeline.mjs";
import { until } from "../wait.mjs";

groundStep("Bob reads Alice's encrypted message", async (world) => {
    const { alice, bob, roomId } = world;
    world.fromAlice = await tell(alice, bob, roomId, "Hello Bob");
});

groundStep("Alice reads Bob's encrypted message", async (world) => {
    const { alice, bob, roomId } = world;
    world.fromBob = await tell(bob, alice, roomId, "Hello Alice");
});

step("Bob sees Alice's edit", async ({ alice, bob, roomId }) => {
    const eventId = await tell(alice, bob, roomId, "The park at noom");
    const text = { msgtype: "m.text", body: "The park at noon" };
    const { event_id: editId } = await alice.sendMessage(roomId, {
        ...text,
        "body": `* ${text.body}`,
        "m.new_content": text,
        "m.relates_to": { rel_type: "m.replace", event_id: eventId },
    });
    const event = bob.getRoom(roomId).findEventById(eventId);
    await until("the edit to replace the message for Bob", () => event.replacingEventId() === editId);
    await until("the edit's clear text for Bob", () => event.getContent().body === text.body);
});

step("Alice sees Bob's reaction", async ({ alice, bob, roomId, fromAlice }) => {
    await bob.sendEvent(roomId, "m.reaction", {
        "m.relates_to": { rel_type: "m.annotation", event_id: fromAlice, key: "👍" },
    });
    const relations = alice.getRoom(roomId).relations;
    const reactions = () => relations.getChildEventsForEvent(fromAlice, "m.annotation", "m.reaction");
    const [key, events] = await until("the reaction in Alice's sync", () => {
        return reactions()?.getSortedAnnotationsByKey()[0];
    });
    assert.equal(key, "👍");
    assert.deepEqual([...events].map((event) => event.getSender()), [bob.getUserId()]);

    const found = await alice.relations(roomId, fromAlice, "m.annotation", "m.reaction");
    assert.equal(found.events.length, 1, "the server's relations of the message lack the reaction");
});

step("Alice reads Bob's reply", async ({ alice, bob, roomId, fromAlice }) => {
    const { event_id: replyId } = await bob.sendMessage(roomId, {
        "msgtype": "m.text",
        "body": "Hello again",
        "m.relates_to": { "m.in_reply_to": { event_id: fromAlice } },
    });
    const reply = await decrypted(alice, roomId, replyId);
    assert.equal(reply.getContent().body, "Hello again");
    assert.equal(reply.replyEventId, fromAlice);
});

step("Alice sees Bob's read receipt", async ({ alice, bob, roomId }) => {
    const eventId = await tell(alice, bob, roomId, "Have you read this?");
    await bob.sendReadReceipt(bob.getRoom(roomId).findEventById(eventId));
    // `true`: not the receipt that the library itself makes up from a message that Bob sent.
    const received = () => alice.getRoom(roomId).getReadReceiptForUserId(bob.getUserId(), true)?.eventId;
    await until("Bob's receipt in Alice's sync", () => received() === eventId);
});

step("Alice sees Bob type and stop", async ({ alice, bob, roomId }) => {
    const types = () => alice.getRoom(roomId).getMember(bob.getUserId()).typing;
    await bob.sendTyping(roomId, true, 30_000);
    await until("Bob typing in Alice's sync", types);
    await bob.sendTyping(roomId, false, 0);
    await until("Bob no longer typing in Alice's sync", () => !types());
});

step("Bob sees Alice's redaction", async ({ alice, bob, roomId }) => {
    const eventId = await tell(alice, bob, roomId, "I wish I had not said this");
    await alice.redactEvent(roomId, eventId, undefined, { reason: "second thoughts" });
    const event = bob.getRoom(roomId).findEventById(eventId);
    await until("the redaction in Bob's sync", () => event.isRedacted());
    assert.deepEqual(event.getContent(), {});
    const raw = await bob.fetchRoomEvent(roomId, eventId);
    assert.deepEqual(raw.content, {}, "the server still gives the redacted content");
});
