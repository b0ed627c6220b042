"""Two people, three devices: what people and bots do by matrix-nio, against a running server.

Wants MATRON_URL (base URL of the server) and MATRON_SHARED_SECRET (its registration secret); `./run` gives both.
User names are random, so the same server can be walked again and again.
"""

import asyncio
import sys

# Each chapter adds its steps as it is loaded; they are walked one after the other, in this order.
import chapters.sign_in
import chapters.meeting
import chapters.verification
import chapters.talk
import chapters.attachments
import chapters.history
import chapters.second_device
import chapters.rooms
import chapters.goodbye
from device import stop_all
from step import walk_all


async def journey():
    try:
        return await walk_all()
    finally:
        await stop_all()


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(journey()) else 1)
