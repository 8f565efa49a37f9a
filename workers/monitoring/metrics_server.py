"""The worker's `/metrics` and `/healthz`, served by its main process for all its children.

It must not stop a worker: if its port is in use it logs that once and retries.
"""

import contextlib
import http.server
import logging
import socket
import threading
from collections.abc import Callable
from typing import Final

from celery.signals import task_received, worker_ready

from projections.monitoring.disk import DiskCollector
from projections.monitoring.ledger_collector import LedgerCollector
from projections.telemetry import multiprocess
from projections.telemetry.exposition import MEDIA_TYPE, Exposition
from projections.telemetry.metrics import STARTED, declare_zeroes
from workers.monitoring.broker_state import BrokerState
from workers.monitoring.broker_watch import BrokerMonitor
from workers.monitoring.heartbeat import RecentFlag
from workers.settings import WorkerSettings

RETRY_S: Final = 3.0
REQUEST_S_MAX: Final = 10.0
EVENT_LOOP_S: Final = 3.0
EVENT_LOOP_S_MAX: Final = 30.0
IDLE_S_MAX: Final = 300.0
"""Above a task's time limit: a worker whose processes are all busy accepts no message for that time."""

log = logging.getLogger(__name__)


class MetricsServer:
    """Serves both in a thread until `close`.

    Args:
        host: Address to listen on.
        port: Its port; 0 takes a free one.
        text: Returns the text of `/metrics`.
        unhealthy_reason: What is wrong with this worker, for `/healthz`; None if nothing is.
    """

    def __init__(
        self, host: str, port: int, text: Callable[[], bytes], unhealthy_reason: Callable[[], str | None] = lambda: None
    ) -> None:
        self._address = (host, port)
        self._handler = _handler(text, unhealthy_reason)
        self._ending = threading.Event()
        self._server: http.server.ThreadingHTTPServer | None = None
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def port(self, wait_s: float) -> int | None:
        """Return the port that it listens on; None if it does not within this time."""
        self._listening.wait(wait_s)
        return None if self._server is None else int(self._server.server_address[1])

    def close(self) -> None:
        """End the thread."""
        self._ending.set()
        if self._server is not None:
            address = self._address[0], self._server.server_port
            with contextlib.suppress(OSError), socket.create_connection(address, REQUEST_S_MAX):
                pass  # a connection ends its wait
            self._thread.join(REQUEST_S_MAX)

    def _run(self) -> None:
        is_logged = False
        while not self._ending.is_set():
            try:
                self._server = http.server.ThreadingHTTPServer(self._address, self._handler)
            except OSError as error:
                if not is_logged:
                    log.warning("metrics server failed", extra={"port": self._address[1], "why": error.strerror})
                is_logged = True
                self._ending.wait(RETRY_S)
                continue
            self._server.daemon_threads = True
            self._listening.set()
            with self._server:
                while not self._ending.is_set():
                    self._server.handle_request()


def _handler(
    text: Callable[[], bytes], unhealthy_reason: Callable[[], str | None]
) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = REQUEST_S_MAX

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, MEDIA_TYPE, text())
            elif self.path == "/healthz":
                reason = unhealthy_reason()
                self._answer(503 if reason else 200, "text/plain; charset=utf-8", (reason or "well").encode())
            else:
                self.send_error(404)

        def _answer(self, status: int, media_type: str, body: bytes) -> None:
            with contextlib.suppress(OSError):  # the client has disconnected
                self.send_response(status)
                self.send_header("Content-Type", media_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Log nothing, because scrapes are frequent."""

    return Handler


def start_metrics_server(settings: WorkerSettings) -> MetricsServer | None:
    """Serve the metrics of this worker and its children, unless the settings say not to."""
    declare_zeroes()
    STARTED.labels("worker").set_to_current_time()
    if settings.worker_metrics_port == 0:
        return None
    if multiprocess.find_folder() is None:
        log.warning("metrics of child processes missing")
    watch = BrokerMonitor(settings.redis_url.get_secret_value())
    exposition = Exposition(
        [
            LedgerCollector(settings.database_url.get_secret_value()),
            watch.numbers,
            DiskCollector(settings.monitored_path),
        ]
    )
    event_loop_recent, consuming_recent = RecentFlag(EVENT_LOOP_S_MAX), RecentFlag(IDLE_S_MAX)
    task_received.connect(lambda **_: consuming_recent.touch(), weak=False)
    worker_ready.connect(
        lambda sender, **_: sender.timer.call_repeatedly(EVENT_LOOP_S, event_loop_recent.touch), weak=False
    )
    return MetricsServer(
        settings.worker_metrics_host,
        settings.worker_metrics_port,
        exposition,
        lambda: unhealthy_reason(
            watch.state, is_event_loop_recent=event_loop_recent(), is_consuming=consuming_recent()
        ),
    )


def unhealthy_reason(broker: BrokerState, *, is_event_loop_recent: bool, is_consuming: bool) -> str | None:
    """Return what keeps a worker from its work; None if nothing does.

    Args:
        broker: The last state of the broker.
        is_event_loop_recent: Whether its event loop, which receives messages and answers inspections, has run recently.
        is_consuming: Whether this worker received a message recently.
    """
    if not broker.is_up:
        return "the broker is unavailable"
    if not is_event_loop_recent:
        return f"the worker's event loop was blocked for {EVENT_LOOP_S_MAX:.0f} s"
    if broker.queued and not is_consuming:
        return f"{broker.queued} message(s) are queued, but this worker took none for {IDLE_S_MAX:.0f} s"
    return None
