import socket
import urllib.error
import urllib.request
from unittest.mock import Mock, call

import pytest

from api.cli.embedded.tcp_ports import find_free_port
from domain.values.trace_ids import is_trace_id
from projections.config.broker_url import BrokerUrl
from projections.telemetry import metrics
from tests.observability.approved_sending import ENVIRONMENT
from tests.support.waiting import WAIT_S_MAX, wait_for
from workers.monitoring import heartbeat
from workers.monitoring.broker_state import BrokerState, BrokerUnavailableError
from workers.monitoring.metrics_server import MetricsServer, unhealthy_reason
from workers.monitoring.redis_client import RedisClient
from workers.monitoring.task_metrics import draw_task_id, known_task_id


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=WAIT_S_MAX) as response:  # noqa: S310 - a loopback URL made here
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_exporter_serves_metrics_and_health() -> None:
    troubles = iter([None, "the broker is unavailable"])
    exporter = MetricsServer("127.0.0.1", 0, lambda: b"x 1\n", lambda: next(troubles))
    base = f"http://127.0.0.1:{exporter.port(10)}"
    try:
        answers = [get(base + path) for path in ("/metrics", "/healthz", "/healthz")]
        elsewhere = get(base + "/")[0]
    finally:
        exporter.close()

    assert answers == [(200, b"x 1\n"), (200, b"well"), (503, b"the broker is unavailable")]
    assert elsewhere == 404
    assert not exporter._thread.is_alive()


def test_port_in_use_stops_nothing_and_is_attempted_again() -> None:
    """A second worker on one machine continues; once the port is free it has it."""
    with socket.create_server(("127.0.0.1", 0)) as other_server:
        port = other_server.getsockname()[1]
        exporter = MetricsServer("127.0.0.1", port, lambda: b"")
        assert exporter.port(0.3) is None
    try:
        assert exporter.port(20) == port
    finally:
        exporter.close()


@pytest.mark.parametrize(
    ("state", "is_event_loop_recent", "is_consuming", "reason"),
    [
        (BrokerState(), True, True, "the broker is unavailable"),
        (BrokerState(is_up=True, queued=3), True, True, None),
        (BrokerState(is_up=True, queued=0), True, False, None),
        (BrokerState(is_up=True), False, True, "the worker's event loop"),
        (BrokerState(is_up=True, queued=3), True, False, "3 message(s) are queued"),
    ],
)
def test_doctor_names_the_cause_of_a_stopped_worker(
    state: BrokerState, is_event_loop_recent: bool, is_consuming: bool, reason: str | None
) -> None:
    said = unhealthy_reason(state, is_event_loop_recent=is_event_loop_recent, is_consuming=is_consuming)

    assert said is reason is None or (said or "").startswith(reason or "?")


def test_every_task_has_series_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that metrics do not know by name would hide among the others."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    from workers import tasks  # noqa: PLC0415 - it reads its settings when it is imported

    registered = {name for name in tasks.process_invite_task.app.tasks if not name.startswith("celery.")}
    assert registered == set(metrics.TASKS)


def test_failed_renewal_is_repeated_before_the_next_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that was unavailable for a moment lets no heartbeat expire."""
    client = Mock()
    client.renew_heartbeat.side_effect = [BrokerUnavailableError, None]
    monkeypatch.setattr(heartbeat, "open_broker_client", lambda _: client)
    monkeypatch.setattr(heartbeat, "RENEW_S", 4 * WAIT_S_MAX)
    monkeypatch.setattr(heartbeat, "RETRY_S", 0.01)
    beat = heartbeat.Heartbeat("redis://localhost", "beat")
    try:
        wait_for(lambda: client.renew_heartbeat.call_count > 1)
    finally:
        beat._ending.set()

    assert client.renew_heartbeat.mock_calls == [call("beat"), call("beat")]


def test_sentinels_that_do_not_answer_are_reported_in_one_line() -> None:
    """Not with the inner state of a client for each of them."""
    broker = BrokerUrl.parse(f"sentinel://127.0.0.1:{find_free_port()}/0?master_name=ledger")

    with pytest.raises(BrokerUnavailableError) as raised:
        RedisClient(broker).look()

    assert str(raised.value) == "No master found for 'ledger'"


def test_drawn_task_ids_are_recorded_as_they_are() -> None:
    """Each has 16 digits and a letter among them, so none is taken for the number of a document."""
    ids = [draw_task_id() for _ in range(100)]

    assert len(set(ids)) == len(ids)
    assert {len(each) for each in ids} == {16}
    assert [known_task_id(each) for each in ids] == ids
    assert all(is_trace_id(each) for each in ids)
