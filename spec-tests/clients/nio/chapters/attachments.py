"""Files: encrypted by the sender, passed on by the server, decrypted by the reader."""

import io
import secrets

from nio import ContentRepositoryConfigResponse, MemoryDownloadResponse, RoomEncryptedFile, UploadResponse
from nio.crypto import decrypt_attachment

from device import expect
from step import step
from timeline import decrypted, send


@step("Bob downloads Alice's encrypted file")
async def _(world):
    alice, bob, room_id = world.alice, world.bob, world.room_id
    content = secrets.token_bytes(300_000)
    uploaded, keys = await alice.client.upload(lambda *_: io.BytesIO(content), encrypt=True, filesize=len(content))
    file = {**keys, "url": expect(UploadResponse, uploaded).content_uri}
    message = {
        "msgtype": "m.file",
        "body": "map.bin",
        "file": file,
        "info": {"size": len(content), "mimetype": "application/octet-stream"},
    }
    event = await decrypted(bob, await send(alice, room_id, message))
    assert isinstance(event, RoomEncryptedFile), event

    loaded = expect(MemoryDownloadResponse, await bob.client.download(event.url)).body
    assert loaded != content, "the file crossed the server in the clear"
    assert decrypt_attachment(loaded, event.key["k"], event.hashes["sha256"], event.iv) == content


@step("the server says how large a file may be")
async def _(world):
    limits = expect(ContentRepositoryConfigResponse, await world.bob.client.content_repository_config())
    assert limits.upload_size > 0, limits
