"""A relay to a Kafka broker that wants TLS and a password: it signs in, or says what is wrong without a storm."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from tests.support.servers.kafka_broker import KafkaBroker, kafka_broker
from tests.support.servers.kafka_front import MECHANISMS, KafkaFront, kafka_front
from tests.support.servers.tls_front import make_authority
from workers.relay.kafka_sink import KafkaSink, KafkaUrl
from workers.relay.sink import RelayRecord, SinkRefusedError, SinkUnavailableError

pytestmark = pytest.mark.night(of="relay")
CONNECTIONS_MAX = 15
"""Of one batch that fails."""


@dataclass
class SecuredBroker:
    """A broker behind a front, and what its clients need."""

    broker: KafkaBroker
    front: KafkaFront
    properties: dict[str, str]

    def open_sink(self, **changes: str) -> KafkaSink:
        """A sink; properties are written with underscores."""
        changed = {name.replace("_", "."): value for name, value in changes.items()}
        self.front.connections = 0
        return KafkaSink(KafkaUrl(self.broker.address, "orders"), {**self.properties, **changed})

    def read_positions(self) -> list[int]:
        (partition,) = self.broker.read_topic("orders", 1)
        return [int(dict(one.headers())["ce_id"]) for one in partition]


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[SecuredBroker]:
    """A broker with a topic that `ann` may write to."""
    authority = make_authority(tmp_path, "kafka")
    properties = {
        **KafkaUrl.parse("kafka://ann:right@broker/t").login,
        "ssl.ca.location": str(authority),
    }
    with kafka_broker(tmp_path / "broker") as broker:
        broker.create_topic("orders", 1)
        broker.kill()
        with kafka_front(broker.port, tmp_path / "kafka-server.pem", {"ann": "right"}) as front:
            broker.front_port, broker.properties = front.port, properties
            broker.start()
            yield SecuredBroker(broker, front, properties)


def record(position: int) -> RelayRecord:
    return RelayRecord(
        position, UUID(int=1), {"id": f"{position}", "datacontenttype": "application/json"}, b"{}", b"{}"
    )


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_relay_signs_in_over_tls(secured: SecuredBroker, mechanism: str) -> None:
    """A URL with a login means SCRAM; a file may choose another mechanism."""
    sink = secured.open_sink(sasl_mechanism=mechanism)
    sink.send([record(1), record(2)])
    sink.close()

    assert secured.read_positions() == [1, 2]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_wrong_password_stops_the_relay(secured: SecuredBroker, mechanism: str) -> None:
    """After a few attempts, because an account may be locked; the message says what to correct."""
    sink = secured.open_sink(sasl_mechanism=mechanism, sasl_password="hunter2")
    with pytest.raises(SinkRefusedError, match=r"authentication.*correct user, password or sasl\.mechanism") as raised:
        sink.send([record(1)])
    sink.close()

    assert "hunter2" not in str(raised.value)
    assert secured.front.connections <= CONNECTIONS_MAX
    assert secured.read_positions() == []


def test_mechanism_that_the_broker_does_not_have_stops_the_relay(secured: SecuredBroker) -> None:
    """With those that it has."""
    secured.front.mechanisms = ("SCRAM-SHA-256",)
    sink = secured.open_sink(sasl_mechanism="PLAIN")
    with pytest.raises(SinkRefusedError, match=r"supported mechanisms: SCRAM-SHA-256.*correct .*sasl\.mechanism"):
        sink.send([record(1)])
    sink.close()


def test_password_that_changes_loses_nothing(secured: SecuredBroker) -> None:
    """The batch is not acknowledged; the same one follows with the new password."""
    sink = secured.open_sink()
    sink.send([record(1)])
    secured.front.passwords["ann"] = "new"
    secured.front.drop_connections()
    with pytest.raises(SinkRefusedError, match="correct user, password"):
        sink.send([record(2)])
    sink.close()

    secured.broker.properties["sasl.password"] = "new"
    renewed = secured.open_sink()
    renewed.send([record(2)])
    renewed.close()
    assert secured.read_positions() == [1, 2]


def test_unknown_authority_is_named(secured: SecuredBroker, tmp_path: Path) -> None:
    """The relay waits and tries again, because a broker's certificate may be the mistake."""
    sink = secured.open_sink(ssl_ca_location=str(make_authority(tmp_path, "other")))
    with pytest.raises(SinkUnavailableError, match=r"certificate verify failed.*correct LEDGER_RELAY_CA_FILE"):
        sink.send([record(1)])
    sink.close()

    assert secured.front.connections <= CONNECTIONS_MAX
    assert secured.read_positions() == []


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT", "SSL"])
def test_client_without_tls_or_login_says_what_to_check(secured: SecuredBroker, protocol: str) -> None:
    """The broker closes the connection without a word."""
    sink = secured.open_sink(security_protocol=protocol)
    with pytest.raises(SinkUnavailableError, match=r"check host, port and security\.protocol"):
        sink.send([record(1)])
    sink.close()

    assert secured.front.connections <= CONNECTIONS_MAX
