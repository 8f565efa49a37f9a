"""Each broker, with its own servers: what the dispatcher sends arrives, and what monitoring reads is true."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from celery import Celery
from redis.exceptions import RedisError

from projections.config.broker_url import BrokerUrl
from tests.faults.rigs.brokers import RunningBroker, running_rabbitmq, running_redis, running_sentinel
from tests.faults.rigs.worker_rig import worker_rig
from tests.support.optional_packages import may_run
from tests.support.waiting import WAIT_S_MAX, wait_for
from workers.celery_ext.broker_options import broker_configuration
from workers.celery_ext.reconnect import FastReconnectAMQP
from workers.dispatcher import BackgroundDispatcher
from workers.monitoring.broker_client import open_broker_client
from workers.monitoring.broker_state import BrokerClient, BrokerUnavailableError

pytestmark = pytest.mark.night(of="servers")

STARTS = {"redis": running_redis, "sentinel": running_sentinel, "rabbitmq": running_rabbitmq}
if not may_run("RabbitMQ"):
    del STARTS["rabbitmq"]

only_rabbitmq = pytest.mark.parametrize("broker", sorted(STARTS.keys() & {"rabbitmq"}), indirect=True)


@pytest.fixture(scope="module", params=list(STARTS))
def broker(request: pytest.FixtureRequest, servers_folder: Path) -> Iterator[RunningBroker]:
    with STARTS[request.param](servers_folder / f"broker-{request.param}") as running:
        yield running


@pytest.fixture
def client(broker: RunningBroker) -> Iterator[BrokerClient]:
    with closing(open_broker_client(broker.url)) as monitoring:
        yield monitoring


@pytest.fixture
def app(broker: RunningBroker) -> Any:  # noqa: ANN401 - celery has no types
    app = Celery("test", amqp=FastReconnectAMQP)
    settings = broker_configuration(BrokerUrl.parse(broker.url), visibility_timeout_s=300)
    app.conf.update(**settings, task_default_queue="ledger", task_publish_retry=False, result_backend=None)
    return app


def publisher(app: Any) -> Callable[[Sequence[UUID]], None]:  # noqa: ANN401 - as above
    def publish(ids: Sequence[UUID]) -> None:
        app.send_task("process_invite_task", args=[[str(one) for one in ids]], ignore_result=True)

    return publish


def take_ids(app: Any, count: int) -> set[UUID]:  # noqa: ANN401 - as above
    """Take messages from the queue until it had so many different ids."""
    ids: set[UUID] = set()

    def take() -> bool:
        reader = app.connection_for_read()
        with suppress(*reader.connection_errors, *reader.channel_errors, RedisError), reader as connection:
            queue = app.amqp.queues["ledger"](connection.channel())
            while (message := queue.get(no_ack=True)) is not None:
                ids.update(UUID(text) for text in message.payload[0][0])
        return len(ids) >= count

    wait_for(take, lambda: f"{len(ids)} of {count} ids")
    return ids


def eventually(read_value: Callable[[], object]) -> None:
    """Wait until something is true, through errors of the broker."""

    def read() -> bool:
        with suppress(BrokerUnavailableError):
            return bool(read_value())
        return False

    wait_for(read)


def test_dispatched_ids_arrive_in_few_messages(app: Any, client: BrokerClient) -> None:  # noqa: ANN401 - as above
    """They wait in one queue, whose length monitoring reports."""
    ids = [UUID(int=number) for number in range(450)]
    errors: list[Exception] = []
    dispatcher = BackgroundDispatcher(publisher(app), errors.append)
    for one in ids:
        dispatcher.dispatch(one)
    dispatcher.close(WAIT_S_MAX)

    assert errors == []
    assert 0 < client.look().queued <= 12
    assert take_ids(app, len(ids)) == set(ids)
    assert client.look().queued == 0


def test_heartbeats_and_marks_are_seen_by_other_processes(broker: RunningBroker, client: BrokerClient) -> None:
    """Of worker, beat and mail server, each on its own; the version of the server is named without a password."""
    with closing(open_broker_client(broker.url)) as other:
        assert client.look()[:5] == (True, False, False, True, True)
        other.renew_heartbeat("worker")
        other.renew_heartbeat("worker")
        other.mark_mail_server(is_missing=True)
        assert client.look()[:5] == (True, True, False, True, False)
        assert client.is_mail_server_marked()
        other.renew_heartbeat("beat")
        other.mark_mail_server(is_missing=False)
        assert client.look()[:5] == (True, True, True, True, True)
        assert not client.is_mail_server_marked()

    assert client.look().missing() == []
    assert "only-for-tests" not in client.describe()
    assert BrokerUrl.parse(broker.url).where in client.describe()


def test_lost_data_is_noticed_once(app: Any, client: BrokerClient) -> None:  # noqa: ANN401 - as above
    """By one caller, after each loss."""
    assert [client.take_loss(), client.take_loss()] == [True, False]
    with app.connection_for_write() as connection:
        channel = connection.channel()
        if hasattr(channel, "queue_delete") and not hasattr(channel, "client"):
            channel.queue_delete("ledger.remembers")
        else:
            channel.client.flushall()

    assert [client.take_loss(), client.take_loss()] == [True, False]


def test_wrong_password_is_reported_without_it(broker: RunningBroker) -> None:
    """The reason names what was refused, and never the secret."""
    wrong = broker.url.replace("only-for-tests@", "another-secret@")
    with closing(open_broker_client(wrong)) as client, pytest.raises(BrokerUnavailableError) as caught:
        client.look()

    assert "another-secret" not in str(caught.value)
    assert str(caught.value)


def test_frozen_broker_loses_no_id_and_delays_no_caller(broker: RunningBroker, app: Any, client: BrokerClient) -> None:  # noqa: ANN401 - as above
    """A publish fails in bounded time, and its ids are sent again: after a failover, or once it continues."""
    failed = threading.Event()
    dispatcher = BackgroundDispatcher(publisher(app), lambda _error: failed.set())
    dispatcher.dispatch(UUID(int=1))
    assert take_ids(app, 1) == {UUID(int=1)}
    with broker.find_primary().frozen():
        dispatcher.dispatch(UUID(int=2))
        assert not failed.is_set()  # the caller did not wait for the publish
        assert failed.wait(WAIT_S_MAX)
        with pytest.raises(BrokerUnavailableError):
            client.look()
        if broker.fails_over:
            assert take_ids(app, 1) == {UUID(int=2)}
            eventually(lambda: client.look().is_up)

    if not broker.fails_over:
        assert take_ids(app, 1) == {UUID(int=2)}
        eventually(lambda: client.look().is_up)
    dispatcher.close()


def test_worker_continues_after_a_failover_or_a_restart(
    broker: RunningBroker,
    app: Any,  # noqa: ANN401 - as above
    tmp_path: Path,
    database_url: str,
) -> None:
    """A real worker receives what is dispatched, before and after; no log of it holds the broker's password.

    A beat repeats what a worker took and did not finish, as it does in production.
    """
    publish = publisher(app)
    with worker_rig(tmp_path / "rig", database_url, broker.url) as rig:
        before = rig.reserve(1, "before")
        publish(before)
        rig.wait_for("InviteSent", before)
        primary = broker.find_primary()
        primary.end(signal.SIGKILL)
        if not broker.fails_over:
            primary.start()
        after = rig.reserve(1, "after")
        rig.wait(lambda: succeeds(lambda: publish(after)))
        rig.wait_for("InviteSent", after)
        log = (tmp_path / "rig" / "logs" / "worker.log").read_text(errors="replace")

    assert "ready." in log
    assert "only-for-tests" not in log


def succeeds(call: Callable[[], object]) -> bool:
    try:
        call()
    except Exception:  # noqa: BLE001 - whatever the broker's client raises
        return False
    return True


@only_rabbitmq
def test_rabbitmq_without_memory_is_reported_until_it_has_some(broker: RunningBroker, client: BrokerClient) -> None:
    """It accepts no message then, and says so only to those that publish one."""
    client.renew_heartbeat("worker")
    assert not client.look().is_full
    broker.control("set_vm_memory_high_watermark", "0")
    try:
        eventually(lambda: "broker_memory" in client.look().missing())
        assert client.look().is_up
    finally:
        broker.control("set_vm_memory_high_watermark", "0.6")
    eventually(lambda: not client.look().is_full)


@only_rabbitmq
def test_heartbeat_in_rabbitmq_expires(client: BrokerClient) -> None:
    """Within 15 seconds of the last one."""
    client.renew_heartbeat("beat")
    assert client.look().beat

    eventually(lambda: not client.look().beat)


@only_rabbitmq
def test_certificate_of_rabbitmq_is_checked(broker: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that no trusted authority signed is refused; the authority comes from the system."""
    with closing(open_broker_client(broker.tls_url)) as client:
        with pytest.raises(BrokerUnavailableError, match="certificate"):
            client.look()
        monkeypatch.setenv("SSL_CERT_FILE", str(broker.certificate))

        assert client.look().is_up
