"""What the API sees of the broker: in words, for monitoring, and never in the way."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from redis import Redis

from api.http.dependency_status import PARTS
from tests.support.metric_samples import samples
from tests.support.servers.mail_server import MailServer
from tests.support.waiting import WAIT_S_MAX, wait_for
from workers.channels.smtp.server_url import SmtpServerUrl
from workers.monitoring import broker_watch
from workers.monitoring.broker_state import COMPONENTS, HEARTBEAT_KEYS
from workers.monitoring.broker_watch import HEALTHY_POLL_S, POLL_S, STARTING_POLL_S, BrokerMonitor
from workers.monitoring.mail_server_watch import MailServerWatch, mark_missing, why_unreachable
from workers.monitoring.redis_client import MAIL_MISSING


@pytest.fixture
def broker(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        for name in ("worker", "beat"):
            client.set(f"ledger:alive:{name}", "1", ex=60)
        yield client
        client.delete(MAIL_MISSING)
        client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", "noeviction")


def wait_missing(watch: BrokerMonitor, expected: list[str]) -> None:
    """Wait until exactly these parts are missing, and the metric says the same."""
    wait_for(
        lambda: watch.missing() == expected and exported(watch) == set(expected),
        lambda: (watch.missing(), exported(watch)),
    )


def exported(watch: BrokerMonitor) -> set[str]:
    """Parts whose metric is 1."""
    shown = samples(watch.numbers())
    return {part for part in PARTS if shown[f'ledger_part_missing{{part="{part}"}}'] == 1.0}


def test_each_part_has_its_words() -> None:
    """What is watched, and what `/readyz` says of it, are the same list."""
    assert tuple(PARTS) == COMPONENTS


def test_mail_server_that_workers_cannot_reach_is_seen_until_it_is_back(
    redis_url: str, broker: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker looks at its start, and again while it can't or a connection failed; not at a server that answers."""
    server = MailServer()
    server.stop()
    looks: list[str | None] = []
    rounds: list[float] = []

    def look(address: SmtpServerUrl) -> str | None:
        looks.append(why_unreachable(address))
        return looks[-1]

    def wait(is_closing: threading.Event, seconds: float) -> bool:
        rounds.append(seconds)
        return is_closing.wait(0.05)

    watch = BrokerMonitor(redis_url)
    mail = MailServerWatch(redis_url, SmtpServerUrl.parse(server.url), look=look, wait=wait)
    wait_missing(watch, ["mail_server"])
    with MailServer(port=server.port) as back:
        wait_missing(watch, [])
        seen, before = len(looks), len(rounds)
        wait_for(lambda: len(rounds) > before + 3)
        assert (len(looks), looks[-1]) == (seen, None)

        mark_missing(redis_url)()
        wait_for(lambda: len(looks) > seen and not broker.exists(MAIL_MISSING))
        assert back.connections == 2
    mail.close()
    watch.close()
    said = [record.getMessage() for record in caplog.records if record.name == "workers.monitoring.mail_server_watch"]
    assert said == ["mail server unavailable", "mail server available again"]


def test_broker_that_evicts_or_is_full_is_seen_while_it_runs(redis_url: str, broker: Redis) -> None:
    """Each by its own name, and gone once it is repaired."""
    watch = BrokerMonitor(redis_url)
    wait_missing(watch, [])
    broker.config_set("maxmemory-policy", "allkeys-lru")
    wait_missing(watch, ["broker_noeviction"])
    broker.config_set("maxmemory-policy", "noeviction")
    broker.config_set("maxmemory", "1mb")
    wait_missing(watch, ["broker_memory"])
    broker.config_set("maxmemory", "0")
    wait_missing(watch, [])
    watch.close()


def test_keys_of_heartbeats_are_known_without_a_client_of_the_broker() -> None:
    """`ledger up` deletes those of the former run: the client of Redis would load for 70 ms."""
    program = "import sys, api.cli.embedded.startup as it; print(it.HEARTBEAT_KEYS, 'redis' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=WAIT_S_MAX
    )

    assert ended.stdout == f"{HEARTBEAT_KEYS} False\n"


def record_waits(redis_url: str, broker: Redis, delete_at: dict[int, str], polls: int) -> list[float]:
    """Return the seconds between the first polls; each wait sets the heartbeat of the worker, or deletes it."""
    waits: list[float] = []
    is_recorded = threading.Event()

    def wait(is_closing: threading.Event, seconds: float) -> bool:
        waits.append(seconds)
        if len(waits) in delete_at:
            broker.delete(delete_at[len(waits)])
        else:
            broker.set("ledger:alive:worker", "1", ex=60)
        if len(waits) < polls:
            return False
        is_recorded.set()
        return is_closing.wait(WAIT_S_MAX)

    with closing(BrokerMonitor(redis_url, wait=wait)):
        assert is_recorded.wait(WAIT_S_MAX)
    return waits


def test_broker_is_read_often_until_the_first_complete_start(redis_url: str, broker: Redis) -> None:
    """A ledger that starts is ready when its last heartbeat is set; one that lost its worker later is read as usual."""
    broker.delete("ledger:alive:worker")
    waits = record_waits(redis_url, broker, {1: "ledger:alive:worker", 4: "ledger:alive:worker"}, polls=6)

    assert waits == [STARTING_POLL_S, STARTING_POLL_S, POLL_S, HEALTHY_POLL_S - POLL_S, POLL_S, POLL_S]


def test_question_causes_the_next_look(redis_url: str, broker: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker in which nothing is missing is read rarely, until a request asks."""
    monkeypatch.setattr(broker_watch, "HEALTHY_POLL_S", 2 * WAIT_S_MAX)
    monkeypatch.setattr(broker_watch, "POLL_S", 0.01)
    broker.set("ledger:alive:worker", "1", ex=60)
    looks: list[list[str]] = []
    with closing(BrokerMonitor(redis_url, report=looks.append)) as watch:
        wait_for(lambda: [] in looks)
        broker.delete("ledger:alive:worker")
        wait_for(lambda: watch.missing() == ["worker"])


def test_broker_is_read_as_usual_when_a_component_does_not_start(
    redis_url: str, broker: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An API without a worker does not read the broker 20 times a second forever."""
    monkeypatch.setattr(broker_watch, "STARTING_POLLS", 6)
    broker.delete("ledger:alive:worker")
    waits = record_waits(redis_url, broker, dict.fromkeys(range(1, 9), "ledger:alive:worker"), polls=8)

    assert waits == [*[STARTING_POLL_S] * 5, *[POLL_S] * 3]
