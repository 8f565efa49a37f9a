"""`ledger up`: everything on one folder, until Ctrl-C or SIGTERM.

The start itself runs in a thread, so that signals are obeyed and children watched from the first moment on.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from api.cli.embedded.data_dir import DataDir, open_data_dir
from api.cli.embedded.process.supervisor import LOG_BYTES_MAX, Supervisor
from api.cli.embedded.startup import start_everything
from api.cli.embedded.state_file import remove_state
from api.cli.embedded.util import HOST, StackError, is_port_in_use
from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import say_error

TICK_S = 0.1
START_ENDS_S_MAX = 2.0

Start = Callable[[Supervisor], None]


def run_up(data_dir: Path, port: int, demo: bool) -> int:
    """Start everything, keep it running, and end it on SIGINT or SIGTERM.

    Args:
        data_dir: Where all data lies; made if it isn't there.
        port: Of the API and the pages on 127.0.0.1.
        demo: Whether to issue a demo code at the first start.

    Returns:
        0 after a signal; 2 if it must be called differently, 3 if something failed: then stderr has said what and
        what helps.

    Raises:
        pydantic.ValidationError: A setting is malformed.
        StorageUnavailableError, SchemaMismatchError, WrongKeysError, OlderStateError: The database can't be used.
    """
    try:
        with open_data_dir(data_dir) as folder:
            return _run(folder, port, demo)
    except StackError as refused:
        say_error(str(refused))
        return refused.exit_code


def _run(folder: DataDir, port: int, demo: bool) -> int:
    remove_state(folder.path)
    if is_port_in_use(port):
        raise StackError(
            f"port {port} on {HOST} is in use by another program: choose another with --port", ExitCode.USAGE
        )
    from api.cli.unknown_settings import find_unknown_settings  # noqa: PLC0415 - only starting wants the settings of all parts

    for strange in find_unknown_settings(os.environ):
        say_error(strange)
    with _signals() as stop:
        supervisor = Supervisor(folder.logs, _report, keep_open=(folder.lock_fd,), log_bytes_max=_log_bytes_max())
        try:
            keep_running(supervisor, lambda running: start_everything(folder, port, demo, running), stop)
        finally:
            remove_state(folder.path)
    return 0


def _log_bytes_max() -> int:
    """As the settings have it. They are read once the database is there, and a malformed number ends the start then."""
    given = os.environ.get("LEDGER_LOG_BYTES_MAX", "")
    return int(given) if given.isdecimal() else LOG_BYTES_MAX


@dataclass(slots=True)
class StopRequest:
    """Whether a signal asked for the end. A plain flag: it is set in a signal handler, where locks may not be taken."""

    asked: bool = False


@dataclass(slots=True)
class _Starter:
    """Runs the start in a thread and keeps what went wrong."""

    start: Start
    supervisor: Supervisor
    trouble: list[BaseException] = field(default_factory=list)

    def run(self) -> None:
        try:
            self.start(self.supervisor)
        except BaseException as trouble:  # noqa: BLE001 - handed to the main thread, which raises it
            self.trouble.append(trouble)


def keep_running(supervisor: Supervisor, start: Start, stop: StopRequest) -> None:
    """Start, then watch until asked to stop; in any case nothing is left running.

    Raises:
        BaseException: What `start` raised, unless the end was asked for meanwhile.
    """
    starter = _Starter(start, supervisor)
    thread = threading.Thread(target=starter.run, name="start", daemon=True)
    thread.start()
    try:
        while not stop.asked and not starter.trouble:
            supervisor.tick()
            time.sleep(TICK_S)
    finally:
        supervisor.stop()
        thread.join(START_ENDS_S_MAX)
    if starter.trouble and not stop.asked:
        raise starter.trouble[0]


@contextmanager
def _signals() -> Iterator[StopRequest]:
    stop = StopRequest()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.asked = True

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _report(sentence: str) -> None:
    """What happened while everything runs, and when: somebody may read it the next morning."""
    say_error(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC  {sentence}")
