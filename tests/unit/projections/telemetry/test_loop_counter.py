import asyncio
from unittest.mock import Mock, call

from prometheus_client import Counter

from projections.telemetry.loop_counter import LoopCounter
from tests.support.waiting import run_ready_tasks


def count_twice(counter: LoopCounter) -> None:
    counter.count()
    counter.count(2)


def test_counts_of_each_iteration_are_added_at_once() -> None:
    added = Mock(spec=Counter)
    counter = LoopCounter(added)

    async def serve() -> None:
        count_twice(counter)
        added.inc.assert_not_called()
        await run_ready_tasks()
        count_twice(counter)

    asyncio.run(serve())

    assert added.inc.mock_calls == [call(3), call(3)]


def test_counts_of_a_closed_loop_are_added_by_the_next_one() -> None:
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
    added = Mock(spec=Counter)
    added.inc.side_effect = [RuntimeError("broken"), None]
    counter = LoopCounter(added)

    async def serve() -> None:
        counter.count()
        await run_ready_tasks()
        counter.count(2)

    asyncio.run(serve())

    assert added.inc.mock_calls == [call(1), call(2)]
