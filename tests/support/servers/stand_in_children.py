"""Runs two stand-in children as `ledger up` runs its own, until a signal. Argument: a folder for their logs.

Each child and a child of its own write their process ids to the log, and `ended` says in which order they were asked.
"""

import os
import sys
from pathlib import Path

from api.cli.embedded.process import supervisor as supervisor_module
from api.cli.embedded.process.program import Program
from api.cli.embedded.process.supervisor import Supervisor
from api.cli.embedded.up import handle_signals, keep_running

SCRIPT = 'trap "echo $1 >> $2; exit 0" TERM; echo $$; sleep 300 & echo $!; while :; do wait; done'

HOUR_S = 3600.0
"""The supervisor does not wake up without a reason within a test."""


def program(name: str, stage: int, folder: Path) -> Program:
    """A child that has a child, and ends with a note when it is asked to."""
    command = ("/bin/sh", "-c", SCRIPT, "sh", name, str(folder / "ended"))
    return Program(name, command, dict(os.environ), stage=stage)


def main() -> None:
    """Run both and say so when they are started."""
    folder = Path(sys.argv[1])
    supervisor_module.LOG_LOOK_S = HOUR_S

    def start(supervisor: Supervisor) -> None:
        supervisor.start(program("store", 0, folder), program("front", 1, folder))
        (folder / "started").touch()

    with handle_signals() as stop:
        keep_running(Supervisor(folder), start, stop)


if __name__ == "__main__":
    main()
