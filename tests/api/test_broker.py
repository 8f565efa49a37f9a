"""What the API sees of the broker: in words, for monitoring, and never in the way."""

import time
from collections.abc import Iterator

import pytest
from redis import Redis

from api.broker import PARTS
from tests.metrics import samples
from workers import broker as watching
from workers.broker import BrokerWatch

SEEN_S_MAX = 20


@pytest.fixture
def broker(redis_url: str) -> Iterator[Redis]:
    """A broker, set back afterwards."""
    with Redis.from_url(redis_url) as client:
        for name in ("worker", "beat"):
            client.set(f"ledger:alive:{name}", "1", ex=60)
        yield client
        client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", "noeviction")


def wait_missing(watch: BrokerWatch, expected: list[str]) -> None:
    """Wait until exactly these parts are missing, and the metric says the same."""
    ends = time.monotonic() + SEEN_S_MAX
    while watch.missing() != expected or exported(watch) != set(expected):
        assert time.monotonic() < ends, (watch.missing(), exported(watch))
        time.sleep(0.05)


def exported(watch: BrokerWatch) -> set[str]:
    """Parts whose metric is 1."""
    shown = samples(watch.numbers())
    return {part for part in PARTS if shown[f'ledger_part_missing{{part="{part}"}}'] == 1.0}


def test_each_part_has_its_words() -> None:
    """What is watched, and what `/readyz` says of it, are the same list."""
    assert tuple(PARTS) == watching.PARTS


def test_a_broker_that_evicts_or_is_full_is_seen_while_it_runs(redis_url: str, broker: Redis) -> None:
    """Each by its own name, and gone once it is mended."""
    watch = BrokerWatch(redis_url)
    wait_missing(watch, [])
    broker.config_set("maxmemory-policy", "allkeys-lru")
    wait_missing(watch, ["broker_noeviction"])
    broker.config_set("maxmemory-policy", "noeviction")
    broker.config_set("maxmemory", "1mb")
    wait_missing(watch, ["broker_memory"])
    broker.config_set("maxmemory", "0")
    wait_missing(watch, [])
    watch.close()
