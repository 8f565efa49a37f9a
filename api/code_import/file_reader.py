"""Reads a file line by line: CSV with a line of column names, or JSON Lines. Memory holds one line at a time.

One line is one record, also in CSV: a quote that is never closed makes only its own line invalid. What columns a file
has, its kind of import declares (`Layout`). Exports of some other products are recognized by them (`column_maps`).
"""

import csv
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Literal, NamedTuple

import orjson

from api.code_import.column_maps import ColumnMap
from api.code_import.faults import RejectedRecordError, UnusableFileError
from api.schemas.csv_cells import without_mark
from api.schemas.json_members import RepeatedMemberError, check_members

Format = Literal["csv", "jsonl"]
LINE_BYTES_MAX: Final = 65_536
SEPARATORS: Final = (",", ";", "\t")
BOM: Final = b"\xef\xbb\xbf"
SHOWN_LENGTH_MAX: Final = 40
"""Characters of an invalid cell or name that a message repeats."""
_NO_MAPPING: Final[Mapping[str, str]] = {}
MISPLACED_QUOTE: Final = "a quote is not closed on this line, or is in the wrong place"

RenameColumn = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The columns of one kind of file.

    Attributes:
        required: The column that every file has.
        example: A first line.
        missing: What to do if the required column is missing.
        read_object: Returns the cells of what a JSON line holds; raises `RejectedRecordError`.
        columns: All of them; empty if every name is one that `check_names` accepts.
        ignored: Columns without a meaning.
        find_map: Returns the map of another product's columns, by all names of a file.
        check_names: Raises `RejectedRecordError` if one of the names is impossible.
        can_rename: Whether `--map` renames columns.
    """

    required: str
    example: str
    missing: str
    read_object: Callable[[Any, RenameColumn], Mapping[str, str]]
    columns: Sequence[str] = ()
    ignored: Collection[str] = frozenset()
    find_map: Callable[[Collection[str]], ColumnMap | None] = lambda _: None
    check_names: Callable[[Sequence[str]], None] = lambda _: None
    can_rename: bool = False


class Record(NamedTuple):
    """One record: its line (from 1), its bytes, and its cells by column, or why they cannot be read."""

    line: int
    raw: bytes
    cells: Mapping[str, str]
    error: RejectedRecordError | None = None


class Records:
    """Reads a file from its beginning; may be read several times.

    Args:
        file: Open for reading bytes, seekable.
        form: Its format.
        layout: Its columns.
        mapping: Our columns by the names that the file has for them; an empty value leaves a column out.

    Attributes:
        column_map: How the columns of another product are read, if the first line is one of its exports.

    Raises:
        UnusableFileError: The file is empty, or its columns are not those that are needed.
    """

    def __init__(self, file: BinaryIO, form: Format, layout: Layout, mapping: Mapping[str, str] = _NO_MAPPING) -> None:
        self._file = file
        self._form = form
        self._layout = layout
        self._mapping = {theirs.strip().lower(): ours for theirs, ours in mapping.items()}
        self._separator = ","
        self._names: list[str] = []
        self.header = ""
        self.original_names: list[str] = []
        self.column_map: ColumnMap | None = None
        self._parsers: list[Callable[[str], str] | None] = []
        if form == "csv":
            self._read_header()

    def __iter__(self) -> Iterator[Record]:
        """Yield all records; empty lines are skipped."""
        self._file.seek(0)
        lines = read_lines(self._file)
        if self._form == "csv":
            next(lines, None)
        cells_of = self._csv_cells if self._form == "csv" else self._json_cells
        for line, raw in lines:
            if not raw.strip():
                continue
            try:
                yield Record(line, raw, cells_of(decode_line(raw)))
            except RejectedRecordError as error:
                yield Record(line, raw, {}, error)

    def count(self) -> int:
        """Count the records by a pass over the file."""
        self._file.seek(0)
        header_lines = 1 if self._form == "csv" else 0
        return sum(1 for line, raw in read_lines(self._file) if line > header_lines and raw.strip())

    def original_cells(self, record: Record) -> list[str]:
        """Return the cells of a CSV record as they are in the file; the whole line where it cannot be split."""
        text = record.raw[:LINE_BYTES_MAX].decode(errors="replace")
        try:
            return split_cells(text, self._separator)
        except RejectedRecordError:
            return [text.rstrip("\r\n")]

    def _read_header(self) -> None:
        self._file.seek(0)
        _, raw = next(read_lines(self._file), (1, b""))
        try:
            self.header = raw.decode().strip()
        except UnicodeDecodeError as error:
            raise UnusableFileError(
                "encoding", "line 1 is not UTF-8: save the file as UTF-8 (in a spreadsheet: “CSV UTF-8”)"
            ) from error
        if not self.header:
            raise UnusableFileError(
                "columns" if raw else "empty",
                f"line 1 is empty: it must name the columns, such as {self._layout.example}",
            )
        self._separator = max(SEPARATORS, key=self.header.count)
        try:
            theirs = split_cells(self.header, self._separator)
        except RejectedRecordError as error:
            raise UnusableFileError("csv", f"line 1, the names of the columns: {error}") from error
        self.original_names = [name.strip() for name in theirs]
        there = [name.strip().lower() for name in theirs]
        self.column_map = self._layout.find_map(there)
        if self.column_map is not None:
            self._parsers = [None if name in self._mapping else self.column_map.parsers.get(name) for name in there]
        self._names = [self._ours(name) for name in theirs]
        self._check([name for name in self._names if name])
        if missing := next((name for name in self._mapping if name not in there), None):
            raise UnusableFileError(
                "columns", f"--map names a column {missing!a} that line 1 does not have: {self.header[:200]}"
            )

    def _check(self, names: Sequence[str]) -> None:
        layout = self._layout
        if layout.required not in names:
            raise UnusableFileError("columns", f"no column is named {layout.required}: {layout.missing}")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            what_to_do = "ignore one with --map COLUMN=" if layout.can_rename else "remove one"
            raise UnusableFileError("columns", f"two columns are named {shown(twice)}: {what_to_do}")
        try:
            layout.check_names(names)
        except RejectedRecordError as error:
            raise UnusableFileError("columns", f"line 1: {error}") from error

    def _ours(self, theirs: str) -> str:
        """Return our name of a column; an empty one for a column that is ignored."""
        name, columns = theirs.strip().lower(), self._layout.columns
        recognized = None if self.column_map is None else self.column_map.find_column(name)
        ours = self._mapping.get(name, name if recognized is None else recognized)
        if ours in self._layout.ignored:
            return ""
        if ours and columns and ours not in columns:
            if name in self._mapping:
                raise UnusableFileError("columns", f"--map leads to {ours!a}, which is not one of {', '.join(columns)}")
            raise UnusableFileError(
                "unknown_columns",
                f"the column {theirs.strip()!a} is unknown: map it with --map {name}=COLUMN"
                f" ({', '.join(columns)}), or ignore it with --map {name}=",
            )
        return ours

    def _csv_cells(self, text: str) -> Mapping[str, str]:
        cells = split_cells(text, self._separator)
        if len(cells) > len(self._names):
            raise RejectedRecordError(
                "columns", f"the line has {len(cells)} cells, but line 1 names {len(self._names)} columns"
            )
        cells = [without_mark(cell.strip()) for cell in cells]
        if self._parsers:
            cells = [cell if parse is None else parse(cell) for parse, cell in zip(self._parsers, cells, strict=False)]
        return {name: cell for name, cell in zip(self._names, cells, strict=False) if name}

    def _json_cells(self, text: str) -> Mapping[str, str]:
        return self._layout.read_object(parse_json_line(text), self._ours)


class Objects:
    """Records that are objects of a JSON document, counted from 1.

    Args:
        objects: The objects.
        layout: Their members.
    """

    def __init__(self, objects: Sequence[Any], layout: Layout) -> None:
        self._objects, self._layout = objects, layout

    def __iter__(self) -> Iterator[Record]:
        """Yield every object."""
        for number, document in enumerate(self._objects, start=1):
            try:
                yield Record(number, b"", self._layout.read_object(document, str))
            except RejectedRecordError as error:
                yield Record(number, b"", {}, error)


def shown(cell: str) -> str:
    """Return the beginning of a cell or name, as a message repeats it."""
    return ascii(cell[:SHOWN_LENGTH_MAX])


def parse_json_line(text: str) -> Any:  # noqa: ANN401 - whatever JSON holds there
    """Return what a line of a JSON Lines file holds.

    Raises:
        RejectedRecordError: It is not JSON, or an object in it names a member twice.
    """
    try:
        document = orjson.loads(text)
        check_members(text, document)
    except orjson.JSONDecodeError as error:
        raise RejectedRecordError("json", f"the line is not JSON: {error.msg} at character {error.colno}") from error
    except RepeatedMemberError as error:
        raise RejectedRecordError("twice", f"the line has {error.name!a} twice") from error
    except RecursionError as error:
        raise RejectedRecordError("json", "the line is nested too deeply") from error
    return document


def decode_line(raw: bytes) -> str:
    """Return the text of a line.

    Raises:
        RejectedRecordError: It is too long, or not UTF-8.
    """
    if len(raw) > LINE_BYTES_MAX:
        raise RejectedRecordError("length", f"the line is longer than {LINE_BYTES_MAX} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise RejectedRecordError("encoding", "the line is not UTF-8: save the file as UTF-8") from error


def split_cells(text: str, separator: str) -> list[str]:
    """Return the cells of one line; most have no quote and need no parser."""
    text = text.rstrip("\r\n")
    if '"' not in text:
        return text.split(separator)
    # The line begins or ends inside a quoted cell, which csv.reader reports only at the beginning of a cell.
    if text.count('"') % 2:
        raise RejectedRecordError("csv", MISPLACED_QUOTE)
    try:
        return next(csv.reader([text], delimiter=separator, strict=True), [])
    except csv.Error as error:
        raise RejectedRecordError("csv", MISPLACED_QUOTE) from error


def read_lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield lines with their numbers; a longer line is cut one byte above `LINE_BYTES_MAX`."""
    line = 0
    while raw := file.readline(LINE_BYTES_MAX + 2):
        line += 1
        if len(raw) > LINE_BYTES_MAX and not raw.endswith(b"\n"):
            while (rest := file.readline(LINE_BYTES_MAX)) and not rest.endswith(b"\n"):
                pass
        yield line, raw.removeprefix(BOM) if line == 1 else raw
