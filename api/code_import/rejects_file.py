"""Writes the rejected lines of a file into a file of the same format, to be fixed and imported again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import orjson

from api.code_import.faults import RejectedRecordError
from api.code_import.file_reader import Format, Record, Records, parse_json_line
from api.schemas.csv_cells import csv_line

Reject = Callable[[Record, RejectedRecordError], None]


@contextmanager
def rejects_into(file: BinaryIO | None, form: Format, records: Records) -> Iterator[Reject]:
    """Yield a function that stores rejected records with their lines and reasons, which an import ignores.

    Args:
        file: Where to write; None discards the records.
        form: The format of the imported file.
        records: The imported file.
    """
    if file is None:
        yield lambda _record, _fault: None
        return
    width = len(records.original_names)
    if form == "csv":
        file.write(csv_line([*records.original_names, "line", "why"]).encode())

    def keep(record: Record, fault: RejectedRecordError) -> None:
        if form == "jsonl":
            file.write(_json_line(record, str(fault)))
            return
        cells = records.original_cells(record)
        cells += [""] * (width - len(cells))
        file.write(csv_line([*cells, record.line, fault]).encode())

    yield keep


def _json_line(record: Record, why: str) -> bytes:
    text = record.raw.decode(errors="replace").strip()
    try:
        fields = parse_json_line(text)
    except RejectedRecordError:
        fields = None
    about = fields if isinstance(fields, dict) else {"record": text}
    return orjson.dumps({**about, "line": record.line, "why": why}, option=orjson.OPT_APPEND_NEWLINE)
