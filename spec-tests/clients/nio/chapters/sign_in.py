"""Alice and Bob register and log in; Alice gives herself a name and a picture."""

import io
import struct
import zlib

from nio import (
    LoginInfoResponse,
    MemoryDownloadResponse,
    ProfileGetResponse,
    ProfileSetAvatarResponse,
    ProfileSetDisplayNameResponse,
    ThumbnailResponse,
    UploadResponse,
    WhoamiResponse,
)

from account import register
from device import expect, log_in
from step import ground_step, step

NAME = "Alice of the Park"


@ground_step("Alice and Bob register by the shared secret")
async def _(world):
    world.alice_account = await register("alice")
    world.bob_account = await register("bob")


@step("a wrong password is refused")
async def _(world):
    stranger = type(world.alice_account)(**{**vars(world.alice_account), "password": "wrong"})
    try:
        await log_in(stranger, "stranger")
    except AssertionError as refusal:
        assert "M_FORBIDDEN" in str(refusal), refusal
    else:
        raise AssertionError("a wrong password opened the account")


@ground_step("both log in by password and sync")
async def _(world):
    world.alice = await log_in(world.alice_account, "alice")
    await world.alice.start_sync()
    world.bob = await log_in(world.bob_account, "bob")
    await world.bob.start_sync()


@step("the server says who asks, and how one logs in")
async def _(world):
    client = world.alice.client
    me = expect(WhoamiResponse, await client.whoami())
    assert (me.user_id, me.device_id) == (world.alice_account.user_id, world.alice.device_id), me
    flows = expect(LoginInfoResponse, await client.login_info()).flows
    assert "m.login.password" in flows, flows


@step("Bob sees Alice's name and picture")
async def _(world):
    alice, bob = world.alice.client, world.bob.client
    expect(ProfileSetDisplayNameResponse, await alice.set_displayname(NAME))
    picture = png(64)
    uploaded, _keys = await alice.upload(lambda *_: io.BytesIO(picture), "image/png", "alice.png", filesize=len(picture))
    world.avatar = expect(UploadResponse, uploaded).content_uri
    expect(ProfileSetAvatarResponse, await alice.set_avatar(world.avatar))

    profile = expect(ProfileGetResponse, await bob.get_profile(world.alice.user_id))
    assert (profile.displayname, profile.avatar_url) == (NAME, world.avatar), profile
    loaded = expect(MemoryDownloadResponse, await bob.download(world.avatar))
    assert loaded.body == picture, "the picture came back otherwise"
    assert (loaded.content_type, loaded.filename) == ("image/png", "alice.png"), (loaded.content_type, loaded.filename)
    server, media = world.avatar.removeprefix("mxc://").split("/")
    small = expect(ThumbnailResponse, await bob.thumbnail(server, media, 32, 32))
    assert small.content_type.startswith("image/"), small.content_type


def png(side):
    """A square picture, red, as a PNG."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\xff\0\0" * side) * side
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
