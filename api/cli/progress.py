"""Progress of a long command on stderr: a bar on a terminal, a line every few seconds elsewhere."""

import time
from types import TracebackType
from typing import Final, Self

from projections.terminal.progress_bars import progress_bar
from projections.terminal.text import say_error

LINE_EVERY_S: Final = 5.0


class CommandProgress:
    """Progress of one command.

    Args:
        words: The activity, such as `exporting codes`.
        total: The final count; 0 if it is unknown.
        quiet: Print nothing.
        prints_result: Whether the command writes to stdout while this is shown.
    """

    def __init__(self, words: str, total: int = 0, *, quiet: bool = False, prints_result: bool = False) -> None:
        self._words, self._total = words, total
        self._printed_at, self._count = time.monotonic(), 0
        self._quiet = quiet
        self._bar = None if quiet else progress_bar(prints_result=prints_result)
        self._task = self._bar.add_task(words, total=total or None) if self._bar else None

    def at(self, count: int) -> None:
        """Show a count."""
        self._count = count
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=count)
        elif not self._quiet and time.monotonic() - self._printed_at > LINE_EVERY_S:
            self._printed_at = time.monotonic()
            of = f" of {self._total:,}" if self._total else ""
            say_error(f"{self._words}: {count:,}{of}")

    def more(self, number: int) -> None:
        """Add to the count."""
        self.at(self._count + number)

    def grow(self, total: int) -> None:
        """Set the final count, once it is known."""
        self._total = total
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, total=total)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
