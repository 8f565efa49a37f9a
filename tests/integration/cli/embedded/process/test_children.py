"""Components wait for the gate; those that outlive supervisor and watchdog are ended by the next start."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from api.cli.embedded.process.orphans import end_orphaned_components
from tests.support.waiting import WAIT_S_MAX, wait_for

EARLY = """
from pathlib import Path
Path(__file__).with_name("loaded").touch()
"""
PROGRAM = """
import gc, os, sys
print(sys.argv, os.environ["DATABASE_URL"], "early" in sys.modules, gc.isenabled(), __name__)
"""


def test_program_waits_for_the_gate_with_its_modules_loaded(tmp_path: Path) -> None:
    """It sees its own arguments and the variables of the gate, and collects garbage as usual."""
    (tmp_path / "early.py").write_text(EARLY, encoding="utf-8")
    (tmp_path / "component.py").write_text(PROGRAM, encoding="utf-8")
    gate = tmp_path / "gate.json"
    command = [sys.executable, "-m", "api.cli.embedded.process.launch", "early", str(gate), "component", "--port", "1"]
    process = subprocess.Popen(
        command, env={"PYTHONPATH": str(tmp_path), "DATABASE_URL": "planned"}, stdout=subprocess.PIPE, text=True
    )
    wait_for((tmp_path / "loaded").exists)
    waits = process.poll() is None

    partial = gate.with_suffix(".new")
    partial.write_text(json.dumps({"DATABASE_URL": "real"}), encoding="utf-8")
    partial.rename(gate)
    out, _ = process.communicate(timeout=WAIT_S_MAX)

    assert waits
    assert out.strip() == f"{[str(tmp_path / 'component.py'), '--port', '1']} real True True __main__"


STUBBORN = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); sys.stdin.read()"


def start_stubborn(cwd: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start a process that ignores SIGTERM and whose command names a component."""
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN, *words], cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
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
