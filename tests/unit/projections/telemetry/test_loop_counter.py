"""Counts of an event loop reach their counter together, and none is lost."""

import asyncio
from unittest.mock import Mock, call

from prometheus_client import Counter

from projections.telemetry.loop_counter import LoopCounter


def count_twice(counter: LoopCounter) -> None:
    """Count one request, and then two."""
    counter.count()
    counter.count(2)


def test_counts_of_each_iteration_are_added_at_once() -> None:
    """Once for each iteration that counted, before the next events of the loop."""
    added = Mock(spec=Counter)
    counter = LoopCounter(added)

    async def serve() -> None:
        count_twice(counter)
        added.inc.assert_not_called()
        await asyncio.sleep(0)
        count_twice(counter)

    asyncio.run(serve())

    assert added.inc.mock_calls == [call(3), call(3)]


def test_counts_of_a_closed_loop_are_added_by_the_next_one() -> None:
    """A loop that is closed without a further iteration stops no later count."""
    added = Mock(spec=Counter)
    counter = LoopCounter(added)
    loop = asyncio.new_event_loop()
    loop.call_soon(count_twice, counter)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()

    added.inc.assert_not_called()

    async def serve() -> None:
        counter.count()

    asyncio.run(serve())

    added.inc.assert_called_once_with(4)


def test_counts_continue_after_an_addition_that_failed() -> None:
    """The error is contained."""
    added = Mock(spec=Counter)
    added.inc.side_effect = [RuntimeError("broken"), None]
    counter = LoopCounter(added)

    async def serve() -> None:
        counter.count()
        await asyncio.sleep(0)
        counter.count(2)

    asyncio.run(serve())

    assert added.inc.mock_calls == [call(1), call(2)]
