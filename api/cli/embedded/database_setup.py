"""Has another process set up the database of `ledger up`, in whose memory all that it loads would stay.

`python -m api.cli.embedded.set_up_database` does it.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import typer

from api.cli.embedded.bounded_wait import POLL_S
from api.cli.embedded.stack_error import StackError

# A folder named `api` in the working directory must not be imported.
COMMAND: Final = (sys.executable, "-P", "-m", "api.cli.embedded.set_up_database")


class DatabaseSetup:
    """The process that sets up the database. It loads its modules from the beginning, and ends with the context.

    Args:
        run: Working directory of the components.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        # Ctrl-C is for `ledger up`, which then ends it.
        self._process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, start_new_session=True, text=True)

    def run(self, env: Mapping[str, str], owner_url: str, demo: bool, is_stopped: Callable[[], bool]) -> None:
        """Check the settings, migrate the database, let the components run, and create the first accounts.

        Args:
            env: Environment of the components.
            owner_url: Database URL of the role that owns the tables.
            demo: Whether to issue a demo code at the first start.
            is_stopped: Whether everything is being ended.

        Raises:
            StackError: Everything is being ended.
            typer.Exit: It failed; stderr says why.
        """
        task = {"run": str(self._run), "env": dict(env), "owner_url": owner_url, "demo": demo}
        if self._process.stdin is not None:
            # It stays open: its end would tell that this process has ended.
            with suppress(BrokenPipeError):  # it has ended, and stderr says why
                self._process.stdin.write(f"{json.dumps(task)}\n")
                self._process.stdin.flush()
        while (status := self._process.poll()) is None:
            if is_stopped():
                raise StackError("the ledger is being stopped")
            time.sleep(POLL_S)
        if status < 0:
            raise StackError(f"setting up the database ended with signal {-status}: run `ledger up` again")
        if status:
            raise typer.Exit(status)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
