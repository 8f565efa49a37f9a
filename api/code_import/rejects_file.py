"""Writes the rejected lines of a file into a file of the same format, to be fixed and imported again."""

import io
from typing import Any, BinaryIO

import orjson

from api.code_import.faults import RejectedRecordError
from api.code_import.file_reader import BOM, REJECT_COLUMNS, Objects, Record, Records, parse_json_line
from api.code_import.import_pipeline import ImportCounts, ImportKind, Pipeline
from api.schemas.csv_cells import csv_line


class RejectsFile:
    """Stores rejected records with line, column, value and reason, which an import of the file ignores.

    Args:
        file: Where to write; None discards the records.
        records: The imported file.
    """

    def __init__(self, file: BinaryIO | None, records: Records | Objects) -> None:
        self._file, self._records = file, records
        if file is not None and isinstance(records, Records) and records.form == "csv":
            # A spreadsheet takes a file for UTF-8 only if it has this mark.
            mark = b"" if records.encoding == "UTF-8" else BOM
            file.write(mark + csv_line([*records.original_names, *REJECT_COLUMNS]).encode())

    def __call__(self, record: Record, fault: RejectedRecordError) -> None:
        """Store a record."""
        if self._file is None:
            return
        if isinstance(self._records, Records) and self._records.form == "csv":
            value = self._records.find_cell(record, fault.column)
            cells = [*self._records.original_cells(record), record.line, fault.column, value, fault]
            self._file.write(csv_line(cells).encode())
        else:
            self._file.write(_json_line(record, fault))


def run_with_rejects(
    kind: ImportKind[Record, Any], records: Records | Objects, *, is_file_needed: bool = True, **options: bool
) -> tuple[ImportCounts, str | None]:
    """Run an import with the options of `Pipeline.run`; return its counts, and its rejected records as a file."""
    file = io.BytesIO() if is_file_needed else None
    counts = Pipeline(kind, RejectsFile(file, records)).run(**options)
    return counts, None if file is None else file.getvalue().decode()


def _json_line(record: Record, fault: RejectedRecordError) -> bytes:
    text = record.raw.decode(errors="replace").strip()
    try:
        fields = parse_json_line(text)
    except RejectedRecordError:
        fields = None
    about = fields if isinstance(fields, dict) else {"record": text}
    value = about.get(fault.column, record.cells.get(fault.column, ""))  # a renamed column is in the cells only
    rejected = (record.line, fault.column, value, str(fault))
    return orjson.dumps({**about, **dict(zip(REJECT_COLUMNS, rejected, strict=True))}, option=orjson.OPT_APPEND_NEWLINE)
