"""Password hashing has one lane and a short queue, so that sign-ins can't starve redeems."""

import asyncio
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable

import pytest
from argon2 import PasswordHasher, extract_parameters

from api.auth.passwords import password_hasher
from api.errors import ApplicationError
from api.web.staff_auth.hashing_queue import NICE, RETRY_AFTER_S, WAITING_MAX, HashingQueue
from projections.sql.repositories import RepositoriesSql
from tests.support.clients.app_client import AppClient
from tests.support.clients.asgi_requests import inside
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff
from tests.support.passwords import CHEAP
from tests.support.waiting import WAIT_S_MAX, run_ready_tasks

EMAIL = "mei@staff.example.com"
MANY = 200


class Gate:
    """A job for the lane that lasts until it is opened, and how many ran at the same time at most."""

    def __init__(self) -> None:
        self.may_continue = threading.Event()
        self.running = self.most = 0

    def __call__(self) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        assert self.may_continue.wait(WAIT_S_MAX)
        self.running -= 1


async def hold(queue: HashingQueue, job: Callable[[], None], *, is_known: bool = False) -> str:
    """Run a job in its turn; what came of it."""
    try:
        async with queue.acquire(is_known=is_known) as turn:
            await turn.run(job)
    except ApplicationError as error:
        return error.code
    return "done"


def test_hashing_runs_one_at_a_time_and_refuses_beyond_its_queue() -> None:
    gate, queue = Gate(), HashingQueue()

    async def many() -> list[str]:
        asked = [asyncio.create_task(hold(queue, gate)) for _ in range(MANY)]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        refused_at_once = sum(task.done() for task in asked)
        gate.may_continue.set()
        assert refused_at_once == MANY - 1 - WAITING_MAX
        return await asyncio.gather(*asked)

    assert Counter(asyncio.run(many())) == {"OVERLOADED": MANY - 1 - WAITING_MAX, "done": 1 + WAITING_MAX}
    assert gate.most == 1


def test_known_callers_go_first_and_strangers_can_not_fill_their_queue() -> None:
    """Else a flood of strangers would keep staff out."""
    gate, queue = Gate(), HashingQueue()
    order: list[str] = []

    async def many() -> list[str]:
        first = asyncio.create_task(hold(queue, gate))
        await run_ready_tasks()
        strangers = [asyncio.create_task(hold(queue, lambda: order.append("stranger"))) for _ in range(MANY)]
        await run_ready_tasks()
        known_browser = asyncio.create_task(hold(queue, lambda: order.append("known"), is_known=True))
        await run_ready_tasks()
        gate.may_continue.set()
        await asyncio.gather(first, *strangers)
        return [await known_browser]

    assert asyncio.run(many()) == ["done"]
    assert order == ["known", *["stranger"] * WAITING_MAX]


def test_wait_for_a_slot_is_bounded_and_leaves_the_queue_usable() -> None:
    gate, queue = Gate(), HashingQueue(wait_s=0.05)

    async def late() -> list[str]:
        first = asyncio.create_task(hold(queue, gate))
        await run_ready_tasks()
        waited = await hold(queue, gate)
        gate.may_continue.set()
        return [waited, await first, await hold(queue, lambda: None)]

    assert asyncio.run(late()) == ["OVERLOADED", "done", "done"]


def test_cancelled_caller_passes_its_slot_on() -> None:
    queue = HashingQueue()

    async def cancelled() -> list[str]:
        gate = Gate()
        first = asyncio.create_task(hold(queue, gate))
        await run_ready_tasks()
        second, third = (asyncio.create_task(hold(queue, lambda: None)) for _ in range(2))
        await run_ready_tasks()
        second.cancel()
        gate.may_continue.set()
        done = [await first, await third]
        queue._is_busy = True
        heir = asyncio.create_task(hold(queue, lambda: None))
        await run_ready_tasks()
        queue._admit_next()
        heir.cancel()
        await asyncio.wait([heir])
        return [*done, await hold(queue, lambda: None)]

    assert asyncio.run(cancelled()) == ["done"] * 3


def test_hashing_thread_steps_back_behind_all_other_work() -> None:
    """For strangers, on Linux, where each thread has its priority; known callers and the event loop keep theirs."""
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    async def priority(*, is_known: bool) -> int:
        async with HashingQueue().acquire(is_known=is_known) as turn:
            return await turn.run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    assert asyncio.run(priority(is_known=True)) == before
    assert asyncio.run(priority(is_known=False)) == (NICE if sys.platform == "linux" else before)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_sign_ins_beyond_the_queue_get_503_and_count_as_no_failure(app: AppClient) -> None:
    add_staff(app, EMAIL, "support", PASSWORD)
    support = app.client.app.state.support  # type: ignore[attr-defined]  # Starlette types it as any ASGI application
    gate, browser = Gate(), StaffBrowser(app)
    tasks: list[asyncio.Task[str]] = []

    async def fill() -> None:
        tasks.extend(asyncio.create_task(hold(support.hashing_queue, gate)) for _ in range(1 + WAITING_MAX))
        await run_ready_tasks()

    async def empty() -> None:
        gate.may_continue.set()
        await asyncio.gather(*tasks)

    inside(app, fill)
    full = [browser.sign_in(EMAIL, PASSWORD) for _ in range(12)]
    inside(app, empty)
    then = browser.sign_in(EMAIL, PASSWORD)

    assert {answer.status_code for answer in full} == {503}
    assert len({len(answer.headers.multi_items()) for answer in full}) == 1  # type: ignore[attr-defined]  # of the client's answers
    assert full[0].headers["retry-after"] == str(RETRY_AFTER_S)
    assert "your password was not checked" in full[0].text
    assert then.status_code == 303


@pytest.mark.usefixtures("own_app")
def test_known_browser_has_a_place_while_strangers_fill_the_queue(app: AppClient) -> None:
    add_staff(app, EMAIL, "support", PASSWORD)
    support = app.client.app.state.support  # type: ignore[attr-defined]  # Starlette types it as any ASGI application
    known_browser, forger = StaffBrowser(app), StaffBrowser(app)
    assert known_browser.sign_in(EMAIL, PASSWORD).status_code == 303
    known_browser.submit("/support/sign-out")
    name = next(name for name in known_browser.cookies if name.startswith("ledger_known_"))
    forger.cookies[name] = "9999999999.b.0"
    support.hashing_queue._is_busy = True

    async def fill() -> None:
        loop = asyncio.get_running_loop()
        support.hashing_queue._unknown_callers.extend(loop.create_future() for _ in range(WAITING_MAX))
        loop.call_later(0.1, support.hashing_queue._admit_next)

    forged = forger.token("/support/sign-in"), known_browser.token("/support/sign-in")
    inside(app, fill)
    refused = forger.post("/support/sign-in", {"email": EMAIL, "password": PASSWORD, "token": forged[0]})
    welcome = known_browser.post("/support/sign-in", {"email": EMAIL, "password": PASSWORD, "token": forged[1]})

    assert (refused.status_code, welcome.status_code) == (503, 303)


def test_new_hash_uses_one_thread_and_no_less_memory_than_the_librarys_own() -> None:
    """So a sign-in takes one core, and a stolen hash is as hard to guess as before."""
    ours, theirs = password_hasher(), PasswordHasher()

    assert ours.parallelism == 1
    assert (ours.memory_cost, ours.time_cost) == (theirs.memory_cost, theirs.time_cost)


def test_former_hash_verifies_and_is_replaced_when_its_owner_signs_in(app: AppClient) -> None:
    """Hashes with four lanes were made before; open sessions stay."""
    staff_id = add_staff(app, EMAIL, "support", PASSWORD)
    former = PasswordHasher().hash(PASSWORD)
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute(RepositoriesSql.set_staff_password, {"staff_id": staff_id, "password_hash": former})
    browser, second = StaffBrowser(app), StaffBrowser(app)

    statuses = [browser.sign_in(EMAIL, PASSWORD).status_code, second.sign_in(EMAIL, PASSWORD).status_code]
    with app.services.storage.datastore.get_connection() as conn:
        row = conn.execute("SELECT password_hash FROM staff").fetchone()

    assert row is not None
    assert statuses == [303, 303]
    assert extract_parameters(former).parallelism == 4
    assert extract_parameters(row["password_hash"]) == extract_parameters(CHEAP.hash("any"))
    assert browser.get("/support").status_code == 200
