"""Exit codes of every command, of `ledger` and of `python -m projections` alike."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit code of a command. Scripts rely on the numbers."""

    OK = 0
    FINDINGS = 1
    USAGE = 2
    SERVICE = 3
    REFUSED = 4
    TRY_LATER = 75
    PROGRAM_MISSING = 127
    INTERRUPTED = 130


_MEANINGS = {
    ExitCode.OK: "success",
    ExitCode.FINDINGS: "found errors or differences",
    ExitCode.USAGE: "wrong usage or settings",
    ExitCode.SERVICE: "service unavailable",
    ExitCode.REFUSED: "refused by a rule",
    ExitCode.TRY_LATER: "not done, try again later (a command that a mail server calls)",
    ExitCode.PROGRAM_MISSING: "program not found (exec)",
    ExitCode.INTERRUPTED: "interrupted",
}


def list_exit_codes() -> str:
    """Return all codes with their meanings as one sentence, for `ledger --help` and docs/reference/cli.md."""
    return ", ".join(f"{code.value} {_MEANINGS[code]}" for code in ExitCode) + "."
