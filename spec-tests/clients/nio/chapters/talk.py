"""Alice and Bob talk: messages, an edit, a reaction, a reply, a thread, receipts, typing and a redaction."""

from nio import (
    ReactionEvent,
    RedactedEvent,
    RedactionEvent,
    RoomGetEventResponse,
    RoomReadMarkersResponse,
    RoomRedactResponse,
    RoomTypingResponse,
    UpdateReceiptMarkerResponse,
)
from nio.api import ReceiptType, RelationshipType

from device import expect
from step import ground_step, step
from timeline import arrived, decrypted, send, tell
from wait import until


@ground_step("Bob reads Alice's encrypted message")
async def _(world):
    world.from_alice = await tell(world.alice, world.bob, world.room_id, "Hello Bob")


@ground_step("Alice reads Bob's encrypted message")
async def _(world):
    world.from_bob = await tell(world.bob, world.alice, world.room_id, "Hello Alice")


@step("a verified sender's message is verified")
async def _(world):
    event_id = await tell(world.alice, world.bob, world.room_id, "It is really me")
    assert world.bob.events[event_id].verified, "the message is not known to come from Alice's verified device"


@step("Bob sees Alice's edit")
async def _(world):
    alice, bob, room_id = world.alice, world.bob, world.room_id
    event_id = await tell(alice, bob, room_id, "The park at noom")
    text = {"msgtype": "m.text", "body": "The park at noon"}
    relation = {"rel_type": "m.replace", "event_id": event_id}
    # The relation stands outside the ciphertext, where the server sees it.
    edit_id = await tell(alice, bob, room_id, f"* {text['body']}", **{"m.new_content": text, "m.relates_to": relation})
    found = bob.client.room_get_event_relations(room_id, event_id, RelationshipType.replacement)
    assert [event.event_id async for event in found] == [edit_id], "the server's edits of the message are not the one"


@step("Alice sees Bob's reaction")
async def _(world):
    alice, bob, room_id, event_id = world.alice, world.bob, world.room_id, world.from_alice
    relation = {"rel_type": "m.annotation", "event_id": event_id, "key": "👍"}
    reaction_id = await send(bob, room_id, {"m.relates_to": relation}, "m.reaction")
    reaction = await arrived(alice, reaction_id)
    assert isinstance(reaction, ReactionEvent), reaction
    assert (reaction.sender, reaction.reacts_to, reaction.key) == (bob.user_id, event_id, "👍"), reaction

    found = alice.client.room_get_event_relations(room_id, event_id, RelationshipType.annotation, "m.reaction")
    ids = [event.event_id async for event in found]
    assert ids == [reaction_id], "the server's relations of the message are not the one reaction"


@step("Alice reads Bob's reply")
async def _(world):
    relation = {"m.in_reply_to": {"event_id": world.from_alice}}
    await tell(world.bob, world.alice, world.room_id, "Hello again", **{"m.relates_to": relation})


@step("Alice finds Bob's thread")
async def _(world):
    alice, bob, room_id = world.alice, world.bob, world.room_id
    root = await tell(alice, bob, room_id, "What shall we bring?")
    relation = {"rel_type": "m.thread", "event_id": root, "is_falling_back": True, "m.in_reply_to": {"event_id": root}}
    answers = [await tell(bob, alice, room_id, body, **{"m.relates_to": relation}) for body in ("Bread", "Cheese")]

    roots = [event async for event in alice.client.room_get_threads(room_id)]
    assert [event.event_id for event in roots] == [root], roots
    thread = roots[0].source["unsigned"]["m.relations"]["m.thread"]
    assert (thread["count"], thread["latest_event"]["event_id"]) == (2, answers[1]), thread
    found = alice.client.room_get_event_relations(room_id, root, RelationshipType.thread)
    assert [event.event_id async for event in found] == answers[::-1]


@step("Alice sees Bob's read receipt, and Bob his read marker")
async def _(world):
    alice, bob, room_id = world.alice, world.bob, world.room_id
    event_id = await tell(alice, bob, room_id, "Have you read this?")
    await until("Bob's unread messages", lambda: bob.room(room_id).unread_notifications)
    sent = await bob.client.update_receipt_marker(room_id, event_id, ReceiptType.read, "main")
    expect(UpdateReceiptMarkerResponse, sent)
    receipts = alice.room(room_id).threaded_read_receipts
    await until("Bob's receipt in Alice's sync", lambda: receipts[bob.user_id]["main"].event_id == event_id)

    later_id = await tell(alice, bob, room_id, "And this?")
    expect(RoomReadMarkersResponse, await bob.client.room_read_markers(room_id, later_id, later_id))
    await until("Bob's read marker in his sync", lambda: bob.room(room_id).fully_read_marker == later_id)
    receipts = alice.room(room_id).read_receipts
    await until("Bob's next receipt in Alice's sync", lambda: receipts[bob.user_id].event_id == later_id)
    await until("nothing unread for Bob", lambda: bob.room(room_id).unread_notifications == 0)


@step("Alice sees Bob type and stop")
async def _(world):
    alice, bob, room_id = world.alice, world.bob, world.room_id
    expect(RoomTypingResponse, await bob.client.room_typing(room_id, True))
    await until("Bob typing in Alice's sync", lambda: alice.room(room_id).typing_users == [bob.user_id])
    expect(RoomTypingResponse, await bob.client.room_typing(room_id, False))
    await until("Bob no longer typing in Alice's sync", lambda: alice.room(room_id).typing_users == [])


@step("Bob sees Alice's redaction")
async def _(world):
    alice, bob, room_id = world.alice, world.bob, world.room_id
    event_id = await tell(alice, bob, room_id, "I wish I had not said this")
    redacted = expect(RoomRedactResponse, await alice.client.room_redact(room_id, event_id, "second thoughts"))
    redaction = await arrived(bob, redacted.event_id)
    assert isinstance(redaction, RedactionEvent), redaction
    assert (redaction.redacts, redaction.reason) == (event_id, "second thoughts"), redaction

    event = expect(RoomGetEventResponse, await bob.client.room_get_event(room_id, event_id)).event
    assert isinstance(event, RedactedEvent), event
    assert (event.redacter, event.reason, event.source["content"]) == (alice.user_id, "second thoughts", {}), event
