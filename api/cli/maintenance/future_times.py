"""`ledger clock`: rows with times in the future, after the database's clock was ahead and went back."""

from typing import Annotated

import typer

from api.cli.command_index import leaves_no_record
from api.cli.context import Session
from api.cli.printing import JsonFlag, print_json
from projections.database.migrations import check_schema
from projections.terminal.exit_codes import ExitCode
from projections.terminal.tables import show, table
from projections.terminal.text import say
from projections.work_queue.impossible_times import review_impossible_times


def register(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(clock)


@leaves_no_record("it makes waiting work due, and changes no fact")
def clock(
    context: typer.Context,
    apply: Annotated[
        bool, typer.Option("--apply", help="Make the rows due now, and accept the times of events.")
    ] = False,
    json: JsonFlag = False,
) -> int:
    """List rows with times in the future, and bring them back.

    They are left when the database's clock was ahead. Without --apply, only lists them (exit code 1 if there are any).
    Events never change.

    Example: `ledger clock --apply`
    """
    url = Session(context.obj).read_settings().database_url.get_secret_value()
    check_schema(url)
    counts = review_impossible_times(url, apply=apply)
    if json:
        print_json({"applied": apply, "rows": counts})
    elif counts:
        rows = table("table", "rows")
        for name, count in sorted(counts.items()):
            rows.add_row(name, f"{count:,}")
        show(rows)
        say("brought back" if apply else "bring them back with `ledger clock --apply`")
    else:
        say("no row has a time in the future")
    return ExitCode.FINDINGS if counts and not apply else 0
