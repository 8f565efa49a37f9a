"""What the checks of an engine find, and how a check says so."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

EngineStatus = Literal["ok", "wrong", "limited", "skipped"]


class EngineFinding(NamedTuple):
    """The result of one check.

    Attributes:
        name: What was checked.
        status: `wrong` if the ledger must not run on this engine; `limited` if it can, with the cost that is named.
        result: What the check saw.
        cost: What an operator or a customer would lose by it; empty if nothing.
    """

    name: str
    status: EngineStatus
    result: str
    cost: str = ""


class EngineFaultError(Exception):
    """The engine does not do what the ledger relies on. The message says what it did."""


class LimitedEngineError(Exception):
    """The engine, or what is between it and us, restricts the ledger. The message says how."""


class SkippedCheckError(Exception):
    """This check cannot be made with this role or database. The message says why."""


class UnsoundEngineError(Exception):
    """The ledger must not run on this engine. The message says why, in one sentence."""


def find_faults(findings: Sequence[EngineFinding]) -> list[EngineFinding]:
    """Return the findings with which the ledger must not run on this engine."""
    return [finding for finding in findings if finding.status == "wrong"]
