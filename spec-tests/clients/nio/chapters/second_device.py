"""Alice logs in anew and gets her old keys: by the file that her first device exports, and by asking that device."""

import pathlib
import tempfile

from nio import MegolmEvent, RoomKeyRequestResponse, RoomMessagesResponse, RoomMessageText

from device import expect, knows, log_in
from step import ground_step, step
from timeline import decrypted, tell
from wait import until

PASSPHRASE = "a bench under the lime tree"


@ground_step("Alice logs in on a second device")
async def _(world):
    world.alice2 = await log_in(world.alice_account, "alice-2")
    assert world.alice2.device_id != world.alice.device_id
    # One event of the room only, so that the old messages must come by pagination.
    await world.alice2.start_sync(timeline_limit=1)
    for one, other in ((world.alice, world.alice2), (world.alice2, world.alice), (world.bob, world.alice2)):
        await knows(one, other)


@step("the second device pages back to the old messages, unreadable yet")
async def _(world):
    for event_id in (world.from_alice, world.from_bob):
        event = await page_back_to(world.alice2, world.room_id, event_id)
        assert isinstance(event, MegolmEvent), "an old message was readable without its key"


@step("the first device gives the second the key that it asks for")
async def _(world):
    alice, alice2 = world.alice, world.alice2
    for one, other in ((alice, alice2), (alice2, alice)):
        one.client.verify_device(one.peer(other))
    event = await page_back_to(alice2, world.room_id, world.from_alice)
    expect(RoomKeyRequestResponse, await alice2.client.request_room_key(event))
    sessions, second = alice.client.olm.session_store, alice.peer(alice2)
    await until("the first device to reach the second", lambda: sessions.get(second.curve25519))
    # The library looks at what was asked of it when a sync brings something.
    await tell(world.bob, alice, world.room_id, "Do you find it?")
    await until("the key from the first device", lambda: event.session_id not in alice2.client.outgoing_key_requests)
    assert alice2.client.decrypt_event(event).body == "Hello Bob"


@step("exported keys make all old messages readable")
async def _(world):
    with tempfile.TemporaryDirectory() as folder:
        file = str(pathlib.Path(folder, "keys.txt"))
        await world.alice.client.export_keys(file, PASSPHRASE)
        await world.alice2.client.import_keys(file, PASSPHRASE)
    for event_id, body in ((world.from_alice, "Hello Bob"), (world.from_bob, "Hello Alice")):
        event = await page_back_to(world.alice2, world.room_id, event_id)
        assert isinstance(event, RoomMessageText), event
        assert event.body == body, event


@step("both of Alice's devices read Bob, and Bob reads the second")
async def _(world):
    event_id = await tell(world.bob, world.alice, world.room_id, "Both of you")
    assert (await decrypted(world.alice2, event_id)).body == "Both of you"
    await tell(world.alice2, world.bob, world.room_id, "From my second device")


async def page_back_to(device, room_id, event_id):
    token = None
    while True:
        page = expect(RoomMessagesResponse, await device.client.room_messages(room_id, start=token, limit=10))
        for event in page.chunk:
            if event.event_id == event_id:
                return event
        assert page.end is not None, f"the room's past ends before {event_id}"
        token = page.end
