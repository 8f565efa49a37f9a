"""Files that commands make: whole, or not at all."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="The file to make, mode 600; stdout if none is named.")
]


@contextmanager
def written(output: Path | None) -> Iterator[BinaryIO]:
    """Stdout, or a file that appears under its name when it is whole."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    beside = output.with_name(f"{output.name}.{os.getpid()}.new")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(output)
    except OSError as refused:
        raise typer.BadParameter(f"{output} can't be written ({refused.strerror})") from refused
    finally:
        beside.unlink(missing_ok=True)
