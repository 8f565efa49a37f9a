"""The report about a list that was checked or added: what the page to which its form leads says about it."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from api.code_import.encodings import Encoding
from api.code_import.faults import FaultyLine
from api.code_import.hand_out_upload import HandOutUpload
from api.code_import.import_pipeline import ImportCounts
from api.use_cases.services import LedgerServices
from projections.hand_outs.list_reports import read_encoded_report, save_encoded_report


class ReportedLine(Struct, frozen=True, array_like=True):
    """A line that is not valid or is left out; `facts` are what the text of the reason names."""

    line: int
    reason: str
    facts: dict[str, str | int]


class ListReport(Struct, frozen=True, kw_only=True):
    """What became of a list. It holds no value of a line, so it may be stored in plain text if it has no facts.

    Attributes:
        is_check: Whether the list was only checked.
        missing_variables: Names in the texts of the email that no line has a value for.
        opted_out, suppressed: Recipients to add who get no email, by the reason.
        unsent_codes: Codes that are not issued to them.
        file_error: Why the file as a whole cannot be read; empty if it can.
        file_facts: What the text about it names, such as a column: parts of the first line.
        encoding: That in which the file was read.
    """

    is_check: bool
    file_error: str = ""
    file_facts: dict[str, str | int] = {}
    encoding: Encoding = "UTF-8"
    lines: int = 0
    added: int = 0
    codes: int = 0
    opted_out: int = 0
    suppressed: int = 0
    unsent_codes: int = 0
    repeated: int = 0
    listed: int = 0
    rejected: int = 0
    faults: list[ReportedLine] = []
    left_out: list[ReportedLine] = []
    warnings: list[ReportedLine] = []
    missing_variables: list[str] = []

    @property
    def emails(self) -> int:
        """Recipients to add who get an email."""
        return self.added - self.opted_out - self.suppressed

    @classmethod
    def of(cls, upload: HandOutUpload, counts: ImportCounts, *, encoding: Encoding, is_check: bool) -> "ListReport":
        """Return the report about a list that was read to its end."""
        return cls(
            is_check=is_check,
            encoding=encoding,
            lines=counts.lines,
            added=counts.new,
            codes=upload.codes,
            opted_out=upload.without_email["opted_out"],
            suppressed=upload.without_email["suppressed"],
            unsent_codes=upload.unsent_codes,
            repeated=counts.skipped["repeated"],
            listed=counts.skipped["listed"],
            rejected=counts.rejected,
            faults=_report(counts.faults),
            left_out=_report(counts.left_out),
            warnings=_report(upload.warnings),
            missing_variables=upload.missing_variables,
        )


_decoder: Final = msgspec.json.Decoder(ListReport)


def save_report(services: LedgerServices, staff_id: UUID, hand_out_id: UUID, report: ListReport) -> UUID:
    """Store a report in the place of the one before of this member of staff, and return its id.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    report_id = services.new_id()
    encoded = msgspec.json.encode(report)
    save_encoded_report(services.storage, hand_out_id, staff_id, report_id, encoded, services.now())
    return report_id


def find_report(services: LedgerServices, hand_out_id: UUID, report_id: UUID) -> ListReport | None:
    """Return a report; None if a newer one is in its place."""
    encoded = read_encoded_report(services.storage, hand_out_id, report_id)
    return None if encoded is None else _decoder.decode(encoded)


def _report(rows: Sequence[FaultyLine]) -> list[ReportedLine]:
    return [ReportedLine(line, fault.reason, fault.facts) for line, fault in rows]
