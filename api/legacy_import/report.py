"""Findings of an import as a file: CSV for a spreadsheet, HTML to read and print, or plain text."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Final, TextIO

from api.legacy_import.findings import ImportFinding, ImportSummary
from api.schemas.csv_cells import csv_line
from projections.terminal.text import one_line

Write = Callable[[ImportFinding], None]

HEAD: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Findings of the legacy import</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
:root { color-scheme: light dark }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .3rem .6rem; vertical-align: top }
tr { border-bottom: 1px solid #8884 } code { font-size: .95em } td:nth-child(3) { font-variant-numeric: tabular-nums }
</style>
<h1>Findings of the legacy import</h1>
<table><thead><tr><th>kind</th><th>code</th><th>legacy ID</th><th>finding</th><th>count</th></tr></thead><tbody>
"""


@contextmanager
def report_file(path: Path | None, summary: ImportSummary) -> Iterator[Write]:
    """Open a report by its suffix (.csv, .html, else text); None writes no file. The counts are written at the end.

    Raises:
        OSError: The file can't be written.
    """
    if path is None:
        yield lambda _: None
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        begin, end = {".csv": (_csv, _csv_end), ".html": (_html, _html_end)}.get(path.suffix, (_text, _text_end))
        yield begin(file)
        end(file, summary)


def _csv(file: TextIO) -> Write:
    file.write(csv_line(["what", "code", "old_id", "in_words", "number"]))
    return lambda finding: file.writelines([csv_line(map(str, finding))])


def _csv_end(_file: TextIO, _summary: ImportSummary) -> None:
    """Write nothing: a CSV file has rows only."""


def _html(file: TextIO) -> Write:
    file.write(HEAD)
    return lambda finding: _html_row(file, finding)


def _html_row(file: TextIO, finding: ImportFinding) -> None:
    what, code, old_id, words, number = (escape(str(value)) for value in finding)
    row = f"<td>{what}</td><td><code>{code}</code></td><td>{old_id}</td><td>{words}</td><td>{number}</td>"
    file.write(f"<tr>{row}</tr>\n")


def _html_end(file: TextIO, summary: ImportSummary) -> None:
    rows = "".join(f"<tr><td>{name}</td><td>{number:,}</td></tr>" for name, number in summary.document().items())
    file.write(f"</tbody></table><h2>Summary</h2><table><tbody>{rows}</tbody></table></html>\n")


def _text(file: TextIO) -> Write:
    def write(finding: ImportFinding) -> None:
        file.write(f"{one_line(f'{finding.kind}: {finding.code} (legacy ID {finding.old_id}): {finding.sentence}')}\n")

    return write


def _text_end(file: TextIO, summary: ImportSummary) -> None:
    file.writelines(f"{name} {number}\n" for name, number in summary.document().items())
