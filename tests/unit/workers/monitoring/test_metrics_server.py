import base64
import socket
import urllib.error
import urllib.request

import pytest

from projections.telemetry import metrics
from tests.support.waiting import WAIT_S_MAX
from workers.monitoring.broker_state import BrokerState
from workers.monitoring.metrics_server import MetricsServer, unhealthy_reason


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


def test_doctor_names_the_cause_of_a_stopped_worker() -> None:
    assert unhealthy_reason(BrokerState(), is_event_loop_recent=True, is_consuming=True) == "the broker is unavailable"
    assert unhealthy_reason(BrokerState(is_up=True, queued=3), is_event_loop_recent=True, is_consuming=True) is None
    assert unhealthy_reason(BrokerState(is_up=True, queued=0), is_event_loop_recent=True, is_consuming=False) is None
    hung = unhealthy_reason(BrokerState(is_up=True), is_event_loop_recent=False, is_consuming=True)
    stuck = unhealthy_reason(BrokerState(is_up=True, queued=3), is_event_loop_recent=True, is_consuming=False)
    assert (hung or "").startswith("the worker's event loop")
    assert (stuck or "").startswith("3 message(s) are queued")


def test_every_task_has_series_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that metrics do not know by name would hide among the others."""
    for name in ("PEPPERS", "MASTER_KEYS"):
        monkeypatch.setenv(f"LEDGER_{name}", "1:" + base64.b64encode(b"k" * 32).decode())
    monkeypatch.setenv("LEDGER_SECRET_KEY", "test")
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    from workers import tasks  # noqa: PLC0415 - it reads its settings when it is imported

    registered = {name for name in tasks.process_invite_task.app.tasks if not name.startswith("celery.")}
    assert registered == set(metrics.TASKS)
