"""Waiting for a condition, never for a fixed time, with a failure that says what was awaited."""

import asyncio
import inspect
import time

LIMIT_S = 20
POLL_S = 0.025


async def until(awaited, look, limit_s=LIMIT_S):
    """Gives the first true value of `look` (which may be a coroutine function).

    An exception of `look` counts as "not yet" and is told if the time runs out.
    """
    end = time.monotonic() + limit_s
    while True:
        try:
            seen = look()
            if inspect.isawaitable(seen):
                seen = await seen
            if seen:
                return seen
        except Exception as error:  # whatever it is, it may pass
            seen = repr(error)
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit_s} s in vain for: {awaited} (last seen: {seen})")
        await asyncio.sleep(POLL_S)
