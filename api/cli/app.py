"""The command line: the options that all commands share, and the exit code of each run."""

import gc
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from api.cli.command_index import IndexedGroup
from api.cli.streams import reopen_closed_streams
from projections.terminal.exit_codes import ExitCode, list_exit_codes
from projections.terminal.text import say, say_error

app = typer.Typer(
    name="ledger",
    cls=IndexedGroup,
    help="Issue codes, send invitations, and explain every use of a code.",
    epilog=f"Exit codes: {list_exit_codes()}",
    # Panels would load rich with its Markdown parser: as much time as all the rest of `ledger --help`.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(is_requested: bool) -> None:
    if is_requested:
        say(f"Redemption Ledger {import_module('importlib.metadata').version('redemption-ledger')}")
        raise typer.Exit


@app.callback()
def shared(
    context: typer.Context,
    data_dir: Annotated[
        Path, typer.Option(envvar="LEDGER_DATA_DIR", help="Data folder of the embedded ledger.", show_envvar=True)
    ] = Path(".ledger"),
    _: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options before the command."""
    context.obj = data_dir.absolute()
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def main() -> None:
    """Run the command line. Every expected error ends in one line on stderr and its exit code."""
    reopen_closed_streams()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command.

    Returns:
        Its exit code, a member of `ExitCode`, or that of the program that `ledger exec` ran.
    """
    try:
        outcome = typer.main.get_command(app).main(arguments, prog_name="ledger", standalone_mode=False)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        status: int | None = import_module("api.cli.exit_status").report_exception(error)
        if status is None:
            raise
        return status
    if outcome == ExitCode.INTERRUPTED:
        say_error("interrupted")
    return outcome if isinstance(outcome, int) else 0
