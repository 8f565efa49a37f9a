"""Running commands as a shell does, in this process."""

import json
import os
import pty
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from unittest.mock import patch

import pytest

from api.cli.app import run


def walk_commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - Typer has click's classes inside
    """Yield every command of a command line with its words; no group."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from walk_commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


@dataclass(frozen=True)
class CommandResult:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the document holds
        return json.loads(self.out)


@dataclass
class Terminal:
    capsys: pytest.CaptureFixture[str]

    def ledger(self, *arguments: str) -> CommandResult:
        self.capsys.readouterr()
        status = run(list(arguments))
        out, err = self.capsys.readouterr()
        return CommandResult(status, out, err)

    def ledger_on_a_tty(self, *arguments: str) -> CommandResult:
        """One command whose stdout and stderr are a terminal each."""
        with ExitStack() as ends:
            out, err = ends.enter_context(_tty()), ends.enter_context(_tty())
            with patch.multiple(sys, stdout=out.file, stderr=err.file):
                status = run(list(arguments))
        return CommandResult(status, out.text(), err.text())

    def ledger_into_a_file(self, *arguments: str, file: Path) -> CommandResult:
        """One command at a terminal, with stdout redirected: `ledger ... > FILE`."""
        with ExitStack() as ends:
            err, out = ends.enter_context(_tty()), ends.enter_context(file.open("w", encoding="utf-8"))
            with patch.multiple(sys, stdin=err.file, stdout=out, stderr=err.file):
                status = run(list(arguments))
        return CommandResult(status, file.read_text("utf-8"), err.text())


@dataclass
class _Tty:
    """A terminal that changes no line ends, and what it was shown."""

    file: TextIO
    shown: list[bytes]

    def text(self) -> str:
        return b"".join(self.shown).decode()


@contextmanager
def _tty() -> Iterator[_Tty]:
    master, slave = pty.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    shown: list[bytes] = []
    reading = threading.Thread(target=_read_all, args=(master, shown))
    reading.start()
    with os.fdopen(slave, "w", encoding="utf-8") as file:
        yield _Tty(file, shown)
    reading.join()
    os.close(master)


def _read_all(master: int, shown: list[bytes]) -> None:
    """Read a terminal until its last writer has left, which Linux reports as an error."""
    try:
        while piece := os.read(master, 65_536):
            shown.append(piece)
    except OSError:
        return
