"""`ledger mcp`: read-only tools for an assistant on this machine, over stdin and stdout."""

import os
from importlib import import_module

import typer

from api.cli.command_index import leaves_no_record
from api.cli.context import Session, create_operator
from api.errors import ApplicationError
from api.i18n.messages import refusal_detail
from api.settings import ApiSettings
from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import say_error

KEY_VARIABLE = "LEDGER_API_KEY"


def register(app: typer.Typer) -> None:
    """Register the command."""
    app.command("mcp")(mcp)


@leaves_no_record("starting reads nothing; each question of the assistant is an entry")
def mcp(context: typer.Context) -> int:
    """Start read-only tools for an assistant, over stdin and stdout.

    It speaks the Model Context Protocol until the client closes stdin. The assistant sees what the API key in
    LEDGER_API_KEY may read; without a key, all that the operator may read.
    """
    session = Session(context.obj)
    session.read_settings()
    settings = ApiSettings.from_environment()
    secret = os.environ.get(KEY_VARIABLE)
    try:
        with session.explain_unavailability():
            import_module("api.main").serve_stdio(settings, secret, create_operator)
    except ApplicationError as error:
        say_error(f"{KEY_VARIABLE}: {refusal_detail(error.code, 'en', **error.facts)}")
        return ExitCode.REFUSED
    return 0
