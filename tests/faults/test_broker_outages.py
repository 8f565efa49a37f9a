"""Redis dead, frozen, flushed, full or set up wrongly under a real stack: clicks are answered, and nothing is lost."""

import base64
import json
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from redis import Redis

from api.cli.embedded.tcp_ports import find_free_port
from projections.event_store.stored_state import read_fields
from tests.faults.rigs.restartable_servers import RestartableServer, restartable_valkey
from tests.faults.rigs.retries import retry
from tests.support.servers.embedded_stack import Stack
from tests.support.servers.mail_server import DelayedReply, MailServer
from tests.support.waiting import POLL_S
from workers.celery_ext.broker_options import REDIS_S_MAX

pytestmark = pytest.mark.night(of="outages")

QUIET = "SELECT count(*) FROM reservations WHERE status = 'live'"


@pytest.fixture(scope="module")
def broker(servers_folder: Path) -> Iterator[RestartableServer]:
    """A broker that the stack knows by its address only, so that only a test starts it again."""
    yield from restartable_broker(servers_folder / "outage-broker")


def restartable_broker(folder: Path) -> Iterator[RestartableServer]:
    with restartable_valkey(folder) as server:
        yield server


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture(scope="module")
def running(servers_folder: Path, broker: RestartableServer, mail: MailServer) -> Iterator[Stack]:
    """`ledger up` on that broker; deadlines are far away, so that whatever is lost would stay lost."""
    env = {
        "REDIS_URL": broker.url,
        "LEDGER_SMTP_URL": mail.url,
        "LEDGER_MAIL_FROM": "ledger@example.com",
        "LEDGER_RATE_LIMIT": "off",
        "LEDGER_LEASE_S": "6",
        "LEDGER_SMTP_TIMEOUT_S": "4",
        "LEDGER_WEBHOOK_TIMEOUT_S": "2",
    }
    stack = Stack(servers_folder / "broker-outages", find_free_port(), env)
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def stack(running: Stack, mail: MailServer) -> Stack:
    mail.behave()
    running.wait(lambda: running.get("/readyz")[1].get("status") == "ready")
    return running


@pytest.fixture(scope="module")
def code(running: Stack) -> str:
    return running.issue(10_000, is_open=True)


class Redeems:
    """What some clicks led to, and how long each took."""

    def __init__(self, stack: Stack, code: str, count: int, name: str) -> None:
        self._stack = stack
        self._code = code
        self.times_s: list[float] = []
        with ThreadPoolExecutor(8) as clients:
            self.answers = list(clients.map(self._click, [f"{name}{number}@example.com" for number in range(count)]))
        self.ids = [str(answer["reservation_id"]) for _, answer in self.answers]

    def _click(self, email: str) -> tuple[int, dict[str, object]]:
        began = time.monotonic()
        response = self._stack.redeem(self._code, email)
        self.times_s.append(time.monotonic() - began)
        return response

    def waited_for_broker(self) -> bool:
        """Return whether they waited for it: then even the fastest would take as long as a publish that fails."""
        return min(self.times_s) >= REDIS_S_MAX

    def wait_sent(self) -> None:
        self._stack.wait(lambda: self._count("InviteSent") == len(self.ids))

    def events(self) -> Counter[str]:
        with psycopg.connect(self._stack.info["database_url"]) as conn:
            rows = conn.execute("SELECT topic, state FROM ledger_events").fetchall()
        return Counter(
            topic.partition(":")[0] for topic, state in rows if read_fields(state).get("reservation_id") in self.ids
        )

    def _count(self, kind: str) -> int:
        return self.events()[kind]


def assert_each_sent_once(clicks: Redeems, mail: MailServer) -> None:
    """One reservation, one mail and one count each; nothing failed, nothing was refunded."""
    mails = Counter(
        message_id for message_id in mail.message_ids() if message_id.strip("<").partition(".")[0] in set(clicks.ids)
    )
    events = clicks.events()
    count = len(clicks.ids)

    assert {status for status, _ in clicks.answers} == {202}
    assert mails == {f"<{reservation_id}.1@example.com>": 1 for reservation_id in clicks.ids}
    assert (events["UseReserved"], events["InviteSent"]) == (count, count)
    assert events.keys() <= {"UseReserved", "InviteAttempted", "InviteSent"}


def metric(stack: Stack, sample: str) -> float:
    match = re.search(rf"^{re.escape(sample)} (\S+)$", str(stack.get("/metrics")[1]), re.MULTILINE)
    return float(match[1]) if match else 0.0


def wait_until_reported(stack: Stack, part: str) -> dict[str, Any]:
    """Wait until /readyz names a part, at status 200; what it says then."""

    def read_body() -> dict[str, Any] | None:
        status, body = stack.get("/readyz")
        return body if status == 200 and part in body["missing"] else None

    reported = stack.wait(read_body)
    assert reported is not None
    return reported


def parts(stack: Stack, *words: str) -> list[psutil.Process]:
    """The stack's own processes with one of these words in their command line, and their children."""
    own_processes = [
        child for child in psutil.Process(stack.process.pid).children() if set(words) & {child.name(), *child.cmdline()}
    ]
    assert own_processes, words
    return own_processes + [below for child in own_processes for below in child.children(recursive=True)]


def signal_all(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        if process.is_running():
            process.send_signal(number)


def test_first_redeem_of_the_incident_with_redis_dead(
    stack: Stack, code: str, broker: RestartableServer, mail: MailServer
) -> None:
    """Answered at once and truly; the error is counted; the mail arrives once Redis is back."""
    errors = metric(stack, 'errors_total{error_type="celery_error"}')
    broker.end()

    clicks = Redeems(stack, code, 3, "first-click")
    stack.wait(lambda: metric(stack, 'errors_total{error_type="celery_error"}') > errors)
    readiness = stack.wait(lambda: stack.get("/readyz")[1].get("missing"))
    broker.start()
    clicks.wait_sent()

    assert not clicks.waited_for_broker()
    assert "broker" in readiness
    assert clicks.answers[0][1]["message"] == "已加入队列，邀请将在几秒内发送，请查收邮箱"
    assert_each_sent_once(clicks, mail)


@pytest.mark.night(of="outages")
@pytest.mark.parametrize("how", ["dead", "frozen"])
def test_away_for_a_minute(stack: Stack, code: str, broker: RestartableServer, mail: MailServer, how: str) -> None:
    """However long it was away, what was reserved is sent once it is back."""
    with broker.ended() if how == "dead" else broker.frozen():
        clicks = Redeems(stack, code, 100, f"minute-{how}")
        time.sleep(60)  # the length of the outage is what is tested
    clicks.wait_sent()

    assert not clicks.waited_for_broker()
    assert_each_sent_once(clicks, mail)


def test_redeems_while_redis_is_frozen(stack: Stack, code: str, broker: RestartableServer, mail: MailServer) -> None:
    """No click waits for it. A publish that timed out may be queued all the same: still one mail each."""
    errors = metric(stack, 'errors_total{error_type="celery_error"}')
    with broker.frozen():
        clicks = Redeems(stack, code, 100, "frozen")
        stack.wait(lambda: metric(stack, 'errors_total{error_type="celery_error"}') >= errors + 2)
    clicks.wait_sent()

    assert not clicks.waited_for_broker()
    assert_each_sent_once(clicks, mail)


def test_ids_that_only_a_killed_api_knew_are_found(
    stack: Stack, code: str, broker: RestartableServer, mail: MailServer
) -> None:
    """Killed between commit and publish: nothing but the database knows of the reservations."""
    broker.end()
    clicks = Redeems(stack, code, 3, "killed-api")
    signal_all(parts(stack, "api.main:create_app"), signal.SIGKILL)
    broker.start()
    clicks.wait_sent()

    assert_each_sent_once(clicks, mail)


def test_message_that_vanishes_with_its_worker_is_found(stack: Stack, code: str, mail: MailServer) -> None:
    """A worker that is frozen while it waits for messages takes one from Redis, and dies with it."""
    for number in range(10):
        workers = parts(stack, "worker")
        signal_all(workers, signal.SIGSTOP)
        clicks = Redeems(stack, code, 1, f"vanished{number}-")
        if vanished := is_nowhere(stack, clicks.ids[0]):
            signal_all(workers, signal.SIGKILL)
            break
        signal_all(workers, signal.SIGCONT)  # it was not waiting for one at that very moment
        clicks.wait_sent()
    clicks.wait_sent()

    assert vanished
    assert_each_sent_once(clicks, mail)


def is_nowhere(stack: Stack, reservation_id: str) -> bool:
    """Whether Redis was given the reservation's message and holds it no more."""
    with Redis.from_url(stack.info["redis_url"], decode_responses=True) as client:

        def is_held() -> bool:
            broker_entries: list[str] = [*client.lrange("ledger", 0, -1), *client.hvals("unacked")]
            bodies = [base64.b64decode(json.loads(text)["body"]) for text in broker_entries if text.startswith("{")]
            return any(reservation_id.encode() in body for body in bodies)

        return not retry(is_held, every_s=POLL_S, s_max=0.5)


def test_all_of_redis_lost_with_a_full_queue(
    stack: Stack, code: str, broker: RestartableServer, mail: MailServer
) -> None:
    """300 reservations queued, then Redis dies and keeps nothing: each is sent once, from the log."""
    celery = parts(stack, "worker", "beat")
    signal_all(celery, signal.SIGSTOP)
    try:
        clicks = Redeems(stack, code, 300, "queued")
        with Redis.from_url(stack.info["redis_url"]) as client:
            stack.wait(lambda: client.llen("ledger"))
        broker.restart(signal.SIGKILL)
    finally:
        signal_all(celery, signal.SIGCONT)
    clicks.wait_sent()

    assert_each_sent_once(clicks, mail)


def test_redis_flushed_while_working(stack: Stack, code: str, broker: RestartableServer, mail: MailServer) -> None:
    """FLUSHALL takes queue, unacknowledged and bindings at once; workers continue, now and later."""
    mail.at("dot", DelayedReply(0.05))
    clicks = Redeems(stack, code, 60, "flushed")
    with Redis.from_url(broker.url) as client:
        client.flushall()
    clicks.wait_sent()
    later = Redeems(stack, code, 1, "after-flush")
    later.wait_sent()

    assert_each_sent_once(clicks, mail)
    assert_each_sent_once(later, mail)


@pytest.mark.night(of="outages")
def test_redis_full(stack: Stack, code: str, broker: RestartableServer, mail: MailServer) -> None:
    """It refuses messages: said by /readyz, doctor and metric; redeems continue, and so do emails once it has room."""
    with Redis.from_url(broker.url) as client:
        client.config_set("maxmemory", "1mb")
        try:
            readiness = wait_until_reported(stack, "broker_memory")
            stack.wait(lambda: metric(stack, 'ledger_part_missing{part="broker_memory"}') == 1.0)
            clicks = Redeems(stack, code, 3, "full")
            examined = json.loads(stack.cli("doctor", "--json").stdout)["checks"]
        finally:
            client.config_set("maxmemory", "0")
    clicks.wait_sent()

    assert not clicks.waited_for_broker()
    assert readiness["status"] == "degraded"
    assert any("maxmemory" in sentence for sentence in readiness["details"])
    assert "raise maxmemory" in next(check["remedy"] for check in examined if check["name"] == "broker")
    assert_each_sent_once(clicks, mail)


@pytest.mark.night(of="outages")
def test_broker_that_evicts_is_reported_and_never_keeps_the_api_from_starting(
    stack: Stack, code: str, broker: RestartableServer
) -> None:
    """In words, by /readyz, doctor and metric; the API starts again next to it."""
    with Redis.from_url(broker.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            signal_all(parts(stack, "api.main:create_app"), signal.SIGKILL)
            readiness = wait_until_reported(stack, "broker_noeviction")
            stack.wait(lambda: metric(stack, 'ledger_part_missing{part="broker_noeviction"}') == 1.0)
            examined = stack.cli("doctor", "--json")
            status = stack.redeem(code)[0]
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    broker_check = next(check for check in json.loads(examined.stdout)["checks"] if check["name"] == "broker")

    assert (readiness["status"], status) == ("degraded", 202)
    assert any("noeviction" in sentence for sentence in readiness["details"])
    assert (examined.returncode, broker_check["status"], "noeviction" in broker_check["remedy"]) == (1, "wrong", True)
