"""CSV that is safe to open: a cell that a spreadsheet would take for a formula is marked as text."""

import csv
import io
from collections.abc import Iterable
from typing import Final

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""First characters that make a formula of a cell (OWASP, "CSV Injection")."""
MARK: Final = "'"
TYPE: Final = "text/csv; charset=utf-8"
CSV_CONTENT: Final = {"text/csv": {"schema": {"type": "string"}}}
"""Description of a CSV answer in the OpenAPI document."""


def csv_line(cells: Iterable[object]) -> str:
    """Return one record with its line end; None is an empty cell."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([_cell(cell) for cell in cells])
    return line.getvalue()


def without_mark(cell: str) -> str:
    """Return a cell without the mark as text."""
    return cell[1:] if cell.startswith(MARK) and cell[1:].startswith(FORMULA) else cell


def _cell(cell: object) -> str:
    text = "" if cell is None else str(cell)
    return MARK + text if text.startswith(FORMULA) else text
