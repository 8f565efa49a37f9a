"""The exit code of a command that raised an error, with one line for the operator on stderr."""

import contextlib
import os
import sys

import typer
from pydantic import ValidationError

from api.cli.context import CommandRefusedError, describe_settings_error
from api.cli.embedded.stack_error import StackError
from api.cli.production_checks import UnsafeStartError
from api.cli.read_session import find_language_of_locale
from api.i18n.messages import refusal_detail
from domain.errors import Refusal
from projections.database.errors import (
    OlderStateError,
    RolesMissingError,
    SchemaMismatchError,
    StorageUnavailableError,
    WrongKeysError,
)
from projections.engine_check.findings import UnsoundEngineError
from projections.privacy.erasure import ErasedIdsFileError
from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import say_error
from projections.vault.vault import SealBrokenError

SERVICES = (
    StorageUnavailableError,
    SchemaMismatchError,
    WrongKeysError,
    OlderStateError,
    RolesMissingError,
    UnsoundEngineError,
)
BY_TYPE = {
    UnsafeStartError: ExitCode.USAGE,
    ErasedIdsFileError: ExitCode.USAGE,
    CommandRefusedError: ExitCode.REFUSED,
    SealBrokenError: ExitCode.REFUSED,
    **dict.fromkeys(SERVICES, ExitCode.SERVICE),
}
"""Exit codes of errors whose message is printed as it is."""


def report_exception(error: BaseException) -> int | None:
    """Print one line about an error and return the exit code; None for a bug, whose traceback is shown."""
    match error:
        case typer.Exit():
            return error.exit_code
        case typer.TyperException():
            return _report(_describe_usage_error(error), ExitCode.USAGE)
        case typer.Abort() | KeyboardInterrupt():
            return _report("interrupted", ExitCode.INTERRUPTED)
        case Refusal():
            facts = {"retry_after_s": error.retry_after_s, **error.facts}
            detail = refusal_detail(error.code, find_language_of_locale() or "en", **facts)
            return _report(f"refused: {error.code}: {detail}", ExitCode.REFUSED)
        case ValidationError():
            return _report(describe_settings_error(error), ExitCode.USAGE)
        case StackError():
            return _report(str(error), error.exit_code)
        case _ if isinstance(error, tuple(BY_TYPE)):
            return _report(str(error), next(code for kind, code in BY_TYPE.items() if isinstance(error, kind)))
        case _:
            return _report_output_error(error)


def _report_output_error(error: BaseException) -> int | None:
    # Typer turns a closed pipe (`ledger history CODE | head -1`) into SystemExit; that is not an error.
    output_error = error.__context__ if isinstance(error, SystemExit) else error
    if not isinstance(output_error, OSError):
        return None
    # Python would write the buffer at its end, and fail again.
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(output_error, BrokenPipeError):
        return 0
    about = f": {output_error.filename}" if output_error.filename else ""
    return _report(f"cannot write the output: {output_error.strerror or output_error}{about}", ExitCode.SERVICE)


def _report(sentence: str, status: int) -> int:
    say_error(sentence)
    return status


def _describe_usage_error(usage: typer.TyperException) -> str:
    message = usage.format_message().replace(": Value error, ", ": ")
    context = getattr(usage, "ctx", None)
    if context is None or message.startswith("Invalid value"):
        return message
    return f"{message} See `{context.command_path} --help`."
