"""Running commands as a shell does, in this process."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from api.cli.app import run


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the document holds
        """Stdout, parsed."""
        return json.loads(self.out)


@dataclass
class Terminal:
    """A shell."""

    capsys: pytest.CaptureFixture[str]

    def ledger(self, *arguments: str) -> Ended:
        """One command."""
        self.capsys.readouterr()
        status = run(list(arguments))
        out, err = self.capsys.readouterr()
        return Ended(status, out, err)
