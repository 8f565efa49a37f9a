"""`ledger exec`: runs another program in the environment of the ledger, such as `celery inspect`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from api.cli.command_index import leaves_no_record
from api.cli.context import Session
from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import say_error


def register(app: typer.Typer) -> None:
    """Register the command."""
    app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(execute)


@leaves_no_record("it starts a process, which records what it does")
def execute(
    context: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="Program and its arguments.")],
) -> int:
    """Run a program with the environment of the running ledger.

    Sets DATABASE_URL, REDIS_URL and the secrets. Programs that were installed with the ledger are found first.

    Example: `ledger exec celery -A workers.celery_app inspect registered`
    """
    session = Session(context.obj)
    session.read_settings()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    try:
        os.execvpe(command[0], command, {**os.environ, "PATH": path})  # noqa: S606 - no shell is wanted; the operator typed it
    except FileNotFoundError:
        say_error(f"program not found: {command[0]}")
        return ExitCode.PROGRAM_MISSING
