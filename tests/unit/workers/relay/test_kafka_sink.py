from pathlib import Path
from uuid import UUID

import pytest

from workers.relay.kafka_sink import GUARANTEES, SIGN_IN, KafkaSink, KafkaUrl, read_properties, write_headers
from workers.relay.sink import RelayRecord


@pytest.mark.parametrize(
    ("url", "brokers", "topic"),
    [
        ("kafka://broker1/orders", "broker1", "orders"),
        (
            "kafka://b1.example.com:9092,b2.example.com:9093/my.topic_1-x",
            "b1.example.com:9092,b2.example.com:9093",
            None,
        ),
        ("kafka://[::1]:9092/t", "[::1]:9092", "t"),
    ],
    ids=["one", "several", "ipv6"],
)
def test_url_names_brokers_and_a_topic(url: str, brokers: str, topic: str | None) -> None:
    parsed = KafkaUrl.parse(url)

    assert (parsed.brokers, parsed.topic, str(parsed)) == (brokers, topic or "my.topic_1-x", url)


@pytest.mark.parametrize(
    "url",
    [
        "kafka://broker1:9092",
        "kafka://broker1:9092/",
        "kafka:///topic",
        "kafka://broker1:9092,/topic",
        "kafka://broker1:9092/a/b",
        "kafka://broker1:9092/t?acks=0",
        "kafka://broker1:9092/t\u00e4",
        "kafka://bro ker/t",
        "kafka://b/" + "t" * 250,
    ],
)
def test_malformed_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected kafka://"):
        KafkaUrl.parse(url)


def test_url_may_sign_in() -> None:
    url = KafkaUrl.parse("kafka://ann:hunt%40er2@broker1:9093/t")

    assert url.login == {**SIGN_IN, "sasl.username": "ann", "sasl.password": "hunt@er2"}
    assert (str(url), "hunt" in repr(url)) == ("kafka://broker1:9093/t", False)


@pytest.mark.parametrize(
    "login",
    [
        *("hunter2", ":hunter2", "ann:", "ann:hun[ter2]", "ann:hunter2/", "ann:hunter2#", "ann:hun\uff0fter2"),
        "ann:hunter2@broker0:9092,carl:x",
    ],
)
def test_malformed_login_is_refused_and_not_repeated(login: str) -> None:
    """Errors are in logs."""
    with pytest.raises(ValueError, match="percent-encode special characters") as raised:
        KafkaUrl.parse(f"kafka://{login}@broker1/t")

    assert "hun" not in str(raised.value)


def test_properties_are_read(tmp_path: Path) -> None:
    path = tmp_path / "kafka.properties"
    path.write_text("# TLS\n\nsecurity.protocol = SASL_SSL\nsasl.password=a=b#c\n", "utf-8")

    assert read_properties(path) == {"security.protocol": "SASL_SSL", "sasl.password": "a=b#c"}


@pytest.mark.parametrize("name", [*GUARANTEES, "bootstrap.servers", "delivery.timeout.ms", "request.required.acks"])
def test_property_that_the_order_depends_on_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "kafka.properties"
    path.write_text(f"client.id=x\n{name}=hunter2\n", "utf-8")
    with pytest.raises(ValueError, match=f"line 2: the relay sets {name} itself") as raised:
        read_properties(path)

    assert "hunter2" not in str(raised.value)


def test_file_may_set_a_longest_pause_below_our_shortest() -> None:
    """The client refuses a shortest pause that is longer than the longest one."""
    sink = KafkaSink(KafkaUrl.parse("kafka://127.0.0.1:9/t"), {"reconnect.backoff.max.ms": "500"})

    sink.close()


@pytest.mark.parametrize("line", ["hunter2", "=hunter2"])
def test_line_without_a_name_is_refused(tmp_path: Path, line: str) -> None:
    """It may be a password."""
    path = tmp_path / "kafka.properties"
    path.write_text(line, "utf-8")
    with pytest.raises(ValueError, match=r"^line 1 is not name=value$"):
        read_properties(path)


def test_headers_are_those_of_the_binary_mode() -> None:
    """The media type of the data is that of the record, and has no header of the envelope."""
    attributes = {"specversion": "1.0", "id": "7", "datacontenttype": "application/json", "subject": "codes/1"}
    record = RelayRecord(7, UUID(int=1), attributes, b"{}", b"{}")

    assert write_headers(record) == [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", b"7"),
        ("ce_subject", b"codes/1"),
    ]
