"""The steps of the journey: coroutines with a time limit, walked in the order in which the chapters name them."""

import asyncio
import sys
import time
import traceback

from nio_log import recent_log
from world import world

STEP_LIMIT_S = 60

_steps = []


def step(name):
    """A step that stands alone: when it fails, the next ones still run and can tell more. It is given the world."""
    return lambda walk: _steps.append((name, walk, False))


def ground_step(name):
    """A step that all later ones build on: when it fails, they are skipped instead of each running into its time limit."""
    return lambda walk: _steps.append((name, walk, True))


async def walk_all():
    """Walks all steps and tells of each; whether all went well."""
    began = time.monotonic()
    count = {"pass": 0, "fail": 0, "skipped": 0}
    broken_ground = None
    for name, walk, is_ground in _steps:
        if broken_ground is not None:
            outcome = "skipped"
            print(f'﹣ {name} # after the failure of "{broken_ground}"', flush=True)
        else:
            outcome = await _walk_one(name, walk)
            if outcome == "fail" and is_ground:
                broken_ground = name
        count[outcome] += 1
    print(f"ℹ tests {len(_steps)}")
    for outcome, number in count.items():
        print(f"ℹ {outcome} {number}")
    print(f"ℹ duration_ms {_ms_since(began)}", flush=True)
    return count["pass"] == len(_steps)


async def _walk_one(name, walk):
    began = time.monotonic()
    try:
        await asyncio.wait_for(walk(world), STEP_LIMIT_S)
    except Exception as error:
        if isinstance(error, asyncio.TimeoutError):
            error.add_note(f'"{name}" is not done after {STEP_LIMIT_S} s')
        print(f"✖ {name} ({_ms_since(began)}ms)", flush=True)
        traceback.print_exception(error)
        print(f'--- "{name}" failed; the library\'s last lines:\n{recent_log()}\n---', file=sys.stderr, flush=True)
        return "fail"
    print(f"✔ {name} ({_ms_since(began)}ms)", flush=True)
    return "pass"


def _ms_since(began):
    return round((time.monotonic() - began) * 1000, 3)
