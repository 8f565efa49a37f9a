"""Whoever kills a stack together with its guardian leaves its parts running: the next start ends them."""

import subprocess
import sys
from pathlib import Path

import pytest

from api.cli.embedded.process.orphans import PROC, end_orphaned_components

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"


def begun(cwd: Path, *words: str) -> subprocess.Popen[bytes]:
    """A process that ignores SIGTERM and says in its command whose part it is."""
    process = subprocess.Popen([sys.executable, "-c", STUBBORN, *words], cwd=cwd, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_parts_of_this_folder_are_ended_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not another folder's, and not a program of somebody who happens to work there. Elsewhere than on Linux nobody."""
    monkeypatch.setattr("api.cli.embedded.process.orphans.PARTS_S_MAX", 0.1)
    for name in ("run", "redis", "other"):
        (tmp_path / name).mkdir()
    ours = begun(tmp_path / "run", "-m", "celery", "-A", "workers.celery_app")
    others = [begun(tmp_path / "other", "workers.celery_app"), begun(tmp_path / "run", "vim")]
    (tmp_path / "run").rmdir()
    (tmp_path / "run").mkdir()
    try:
        end_orphaned_components(tmp_path / "run", tmp_path / "redis")

        assert [None, None] == [process.poll() for process in others]
        assert not PROC.is_dir() or ours.wait(timeout=10) == -9
    finally:
        for process in (ours, *others):
            process.kill()
            process.communicate()
