"""Runs a component that loaded its modules while the servers were starting.

`python -m api.cli.embedded.process.launch MODULES GATE PROGRAM ARGUMENTS...` imports MODULES (separated by commas),
waits for the file GATE, takes over the variables in it, and runs PROGRAM as `python -m PROGRAM ARGUMENTS...` would.
"""

import gc
import json
import os
import runpy
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Final

POLL_S: Final = 0.02


def main(arguments: list[str]) -> None:
    """Load, wait and run. A supervisor that dies in the meantime leaves a watchdog, which ends this process too."""
    modules, gate, *program = arguments
    # What modules allocate stays: collecting among it would take a sixth of the start.
    gc.disable()
    for module in modules.split(","):
        import_module(module)
    variables = wait_for_variables(Path(gate))
    gc.freeze()
    gc.enable()
    os.environ.update(variables)
    sys.argv = program
    runpy.run_module(program[0], run_name="__main__", alter_sys=True)


def wait_for_variables(gate: Path) -> dict[str, str]:
    """Return the content of the file, once it exists."""
    while not gate.exists():
        time.sleep(POLL_S)
    variables: dict[str, str] = json.loads(gate.read_text("utf-8"))
    return variables


if __name__ == "__main__":
    main(sys.argv[1:])
