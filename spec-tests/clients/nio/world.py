"""What an earlier step finds out and a later one needs: the server, the people, their devices, the room, the messages."""

import os
from types import SimpleNamespace

for name in ("MATRON_URL", "MATRON_SHARED_SECRET"):
    if not os.environ.get(name):
        raise SystemExit(f"{name} is not set; ./run starts a server and sets it")

world = SimpleNamespace(
    url=os.environ["MATRON_URL"].rstrip("/"),
    shared_secret=os.environ["MATRON_SHARED_SECRET"],
)
