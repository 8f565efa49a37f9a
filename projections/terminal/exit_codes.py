"""Exit codes of every command, of `ledger` and of `python -m projections` alike."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command ends with. Scripts rely on the numbers."""

    OK = 0
    FOUND = 1
    USAGE = 2
    SERVICE = 3
    REFUSED = 4
    PROGRAM_MISSING = 127
    INTERRUPTED = 130


_MEANINGS = {
    ExitCode.OK: "ok",
    ExitCode.FOUND: "found something",
    ExitCode.USAGE: "usage",
    ExitCode.SERVICE: "can't reach a service",
    ExitCode.REFUSED: "refused by a rule",
    ExitCode.PROGRAM_MISSING: "no such program (exec)",
    ExitCode.INTERRUPTED: "interrupted",
}


def list_exit_codes() -> str:
    """Return all codes with their meanings as one sentence, for `ledger --help` and docs/reference/cli.md."""
    return ", ".join(f"{code.value} {_MEANINGS[code]}" for code in ExitCode) + "."
