"""Components that outlive both their supervisor and its watchdog are ended by the next start."""

import subprocess
import sys
from pathlib import Path

import pytest

from api.cli.embedded.process.orphans import end_orphaned_components
from tests.support.waiting import WAIT_S_MAX

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"


def start_stubborn(cwd: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start a process that ignores SIGTERM and whose command names a component."""
    process = subprocess.Popen([sys.executable, "-c", STUBBORN, *words], cwd=cwd, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_only_components_of_this_folder_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A component of another folder stays, and so does an editor that works in this one."""
    monkeypatch.setattr("api.cli.embedded.process.orphans.COMPONENTS_S_MAX", 0.1)
    for name in ("run", "redis", "other"):
        (tmp_path / name).mkdir()
    ours = start_stubborn(tmp_path / "run", "-m", "celery", "-A", "workers.celery_app")
    others = [start_stubborn(tmp_path / "other", "workers.celery_app"), start_stubborn(tmp_path / "run", "vim")]
    (tmp_path / "run").rmdir()
    (tmp_path / "run").mkdir()
    try:
        end_orphaned_components(tmp_path / "run", tmp_path / "redis")

        assert [process.poll() for process in others] == [None, None]
        assert ours.wait(timeout=WAIT_S_MAX) == -9
    finally:
        for process in (ours, *others):
            process.kill()
            process.communicate()
