"""The target of a relay over Kafka: one record per event, as CloudEvents in binary mode.

Records of one key stay in order. The producer is idempotent, sends nothing after a gap, and has no timeout for a single
record: a batch that is not acknowledged in time ends the producer with everything that it still had to send.
What one `send` has for a partition is one request: a second one could be accepted after the first one was lost by a
broker that died between the sequence number and the records.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from workers.relay.sink import RelayRecord, SinkRefusedError, SinkTooLargeError, SinkUnavailableError

if TYPE_CHECKING:  # the extra kafka
    from confluent_kafka import KafkaError, Message, Producer

LONGEST_SEND_S: Final = 10.0
POLL_S: Final = 0.1
"""Longest wait in seconds for acknowledgements between two looks at the time."""
GUARANTEES: Final[Mapping[str, str | int | bool]] = {
    "acks": "all",
    "enable.idempotence": True,
    "enable.gapless.guarantee": True,
    "message.timeout.ms": 0,
    "partitioner": "murmur2_random",
    # One request for all that a `send` has for a partition: nothing leaves before `flush`, and a whole batch fits.
    "linger.ms": int(LONGEST_SEND_S * 1_000),
    "batch.num.messages": 10_000,
    "batch.size": 1_000_000,
}
"""Properties that no file changes: loss and order depend on them. The partitioner is that of Kafka's own clients."""
DEFAULTS: Final[Mapping[str, str | int]] = {
    "client.id": "redemption-ledger",
    "log_level": 2,  # above it, the client writes to stderr what its errors say
}
"""Of properties that a file may set."""
BACKOFF: Final[Mapping[str, str | int]] = {"reconnect.backoff.ms": 1_000}
"""Another default: the client's 0.1 s would try a wrong password a dozen times a second."""
SIGN_IN: Final[Mapping[str, str]] = {"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512"}
"""Of a URL with user and password; a file may set others."""
ALIASES: Final = frozenset(
    {
        *("bootstrap.servers", "metadata.broker.list", "request.required.acks", "delivery.timeout.ms"),
        *("transactional.id", "queue.buffering.max.ms"),
    }
)
"""Further properties that no file sets: other names of these, and what the URL says."""
MISSING: Final = frozenset({"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION"})
SIGN_IN_FAILURES: Final = frozenset({"_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED"})
STOPPING: Final = frozenset(
    {
        *SIGN_IN_FAILURES,
        *("TOPIC_AUTHORIZATION_FAILED", "TOPIC_EXCEPTION"),
        *("CLUSTER_AUTHORIZATION_FAILED", "INVALID_RECORD", "POLICY_VIOLATION"),
    }
)
"""Names of errors that sending again does not change."""
ALL_DOWN: Final = "_ALL_BROKERS_DOWN"
REMEDIES: Final = {
    **dict.fromkeys(SIGN_IN_FAILURES, ": correct user, password or sasl.mechanism"),
    "_SSL": ": correct LEDGER_RELAY_CA_FILE or ssl.ca.location, or the certificate of the broker",
    ALL_DOWN: ": check host, port and security.protocol",
}
"""What an operator can do about an error, by its name."""
NO_ANSWER: Final = frozenset({"_TRANSPORT", "_TIMED_OUT"})
TOO_LARGE: Final = frozenset({"MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"})
INSTALL: Final = "the package confluent-kafka is not installed: pip install 'confluent-kafka~=2.16'"
FORM: Final = "expected kafka://HOST:PORT,HOST:PORT/TOPIC; percent-encode special characters of a password"

_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
_BROKERS: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class KafkaUrl:
    """A topic, as `kafka://HOST:PORT,HOST:PORT/TOPIC` names it.

    Attributes:
        login: Properties of the client that follow from a `user:password@` before the brokers.
    """

    brokers: str
    topic: str
    login: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, url: str) -> "KafkaUrl":
        """Read a URL.

        Raises:
            ValueError: It is malformed; the message does not repeat it.
        """
        try:
            parts = urlsplit(url)
        except ValueError:  # its message repeats parts
            raise ValueError(FORM) from None
        login, _, brokers = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        topic = parts.path.removeprefix("/")
        is_plain = not (parts.query or parts.fragment) and _TOPIC.fullmatch(topic)
        may_sign_in = not login or (user and password and "@" not in login)
        if not (is_plain and may_sign_in) or not all(_BROKERS.fullmatch(broker) for broker in brokers.split(",")):
            raise ValueError(FORM)
        properties = {"sasl.username": unquote(user), "sasl.password": unquote(password)}
        return cls(brokers, topic, {**SIGN_IN, **properties} if login else {})

    def __str__(self) -> str:
        return f"kafka://{self.brokers}/{self.topic}"


def read_properties(path: Path) -> dict[str, str]:
    """Read a properties file of Kafka clients: lines of `name=value`, and comments after `#`.

    Raises:
        ValueError: A line is malformed, or sets what the relay depends on. The message repeats no value.
        OSError: It cannot be read.
    """
    properties: dict[str, str] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, separator, value = (part.strip() for part in line.partition("="))
        if not separator or not name:
            raise ValueError(f"line {number} is not name=value")
        if name in GUARANTEES or name in ALIASES:
            raise ValueError(f"line {number}: the relay sets {name} itself")
        properties[name] = value
    return properties


class KafkaSink:
    """Produces each record to one topic.

    Args:
        url: Brokers and topic.
        properties: Further properties of the producer, such as those of TLS and SASL.
        clock: Monotonic seconds.

    Raises:
        SinkRefusedError: The package is missing, or a property is malformed.
    """

    longest_send_s = LONGEST_SEND_S

    def __init__(
        self, url: KafkaUrl, properties: Mapping[str, str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url, self._clock = url, clock
        self._error: KafkaError | None = None
        # Our shortest pause could be longer than the longest one of the file, which the client refuses.
        defaults = DEFAULTS if "reconnect.backoff.max.ms" in properties else {**BACKOFF, **DEFAULTS}
        self._config = {**defaults, **properties, **GUARANTEES, "error_cb": self._keep_error}
        self._has_topic = False
        self._producer = self._open(url.brokers)

    def send(self, records: Sequence[RelayRecord]) -> None:
        """Produce records and wait for the acknowledgement of each."""
        failed: list[Exception] = []
        acknowledged: list[int] = []

        def keep(error: "KafkaError | None", message: "Message") -> None:
            if error is not None:
                failed.append(self._explain(error))
            elif (offset := message.offset()) is not None and offset >= 0:
                acknowledged.append(offset)
            else:
                # The broker has seen the sequence number. One that died between that and the record has no record.
                failed.append(SinkUnavailableError(f"{self._url.brokers}: acknowledged without an offset"))

        try:
            with self._explained():
                self._producer.poll(0)
                self._error = None  # of what is over
                self._check_topic()
                self._produce(records, keep)
                ends = self._clock() + LONGEST_SEND_S / 2
                while len(acknowledged) < len(records) and not failed and self._clock() < ends:
                    self._producer.flush(POLL_S)
        except Exception:
            self._abandon()
            raise
        if len(acknowledged) < len(records):
            error = failed[0] if failed else self._explain(self._error)
            self._abandon()
            raise error

    def is_same(self, shown: str, /) -> bool:
        """Return whether the brokers of another URL say that they are of this cluster, and the topic is the same.

        A cluster has an id of 16 random bytes, which its brokers send. Without an answer of both, it is False.
        """
        try:
            other = KafkaUrl.parse(shown)
        except ValueError:
            return False
        if other.topic != self._url.topic:
            return False
        cluster_id = self._read_cluster_id(self._url.brokers)
        return cluster_id is not None and cluster_id == self._read_cluster_id(other.brokers)

    def _read_cluster_id(self, brokers: str) -> str | None:
        try:
            with self._explained():
                return self._open(brokers).list_topics(timeout=LONGEST_SEND_S / 2).cluster_id or None
        except (SinkRefusedError, SinkUnavailableError):
            return None

    def close(self) -> None:
        """Drop what was not acknowledged."""
        self._producer.purge(in_queue=True, in_flight=True, blocking=False)
        self._producer.poll(0)

    def _check_topic(self) -> None:
        """Refuse a topic that does not exist, once for each producer. All are listed: asking for one may create it."""
        if not self._has_topic:
            if self._url.topic not in self._producer.list_topics(timeout=LONGEST_SEND_S / 2).topics:
                raise self._refuse_missing_topic()
            self._has_topic = True

    def _refuse_missing_topic(self) -> SinkRefusedError:
        return SinkRefusedError(f"there is no topic {self._url.topic} at {self._url.brokers}: create it")

    def _produce(self, records: Sequence[RelayRecord], keep: Callable[[Any, Any], None]) -> None:
        for record in records:
            self._producer.produce(
                self._url.topic,
                value=record.data,
                key=str(record.key),
                headers=write_headers(record),
                on_delivery=keep,
            )

    def _open(self, brokers: str) -> "Producer":
        try:
            from confluent_kafka import KafkaException, Producer  # noqa: PLC0415 - the extra kafka
        except ImportError as error:
            raise SinkRefusedError(INSTALL) from error
        try:
            return Producer({**self._config, "bootstrap.servers": brokers})
        except KafkaException as error:
            raise SinkRefusedError(f"the properties of the Kafka client: {error.args[0].str()}") from error
        except (TypeError, ValueError) as error:
            raise SinkRefusedError(f"the properties of the Kafka client: {error}") from error

    def _abandon(self) -> None:
        """Open another producer: this one sends nothing more, so nothing follows what is missing."""
        self.close()
        self._has_topic, self._error = False, None
        self._producer = self._open(self._url.brokers)

    def _keep_error(self, error: "KafkaError") -> None:
        if self._error is None or error.name() != ALL_DOWN:
            self._error = error

    @contextmanager
    def _explained(self) -> Iterator[None]:
        from confluent_kafka import KafkaException  # noqa: PLC0415 - the extra kafka

        try:
            yield
        except BufferError as error:
            raise SinkTooLargeError("the queue of the Kafka client is full: queue.buffering.max.messages") from error
        except KafkaException as error:
            # A client that cannot sign in says so here, at times a moment after it said that no broker answered.
            self._producer.poll(POLL_S)
            has_no_answer = error.args[0].name() in NO_ANSWER
            raise self._explain(self._error if has_no_answer else error.args[0]) from error

    def _explain(self, error: "KafkaError | None") -> Exception:
        if error is None:
            return SinkUnavailableError(f"{self._url.brokers}: no answer in time")
        name, text = error.name(), error.str() + REMEDIES.get(error.name(), "")
        if name in TOO_LARGE:
            return SinkTooLargeError(text)
        if name in MISSING:
            return self._refuse_missing_topic()
        if name in STOPPING:
            return SinkRefusedError(f"topic {self._url.topic} at {self._url.brokers}: {text}")
        return SinkUnavailableError(f"{self._url.brokers}: {text}")


def write_headers(record: RelayRecord) -> list[tuple[str, str | bytes | None]]:
    """Return the headers of a record, by the Kafka binding of CloudEvents 1.0.2 in binary mode."""
    headers = {f"ce_{name}": value for name, value in record.attributes.items() if name != "datacontenttype"}
    return [
        ("content-type", record.attributes["datacontenttype"].encode()),
        *((name, value.encode()) for name, value in headers.items()),
    ]
