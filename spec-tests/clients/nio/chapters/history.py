"""The room's past: paged through backwards, decrypted, and the surroundings of one message."""

from nio import (
    JoinedMembersResponse,
    MessageDirection,
    RoomContextResponse,
    RoomCreateEvent,
    RoomGetStateResponse,
    RoomMessagesResponse,
    RoomMessageText,
)

from device import expect
from step import step


@step("Bob pages back to the room's beginning")
async def _(world):
    events = await page_all(world.bob, world.room_id, MessageDirection.back)
    assert isinstance(events[-1], RoomCreateEvent), events[-1]
    # He has the keys of all that was said since he joined.
    bodies = [event.body for event in events if isinstance(event, RoomMessageText)]
    assert {"Hello Bob", "Hello Alice", "Hello again"} <= set(bodies), bodies
    assert bodies.index("Hello Alice") < bodies.index("Hello Bob"), "the past does not run backwards"


@step("the room's past is the same forwards")
async def _(world):
    back = await page_all(world.alice, world.room_id, MessageDirection.back)
    forwards = await page_all(world.alice, world.room_id, MessageDirection.front)
    assert ids(forwards) == ids(back)[::-1]
    assert len(set(ids(back))) == len(back), "an event came twice"


@step("Bob looks at what surrounds a message")
async def _(world):
    bob = world.bob
    around = expect(RoomContextResponse, await bob.client.room_context(world.room_id, world.from_bob, limit=6))
    assert around.event.body == "Hello Alice", around.event
    assert ids(around.events_before)[0] == world.from_alice, ids(around.events_before)
    assert around.events_after, "nothing after the message"
    assert around.state, "the context lacks the room's state"


@step("the room's state and members are as Bob's sync says")
async def _(world):
    bob, room_id = world.bob, world.room_id
    state = expect(RoomGetStateResponse, await bob.client.room_get_state(room_id)).events
    kept = {(event["type"], event["state_key"]): event["content"] for event in state}
    assert kept["m.room.name", ""]["name"] == bob.room(room_id).name, kept
    members = expect(JoinedMembersResponse, await bob.client.joined_members(room_id)).members
    assert {member.user_id for member in members} == set(bob.room(room_id).users), members
    alice = next(member for member in members if member.user_id == world.alice.user_id)
    assert alice.avatar_url == world.avatar, alice


async def page_all(device, room_id, direction):
    """All of the room, in pages of seven."""
    events, token = [], None
    while True:
        page = await device.client.room_messages(room_id, start=token, direction=direction, limit=7)
        page = expect(RoomMessagesResponse, page)
        events += page.chunk
        if page.end is None:
            return events
        token = page.end


def ids(events):
    return [event.event_id for event in events]
