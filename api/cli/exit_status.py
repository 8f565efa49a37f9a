"""How a command that did not return ends: one sentence for the operator, and an exit code."""

import contextlib
import os
import sys

import typer
from pydantic import ValidationError

from api.cli.context import EXIT_REFUSED, EXIT_SERVICE, EXIT_USAGE, complain, settings_sentence
from api.cli.production_checks import UnsafeStartError
from domain.errors import Refusal
from projections.database.errors import (
    OlderStateError,
    RolesMissingError,
    SchemaMismatchError,
    StorageUnavailableError,
    WrongKeysError,
)
from projections.vault.vault import SealBrokenError

EXIT_INTERRUPTED = 130
LAST_STREAM = 2
"""Stderr: files of our own have higher numbers."""
SERVICES = (StorageUnavailableError, SchemaMismatchError, WrongKeysError, OlderStateError, RolesMissingError)
BY_TYPE = {UnsafeStartError: EXIT_USAGE, SealBrokenError: EXIT_REFUSED, **dict.fromkeys(SERVICES, EXIT_SERVICE)}
"""Exit codes of errors whose message is the sentence for the operator."""


def status_of(ended: BaseException) -> int | None:
    """Say what happened, and with which code to exit; None for what is a defect and deserves its traceback."""
    match ended:
        case typer.Exit():
            return ended.exit_code
        case typer.TyperException():
            return _said(_usage_sentence(ended), EXIT_USAGE)
        case typer.Abort() | KeyboardInterrupt():
            return _said("interrupted", EXIT_INTERRUPTED)
        case Refusal():
            return _said(f"refused: {ended.code}", EXIT_REFUSED)
        case ValidationError():
            return _said(settings_sentence(ended), EXIT_USAGE)
        case _ if isinstance(ended, tuple(BY_TYPE)):
            return _said(str(ended), next(code for kind, code in BY_TYPE.items() if isinstance(ended, kind)))
        case _:
            return _status_of_output(ended)


def open_streams() -> None:
    """Open what the shell has closed of stdin, stdout and stderr: what is said there is then said to nobody."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= LAST_STREAM:
        os.set_inheritable(opened, True)
    os.close(opened)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as the process
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as above
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as above


def _status_of_output(ended: BaseException) -> int | None:
    # Typer makes an exit of a reader that has left (`ledger history CODE | head -1`), which is no error.
    unread = ended.__context__ if isinstance(ended, SystemExit) else ended
    if not isinstance(unread, OSError):
        return None
    # What is still in the buffer would be written, and fail again, when Python ends.
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(unread, BrokenPipeError):
        return 0
    about = f": {unread.filename}" if unread.filename else ""
    return _said(f"it can't be done: {unread.strerror or unread}{about}", EXIT_SERVICE)


def _said(sentence: str, status: int) -> int:
    complain(sentence)
    return status


def _usage_sentence(usage: typer.TyperException) -> str:
    said = usage.format_message().replace(": Value error, ", ": ")
    where = getattr(usage, "ctx", None)
    if where is None or said.startswith("Invalid value"):
        return said
    return f"{said} See `{where.command_path} --help`."
