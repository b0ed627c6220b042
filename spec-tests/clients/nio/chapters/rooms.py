"""Rooms as bots run them: with an address, in the directory and in a space, with power, moderated, and upgraded."""

from nio import (
    JoinError,
    JoinResponse,
    RoomBanResponse,
    RoomCreateResponse,
    RoomForgetResponse,
    RoomKickResponse,
    RoomLeaveResponse,
    RoomPreset,
    RoomPutStateResponse,
    RoomResolveAliasResponse,
    RoomUnbanResponse,
    RoomVisibility,
    SpaceGetHierarchyResponse,
)
from nio.responses import PublicRoomsResponse, RoomUpgradeResponse

from device import expect
from step import ground_step, step
from wait import until


@ground_step("Bob joins Alice's public room by its address")
async def _(world):
    alice, bob = world.alice, world.bob
    # A room version that there is something above.
    created = await alice.client.room_create(
        RoomVisibility.public, alias="bandstand-" + world.alice_account.name, name="Bandstand",
        preset=RoomPreset.public_chat, room_version="10",
    )
    world.public_id = expect(RoomCreateResponse, created).room_id
    world.alias = f"#bandstand-{world.alice_account.name}:localhost"
    resolved = expect(RoomResolveAliasResponse, await bob.client.room_resolve_alias(world.alias))
    assert (resolved.room_id, resolved.servers) == (world.public_id, ["localhost"]), resolved
    assert expect(JoinResponse, await bob.client.join(world.alias)).room_id == world.public_id
    await until("the public room in Bob's sync", lambda: bob.room(world.public_id).canonical_alias == world.alias)
    assert bob.room(world.public_id).room_version == "10"


@step("the room is in the server's directory")
async def _(world):
    listed = expect(PublicRoomsResponse, await world.bob.client.list_public_rooms(limit=50)).public_rooms
    (room,) = [room for room in listed if room.room_id == world.public_id]
    assert (room.name, room.canonical_alias, room.num_joined_members) == ("Bandstand", world.alias, 2), room


@step("the room is found in Alice's space")
async def _(world):
    alice, bob = world.alice, world.bob
    space = await alice.client.room_create(name="The park", space=True, preset=RoomPreset.public_chat)
    space_id = expect(RoomCreateResponse, space).room_id
    child = {"via": ["localhost"], "suggested": True}
    expect(
        RoomPutStateResponse,
        await alice.client.room_put_state(space_id, "m.space.child", child, state_key=world.public_id),
    )
    found = expect(SpaceGetHierarchyResponse, await bob.client.space_get_hierarchy(space_id)).rooms
    assert [room["room_id"] for room in found] == [space_id, world.public_id], found
    await until("the child in Alice's sync", lambda: alice.room(space_id).children == {world.public_id})


@step("Bob is put out, locked out and let in again")
async def _(world):
    alice, bob, room_id = world.alice, world.bob, world.public_id
    expect(RoomKickResponse, await alice.client.room_kick(room_id, bob.user_id, "closing time"))
    await until("Bob gone in Alice's sync", lambda: bob.user_id not in alice.room(room_id).users)
    expect(RoomBanResponse, await alice.client.room_ban(room_id, bob.user_id))
    assert expect(JoinError, await bob.client.join(room_id)).status_code == "M_FORBIDDEN"
    expect(RoomUnbanResponse, await alice.client.room_unban(room_id, bob.user_id))
    expect(JoinResponse, await bob.client.join(room_id))
    await until("Bob back in Alice's sync", lambda: bob.user_id in alice.room(room_id).users)


@step("the room is upgraded, and its address goes along")
async def _(world):
    alice, bob, room_id = world.alice, world.bob, world.public_id
    new_id = expect(RoomUpgradeResponse, await alice.client.room_upgrade(room_id, "11")).room_id
    await until("the tombstone in Bob's sync", lambda: bob.room(room_id).replacement_room == new_id)
    resolved = expect(RoomResolveAliasResponse, await bob.client.room_resolve_alias(world.alias))
    assert resolved.room_id == new_id, resolved
    expect(JoinResponse, await bob.client.join(new_id))
    await until("the new room in Bob's sync", lambda: bob.room(new_id).room_version == "11")
    assert bob.room(new_id).name == "Bandstand"


@step("Bob leaves the old room and forgets it")
async def _(world):
    bob, room_id = world.bob, world.public_id
    expect(RoomLeaveResponse, await bob.client.room_leave(room_id))
    await until("Bob gone in Alice's sync", lambda: bob.user_id not in world.alice.room(room_id).users)
    expect(RoomForgetResponse, await bob.client.room_forget(room_id))
