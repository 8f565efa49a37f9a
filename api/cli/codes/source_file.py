"""Files that commands read: a path or stdin, in a format that their name or an option says."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import typer

from api.code_import.file_reader import Format, Records
from projections.terminal.text import say_error

RejectsOption = Annotated[Path | None, typer.Option(help="File for invalid lines and their reasons (mode 600).")]
JSON_LINES: Final = frozenset({".jsonl", ".ndjson", ".json"})


def resolve_format(text: str | None, file: Path) -> Format:
    """Return the format that an option names, else that of the file's name.

    Raises:
        typer.BadParameter: The option names another one.
    """
    if text is None:
        return "jsonl" if file.suffix.lower() in JSON_LINES else "csv"
    if text not in {"csv", "jsonl"}:
        raise typer.BadParameter(f"--format must be csv or jsonl, not {text}")
    return "csv" if text == "csv" else "jsonl"


@contextmanager
def open_source_file(path: Path) -> Iterator[BinaryIO]:
    """Open the file; stdin is copied to a temporary one, because it is read more than once.

    Raises:
        typer.BadParameter: It cannot be read.
    """
    if str(path) == "-":
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            yield copy
        return
    try:
        source = path.open("rb")
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read ({error.strerror})") from error
    with source:
        if not source.seekable():
            raise typer.BadParameter(f"{path} cannot be read twice: write - and send it on stdin")
        yield source


@contextmanager
def create_rejects_file(path: Path | None) -> Iterator[BinaryIO | None]:
    """Create a file that only its owner can read; None creates none.

    Raises:
        typer.BadParameter: It cannot be written.
    """
    if path is None:
        yield None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be written ({error.strerror})") from error
    with os.fdopen(descriptor, "wb") as file:
        yield file


def report_reading(file: Path, records: Records) -> None:
    """Say how a file was read, if it is of another product or in another encoding than UTF-8."""
    if records.column_map is not None:
        say_error(f"{file}: read as an export of {records.column_map.product}")
    if records.encoding != "UTF-8":
        say_error(f"{file}: read as {records.encoding}; if characters are wrong, save it as UTF-8")
