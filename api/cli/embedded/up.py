"""`ledger up`: everything on one folder, until Ctrl-C or SIGTERM.

The start itself runs in a thread, so that signals and deaths of children are handled from the beginning.
"""

import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from api.cli.embedded.data_dir import DataDir, open_data_dir
from api.cli.embedded.process.supervisor import LOG_BYTES_MAX, Supervisor
from api.cli.embedded.stack_error import StackError
from api.cli.embedded.startup import start_everything
from api.cli.embedded.state_file import delete_stack_state
from api.cli.embedded.tcp_ports import HOST, is_port_in_use
from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import say_error

START_ENDS_S_MAX = 2.0
SIGNALS_MAX = 4096
"""Signals that are read together, a byte each; the rest ends the next wait."""

Start = Callable[[Supervisor], None]


def run_up(data_dir: Path, port: int, demo: bool) -> int:
    """Start everything, keep it running, and end it on SIGINT or SIGTERM.

    Args:
        data_dir: Folder of all data; created if it is missing.
        port: Of the API and the pages on 127.0.0.1.
        demo: Whether to issue a demo code at the first start.

    Returns:
        OK after a signal; USAGE if it must be called differently, SERVICE if something failed: then stderr names the
        error and its remedy.

    Raises:
        pydantic.ValidationError: A setting is malformed.
        StorageUnavailableError, SchemaMismatchError, WrongKeysError, OlderStateError: The database can't be used.
    """
    try:
        with open_data_dir(data_dir) as folder:
            return _run(folder, port, demo)
    except StackError as error:
        say_error(str(error))
        return error.exit_code


def _run(folder: DataDir, port: int, demo: bool) -> int:
    delete_stack_state(folder.path)
    if is_port_in_use(port):
        raise StackError(
            f"port {port} on {HOST} is in use by another program: choose another with --port", ExitCode.USAGE
        )
    with handle_signals() as stop:
        supervisor = Supervisor(folder.logs, _report, keep_open=(folder.lock_fd,), log_bytes_max=_log_bytes_max())
        try:
            keep_running(supervisor, lambda running: start_everything(folder, port, demo, running), stop)
        finally:
            delete_stack_state(folder.path)
    return 0


def _log_bytes_max() -> int:
    """Return the setting. A malformed one is refused later, when the settings are read: that needs the database."""
    text = os.environ.get("LEDGER_LOG_BYTES_MAX", "")
    return int(text) if text.isdecimal() else LOG_BYTES_MAX


@dataclass(slots=True)
class StopRequest:
    """Whether a signal requested the end. A plain flag: a signal handler sets it, where no lock may be taken."""

    is_requested: bool = False


@dataclass(slots=True)
class _SignalWait:
    """Waits for the next signal, also the death of a child; one that came since the last wait ends it at once."""

    _received: socket.socket
    _sent: socket.socket

    def wait(self, seconds: float) -> None:
        """Wait until a signal comes or `wake` is called, at most so long."""
        if select.select([self._received], [], [], seconds)[0]:
            self._received.recv(SIGNALS_MAX)

    def wake(self) -> None:
        """End the wait, from any thread."""
        with suppress(OSError):  # it is full of signals, which end the wait too, or nothing waits any more
            self._sent.send(b"\0")


@dataclass(slots=True)
class _Starter:
    """Runs the start in a thread, stores its error and reports its end."""

    start: Start
    supervisor: Supervisor
    report_end: Callable[[], None]
    errors: list[BaseException] = field(default_factory=list)

    def run(self) -> None:
        try:
            self.start(self.supervisor)
        except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
            self.errors.append(error)
            self.report_end()


def keep_running(supervisor: Supervisor, start: Start, stop: StopRequest) -> None:
    """Start, then supervise until a signal requests the end. Ends all programs, also after an error.

    Raises:
        BaseException: What `start` raised, unless the end was requested since.
    """
    with _wake_on_signals() as signals:
        starter = _Starter(start, supervisor, signals.wake)
        thread = threading.Thread(target=starter.run, name="start", daemon=True)
        thread.start()
        try:
            while not stop.is_requested and not starter.errors:
                signals.wait(supervisor.tick())
        finally:
            supervisor.stop()
            thread.join(START_ENDS_S_MAX)
    if starter.errors and not stop.is_requested:
        raise starter.errors[0]


@contextmanager
def _wake_on_signals() -> Iterator[_SignalWait]:
    """Let signals end a wait while the context is open: a handler alone does not end a call of the system."""
    received, sent = socket.socketpair()
    with received, sent:
        sent.setblocking(False)
        former_fd = signal.set_wakeup_fd(sent.fileno(), warn_on_full_buffer=False)
        # Signals without a handler are not reported.
        former = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        try:
            yield _SignalWait(received, sent)
        finally:
            signal.signal(signal.SIGCHLD, former)
            signal.set_wakeup_fd(former_fd)


@contextmanager
def handle_signals() -> Iterator[StopRequest]:
    """Note SIGINT, SIGTERM and SIGHUP in a `StopRequest`, and restore the former handlers at the end."""
    stop = StopRequest()

    def request_stop(_number: int, _frame: FrameType | None) -> None:
        stop.is_requested = True

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    former = {number: signal.signal(number, request_stop) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _report(sentence: str) -> None:
    """Print what happened, with its time: an operator may read it hours later."""
    say_error(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC  {sentence}")
