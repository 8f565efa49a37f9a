"""Children are started again when they die, and none outlives the supervisor, however it ends."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.cli.embedded.process.program import Program
from api.cli.embedded.process.supervisor import BACK_OFF_S_FIRST, LOG_LOOK_S, Supervisor
from api.cli.embedded.process.watchdog import is_running
from api.cli.embedded.stack_error import StackError
from api.cli.embedded.up import handle_signals, keep_running
from tests.support.servers import stand_in_children as standin
from tests.support.waiting import WAIT_S_MAX, wait_for

ROOT = Path(__file__).parents[5]
RESTARTS = 4


def pids(log: Path) -> list[int]:
    """The process ids that a stand-in wrote to its log: each start adds its own and that of its child."""
    return [int(word) for word in log.read_text().split()] if log.exists() else []


def all_gone(process_ids: list[int]) -> bool:
    return not any(is_running(pid) for pid in process_ids)


@contextmanager
def supervised(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """A process that supervises two stand-ins; gives it and the ids of its four descendants."""
    process = subprocess.Popen([sys.executable, "-m", standin.__name__, str(folder)], cwd=ROOT)
    try:
        logs = [folder / "store.log", folder / "front.log"]
        # A child writes before its supervisor has told the guardian of it: "started" comes after both.
        wait_for((folder / "started").exists)
        wait_for(lambda: sum(len(pids(log)) for log in logs) == 4)
        yield process, [pid for log in logs for pid in pids(log)]
    finally:
        process.kill()
        process.wait()


def test_killed_program_is_restarted_and_its_children_are_ended(tmp_path: Path) -> None:
    """A new process takes the place of a killed one, whose own child is gone by then."""
    log = tmp_path / "store.log"
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(standin.program("store", 0, tmp_path))
        wait_for(lambda: len(pids(log)) == 2)
        killed, left = pids(log)
        os.kill(killed, signal.SIGKILL)

        def is_back() -> bool:
            supervisor.tick()
            return len(pids(log)) == 4

        wait_for(is_back)
        assert all_gone([killed, left])
        assert is_running(pids(log)[2])


def test_program_that_keeps_dying_is_restarted_with_backoff(tmp_path: Path) -> None:
    """The first restart is immediate, the ones after it wait longer and longer."""
    states: list[str] = []
    with Supervisor(tmp_path, states.append) as supervisor:
        supervisor.start(Program("broken", ("/bin/sh", "-c", "echo no keys; exit 7"), {}))
        began, waits_s = time.monotonic(), [LOG_LOOK_S]

        def is_restarted() -> bool:
            waits_s.append(supervisor.tick())
            return supervisor.restart_count("broken") >= RESTARTS

        wait_for(is_restarted)
        assert time.monotonic() - began >= BACK_OFF_S_FIRST * (2 + 4)
        assert supervisor.last_log_line("broken") == "no keys"
        assert states[0] == "broken ended (status 7) and is being restarted"
        assert 0 < max(wait_s for wait_s in waits_s if wait_s < LOG_LOOK_S) <= BACK_OFF_S_FIRST * 8


def test_death_of_a_program_wakes_the_supervisor(tmp_path: Path) -> None:
    """It restarts the program immediately, although it looks at nothing periodically."""
    with supervised(tmp_path) as (_, descendants):
        os.kill(descendants[0], signal.SIGKILL)

        wait_for(lambda: len(pids(tmp_path / "store.log")) == 4)


def test_failed_start_ends_the_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_waiting = threading.Event()

    def tick(_: Supervisor) -> float:
        is_waiting.set()
        return standin.HOUR_S

    def start(_: Supervisor) -> None:
        is_waiting.wait(WAIT_S_MAX)
        raise StackError("no port is free")

    monkeypatch.setattr(Supervisor, "tick", tick)
    with handle_signals() as stop, pytest.raises(StackError, match="no port is free"):
        keep_running(Supervisor(tmp_path), start, stop)


def test_program_that_ignores_its_stop_signal_is_killed(tmp_path: Path) -> None:
    command = ("/bin/sh", "-c", 'trap "" TERM; echo $$; while :; do sleep 1; done')
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(Program("stubborn", command, dict(os.environ), stop_s_max=0.3))
        wait_for(lambda: len(pids(tmp_path / "stubborn.log")) == 1)
        supervisor.stop()

        assert all_gone(pids(tmp_path / "stubborn.log"))


def test_missing_program_is_refused_in_one_line(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor, pytest.raises(StackError, match=r"/nowhere/x cannot be run .*make setup"):
        supervisor.start(Program("x", ("/nowhere/x",), {}, cwd=tmp_path))


def test_log_of_the_former_run_is_kept(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("earlier\n")
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(Program("x", ("/bin/sh", "-c", "echo now; sleep 60"), dict(os.environ)))

        wait_for(lambda: supervisor.last_log_line("x") == "now")
        assert (tmp_path / "x.log.1").read_text() == "earlier\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_no_process_remains_after_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    """Who asks ends before who is asked, and their own children end with them."""
    with supervised(tmp_path) as (process, descendants):
        process.send_signal(number)

        assert process.wait(WAIT_S_MAX) == 0
        assert all_gone(descendants)
        assert (tmp_path / "ended").read_text().split() == ["front", "store"]


def test_no_process_remains_after_a_crash_of_the_supervisor(tmp_path: Path) -> None:
    """Killed with SIGKILL, it leaves the work to its guardian, which keeps the same order."""
    with supervised(tmp_path) as (process, descendants):
        process.kill()

        wait_for(lambda: all_gone(descendants))
        assert (tmp_path / "ended").read_text().split() == ["front", "store"]


def test_killed_watchdog_is_replaced(tmp_path: Path) -> None:
    """The new guardian knows the children that run already."""
    log = tmp_path / "store.log"
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(standin.program("store", 0, tmp_path))
        wait_for(lambda: len(pids(log)) == 2)
        first = supervisor._watchdog
        assert first is not None
        first.kill()
        first.wait()
        supervisor.tick()
        second, supervisor._watchdog = supervisor._watchdog, None
        assert second is not None
        assert second.stdin is not None
        # As if we were gone.
        second.stdin.close()

        assert second.wait(WAIT_S_MAX) == 0
        assert all_gone(pids(log))


def test_large_log_is_rotated_while_its_program_writes(tmp_path: Path) -> None:
    command = ("/bin/sh", "-c", 'echo a long first line; read -r _ < "$1"; echo more; sleep 60', "sh")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with Supervisor(tmp_path, log_bytes_max=10) as supervisor:
        supervisor.start(Program("x", (*command, str(gate)), dict(os.environ)))
        wait_for(lambda: supervisor.last_log_line("x") != "")
        supervisor.tick()
        gate.write_text("go\n")

        wait_for(lambda: supervisor.last_log_line("x") == "more")
        assert (tmp_path / "x.log.1").read_text() == "a long first line\n"
        assert (tmp_path / "x.log").read_text() == "more\n"


def test_program_whose_log_cannot_be_opened_is_started_with_backoff(tmp_path: Path) -> None:
    """Without a pause, the supervisor would take a whole core."""
    logs = tmp_path / "logs"
    logs.mkdir()
    with Supervisor(logs) as supervisor:
        supervisor.start(Program("broken", ("/bin/sh", "-c", "sleep 0.2"), {}))
        shutil.rmtree(logs)
        wait_for(lambda: supervisor.tick() >= 0 and supervisor.restart_count("broken") > 1)

        assert supervisor.tick() > 0
