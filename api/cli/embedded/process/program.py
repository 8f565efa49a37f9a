"""A program of the stack: its command, its environment, the account it runs as, and how it is ended."""

import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypedDict

CLEAR_OF_SECRETS = ("LEDGER_", "PG")
"""Prefixes of variables that PostgreSQL and Valkey do not get: secrets, and settings of another PostgreSQL."""


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class OsAccount:
    """The user that a program runs as.

    Attributes:
        uid: User to change to; None for the user of this process.
        gid: Group to change to, together with uid.
        launcher: Command that the program's own command is appended to; it changes to uid.
    """

    uid: int | None = None
    gid: int | None = None
    launcher: tuple[str, ...] = ()

    @property
    def identity(self) -> _Identity:
        """Arguments of `subprocess` that change to this account; none where the launcher does it."""
        if self.launcher or self.uid is None or self.gid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@dataclass(frozen=True, slots=True)
class Program:
    """A program that the stack runs as a child process.

    Attributes:
        name: Short and unique; also the name of its log.
        command: Absolute program and arguments.
        env: Its whole environment.
        account: Who it runs as.
        cwd: Where it starts; every user may enter the default, and it keeps no file system busy.
        stage: When it is ended: higher stages first, those of one stage together.
        stop_signal: Requests its end; sent to the process, not to its children.
        stop_s_max: Seconds after which its process group is killed.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    account: OsAccount = OsAccount()
    cwd: Path = Path("/")
    stage: int = 0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_s_max: float = 3.0

    def spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start it in a session of its own, so that its process group is its own too.

        Raises:
            OSError: The command can't be run.
        """
        return subprocess.Popen(
            [*self.account.launcher, *self.command],
            env=dict(self.env),
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **self.account.identity,
        )


def build_server_environment() -> dict[str, str]:
    """Return the environment for servers that are not the ledger's own code."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(CLEAR_OF_SECRETS)}
    return {**variables, "LC_ALL": "C", "TZ": "UTC"}


def kill_group(group: int) -> None:
    """Kill what remains of a process group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # macOS answers "not permitted" for a group of zombies.
        return


def read_log_tail(path: Path, lines_max: int = 1) -> str:
    """Return the last lines of a log that are not empty; an empty text if there are none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 8192))
            lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return " ".join(lines[-lines_max:])
