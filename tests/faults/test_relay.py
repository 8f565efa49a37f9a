"""A relay to a real Kafka broker: nothing is missing after kills, and each error says what to do."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import UUID

import orjson
import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError

from tests.faults.relay.runner import VICTIMS, run
from tests.support.servers.kafka_broker import KafkaBroker, kafka_broker
from tests.support.waiting import wait_for
from workers.relay.kafka_sink import (
    LONGEST_SEND_S,
    MISSING,
    NO_ANSWER,
    REMEDIES,
    STOPPING,
    TOO_LARGE,
    KafkaSink,
    KafkaUrl,
)
from workers.relay.sink import RelayRecord, SinkRefusedError, SinkTooLargeError, SinkUnavailableError

pytestmark = pytest.mark.night(of="relay")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    with kafka_broker(tmp_path_factory.mktemp("kafka")) as broker:
        broker.create_topic("orders", 2)
        yield broker


def record(position: int, *, size: int = 2) -> RelayRecord:
    attributes = {"id": f"{position}", "datacontenttype": "application/json"}
    return RelayRecord(position, UUID(int=position % 3), attributes, b"x" * size, b"{}")


def test_no_event_is_missing_after_kills(servers_folder: Path) -> None:
    """Each victim once: relay, broker, both, and the database."""
    report = run(kills=len(VICTIMS), seed=5, folder=servers_folder / "relay")

    report_text = "\n".join(report.lines())
    assert (report.missing, report.broken) == ([], []), report_text
    assert report.kills.keys() == set(VICTIMS), report_text
    assert report.positions > len(VICTIMS), report_text


def test_broker_that_comes_back_gets_the_same_batch(broker: KafkaBroker) -> None:
    """Without an order that has a gap; the error names the broker."""
    sink = KafkaSink(KafkaUrl(broker.address, "orders"), {})
    sink.send([record(1), record(2)])
    broker.kill()
    with pytest.raises(SinkUnavailableError, match=rf"^{broker.address}: "):
        sink.send([record(3), record(4)])
    broker.start()
    sink.send([record(3), record(4)])
    sink.close()

    topic = broker.read_topic("orders", 2)
    assert {number for partition in topic for number in positions(partition)} == {1, 2, 3, 4}
    assert all(positions(partition) == sorted(positions(partition)) for partition in topic)


def positions(partition: list[Any]) -> list[int]:
    return [int(dict(one.headers())["ce_id"]) for one in partition]


def test_target_is_its_cluster_and_topic(broker: KafkaBroker, tmp_path: Path) -> None:
    """However many of its brokers a URL names; another cluster, and one that does not answer, are not the same."""
    sink = KafkaSink(KafkaUrl(broker.address, "orders"), {})
    with kafka_broker(tmp_path / "other", "other") as other:
        urls = [f"kafka://{brokers}/orders" for brokers in (f"localhost:{broker.port},127.0.0.1:1", other.address)]
        answers = [sink.is_same(url) for url in (*urls, f"kafka://{broker.address}/other", "https://example.com")]
    sink.close()

    assert answers == [True, False, False, False]
    assert not sink.is_same("kafka://127.0.0.1:1/orders")


def test_topic_that_does_not_exist_is_named(broker: KafkaBroker) -> None:
    """The relay does not create it."""
    sink = KafkaSink(KafkaUrl(broker.address, "misspelt"), {})
    with pytest.raises(SinkRefusedError, match=rf"^there is no topic misspelt at {broker.address}: create it$"):
        sink.send([record(1)])


def test_record_that_is_too_large_ends_the_batch(broker: KafkaBroker) -> None:
    """Records before it may be there, and none after it is."""
    broker.create_topic("large", 1)
    sink = KafkaSink(KafkaUrl(broker.address, "large"), {"message.max.bytes": "2000"})
    with pytest.raises(SinkTooLargeError, match="too large"):
        sink.send([record(1), record(2, size=5_000), record(3)])
    sink.close()

    (partition,) = broker.read_topic("large", 1)
    assert set(positions(partition)) <= {1}


def test_batch_that_does_not_fit_into_the_client_is_too_large(broker: KafkaBroker) -> None:
    """A smaller one is accepted."""
    sink = KafkaSink(KafkaUrl(broker.address, "orders"), {"queue.buffering.max.messages": "1"})
    with pytest.raises(SinkTooLargeError, match=r"queue\.buffering\.max\.messages"):
        sink.send([record(11), record(12)])
    sink.send([record(11)])
    sink.close()


def test_property_with_a_value_of_another_kind_is_named() -> None:
    """As it is where the client takes a function."""
    with pytest.raises(SinkRefusedError, match="expected stats_cb property as a callable function"):
        KafkaSink(KafkaUrl("127.0.0.1:1", "t"), {"stats_cb": "x"})


def test_property_that_the_client_does_not_know_is_named() -> None:
    """At the start, and not its value."""
    with pytest.raises(SinkRefusedError, match=r'the properties of the Kafka client: .*"sasl.passwort"') as raised:
        KafkaSink(KafkaUrl("127.0.0.1:1", "t"), {"sasl.passwort": "hunter2"})

    assert "hunter2" not in str(raised.value)


def test_record_has_key_headers_and_data(broker: KafkaBroker) -> None:
    """As the CloudEvents binding for Kafka says."""
    broker.create_topic("one", 1)
    sink = KafkaSink(KafkaUrl(broker.address, "one"), {})
    attributes = {"id": "9", "datacontenttype": "application/json", "specversion": "1.0"}
    sink.send([RelayRecord(9, UUID(int=5), attributes, orjson.dumps({"position": 9}), b"{}")])
    sink.close()

    ((read,),) = broker.read_topic("one", 1)
    assert (read.key(), orjson.loads(read.value())) == (str(UUID(int=5)).encode(), {"position": 9})
    headers = [("content-type", b"application/json"), ("ce_id", b"9"), ("ce_specversion", b"1.0")]
    assert read.headers() == headers


def test_batch_is_one_request_for_a_partition(broker: KafkaBroker) -> None:
    """However slowly its records come: a broker that dies could lose the first of two requests and store the second."""
    broker.create_topic("slow", 1)
    statistics: list[str] = []
    properties: dict[str, Any] = {"statistics.interval.ms": "100", "stats_cb": statistics.append}
    sink = KafkaSink(KafkaUrl(broker.address, "slow"), properties)
    sink.send([record(1)])
    sink.send(SlowRecords(record(number) for number in range(2, 10)))

    def count(name: str) -> int:
        windows = [orjson.loads(text)["topics"]["slow"]["batchcnt"] for text in statistics if '"slow"' in text]
        return sum(window[name] for window in windows)

    def has_counted() -> bool:
        sink._producer.poll(0.1)
        return count("sum") == 9

    wait_for(has_counted, lambda: statistics)
    sink.close()
    assert count("cnt") == 2


class SlowRecords(list[RelayRecord]):
    """Records between which the client has the time to send."""

    def __iter__(self) -> Iterator[RelayRecord]:
        for one in super().__iter__():
            yield one
            threading.Event().wait(0.02)


def test_acknowledgement_without_an_offset_is_none(broker: KafkaBroker) -> None:
    """Of a broker that died after it stored a sequence number and before the record: it takes a repeat for known.

    Its client calls that a success.
    """
    sink = KafkaSink(KafkaUrl(broker.address, "orders"), {})
    with (
        patch.object(sink, "_producer", ForgetfulProducer()),
        pytest.raises(SinkUnavailableError, match="acknowledged without an offset"),
    ):
        sink.send([record(1)])


@pytest.mark.parametrize("name", sorted({*MISSING, *STOPPING, *TOO_LARGE, *REMEDIES, *NO_ANSWER}))
def test_error_has_the_name_that_the_client_gives_it(name: str) -> None:
    """A release that renamed one would make the relay repeat what an operator must correct."""
    assert KafkaError(getattr(KafkaError, name)).name() == name


def test_error_of_an_earlier_batch_explains_no_later_one(broker: KafkaBroker) -> None:
    """The client reports a lost connection when it is asked next; then the broker is back, and only slow."""
    times = iter([0.0, 0.0, LONGEST_SEND_S])
    sink = KafkaSink(KafkaUrl(broker.address, "orders"), {}, clock=lambda: next(times))
    errors = [KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)]

    def report() -> None:
        while errors:
            sink._keep_error(errors.pop())

    with (
        patch.object(sink, "_producer", SilentProducer(report=report)),
        pytest.raises(SinkUnavailableError, match="no answer in time"),
    ):
        sink.send([record(1)])
    sink.close()
    assert errors == []


@dataclass
class ForgetfulProducer:
    """A producer whose broker acknowledges a record that it does not have."""

    callbacks: list[Any] = field(default_factory=list)

    def list_topics(self, timeout: float) -> SimpleNamespace:
        assert timeout > 0
        return SimpleNamespace(topics={"orders": None})

    def produce(self, *_: object, on_delivery: Any, **__: object) -> None:  # noqa: ANN401 - as the client calls it
        self.callbacks.append(on_delivery)

    def poll(self, _: float) -> None:
        """Nothing was reported."""

    def flush(self, _: float) -> None:
        while self.callbacks:
            self.callbacks.pop()(None, SimpleNamespace(offset=lambda: OFFSET_INVALID))

    def purge(self, **_: object) -> None:
        """Nothing is left."""


@dataclass
class SilentProducer(ForgetfulProducer):
    """A producer whose broker acknowledges nothing, and that reports errors when it is asked."""

    report: Callable[[], object] = lambda: None

    def poll(self, _: float) -> None:
        self.report()

    def flush(self, _: float) -> None:
        """Nothing is acknowledged."""
