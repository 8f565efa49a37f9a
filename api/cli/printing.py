"""JSON and times as commands print them."""

from datetime import datetime
from typing import Annotated

import orjson
import typer

from domain.values.timestamps import text_of
from projections.terminal.text import write_document

ReasonOption = Annotated[
    str, typer.Option("--reason", help="Reason, without email addresses; stored encrypted in the audit log.")
]
"""Why something is exported, or ended permanently. No command asks: without it, no reason is recorded as given."""
NoteOption = Annotated[str, typer.Option("--note", help="Reason; stored encrypted in the vault.")]
"""The reason of a change, which its event names."""
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def print_json(document: object) -> None:
    """Print one JSON document on stdout."""
    write_document(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_INDENT_2).decode())


def print_json_line(document: object) -> None:
    """Print one line of JSON Lines on stdout, unbuffered."""
    write_document(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE).decode())


def format_timestamp(timestamp: datetime) -> str:
    """Return a timestamp as tables show it: UTC, to the second."""
    return text_of(timestamp, "%Y-%m-%d %H:%M:%S").removesuffix(" UTC")
