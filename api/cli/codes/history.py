"""`ledger history`: everything that happened to a code. It loads no more of the ledger than reading takes."""

import time
from datetime import datetime
from importlib import import_module
from typing import Annotated, Any
from uuid import UUID

import typer

from api.cli.command_index import READS_ONLY, leaves_no_record
from api.cli.printing import JsonFlag, format_timestamp, print_json, print_json_line
from api.cli.read_session import OpenReader, ReadSession
from api.use_cases.code_history import history_of, line_of
from domain.values.identifiers import format_code
from projections.terminal.exit_codes import ExitCode
from projections.terminal.tables import show, styled, table
from projections.terminal.text import say, say_error

FOLLOW_S = 0.5


def register(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(history)


@leaves_no_record(READS_ONLY)
def history(
    context: typer.Context,
    code: Annotated[str, typer.Argument(help="Code or code ID.")],
    as_of: Annotated[str | None, typer.Option(help="Show the code as of this time (ISO 8601, UTC by default).")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Keep printing new events until Ctrl-C.")] = False,
    json: JsonFlag = False,
) -> int:
    """Show every event of a code, with the balance after each.

    Example: `ledger history ABCD-EFGH-JKMN --as-of 2026-11-24T12:00`
    """
    if follow:
        return _follow(ReadSession(context.obj), code, json)
    as_of_time: datetime | None = None
    if as_of:  # the parsers of typed values take a tenth of the start
        as_of_time = import_module("api.cli.arguments").parse_time_option(as_of, "--as-of")
    session = ReadSession(context.obj)
    with session.open_reader() as (ledger, now):
        code_id = ledger.find_code_id(code)
        document = history_of(ledger.reader, code_id, now, ledger.language, as_of=as_of_time)
        text = None if json else ledger.reader.find_code_text(code_id)
        if document and not json:
            _add_private_texts(ledger, document, code_id)
    if document is None:
        say_error(f"the code did not exist yet at {as_of}")
        return ExitCode.REFUSED
    if json:
        print_json(document)
    else:
        _print_history(document, text)
    return 0


def _follow(session: ReadSession, code: str, json: bool) -> int:
    """Events of a code as lines, old ones first, then new ones as they come."""
    with session.open_reader() as (ledger, _):
        code_id, version = ledger.find_code_id(code), 0
        while True:
            for event in ledger.reader.read_history(code_id, after=version):
                version = event.version
                in_campaign = getattr(event.event, "campaign_id", None) is not None
                campaign_name = ledger.reader.find_campaign_name(code_id) if in_campaign else None
                document = line_of(event, ledger.language, campaign_name)
                if json:
                    print_json_line(document)
                else:
                    balance = f"used {document['used_count']}, reserved {document['reserved']}"
                    say(f"{format_timestamp(document['at'])}  {balance}  {document['sentence']}")
            time.sleep(FOLLOW_S)


def _add_private_texts(ledger: OpenReader, document: dict[str, Any], code_id: UUID) -> None:
    """Notes and server replies, for the operator's eyes; the JSON document leaves them out."""
    for event, event_document in zip(ledger.reader.read_history(code_id), document["events"], strict=False):
        text_id: UUID | None = getattr(event.event, "text_id", None)
        if text_id is not None and (text := ledger.reader.find_private_text(text_id)):
            event_document["sentence"] += f" ({text})"


def _print_history(document: dict[str, Any], text: str | None) -> None:
    limit = "unlimited" if document["max_uses"] is None else f"of {document['max_uses']}"
    balance = f"used {document['used_count']} {limit}, reserved {document['reserved']}"
    head = styled(format_code(text) if text else str(document["id"]), "bold")
    number_columns = [("used", "right"), ("reserved", "right")]
    fixed = ("time (UTC)", "used", "reserved")
    rows = table("time (UTC)", "event", *number_columns, "what happened", fixed=fixed)
    for event in document["events"]:
        rows.add_row(
            format_timestamp(event["at"]),
            event["type"],
            str(event["used_count"]),
            str(event["reserved"]),
            event["sentence"],
        )
    show(head.append(f"  {document['state']}: {balance}", style="not bold"), rows)
