"""Waiting for what another thread or process does. Every wait of the tests has the same bound."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

WAIT_S_MAX: Final = 300.0
"""Bound of every wait: a net, no budget. What takes longer hangs, however slow or busy the machine is."""
POLL_S: Final = 0.05

T = TypeVar("T")
P = ParamSpec("P")


def wait_for(read_value: Callable[[], T], explain: Callable[[], object] = lambda: "") -> T:
    """Wait until something is true, and return it.

    Args:
        read_value: Is called every POLL_S seconds, in the caller's thread.
        explain: Returns what to say of a wait that reaches its bound.

    Raises:
        AssertionError: It is still not true after WAIT_S_MAX.
    """
    ends = time.monotonic() + WAIT_S_MAX
    while not (value := read_value()):
        assert time.monotonic() < ends, f"not within {WAIT_S_MAX:.0f} s: {explain()}"
        time.sleep(POLL_S)
    return value


async def run_ready_tasks(rounds: int = 1) -> None:
    """Let each task of the event loop that is ready run until it waits, so many times in turn."""
    for _ in range(rounds):
        await asyncio.sleep(0)


def in_event_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test that is a coroutine in an event loop of its own, for WAIT_S_MAX at most."""

    @wraps(test)
    def run(*arguments: P.args, **named: P.kwargs) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(WAIT_S_MAX):
                await test(*arguments, **named)

        asyncio.run(bounded())

    return run
