"""Reads a file line by line: CSV with a line of column names, or JSON Lines. Memory holds one line at a time.

One line is one record, also in CSV: a quote that is never closed makes only its own line invalid. What columns a file
has, its kind of import declares (`Layout`). Exports of some other products are recognized by them (`column_maps`).
"""

import csv
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import zip_longest
from typing import Any, BinaryIO, Final, Literal, NamedTuple

import orjson

from api.code_import.column_maps import ColumnMap
from api.code_import.encodings import ByteLines, Encoding, open_as_utf8
from api.code_import.faults import RejectedRecordError, UnusableFileError
from api.schemas.csv_cells import without_mark
from api.schemas.json_members import RepeatedMemberError, check_members

Format = Literal["csv", "jsonl"]
LINE_BYTES_MAX: Final = 65_536
SEPARATORS: Final = (",", ";", "\t")
NAMES_LENGTH_MAX: Final = 200
"""Characters of a first line that a message repeats."""
UNREADABLE: Final = "\ufffd"
"""Stands where a program could not read a character."""
BOM: Final = b"\xef\xbb\xbf"
SHOWN_LENGTH_MAX: Final = 40
"""Characters of an invalid cell or name that a message repeats."""
_NO_MAPPING: Final[Mapping[str, str]] = {}
REJECT_COLUMNS: Final = ("line", "column", "value", "why")
"""The last columns of a file of rejected records, which an import ignores if a file has all of them at its end."""
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
        form: Its format.
        encoding: Its encoding.
        column_map: How the columns of another product are read, if the first line is one of its exports.

    Raises:
        UnusableFileError: The file is empty, or its columns are not those that are needed.
    """

    def __init__(self, file: BinaryIO, form: Format, layout: Layout, mapping: Mapping[str, str] = _NO_MAPPING) -> None:
        self._file: ByteLines
        self.encoding: Encoding
        self._file, self.encoding = open_as_utf8(file)
        self.form = form
        self._layout = layout
        self._mapping = {theirs.strip().lower(): ours for theirs, ours in mapping.items()}
        self._separator = ","
        self._names: list[str] = []
        self._ignored_cells = 0
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
        if self.form == "csv":
            next(lines, None)
        cells_of = self._csv_cells if self.form == "csv" else self._json_cells
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
        header_lines = 1 if self.form == "csv" else 0
        return sum(1 for line, raw in read_lines(self._file) if line > header_lines and raw.strip())

    def original_cells(self, record: Record) -> list[str]:
        """Return the cells of a CSV record as they are in the file; the whole line where it cannot be split."""
        text = record.raw[:LINE_BYTES_MAX].decode(errors="replace")
        try:
            cells = split_cells(text, self._separator)
        except RejectedRecordError:
            cells = [text.rstrip("\r\n")]
        width = len(self._names)
        return [*cells[:width], *[""] * (width - len(cells)), *cells[width + self._ignored_cells :]]

    def find_cell(self, record: Record, column: str) -> str:
        """Return the cell of a CSV record in a column of ours, or theirs, as it is in the file; empty without one."""
        for names in (self._names, [name.lower() for name in self.original_names]):
            if column in names:
                return self.original_cells(record)[names.index(column)]
        return ""

    def _read_header(self) -> None:
        self._file.seek(0)
        _, raw = next(read_lines(self._file), (1, b""))
        try:
            self.header = decode_line(raw).strip()
        except RejectedRecordError as error:
            why = f"line 1: {error} (in a spreadsheet: “CSV UTF-8”)"
            raise UnusableFileError("encoding", why, **error.facts) from error
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
        if tuple(name.lower() for name in self.original_names[-len(REJECT_COLUMNS) :]) == REJECT_COLUMNS:
            theirs = self.original_names = self.original_names[: -len(REJECT_COLUMNS)]
            self._ignored_cells = len(REJECT_COLUMNS)
        there = [name.strip().lower() for name in theirs]
        self.column_map = self._layout.find_map(there)
        if self.column_map is not None:
            self._parsers = [None if name in self._mapping else self.column_map.parsers.get(name) for name in there]
        self._names = [self._ours(name) for name in theirs]
        self._check([name for name in self._names if name])
        if missing := next((name for name in self._mapping if name not in there), None):
            raise UnusableFileError(
                "columns",
                f"--map names a column {missing!a} that line 1 does not have: {self.header[:NAMES_LENGTH_MAX]}",
            )

    def _check(self, names: Sequence[str]) -> None:
        layout = self._layout
        if layout.required not in names:
            there = ", ".join(self.original_names)[:NAMES_LENGTH_MAX]
            why = f"no column is named {layout.required}: {layout.missing}; line 1 names {there}"
            raise UnusableFileError("missing_column", why, column=layout.required, columns=there)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            what_to_do = "ignore one with --map COLUMN=" if layout.can_rename else "remove one"
            raise UnusableFileError("repeated_column", f"two columns are named {twice!r}: {what_to_do}", column=twice)
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
            raise _unknown_column(theirs.strip(), columns)
        return ours

    def _csv_cells(self, text: str) -> Mapping[str, str]:
        cells, most = split_cells(text, self._separator), len(self._names) + self._ignored_cells
        if len(cells) > most:
            raise RejectedRecordError("columns", f"the line has {len(cells)} cells, but line 1 names {most} columns")
        cells = [without_mark(cell.strip()) for cell in cells]
        if self._parsers:
            cells = [cell if parse is None else parse(cell) for parse, cell in zip(self._parsers, cells, strict=False)]
        # Some programs leave empty cells at the end of a line out.
        return {name: cell for name, cell in zip_longest(self._names, cells[: len(self._names)], fillvalue="") if name}

    def _json_cells(self, text: str) -> Mapping[str, str]:
        document = parse_json_line(text)
        if isinstance(document, dict) and document.keys() >= {*REJECT_COLUMNS}:
            document = {name: value for name, value in document.items() if name not in REJECT_COLUMNS}
        return self._layout.read_object(document, self._ours)


def _unknown_column(theirs: str, columns: Sequence[str]) -> UnusableFileError:
    name, exist = theirs.lower(), ", ".join(columns)
    nearest = next(iter(get_close_matches(name, columns, 1)), None)
    why = f"the column {theirs!r} is unknown{'' if nearest is None else f' (the nearest is {nearest})'}: map it with"
    return UnusableFileError(
        "unknown_columns" if nearest is None else "misspelled_column",
        f"{why} --map {name}=COLUMN ({exist}), or ignore it with --map {name}=",
        **{"column": theirs, "columns": exist, **({} if nearest is None else {"nearest": nearest})},
    )


class Objects:
    """Records that are objects of a JSON document, counted from 1.

    Args:
        objects: The objects.
        layout: Their members.
    """

    encoding: Final[Encoding] = "UTF-8"

    def __init__(self, objects: Sequence[Any], layout: Layout) -> None:
        self._objects, self._layout = objects, layout

    def __iter__(self) -> Iterator[Record]:
        """Yield every object."""
        for number, document in enumerate(self._objects, start=1):
            raw = orjson.dumps(document)
            try:
                yield Record(number, raw, self._layout.read_object(document, str))
            except RejectedRecordError as error:
                yield Record(number, raw, {}, error)


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
        text = raw.decode()
    except UnicodeDecodeError as error:
        why = f"the byte 0x{raw[error.start]:02X} after {error.start} others is not UTF-8: save the file as UTF-8"
        raise RejectedRecordError("encoding", why, byte=f"0x{raw[error.start]:02X}", before=error.start) from error
    if UNREADABLE in text:
        before = text.index(UNREADABLE)
        why = f"the character after {before} others cannot be read: save the file as UTF-8"
        raise RejectedRecordError("encoding", why, byte="U+FFFD", before=before)
    return text


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


def read_lines(file: ByteLines) -> Iterator[tuple[int, bytes]]:
    """Yield lines with their numbers; a longer line is cut one byte above `LINE_BYTES_MAX`."""
    line = 0
    while raw := file.readline(LINE_BYTES_MAX + 2):
        line += 1
        if len(raw) > LINE_BYTES_MAX and not raw.endswith(b"\n"):
            while (rest := file.readline(LINE_BYTES_MAX)) and not rest.endswith(b"\n"):
                pass
        yield line, raw.removeprefix(BOM) if line == 1 else raw
