"""PostgreSQL restarted, frozen, locked, cut off or silent under a real stack: honest answers, and nothing twice."""

import http.client
import itertools
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import psutil
import psycopg
import pytest

from api.cli.embedded.tcp_ports import find_free_port
from tests.faults.chaos.load import RedeemLoad
from tests.faults.rigs.database_proxy import DatabaseProxy
from tests.faults.rigs.http_client import REDEEM, Answer, send
from tests.faults.rigs.restartable_servers import RestartableServer, restartable_postgres
from tests.support.servers.embedded_stack import Stack
from tests.support.waiting import WAIT_S_MAX

pytestmark = pytest.mark.night(of="outages")

REQUEST_WAIT_S = 2
"""What a click may take while the database is unavailable; the rest is for a machine that does other things too."""


KILLS_MAX = 5
"""How often a process is killed until a kill falls between the first commit of a batch and its last one."""


class ProxiedStack(NamedTuple):
    stack: Stack
    database: RestartableServer
    proxy: DatabaseProxy
    seen: int = 0
    """The last position of the log when the test began."""


@pytest.fixture(scope="module")
def running(servers_folder: Path) -> Iterator[ProxiedStack]:
    """`ledger up` on a database behind a proxy; emails are accepted and dropped."""
    with restartable_postgres(servers_folder / "outage-postgres") as database, DatabaseProxy(database.url) as proxy:
        env = {
            "DATABASE_URL": proxy.url,
            "LEDGER_SMTP_URL": "null://",
            "LEDGER_RATE_LIMIT": "off",
            "LEDGER_LEASE_S": "6",
            "LEDGER_SMTP_TIMEOUT_S": "2",
            "LEDGER_WEBHOOK_TIMEOUT_S": "2",
            "LEDGER_SWEEP_S": "1",
            "LEDGER_REQUEST_WAIT_S": str(REQUEST_WAIT_S),
        }
        stack = Stack(servers_folder / "database-outages", find_free_port(), env)
        try:
            stack.wait_ready()
            yield ProxiedStack(stack, database, proxy)
        finally:
            stack.stop()


@pytest.fixture
def proxied(running: ProxiedStack) -> ProxiedStack:
    running.stack.wait(lambda: running.stack.get("/readyz")[1].get("status") == "ready")
    return running._replace(seen=ask(running, "SELECT coalesce(max(notification_id), 0) FROM ledger_events")[0][0])


@pytest.fixture(scope="module")
def code(running: ProxiedStack) -> str:
    return running.stack.issue(1_000_000, is_open=True)


def click(proxied: ProxiedStack, code: str, key: str, name: str = "li.wei") -> Answer:
    body = {"email": f"{name}.{proxied.seen}@example.com", "code": code}
    answer = send(proxied.stack.base, "POST", REDEEM, body, {"Idempotency-Key": key}, WAIT_S_MAX)
    assert answer.status, "no answer"
    return answer


def redeem_with_key(proxied: ProxiedStack, code: str, key: str) -> Answer:
    def ask_again() -> Answer | None:
        answer = click(proxied, code, key)
        return None if answer.status == 503 else answer

    answered = proxied.stack.wait(ask_again)
    assert answered is not None
    return answered


def ask(proxied: ProxiedStack, query: str, *params: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(proxied.database.url) as conn:
        return conn.execute(query.encode(), params).fetchall()


def newest(proxied: ProxiedStack) -> list[str]:
    """Ids of the reservations that a test made, whose clicks are its own."""
    query = (
        "SELECT event_fields(state) ->> 'reservation_id' FROM ledger_events"
        " WHERE starts_with(topic, 'UseReserved:') AND notification_id > %s"
    )
    return [str(row[0]) for row in ask(proxied, query, proxied.seen)]


def processes(proxied: ProxiedStack) -> set[int]:
    words = {"api.main:create_app", "worker", "beat"}
    children = psutil.Process(proxied.stack.process.pid).children()
    return {child.pid for child in children if words & set(child.cmdline())}


def assert_honest(answer: Answer) -> None:
    """503 that says what is known: nothing; ask again, in so many seconds, with the same key."""
    assert (answer.status, answer.body["code"]) == (503, "UNAVAILABLE")
    assert int(answer.headers.get("Retry-After") or 0) > 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_restarted_under_load(proxied: ProxiedStack, code: str, how: signal.Signals) -> None:
    """503 only during the outage, every acknowledgement kept, one answer per key; no process of ours had to restart."""
    codes = [code, proxied.stack.issue(5, is_open=True)]
    before = processes(proxied)
    load = RedeemLoad(proxied.stack.base, codes, seed=how, per_second=60)
    proxied.stack.wait(lambda: len(load.acks) > 20)
    proxied.database.end(how)
    proxied.stack.wait(lambda: load.unavailable)
    proxied.database.start()
    back = len(load.acks)
    proxied.stack.wait(lambda: len(load.acks) > back + 40)
    refused = load.unavailable
    proxied.stack.wait(lambda: len(load.acks) > back + 80)
    refused_later = load.unavailable - refused
    load.stop()
    proxied.stack.wait(lambda: ask(proxied, "SELECT count(*) FROM reservations WHERE status <> 'sent'") == [(0,)])

    ids = {str(row[0]) for row in ask(proxied, "SELECT reservation_id FROM reservations")}
    by_intent = itertools.groupby(sorted({(ack.intent, ack.reservation_id) for ack in load.acks}), lambda pair: pair[0])
    assert load.defects == []
    assert load.gave_up == 0
    assert refused_later == 0
    assert {ack.reservation_id for ack in load.acks} <= ids
    assert [intent for intent, pairs in by_intent if len(list(pairs)) != 1] == []
    assert processes(proxied) == before


def test_connections_reset_under_load(proxied: ProxiedStack, code: str) -> None:
    """What was in flight is found again: true answers, no use twice, and hardly anybody has to ask again."""
    load = RedeemLoad(proxied.stack.base, [code], seed=7, per_second=60)
    for _ in range(5):
        seen = len(load.acks)
        proxied.stack.wait(lambda seen=seen: len(load.acks) > seen + 10)  # type: ignore[misc]  # bound at once
        proxied.proxy.reset_all()
    load.stop()

    reserved_ids = {str(row[0]) for row in ask(proxied, "SELECT reservation_id FROM reservations")}
    assert load.defects == []
    assert load.gave_up == 0
    assert {ack.reservation_id for ack in load.acks} <= reserved_ids
    assert len({ack.reservation_id for ack in load.acks}) == len({ack.intent for ack in load.acks})


def test_commit_whose_response_is_lost_gets_its_real_answer(proxied: ProxiedStack, code: str) -> None:
    """The client gets its own reservation, not a conflict; the same key gives the same one again."""
    key = str(uuid4())
    swallowed = proxied.proxy.swallowed
    proxied.proxy.swallow_commit()

    first = click(proxied, code, key)
    again = click(proxied, code, key)

    assert proxied.proxy.swallowed == swallowed + 1
    assert first.status in {200, 202}
    assert [first.body["reservation_id"]] == newest(proxied)
    assert (again.status, again.body["reservation_id"]) == (200, first.body["reservation_id"])


def test_commit_whose_response_is_lost_permanently_is_unknown(proxied: ProxiedStack, code: str) -> None:
    """And the database stays away: an honest 503; asked again with the same key, it is what was made."""
    key = str(uuid4())
    proxied.proxy.swallow_commit(unplug=True)
    unknown = click(proxied, code, key)
    proxied.proxy.plug_in()
    again = redeem_with_key(proxied, code, key)

    assert_honest(unknown)
    assert again.status == 200
    assert newest(proxied) == [again.body["reservation_id"]]


@pytest.mark.parametrize("count", [2, pytest.param(30, marks=pytest.mark.night(of="outages"))])
def test_lock_that_lasts_long(proxied: ProxiedStack, code: str, count: int) -> None:
    """A lock on the log's table does not block the clients: each is answered while it is held, nothing is half done."""
    key = str(uuid4())
    with psycopg.connect(proxied.database.url) as conn:
        conn.execute("LOCK TABLE ledger_events IN EXCLUSIVE MODE")
        answers = [click(proxied, code, key) for _ in range(count)]
        conn.rollback()
    again = redeem_with_key(proxied, code, key)

    for answer in answers:
        assert_honest(answer)
    assert again.status in {200, 202}
    assert newest(proxied) == [again.body["reservation_id"]]


def test_frozen(proxied: ProxiedStack, code: str) -> None:
    """It accepts connections and does not answer: clients get errors; once it continues, so does everything."""
    key = str(uuid4())
    with proxied.database.frozen():
        frozen = [click(proxied, code, key), click(proxied, code, str(uuid4()), "wang")]
        others = [proxied.stack.get(path)[0] for path in ("/readyz", f"/api/v1/public/redemptions/{uuid4()}")]
    again = redeem_with_key(proxied, code, key)

    for answer in frozen:
        assert_honest(answer)
    assert others == [503, 503]
    assert again.body["reservation_id"] in newest(proxied)
    assert len(newest(proxied)) in {1, 2}


@pytest.mark.night(of="outages")
def test_api_that_dies_while_the_database_is_unavailable_is_restarted(proxied: ProxiedStack, code: str) -> None:
    """So do redeem requests; in the meantime /readyz answers 503 or refuses connections, and is never ready."""
    (api,) = [
        child
        for child in psutil.Process(proxied.stack.process.pid).children()
        if "api.main:create_app" in child.cmdline()
    ]
    with proxied.proxy.unplugged():
        api.kill()
        seen = [proxied.stack.get("/readyz")[0] for _ in range(20)]
    proxied.stack.wait(lambda: proxied.stack.get("/readyz")[0] == 200)

    assert 200 not in seen
    assert click(proxied, code, str(uuid4())).status == 202


def test_api_killed_during_a_batch_keeps_committed_items(proxied: ProxiedStack) -> None:
    """The same body again finds the reservations that were committed, and makes the others; none is made twice."""
    for _ in range(KILLS_MAX):
        code = proxied.stack.issue(1_000_000, is_open=True)
        now = proxied._replace(seen=ask(proxied, "SELECT coalesce(max(notification_id), 0) FROM ledger_events")[0][0])
        items = [{"email": f"b{number}@example.com", "code": code, "key": f"{code}{number}"} for number in range(1_000)]
        with ThreadPoolExecutor(1) as threads:
            batch = threads.submit(send_batch, proxied, items)
            (api,) = [
                child
                for child in psutil.Process(proxied.stack.process.pid).children()
                if "api.main:create_app" in child.cmdline()
            ]
            with psycopg.connect(proxied.database.url, autocommit=True) as conn, conn.transaction():
                proxied.stack.wait(partial(newest, now))
                conn.execute("LOCK TABLE ledger_events IN EXCLUSIVE MODE")  # no commit follows, so none is the last
                api.kill()
        proxied.stack.wait(lambda: proxied.stack.get("/readyz")[0] == 200)
        committed = set(newest(now))
        if batch.result() is None and len(committed) < len(items):
            break

    repeated = send_batch(proxied, items)

    assert repeated is not None
    assert 0 < len(committed) < len(items)
    assert (repeated["accepted"], repeated["known"]) == (len(items) - len(committed), len(committed))
    results = repeated["results"]
    assert {result["reservation_id"] for result in results if result["status"] == 200} == committed
    assert len(newest(now)) == len(items)


def send_batch(proxied: ProxiedStack, items: list[dict[str, str]]) -> dict[str, Any] | None:
    try:
        status, body = proxied.stack.call("POST", "/api/v1/redemptions/batch", {"items": items}, proxied.stack.admin)
    except (OSError, http.client.HTTPException):
        return None
    return body if status == 200 else None
