"""Uploads the list of a hand-out: every line is checked before one is stored, and one error refuses the whole list.

Recipients who get a code of the campaign already, and those who are in the list twice, are left out and reported.
Memory does not grow with the list, except for eight bytes per address and per code.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from api.code_import.duplicates import FirstLines
from api.code_import.importer import REPORTED_LINES_MAX
from api.code_import.named_codes import BATCH, NamedCodes
from api.code_import.recipient_list import ListLine, RecipientFault, RecipientSource, RejectedRecipientError
from api.errors import ApplicationError
from api.use_cases.hand_outs.hand_out_actions import find_details
from api.use_cases.services import Caller, LedgerServices
from domain.errors import CampaignHasEnded, HandOutCodeConflict, HandOutConflict, NamedHandOutUnknown
from domain.model.campaign import Campaign
from domain.ports import Language
from domain.values.batched import batched
from domain.values.email_domains import admits_domain
from domain.values.identifiers import EmailAddress
from domain.values.text_variables import find_variables
from projections.hand_outs.hand_out_lists import HandOutLists, ListRow, Upload
from projections.hand_outs.hand_out_reader import HandOutDetails, HandOutReader
from projections.repositories.audit_log import describe_values

LINES_MAX: Final = 1_000_000
FILLED_VARIABLES: Final = frozenset({"code", "group"})
"""Variables of texts that the email fills for every recipient."""


class ListedFault(NamedTuple):
    """A line that is not valid or is left out, and why."""

    line: int
    fault: RecipientFault

    @property
    def why(self) -> str:
        """The English sentence."""
        return self.fault.why


@dataclass(slots=True)
class UploadCounts:
    """How many lines there were, by outcome.

    Attributes:
        added: Recipients who get a code.
        repeated: Lines whose recipient an earlier line of the list has.
        listed: Lines whose recipient gets a code of the campaign already.
        rejected: Lines that are not valid. If there are any, nothing was stored.
        faults: The first of them.
        left_out: The first lines that are repeated or listed.
        missing_variables: Names in the texts of the email for which no line of that language has a value.
    """

    lines: int = 0
    added: int = 0
    repeated: int = 0
    listed: int = 0
    rejected: int = 0
    faults: list[ListedFault] = field(default_factory=list)
    left_out: list[ListedFault] = field(default_factory=list)
    missing_variables: list[str] = field(default_factory=list)

    def trim(self) -> None:
        """Keep the first lines of those that are reported."""
        for lines in (self.faults, self.left_out):
            lines.sort(key=lambda each: each.line)
            del lines[REPORTED_LINES_MAX:]

    def document(self) -> dict[str, Any]:
        """Return the counts for JSON."""
        lists = {"faults": self.faults, "left_out": self.left_out}
        lines = {
            name: [{"line": line, "reason": fault.reason, "why": fault.why} for line, fault in rows]
            for name, rows in lists.items()
        }
        return {**{count.name: getattr(self, count.name) for count in fields(self)}, **lines}


@dataclass(frozen=True, slots=True)
class HandOutUpload:
    """One list for one hand-out.

    Attributes:
        details: The hand-out.
        source: The list.
    """

    services: LedgerServices
    caller: Caller
    details: HandOutDetails
    campaign: Campaign
    source: RecipientSource

    @classmethod
    def open(
        cls, services: LedgerServices, caller: Caller, hand_out_id: UUID, source: RecipientSource
    ) -> "HandOutUpload":
        """Prepare an upload.

        Raises:
            ApplicationError: There is no such hand-out, or it or its campaign has ended.
        """
        details, campaign = find_details(services, hand_out_id, NamedHandOutUnknown)
        if campaign.has_ended(services.now()):
            raise ApplicationError.from_refusal(CampaignHasEnded())
        if details.hand_out.state == "ended":
            raise ApplicationError.from_refusal(HandOutConflict("ended"))
        return cls(services, caller, details, campaign, source)

    def check(self) -> UploadCounts:
        """Check every line and store nothing; `added` is the number of recipients that would be added."""
        counts, unfilled, languages = UploadCounts(), self._find_own_variables(), set[Language]()
        lists, named, is_existing = self._open_lists(), self._open_codes(), self.details.created.existing_codes
        addresses = FirstLines(row.address.normal for row in self._rows())
        codes = FirstLines(code_id.hex for code_id in named.iterate_ids(self._rows() if is_existing else ()))
        for lines in batched(self.source, BATCH):
            valid = self._count_invalid(counts, lines)
            rows = [row for _, row in valid]
            known_recipients = lists.find_listed(
                self.campaign.campaign_id, [row.address for row in rows], names_codes=is_existing
            )
            for (line, row), existing in zip(valid, named.find_existing(rows), strict=True):
                languages.add(row.language)
                unfilled.get(row.language, set()).difference_update(row.variables)
                normal = row.address.normal
                first = addresses.find_earlier(normal, line)
                first_with_code = None if existing is None else codes.find_earlier(existing.code.code_id.hex, line)
                if first is not None:
                    counts.repeated += 1
                    why = f"the address is the same as on line {first}"
                    _report(counts.left_out, line, RejectedRecipientError("repeated", why, first=first))
                elif normal in known_recipients.listed:
                    counts.listed += 1
                    why = "the address gets a code of this campaign already"
                    _report(counts.left_out, line, RejectedRecipientError("listed", why))
                elif problem := named.find_problem(existing, first_with_code, known_recipients.ids.get(normal)):
                    counts.rejected += 1
                    _report(counts.faults, line, problem)
                else:
                    counts.added += 1
            counts.trim()
        counts.missing_variables = sorted({name for language in languages for name in unfilled.get(language, ())})
        return counts

    def apply(self) -> UploadCounts:
        """Check every line; if all are valid, store the recipients. They get their codes once the last one is stored.

        Raises:
            ApplicationError: Another upload took over rows of this one; nothing leads to a code.
            StorageUnavailableError: The database is unavailable; nothing leads to a code. The same list can be uploaded
                again.
        """
        counts = self.check()
        if counts.rejected or not counts.added:
            return counts
        lists, hand_out = self._open_lists(), self.details.hand_out
        self.services.open_audit_log(self.caller).record(
            "uploaded_recipients", hand_out.hand_out_id, describe_values(lines=counts.lines, added=counts.added)
        )
        upload = lists.begin(hand_out.hand_out_id, hand_out.campaign_id, self.services.now())
        counts.added = 0
        try:
            for rows in batched(self._rows(), BATCH):
                counts.added += self._add(lists, upload, rows)
            lists.end(upload, self.services.now())
        except (HandOutConflict, HandOutCodeConflict) as error:
            raise ApplicationError.from_refusal(error) from error
        counts.listed = counts.lines - counts.added - counts.repeated
        return counts

    def _add(self, lists: HandOutLists, upload: Upload, rows: Sequence[ListRow]) -> int:
        """Store a batch; return how many recipients were not in a list before."""
        now = self.services.now()
        if not self.details.created.existing_codes:
            return sum(lists.add(upload, rows, now))
        named = zip(rows, self._open_codes().find_ids(rows), strict=True)
        valid = [(row, code_id) for row, code_id in named if code_id is not None]  # others were left out by the check
        return sum(lists.add(upload, [row for row, _ in valid], now, [code_id for _, code_id in valid]))

    def _rows(self) -> Iterator[ListRow]:
        return (line.row for line in self.source if line.row is not None)

    def _count_invalid(self, counts: UploadCounts, lines: Sequence[ListLine]) -> list[tuple[int, ListRow]]:
        valid = []
        for line, row, fault in lines:
            counts.lines += 1
            why = fault or self._find_fault(counts.lines, row)
            if row is not None and why is None:
                valid.append((line, row))
                continue
            counts.rejected += 1
            if why is not None:
                _report(counts.faults, line, why)
        return valid

    def _find_fault(self, number: int, row: ListRow | None) -> RejectedRecipientError | None:
        """Return why a recipient is not possible as the line of a number in the list; None if it is."""
        if number > LINES_MAX:
            why = f"the list has more than {LINES_MAX} lines: upload it in parts"
            return RejectedRecipientError("too_many", why)
        if row is None:
            return None
        if (excluding := self._find_excluding(row.address)) is not None:
            return RejectedRecipientError("domain", f"the {excluding} does not admit the domain")
        return self._open_codes().find_fault(row)

    def _find_excluding(self, address: EmailAddress) -> Literal["campaign", "hand-out"] | None:
        """Return whose terms exclude the domain of an address; None if both admit it."""
        terms, created = self.campaign.terms, self.details.created
        if not admits_domain(address.domain, terms.allowed_domains, terms.denied_domains):
            return "campaign"
        if not admits_domain(address.domain, created.allowed_domains, created.denied_domains):
            return "hand-out"
        return None

    def _find_own_variables(self) -> dict[Language, set[str]]:
        """Return the variables of the hand-out's own texts that only a list can fill, by language."""
        (texts,) = HandOutReader(self.services.storage).find_texts([self.details.hand_out.hand_out_id])
        return {
            language: {*find_variables(text.subject), *find_variables(text.body)} - FILLED_VARIABLES
            for language, text in texts.items()
        }

    def _open_lists(self) -> HandOutLists:
        return HandOutLists(self.services.storage, self.services.new_id, self.services.new_ordered_id)

    def _open_codes(self) -> NamedCodes:
        return NamedCodes(self.services, self.details, self._open_lists())


def _report(lines: list[ListedFault], line: int, why: RejectedRecipientError | RecipientFault) -> None:
    lines.append(ListedFault(line, why if isinstance(why, RecipientFault) else RecipientFault.of(why)))
