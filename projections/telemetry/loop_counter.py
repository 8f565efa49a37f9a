"""Counts of an event loop that reach their counter together."""

import asyncio

from prometheus_client import Counter

from projections.telemetry.after_commit import after_commit


class LoopCounter:
    """Counts what nearly every redeem request counts: one iteration of the event loop adds all its counts at once.

    Adding to a counter takes 1.2 us, counting here a tenth of that (measured 2026-12-01), and one iteration answers a
    whole batch.

    Args:
        counter: The counter, or its child of one label.
    """

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self._count = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def count(self, number: int = 1) -> None:
        """Count in the running loop, before it waits for the next events."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a loop that was closed too early leaves its counts to the next one
            self._loop = loop
            loop.call_soon(self._add)
        self._count += number

    def _add(self) -> None:
        number, self._count, self._loop = self._count, 0, None
        with after_commit("counting requests"):
            self.counter.inc(number)
