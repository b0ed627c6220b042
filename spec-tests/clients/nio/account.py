"""A new account through /_synapse/admin/v1/register, the door for whoever knows the server's shared secret."""

import hashlib
import hmac
import secrets
from types import SimpleNamespace

import aiohttp

from world import world


async def register(kind):
    """Registers a user called `kind` plus a random tail; answers with what a person would remember."""
    name = f"{kind}-{secrets.token_hex(6)}"
    password = secrets.token_urlsafe(12)
    door = f"{world.url}/_synapse/admin/v1/register"
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        # The nonce keeps a recorded request from being played again.
        nonce = (await (await session.get(door)).json())["nonce"]
        said = "\0".join([nonce, name, password, "notadmin"])
        mac = hmac.new(world.shared_secret.encode(), said.encode(), hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": name, "password": password, "admin": False, "mac": mac}
        user_id = (await (await session.post(door, json=body)).json())["user_id"]
    return SimpleNamespace(name=name, password=password, user_id=user_id)
