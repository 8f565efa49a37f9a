"""The records of a file, line by line: CSV with a line of column names, or JSON Lines. Memory holds one line at a time.

One line is one record, also in CSV: a quote that is never closed spoils its own line and no other.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import BinaryIO, Final, Literal, NamedTuple

import orjson

from api.code_import.duplicates import repeated
from api.code_import.row_parser import COLUMNS, PASSED_OVER, CellFaultError, code_text
from api.schemas.code_terms import NONE_WORDS
from api.schemas.csv_cells import without_mark

Format = Literal["csv", "jsonl"]
LINE_BYTES_MAX: Final = 65_536
SEPARATORS: Final = (",", ";", "\t")
BOM: Final = b"\xef\xbb\xbf"


class FileFaultError(ValueError):
    """The file as a whole can't be taken. The message is a sentence that says what to do."""


class Record(NamedTuple):
    """One record: its line (from 1), its bytes, and its cells by our columns, or what is wrong with it."""

    line: int
    raw: bytes
    cells: Mapping[str, str]
    fault: str | None = None


class Records:
    """Reads a file from its beginning; may be read several times.

    Args:
        file: Open for reading bytes, seekable.
        form: Its format.
        mapping: Their column names by which ours are called; an empty value leaves a column out.

    Raises:
        FileFaultError: It is empty, or its columns are not those that are needed.
    """

    def __init__(self, file: BinaryIO, form: Format, mapping: Mapping[str, str]) -> None:
        self._file = file
        self._form = form
        self._mapping = {theirs.strip().lower(): ours for theirs, ours in mapping.items()}
        self._separator = ","
        self._names: list[str] = []
        self.header = ""
        self.original_names: list[str] = []
        if form == "csv":
            self._read_header()

    def __iter__(self) -> Iterator[Record]:
        """All records; empty lines are none."""
        self._file.seek(0)
        lines = _lines(self._file)
        if self._form == "csv":
            next(lines, None)
        cells_of = self._csv_cells if self._form == "csv" else self._json_cells
        for line, raw in lines:
            if not raw.strip():
                continue
            try:
                yield Record(line, raw, cells_of(_text(raw)))
            except UnicodeDecodeError:
                yield Record(line, raw, {}, "it is not UTF-8: save the file as UTF-8")
            except _RecordFaultError as error:
                yield Record(line, raw, {}, str(error))

    @cached_property
    def twice(self) -> set[int]:
        """Hashes of the codes that stand more than once; found by a pass over the file."""
        return repeated(self._texts())

    def _texts(self) -> Iterator[str]:
        for record in self:
            with suppress(CellFaultError):
                yield code_text(record.cells.get("code", ""))

    def original_cells(self, record: Record) -> list[str]:
        """The cells of a CSV record as they stand there; all in one where they can't be told apart."""
        text = record.raw[:LINE_BYTES_MAX].decode(errors="replace")
        try:
            return _split(text, self._separator)
        except _RecordFaultError:
            return [text.rstrip("\r\n")]

    def _read_header(self) -> None:
        self._file.seek(0)
        _, raw = next(_lines(self._file), (1, b""))
        try:
            self.header = raw.decode().strip()
        except UnicodeDecodeError as error:
            raise FileFaultError(
                "line 1 is not UTF-8: save the file as UTF-8 (in a spreadsheet: “CSV UTF-8”)"
            ) from error
        if not self.header:
            raise FileFaultError("line 1 is empty: it has to name the columns, such as code,max_uses,used")
        self._separator = max(SEPARATORS, key=self.header.count)
        try:
            theirs = _split(self.header, self._separator)
        except _RecordFaultError as error:
            raise FileFaultError(f"line 1, the names of the columns: {error}") from error
        self.original_names = [name.strip() for name in theirs]
        self._names = [self._ours(name) for name in theirs]
        _check([name for name in self._names if name])
        there = {name.strip().lower() for name in theirs}
        if missing := next((name for name in self._mapping if name not in there), None):
            raise FileFaultError(f"--map names a column {missing!a} that line 1 does not have: {self.header[:200]}")

    def _ours(self, theirs: str) -> str:
        """Our name of a column; empty for one that is passed over."""
        name = theirs.strip().lower()
        ours = self._mapping.get(name, name)
        if ours in PASSED_OVER:
            return ""
        if ours and ours not in COLUMNS:
            if name in self._mapping:
                raise FileFaultError(f"a map leads to {ours!a}, which is none of {', '.join(COLUMNS)}")
            raise FileFaultError(
                f"the column {theirs.strip()!a} is not known: name ours with --map {name}=COLUMN"
                f" ({', '.join(COLUMNS)}), or leave it out with --map {name}="
            )
        return ours

    def _csv_cells(self, text: str) -> Mapping[str, str]:
        cells = _split(text, self._separator)
        if len(cells) > len(self._names):
            raise _RecordFaultError(f"it has {len(cells)} cells and line 1 names {len(self._names)} columns")
        return {name: without_mark(cell.strip()) for name, cell in zip(self._names, cells, strict=False) if name}

    def _json_cells(self, text: str) -> Mapping[str, str]:
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise _RecordFaultError(f"it is no JSON: {error.msg} at letter {error.colno}") from error
        if not isinstance(document, dict):
            raise _RecordFaultError('it is no JSON object such as {"code":"ABC-123","max_uses":5}')
        found: dict[str, str] = {}
        for theirs, value in document.items():
            try:
                name = self._ours(theirs)
            except FileFaultError as error:
                raise _RecordFaultError(str(error)) from error
            if name in found:
                raise _RecordFaultError(f"it names {name} twice")
            if name:
                found[name] = _json_cell(name, value)
        return found


class _RecordFaultError(ValueError):
    """One record can't be read; the message is a sentence about "it"."""


def _check(names: Sequence[str]) -> None:
    if "code" not in names:
        raise FileFaultError("no column is named code: name theirs with --map COLUMN=code")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise FileFaultError(f"two columns are {twice}: leave one out with --map COLUMN=")


def _text(raw: bytes) -> str:
    if len(raw) > LINE_BYTES_MAX:
        raise _RecordFaultError(f"it is longer than {LINE_BYTES_MAX} bytes")
    return raw.decode()


def _split(text: str, separator: str) -> list[str]:
    """The cells of one line; most hold no quote, and then no parser is needed."""
    text = text.rstrip("\r\n")
    if '"' not in text:
        return text.split(separator)
    try:
        return next(csv.reader([text], delimiter=separator, strict=True), [])
    except csv.Error as error:
        raise _RecordFaultError("a quote is not closed on this line, or stands in the wrong place") from error


def _json_cell(name: str, value: object) -> str:
    if value is None:
        return NONE_WORDS[name] if name == "max_uses" else ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return value.strip()
    raise _RecordFaultError(f"{name} is neither a text nor a whole number")


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers, each of bounded length: of a longer one the beginning, and one byte too many."""
    line = 0
    while raw := file.readline(LINE_BYTES_MAX + 2):
        line += 1
        if len(raw) > LINE_BYTES_MAX and not raw.endswith(b"\n"):
            while (rest := file.readline(LINE_BYTES_MAX)) and not rest.endswith(b"\n"):
                pass
        yield line, raw.removeprefix(BOM) if line == 1 else raw
