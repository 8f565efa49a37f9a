"""Output files of commands: complete, or not written at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from projections.terminal.text import binary_stdout

OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="Output file (mode 600); default: stdout.")]


@contextmanager
def open_output_file(output: Path | None) -> Iterator[BinaryIO]:
    """Open stdout, or a file that gets its name when it is complete; a device or a pipe is written directly.

    Raises:
        typer.BadParameter: It can't be written.
    """
    if output is None:
        out = binary_stdout()
        yield out
        out.flush()
        return
    # A link keeps its target. Devices are opened, because root would otherwise replace /dev/null by a file.
    target = output.resolve()
    if target.exists() and not target.is_file() and not target.is_dir():
        with _translate_errors(output), target.open("wb") as device:
            yield device
        return
    temporary = target.with_name(f"{target.name}.{os.getpid()}.new")
    with _translate_errors(output):
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _translate_errors(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise typer.BadParameter(f"{output} cannot be written ({error.strerror})", param_hint="'--output'") from error
