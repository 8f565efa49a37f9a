import asyncio
import socket
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest

from domain.command_bus import Command
from domain.errors import CodeExhausted
from domain.results import Result
from projections.database.errors import StorageUnavailableError
from projections.event_store.unit_of_work import TakeWaiting
from projections.storage import group_commit as module
from projections.storage.group_commit import BATCH_MAX, AsyncGroupCommit, OverloadedError, execute_isolated
from projections.storage.pipelined_execute import FallBackToBlockingError
from tests.support.waiting import WAIT_S_MAX, in_event_loop, run_ready_tasks

Commit = AsyncGroupCommit[Command, Result]


def command(number: int) -> Command:
    return cast("Command", number)


def commands(*numbers: int) -> list[Command]:
    return [command(number) for number in numbers]


class FakeStore:
    """Records batches; each waits on a socket until `answer`; fails where a test sets it."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.batches: list[list[int]] = []
        self.in_thread: list[list[int]] = []
        self.defective_number: int | None = None
        self.smooth = True
        self.unavailable_after = 1_000
        self.joinable: set[int] = set()

    def answer(self) -> None:
        self.theirs.send(b"!")

    def stepwise(self, commands: Sequence[Command], take_waiting: TakeWaiting) -> Generator[int, None, list[Result]]:
        numbers = [cast("int", command) for command in commands]
        self.batches.append(numbers)
        yield self.ours.fileno()
        numbers += cast("Sequence[int]", take_waiting(lambda command: cast("int", command) in self.joinable))
        if not self.smooth:
            raise FallBackToBlockingError
        if self.defective_number in numbers:
            raise AssertionError("a defect")
        return self.results(numbers)

    def execute(self, commands: Sequence[Command]) -> list[Result]:
        numbers = [cast("int", command) for command in commands]
        self.in_thread.append(numbers)
        if len(self.in_thread) > self.unavailable_after:
            raise StorageUnavailableError("away")
        if self.defective_number in numbers:
            raise AssertionError("a defect")
        return self.results(numbers)

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()

    def results(self, numbers: list[int]) -> list[Result]:
        return [cast("Result", f"result {number}") for number in numbers]


@asynccontextmanager
async def begin(wait_s: float = WAIT_S_MAX) -> AsyncIterator[tuple[FakeStore, Commit]]:
    store = FakeStore()
    commit = AsyncGroupCommit(store.stepwise, store.execute, wait_s)
    yield store, commit
    await commit.aclose()
    store.close()


async def begun(commit: Commit, *numbers: int) -> list[asyncio.Task[Result]]:
    tasks = [asyncio.create_task(commit.run(command(number))) for number in numbers]
    await run_ready_tasks(2)
    return tasks


@in_event_loop
async def test_commands_are_gathered_while_a_batch_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_MAX", 3)

    async with begin() as (store, commit):
        tasks = await begun(commit, 0)
        tasks += await begun(commit, 1, 2, 3, 4, 5)
        store.answer()
        assert await asyncio.gather(*tasks) == store.results([*range(6)])

    assert store.batches == [[0], [1, 2, 3], [4, 5]]


@in_event_loop
async def test_defect_fails_only_its_own_command() -> None:
    async with begin() as (store, commit):
        store.defective_number = 2
        tasks = await begun(commit, 1, 2, 3)
        store.answer()
        assert [str(await tasks[0]), str(await tasks[2])] == ["result 1", "result 3"]
        with pytest.raises(AssertionError, match="a defect"):
            await tasks[1]


@in_event_loop
async def test_batch_falls_back_to_a_thread_when_it_would_block() -> None:
    """A fault that needs waiting or another try leaves the loop free."""
    async with begin() as (store, commit):
        store.smooth = False
        tasks = await begun(commit, 1, 2)
        store.answer()
        assert await asyncio.gather(*tasks) == store.results([1, 2])

    assert store.in_thread == [[1, 2]]


@in_event_loop
async def test_outage_fails_the_batch_at_once() -> None:
    """While the database is unavailable, commands do not wait for one attempt each."""
    async with begin() as (store, commit):
        store.smooth, store.unavailable_after = False, 0
        tasks = await begun(commit, *range(min(9, BATCH_MAX)))
        store.answer()
        for task in tasks:
            with pytest.raises(StorageUnavailableError):
                await task

    assert len(store.in_thread) == 1


@in_event_loop
async def test_full_queue_refuses_instead_of_growing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 2)

    async with begin() as (store, commit):
        tasks = await begun(commit, 0)
        tasks += await begun(commit, 1, 2)
        with pytest.raises(OverloadedError):
            await commit.run(command(3))
        store.answer()
        await asyncio.gather(*tasks)


@in_event_loop
async def test_cancelled_command_is_withdrawn() -> None:
    async with begin() as (store, commit):
        first = await begun(commit, 0)
        given_up, completed = await begun(commit, 1, 2)
        given_up.cancel()
        await run_ready_tasks()
        store.answer()
        assert str(await completed) == "result 2"
        await asyncio.gather(*first)

    assert store.batches == [[0], [2]]


@in_event_loop
async def test_caller_waits_no_longer_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXPIRY_CHECK_S", 0.01)

    async with begin(wait_s=0.05) as (store, commit):
        tasks = await begun(commit, 0)
        tasks += await begun(commit, 1)
        for task in tasks:
            with pytest.raises(TimeoutError):
                await task
        store.answer()

    assert store.batches == [[0]]


@in_event_loop
async def test_idle_system_checks_no_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXPIRY_CHECK_S", 0.01)

    async with begin() as (store, commit):
        for number in (0, 1):
            is_checking = [commit._timer is not None]
            tasks = await begun(commit, number)
            is_checking.append(commit._timer is not None)
            store.answer()
            await asyncio.gather(*tasks)
            assert is_checking == [False, True]
            while commit._timer is not None:
                await run_ready_tasks()


@in_event_loop
async def test_answer_that_never_comes_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXPIRY_CHECK_S", 0.01)
    monkeypatch.setattr(module, "ANSWER_S_MAX", 0.02)

    async with begin() as (store, commit):
        tasks = await begun(commit, 0)
        tasks += await begun(commit, 1)
        assert await asyncio.gather(*tasks) == store.results([0, 1])
        assert store.ours.recv(1) == b""

    assert store.batches == [[0], [1]]


@in_event_loop
async def test_closing_finishes_submitted_work() -> None:
    async with begin() as (store, commit):
        tasks = await begun(commit, *range(20))
        store.answer()
        await commit.aclose()
        await run_ready_tasks()
        assert all(task.done() for task in tasks)
        with pytest.raises(OverloadedError):
            await commit.run(command(99))


@in_event_loop
async def test_chunks_wait_for_one_another_and_single_commands_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_MAX", 4)

    async with begin() as (store, commit):
        first, second = (
            asyncio.create_task(commit.run_chunk(commands(*numbers))) for numbers in ([0, 1, 2], [10, 11, 12])
        )
        single = (await begun(commit, 100))[0]
        store.answer()
        assert await first == store.results([0, 1, 2])
        assert str(await single) == "result 100"
        assert await second == store.results([10, 11, 12])

    assert store.batches == [[0, 1, 2, 100], [10, 11, 12]]


@in_event_loop
async def test_chunk_waits_for_single_commands_after_another_chunk() -> None:
    """The second chunk is next to the first one in time, but single commands that arrived after both come before it."""
    async with begin() as (store, commit):
        first = asyncio.create_task(commit.run_chunk(commands(0, 1)))
        await begun(commit)
        second = asyncio.create_task(commit.run_chunk(commands(10, 11)))
        singles = await begun(commit, 100, 101)
        store.answer()
        await asyncio.gather(first, second, *singles)

    assert store.batches == [[0, 1], [100, 101], [10, 11]]


@in_event_loop
async def test_next_chunk_begins_before_the_caller_of_the_first_one_continues() -> None:
    """So a caller's work on results overlaps with the commit of another caller's chunk."""
    async with begin() as (store, commit):

        async def run_first() -> None:
            await commit.run_chunk([command(0)])
            assert store.batches == [[0], [10]]

        first = asyncio.create_task(run_first())
        await begun(commit)
        second = asyncio.create_task(commit.run_chunk([command(10)]))
        await begun(commit)
        store.answer()
        await asyncio.gather(first, second)


@in_event_loop
async def test_chunks_are_larger_until_a_single_command_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    async with begin() as (store, commit):
        assert commit.chunk_max == module.CHUNK_ALONE_MAX
        store.answer()
        await asyncio.gather(*await begun(commit, 0))
        assert commit.chunk_max == module.CHUNK_MAX
        await commit.run_chunk([command(1)])
        assert commit.chunk_max == module.CHUNK_MAX
        monkeypatch.setattr(module, "ALONE_S", 0)
        assert commit.chunk_max == module.CHUNK_ALONE_MAX


@in_event_loop
async def test_chunk_that_never_begins_waits_no_longer_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXPIRY_CHECK_S", 0.01)

    async with begin(wait_s=0.05) as (store, commit):
        await begun(commit, 0)
        for number in (1, 2):
            (result,) = await commit.run_chunk(commands(number))
            assert isinstance(result, TimeoutError)
        store.answer()

    assert store.batches == [[0]]


@in_event_loop
async def test_defect_in_a_chunk_is_the_result_of_its_command() -> None:
    async with begin() as (store, commit):
        store.defective_number = 2
        chunk = asyncio.create_task(commit.run_chunk(commands(1, 2, 3)))
        store.answer()
        first, second, third = await chunk
        assert [str(first), str(third)] == ["result 1", "result 3"]
        assert isinstance(second, AssertionError)


@in_event_loop
async def test_chunk_that_does_not_fit_the_queue_is_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 2)

    async with begin() as (store, commit):
        with pytest.raises(OverloadedError):
            await commit.run_chunk(commands(0, 1, 2))

    assert store.batches == []


@in_event_loop
async def test_cancelled_chunk_withdraws_its_commands() -> None:
    async with begin() as (store, commit):
        tasks = await begun(commit, 0)
        chunk = asyncio.create_task(commit.run_chunk(commands(1, 2)))
        await run_ready_tasks()
        chunk.cancel()
        store.answer()
        assert str(await tasks[0]) == "result 0"
        assert await commit.run_chunk(commands(3)) == store.results([3])

    assert store.batches == [[0], [3]]


@in_event_loop
async def test_commands_that_arrive_while_a_batch_waits_join_it_in_order() -> None:
    async with begin() as (store, commit):
        store.joinable = {2, 3, 5}
        first = asyncio.create_task(commit.run(command(1)))
        await run_ready_tasks()
        others = [asyncio.create_task(commit.run(command(number))) for number in (2, 3, 4, 5)]
        await run_ready_tasks()
        others[0].cancel()
        store.answer()
        assert [await first] == store.results([1])
        assert await asyncio.gather(*others[1:]) == store.results([3, 4, 5])

    assert store.batches == [[1, 3], [4, 5]]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStore]:
    """One for batches of four commands."""
    monkeypatch.setattr(module, "BATCH_MAX", 4)
    store = FakeStore()
    yield store
    store.close()


def test_commands_share_transactions_within_the_bound(store: FakeStore) -> None:
    results = execute_isolated(store.execute, commands(*range(6)))

    assert store.in_thread == [[0, 1, 2, 3], [4, 5]]
    assert results == store.results([*range(6)])


def test_no_command_needs_no_transaction(store: FakeStore) -> None:
    assert execute_isolated(store.execute, []) == []
    assert store.in_thread == []


def test_bug_fails_only_its_own_command(store: FakeStore) -> None:
    store.defective_number = 2

    results = execute_isolated(store.execute, commands(*range(6)))

    assert store.in_thread == [[0, 1, 2, 3], [0], [1], [2], [3], [4, 5]]
    assert results[:2] + results[3:] == store.results([0, 1, 3, 4, 5])
    assert isinstance(results[2], AssertionError)


def test_outage_ends_the_execution_at_once(store: FakeStore) -> None:
    store.unavailable_after = 1

    with pytest.raises(StorageUnavailableError):
        execute_isolated(store.execute, commands(*range(12)))

    assert store.in_thread == [[0, 1, 2, 3], [4, 5, 6, 7]]


@pytest.mark.usefixtures("store")
def test_refusal_is_a_result() -> None:
    refusal = CodeExhausted()

    assert execute_isolated(lambda batch: [refusal for _ in batch], commands(0, 1, 2)) == [refusal] * 3
