"""`ledger up` and `ledger migrate`."""

from typing import Annotated

import typer

from api.cli.arguments import number_parser
from api.cli.command_index import leaves_no_record
from api.cli.printing import JsonFlag, print_json
from domain.values.number_bounds import PORTS
from projections.terminal.text import say


def register(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(up)
    app.command()(migrate)


@leaves_no_record("it starts processes, which record what they do")
def up(
    context: typer.Context,
    port: Annotated[
        int, typer.Option(parser=number_parser(PORTS), help="Port of the API and the pages on 127.0.0.1.")
    ] = 8000,
    demo: Annotated[bool, typer.Option("--demo/--no-demo", help="Issue a demo code at the first start.")] = True,
) -> int:
    """Start the whole ledger on this computer, until Ctrl-C.

    Starts API, worker, beat, and a private PostgreSQL, Valkey and mail catcher. DATABASE_URL, REDIS_URL or
    LEDGER_SMTP_URL replaces the private server by yours.
    """
    from api.cli.embedded.up import run_up  # noqa: PLC0415 - other commands start no servers

    return run_up(context.obj, port, demo)


@leaves_no_record("it changes the schema, and each migration is recorded in the database")
def migrate(
    context: typer.Context,
    json: JsonFlag = False,
) -> int:
    """Migrate the database schema to this version."""
    from api.cli.read_session import ReadSession  # noqa: PLC0415 - `ledger up` loads it while its components start
    from projections.database.migrations import migrate as apply_migrations  # noqa: PLC0415 - it loads while the components start

    settings = ReadSession(context.obj).read_settings()
    applied = apply_migrations(settings.owner_url, settings.database_url.get_secret_value())
    if json:
        print_json({"applied": applied})
    else:
        say(*[f"applied {name}" for name in applied] or ["nothing to do: the schema is up to date"])
    return 0
