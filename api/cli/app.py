"""The command line itself: options that all commands share, and how errors end."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from api.cli.accounts import api_keys, key_rings, privacy, staff
from api.cli.codes import cases, codes, import_codes, lifecycle, refund_outage
from api.cli.context import Session, complain
from api.cli.doctor import command
from api.cli.exit_status import EXIT_INTERRUPTED, open_streams, status_of
from api.cli.maintenance import import_legacy, rebuild_verify, receipts, transfer
from api.cli.server import container, exec_command, up_and_migrate
from projections.terminal.text import say

app = typer.Typer(
    name="ledger",
    help="Redeem codes, invitations, and an append-only ledger of what happened to each code.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(wanted: bool) -> None:
    if wanted:
        say(f"Redemption Ledger {version('redemption-ledger')}")
        raise typer.Exit


@app.callback()
def shared(
    context: typer.Context,
    data_dir: Annotated[
        Path, typer.Option(envvar="LEDGER_DATA_DIR", help="Folder of the embedded ledger.", show_envvar=True)
    ] = Path(".ledger"),
    _: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options before the command."""
    context.obj = Session(data_dir.absolute())


up_and_migrate.add_to(app)
container.add_to(app)
codes.add_to(app)
cases.add_to(app)
lifecycle.add_to(app)
refund_outage.add_to(app)
import_legacy.add_to(app)
import_codes.add_to(app)
privacy.add_to(app)
command.add_to(app)
rebuild_verify.add_to(app)
receipts.add_to(app)
key_rings.add_to(app)
api_keys.add_to(app)
staff.add_to(app)
transfer.add_to(app)
exec_command.add_to(app)


def main() -> None:
    """Run the command line; every expected trouble ends in one sentence and its exit code."""
    open_streams()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command.

    Returns:
        0 ok, 1 found something, 2 usage, 3 can't reach a service, 4 refused by a rule, 130 interrupted.
    """
    try:
        outcome = typer.main.get_command(app).main(arguments, prog_name="ledger", standalone_mode=False)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt, SystemExit) as ended:
        status = status_of(ended)
        if status is None:
            raise
        return status
    if outcome == EXIT_INTERRUPTED:
        complain("interrupted")
    return outcome if isinstance(outcome, int) else 0
