"""The command line: the options that all commands share, and the exit code of each run."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from api.cli.accounts import api_keys, key_rings, privacy, staff
from api.cli.codes import cases, codes, import_codes, lifecycle, refund_outage
from api.cli.context import Session
from api.cli.doctor import command
from api.cli.exit_status import reopen_closed_streams, report_exception
from api.cli.maintenance import import_legacy, rebuild_verify, receipts, transfer
from api.cli.server import container, exec_command, up_and_migrate
from projections.terminal.exit_codes import ExitCode, list_exit_codes
from projections.terminal.text import say, say_error

app = typer.Typer(
    name="ledger",
    help="Issue codes, send invitations, and explain every use of a code.",
    epilog=f"Exit codes: {list_exit_codes()}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(is_requested: bool) -> None:
    if is_requested:
        say(f"Redemption Ledger {version('redemption-ledger')}")
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
    context.obj = Session(data_dir.absolute())


up_and_migrate.register(app)
container.register(app)
codes.register(app)
cases.register(app)
lifecycle.register(app)
refund_outage.register(app)
import_legacy.register(app)
import_codes.register(app)
privacy.register(app)
command.register(app)
rebuild_verify.register(app)
receipts.register(app)
key_rings.register(app)
api_keys.register(app)
staff.register(app)
transfer.register(app)
exec_command.register(app)


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
        status = report_exception(error)
        if status is None:
            raise
        return status
    if outcome == ExitCode.INTERRUPTED:
        say_error("interrupted")
    return outcome if isinstance(outcome, int) else 0
