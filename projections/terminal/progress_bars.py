"""Progress bars on terminals. A command that prints a table does not load them."""

import sys
from typing import TextIO

from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from projections.terminal.tables import open_console

__all__ = ["Progress", "progress_bar"]


def progress_bar(*, shown: bool | None = None, out: TextIO | None = None, with_status: bool = False) -> Progress:
    """Return a progress bar on stderr.

    Args:
        shown: Whether it is drawn; None where stderr is a terminal.
        out: Another stream.
        with_status: Whether a task's field `status` follows the bar, instead of its share and remaining time.
    """
    stream = sys.stderr if out is None else out
    ends: tuple[ProgressColumn, ...] = (TaskProgressColumn(), TimeRemainingColumn())
    if with_status:
        ends = (TextColumn("{task.fields[status]}", markup=False),)
    drawn = stream.isatty() if shown is None else shown
    words = TextColumn("{task.description}", markup=False)
    return Progress(words, BarColumn(), *ends, console=open_console(stream), disable=not drawn)
