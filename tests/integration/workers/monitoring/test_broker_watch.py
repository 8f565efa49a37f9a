"""What the API sees of the broker: in words, for monitoring, and never in the way."""

import time
from collections.abc import Iterator

import pytest
from redis import Redis

from api.http.dependency_status import PARTS
from tests.support.metric_samples import samples
from tests.support.servers.mail_server import MailServer
from workers.channels.smtp.server_url import SmtpServerUrl
from workers.monitoring.broker_state import COMPONENTS
from workers.monitoring.broker_watch import BrokerMonitor
from workers.monitoring.mail_server_watch import MailServerWatch, mark_missing, why_unreachable
from workers.monitoring.redis_client import MAIL_MISSING

SEEN_S_MAX = 20


@pytest.fixture
def broker(redis_url: str) -> Iterator[Redis]:
    """A broker, set back afterwards."""
    with Redis.from_url(redis_url) as client:
        for name in ("worker", "beat"):
            client.set(f"ledger:alive:{name}", "1", ex=60)
        yield client
        client.delete(MAIL_MISSING)
        client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", "noeviction")


def wait_missing(watch: BrokerMonitor, expected: list[str]) -> None:
    """Wait until exactly these parts are missing, and the metric says the same."""
    ends = time.monotonic() + SEEN_S_MAX
    while watch.missing() != expected or exported(watch) != set(expected):
        assert time.monotonic() < ends, (watch.missing(), exported(watch))
        time.sleep(0.05)


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

    def look(address: SmtpServerUrl) -> str | None:
        looks.append(why_unreachable(address))
        return looks[-1]

    watch = BrokerMonitor(redis_url)
    mail = MailServerWatch(
        redis_url, SmtpServerUrl.parse(server.url), look=look, wait=lambda closing, _: closing.wait(0.05)
    )
    wait_missing(watch, ["mail_server"])
    with MailServer(port=server.port) as back:
        wait_missing(watch, [])
        seen = len(looks)
        time.sleep(0.3)
        assert (len(looks), looks[-1]) == (seen, None)

        mark_missing(redis_url)()
        ends = time.monotonic() + SEEN_S_MAX
        while len(looks) == seen or broker.exists(MAIL_MISSING):
            assert time.monotonic() < ends
            time.sleep(0.05)
        assert back.connections == 2
    mail.close()
    watch.close()
    said = [record.getMessage() for record in caplog.records if record.name == "workers.monitoring.mail_server_watch"]
    assert said == ["mail server unavailable", "mail server available again"]


def test_a_broker_that_evicts_or_is_full_is_seen_while_it_runs(redis_url: str, broker: Redis) -> None:
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
