"""Tables, styled text and progress bars on terminals, in which text from users and servers is shown as plain text.

This module and `progress_bars` alone import rich, which otherwise reads `[...]` as markup.
"""

import sys
from collections.abc import Sequence
from typing import Final, TextIO

from rich.console import Console, JustifyMethod, RenderableType
from rich.panel import Panel
from rich.style import StyleType
from rich.table import Table
from rich.text import Text

from projections.terminal.text import escaped

__all__ = ["PlainTable", "open_console", "panel", "show", "styled", "table"]

PIPED_COLUMNS: Final = 200
"""Width of tables in a pipe or a file. The 80 columns of rich would cut ids that people search for."""


def styled(text: str, style: str) -> Text:
    """Return plain text in one style of rich, such as `bold`."""
    return Text(escaped(text.replace("\r\n", "\n")), style=style)


class PlainTable(Table):
    """Table of rich that takes every cell of type str for plain text."""

    def add_row(
        self, *renderables: RenderableType | None, style: StyleType | None = None, end_section: bool = False
    ) -> None:
        """Add a row of escaped texts; what `styled` made stays as it is."""
        cells = (styled(cell, "") if isinstance(cell, str) else cell for cell in renderables)
        super().add_row(*cells, style=style, end_section=end_section)


def show(*shown: RenderableType) -> None:
    """Write tables, styled text and plain lines to stdout."""
    console = open_console(sys.stdout)
    for renderable in shown:
        console.print(styled(renderable, "") if isinstance(renderable, str) else renderable)


def table(*columns: str | tuple[str, str], fixed: Sequence[str] = (), header: bool = True) -> PlainTable:
    """Return an empty table without lines around it.

    Args:
        columns: Names from left to right; `(name, "right")` for numbers.
        fixed: Names of the columns that are never broken into lines.
        header: Whether the names are shown.
    """
    plain_table = PlainTable(box=None, pad_edge=False, header_style="dim", show_header=header)
    for column in columns:
        name, side = (column, "left") if isinstance(column, str) else column
        justify: JustifyMethod = "right" if side == "right" else "left"
        plain_table.add_column(name, justify=justify, no_wrap=name in fixed, overflow="fold")
    return plain_table


def panel(lines: Sequence[str], title: str, subtitle: str) -> Panel:
    """Return lines in a frame."""
    return Panel(styled("\n".join(lines), ""), title=Text(title), subtitle=Text(subtitle), expand=False)


def open_console(out: TextIO) -> Console:
    """Return a console of rich on a stream, for which no text is markup."""
    width = None if out.isatty() else PIPED_COLUMNS
    return Console(file=out, markup=False, emoji=False, highlight=False, width=width)
