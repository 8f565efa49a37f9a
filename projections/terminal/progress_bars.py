"""Progress bars on terminals. A command that prints a table does not load them."""

import sys
from typing import TextIO

from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from projections.terminal.tables import open_console

__all__ = ["Progress", "progress_bar"]


def progress_bar(
    out: TextIO | None = None, *, prints_result: bool = False, with_status: bool = False
) -> Progress | None:
    """Return a progress bar on stderr, or None if it cannot be drawn there.

    A bar is drawn on a terminal only. Stdout stays as it is, in a file, a pipe or a terminal.

    Args:
        out: Another stream than stderr.
        prints_result: Whether the command writes to stdout while the bar is shown. If stdout is a terminal too, its
            lines would run into the bar, and they show the progress already.
        with_status: Whether a task's field `status` follows the bar, instead of its share and remaining time.
    """
    stream = sys.stderr if out is None else out
    if not stream.isatty() or (prints_result and sys.stdout.isatty()):
        return None
    ends: tuple[ProgressColumn, ...] = (TaskProgressColumn(), TimeRemainingColumn())
    if with_status:
        ends = (TextColumn("{task.fields[status]}", markup=False),)
    words = TextColumn("{task.description}", markup=False)
    # By default, rich would print on its console what goes to stdout: the result of `ledger issue > FILE`.
    return Progress(words, BarColumn(), *ends, console=open_console(stream), redirect_stdout=False)
