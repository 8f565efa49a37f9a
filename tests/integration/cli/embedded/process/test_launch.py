"""A component loads its modules at once and runs when the gate opens."""

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.support.waiting import WAIT_S_MAX

PROGRAM = """
import gc, os, sys
print(sys.argv, os.environ["DATABASE_URL"], "wave" in sys.modules, gc.isenabled(), __name__)
"""


def test_program_waits_for_the_gate_with_its_modules_loaded(tmp_path: Path) -> None:
    """It sees its own arguments and the variables of the gate, and collects garbage as usual."""
    (tmp_path / "component.py").write_text(PROGRAM, encoding="utf-8")
    gate = tmp_path / "gate.json"
    command = [sys.executable, "-m", "api.cli.embedded.process.launch", "wave", str(gate), "component", "--port", "1"]
    process = subprocess.Popen(
        command, env={"PYTHONPATH": str(tmp_path), "DATABASE_URL": "planned"}, stdout=subprocess.PIPE, text=True
    )
    time.sleep(0.5)
    waits = process.poll() is None

    partial = gate.with_suffix(".new")
    partial.write_text(json.dumps({"DATABASE_URL": "real"}), encoding="utf-8")
    partial.rename(gate)
    out, _ = process.communicate(timeout=WAIT_S_MAX)

    assert waits
    assert out.strip() == f"{[str(tmp_path / 'component.py'), '--port', '1']} real True True __main__"
