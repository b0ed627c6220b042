"""One device of a person: a log-in by password and matrix-nio's client with its keys in memory."""

import asyncio
import contextlib

from nio import (
    AsyncClient,
    AsyncClientConfig,
    BadEvent,
    ErrorResponse,
    Event,
    LoginResponse,
    UnknownBadEvent,
)
from nio.store import SqliteMemoryStore

from wait import until
from world import world

_running = []


def expect(kind, response):
    """The response, if it is of this kind. The library gives errors back, also for answers that break its schemas."""
    if not isinstance(response, kind):
        raise AssertionError(f"{response!r} instead of a {kind.__name__}")
    return response


class Device:
    """A client that is logged in, and all that its sync has brought."""

    def __init__(self, client):
        self.client = client
        # The newest form of each event, by its id.
        self.events = {}
        # What the library could not make sense of: events that break its schemas, requests of the sync loop that failed.
        self.complaints = []
        self._loop = None
        client.add_event_callback(self._keep, (Event, BadEvent, UnknownBadEvent))
        client.add_response_callback(self._complain, ErrorResponse)

    @property
    def user_id(self):
        return self.client.user_id

    @property
    def device_id(self):
        return self.client.device_id

    def room(self, room_id):
        """The room as the sync tells it; KeyError if this person is not in it."""
        return self.client.rooms[room_id]

    def peer(self, other):
        """Another device, as this one knows it by /keys/query; KeyError if it does not."""
        return self.client.device_store[other.user_id][other.device_id]

    async def start_sync(self, timeline_limit=20):
        """Starts the sync loop and waits for the first answer."""
        first = asyncio.create_task(self.client.synced.wait())
        self._loop = asyncio.create_task(
            self.client.sync_forever(
                timeout=30_000, sync_filter={"room": {"timeline": {"limit": timeline_limit}}}, full_state=True
            )
        )
        _running.append(self)
        await asyncio.wait({first, self._loop}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        if not first.done():
            raise AssertionError(f"no first sync of {self.user_id}: {self._loop}")

    async def stop(self):
        """Ends the sync loop and the connections."""
        if self._loop is not None:
            self._loop.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._loop
        await self.client.close()

    async def _keep(self, _room, event):
        if isinstance(event, (BadEvent, UnknownBadEvent)):
            self.complaints.append(event)
        self.events[event.source.get("event_id")] = event

    async def _complain(self, response):
        self.complaints.append(response)
        # The library asks again at once, for ever.
        await asyncio.sleep(1)


async def log_in(account, label):
    """Logs in by password; not yet syncing."""
    client = AsyncClient(world.url, account.name, config=AsyncClientConfig(store=SqliteMemoryStore, max_timeouts=3))
    try:
        expect(LoginResponse, await client.login(account.password, device_name=label))
    except BaseException:
        await client.close()
        raise
    return Device(client)


async def stop_all():
    """Ends all sync loops, so that the process can end after a failure too."""
    for device in _running:
        await device.stop()


async def knows(device, other):
    """Waits until one device has the keys of another."""
    return await until(f"{other.user_id} {other.device_id} known to {device.user_id}", lambda: device.peer(other))
