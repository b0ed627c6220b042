"""Alice creates an encrypted room and invites Bob, who joins."""

from nio import EnableEncryptionBuilder, JoinResponse, RoomCreateResponse, RoomInviteResponse, RoomPreset

from device import expect, knows
from step import ground_step
from wait import until

NAME = "A walk in the park"


@ground_step("Alice creates an encrypted room and invites Bob")
async def _(world):
    alice = world.alice
    created = await alice.client.room_create(
        name=NAME,
        topic="Where and when",
        preset=RoomPreset.private_chat,
        initial_state=[EnableEncryptionBuilder().as_dict()],
    )
    world.room_id = expect(RoomCreateResponse, created).room_id
    await until("the room in Alice's sync", lambda: alice.room(world.room_id).encrypted)
    room = alice.room(world.room_id)
    assert (room.name, room.topic) == (NAME, "Where and when"), room
    expect(RoomInviteResponse, await alice.client.room_invite(world.room_id, world.bob.user_id))


@ground_step("Bob sees the invitation and joins")
async def _(world):
    alice, bob, room_id = world.alice, world.bob, world.room_id
    # With the room's name: by the invitation's stripped state.
    invited = bob.client.invited_rooms
    await until("the invitation in Bob's sync", lambda: invited[room_id].name == NAME)
    assert invited[room_id].inviter == alice.user_id, invited[room_id].inviter

    expect(JoinResponse, await bob.client.join(room_id))
    await until("the joined room in Bob's sync", lambda: bob.room(room_id).encrypted)
    for one, other in ((alice, bob), (bob, alice)):
        await until(f"{other.user_id} joined in the sync of {one.user_id}", lambda: joined(one, other, room_id))
        await knows(one, other)


def joined(watcher, person, room_id):
    room = watcher.room(room_id)
    return person.user_id in room.users and room.joined_count == 2
