"""The import of a hand-out's list: every line is checked before one is stored, and one error refuses the whole list.

Recipients who get a code of the campaign already, and those who are in the list twice, are left out and reported.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal
from uuid import UUID

from api.code_import.faults import FaultyLine, RejectedRecordError, SkippedRecordError
from api.code_import.file_reader import Record
from api.code_import.import_pipeline import REPORTED_LINES_MAX, Fault, ImportCounts, ImportKind, Key, ParsedLine
from api.code_import.named_codes import BATCH, NamedCodes
from api.code_import.recipient_list import parse_recipient
from api.errors import ApplicationError
from api.use_cases.hand_outs.hand_out_actions import find_details
from api.use_cases.services import Caller, LedgerServices
from domain.errors import CampaignHasEnded, HandOutCodeConflict, HandOutConflict, NamedHandOutUnknown
from domain.model.campaign import Campaign
from domain.ports import Language
from domain.values.email_domains import admits_domain
from domain.values.identifiers import EmailAddress
from domain.values.persons.mailboxes import find_mailbox
from domain.values.persons.throwaway_domains import is_throwaway
from domain.values.text_variables import FILLED_VARIABLES, find_variables
from projections.hand_outs.hand_out_lists import HandOutLists, ListRow, Upload
from projections.hand_outs.hand_out_reader import HandOutDetails, HandOutReader
from projections.privacy.opt_outs import NoEmailReason, OptOutRepository
from projections.repositories.audit_log import describe_reason, describe_values

LINES_MAX: Final = 1_000_000
"""Lines of one list, and codes of all its lines."""
_LISTED: Final = SkippedRecordError("listed", "the address gets a code of this campaign already", "email")
_ONE_INBOX: Final = "because the campaign counts all spellings of an inbox as one"


@dataclass(slots=True)
class HandOutUpload(ImportKind[Record, ListRow]):
    """One list for one hand-out. Its recipients get their codes once the last one is stored.

    If the database fails or another upload takes over rows of this one, nothing leads to a code.

    Attributes:
        details: The hand-out.
        source: The list.
        language: Of recipients whose record names none.
        unfilled: Names in the texts of the email for which no line so far has a value, by language.
        absent: Those of them that no line so far has, not even empty.
        languages: Those of the recipients so far.
        codes: Codes of the recipients so far who are not left out.
        without_email: Those of them who get no email, by the reason; `unsent_codes` are their codes.
        warnings: The first lines that are added although their recipients may not redeem what they get.
        note: The reason of the member of staff who adds the list, for the audit log.
    """

    batch_size: ClassVar = BATCH

    services: LedgerServices
    caller: Caller
    details: HandOutDetails
    campaign: Campaign
    source: Iterable[Record]
    language: Language
    lists: HandOutLists = field(init=False)
    named: NamedCodes = field(init=False)
    unfilled: dict[Language, set[str]] = field(init=False)
    absent: dict[Language, set[str]] = field(init=False)
    languages: set[Language] = field(default_factory=set)
    codes: int = 0
    without_email: Counter[NoEmailReason] = field(default_factory=Counter)
    unsent_codes: int = 0
    warnings: list[FaultyLine] = field(default_factory=list)
    note: str | None = None
    _upload: Upload | None = None

    def __post_init__(self) -> None:
        """Open the lists, and find the variables of the hand-out's own texts that only a list can fill."""
        services = self.services
        self.lists = HandOutLists(services.storage, services.new_id, services.new_ordered_id)
        self.named = NamedCodes(services, self.details, self.lists)
        (texts,) = HandOutReader(services.storage).find_texts([self.details.hand_out.hand_out_id])
        self.unfilled = {
            language: {*find_variables(text.subject), *find_variables(text.body)} - FILLED_VARIABLES
            for language, text in texts.items()
        }
        self.absent = {language: set(names) for language, names in self.unfilled.items()}

    @classmethod
    def open(
        cls, services: LedgerServices, caller: Caller, hand_out_id: UUID, source: Iterable[Record], language: Language
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
        return cls(services, caller, details, campaign, source, language)

    @property
    def is_sent_at_once(self) -> bool:
        """Whether the recipients get their codes as soon as the list is stored."""
        return self.details.hand_out.state_at(self.services.now()) == "running"

    @property
    def missing_variables(self) -> list[str]:
        """Names in the texts of the email for which no line of that language has a value."""
        return self._list_names(self.unfilled)

    def document(self, counts: ImportCounts) -> dict[str, Any]:
        """Return the counts for JSON."""
        return {
            "applied": counts.is_applied,
            "lines": counts.lines,
            "added": counts.new,
            "codes": self.codes,
            "rejected": counts.rejected,
            **{reason: counts.skipped[reason] for reason in ("repeated", "listed")},
            "faults": [_describe(fault) for fault in counts.faults],
            "left_out": [_describe(fault) for fault in counts.left_out],
            "warnings": [_describe(fault) for fault in self.warnings],
            "missing_variables": self.missing_variables,
        }

    def read(self) -> Iterable[Record]:
        """Return the records of the list."""
        return self.source

    def parse(self, number: int, record: Record) -> ListRow:
        """Read a recipient who is possible in a list of this hand-out."""
        row = parse_recipient(record, self.language)
        if number > LINES_MAX:
            raise RejectedRecordError("too_many", f"the list has more than {LINES_MAX} lines: upload it in parts")
        if (excluding := self._find_excluding(row.address)) is not None:
            raise RejectedRecordError("domain", f"the {excluding} does not admit the domain", "email")
        if self.campaign.terms.throwaway == "refuse" and self._is_throwaway(row.address):
            why = "the domain is of throw-away addresses, which the campaign refuses: ask for an address that is kept"
            raise RejectedRecordError("throwaway", why, "email")
        self.named.check(row)
        return row

    def find_keys(self, rows: Sequence[ListRow]) -> Iterator[tuple[Key | None, ...]]:
        """Yield the addresses, each with the id of the code that its row names, and the person as the campaign counts.

        No address has the space that each person has, so the two are never the same.
        """
        ids = self.named.find_ids(rows) if self.named.are_needed else [None] * len(rows)
        by_mailbox = self.campaign.counts_by_mailbox
        persons = (f"person {find_mailbox(row.address.normal)}" if by_mailbox else None for row in rows)
        return ((row.address.normal, *keys) for row, *keys in zip(rows, ids, persons, strict=True))

    def judge(self, lines: Sequence[ParsedLine[ListRow]]) -> list[Fault]:
        """Leave out recipients who get a code of the campaign already; reject codes that cannot be handed out."""
        rows = [line.row for line in lines]
        known_recipients = self.lists.find_listed(
            self.campaign.campaign_id,
            [row.address for row in rows],
            self.services.now(),
            names_codes=self.named.are_needed,
        )
        faults = list[Fault]()
        for line, existing in zip(lines, self.named.find_existing(_ids_of(lines)), strict=True):
            self.languages.add(line.row.language)
            variables = line.row.variables
            self.absent.get(line.row.language, set()).difference_update(variables)
            self.unfilled.get(line.row.language, set()).difference_update(
                name for name, value in variables.items() if value
            )
            normal = line.row.address.normal
            faults.append(
                _find_repeated(line)
                or (_LISTED if normal in known_recipients.listed else None)
                or self.named.find_problem(existing, line.find_earlier(1), known_recipients.ids.get(normal))
                or self._count_codes(line.row)
            )
        added = [line for line, fault in zip(lines, faults, strict=True) if fault is None]
        self._count_without_email([line.row for line in added], known_recipients.ids)
        self._warn(added)
        return faults

    def _warn(self, lines: Sequence[ParsedLine[ListRow]]) -> None:
        """Add warnings of lines that are added, until there are as many as are reported."""
        persons = set[str]()
        if self.campaign.counts_by_mailbox and len(self.warnings) < REPORTED_LINES_MAX:
            persons = self.lists.find_listed_persons(
                self.campaign.campaign_id,
                [line.row.address for line in lines],
                self.services.now(),
                names_codes=self.named.are_needed,
            )
        warnings = [FaultyLine(line.line, fault) for line in lines if (fault := self._find_warning(line, persons))]
        self.warnings += warnings[: REPORTED_LINES_MAX - len(self.warnings)]

    def _find_warning(self, line: ParsedLine[ListRow], listed_persons: Collection[str]) -> Fault:
        """Return what the rules of the campaign say about the address of a line that is added; None for nothing."""
        if (first := line.find_earlier(2)) is not None:
            why = f"the address is one person with line {first}, {_ONE_INBOX}"
            return RejectedRecordError("same_person", why, "email", first=first)
        if line.row.address.normal in listed_persons:
            why = f"the address is one person with a recipient of an earlier list, {_ONE_INBOX}"
            return RejectedRecordError("same_person_listed", why, "email")
        if self.campaign.terms.throwaway == "flag" and self._is_throwaway(line.row.address):
            return RejectedRecordError("throwaway", "the domain is of throw-away addresses", "email")
        return None

    def _is_throwaway(self, address: EmailAddress) -> bool:
        return is_throwaway(address.domain, self.services.storage.ledger.policy.throwaway_domains)

    def _count_without_email(self, rows: Sequence[ListRow], ids: Mapping[str, UUID]) -> None:
        codes = {ids[row.address.normal]: row.codes for row in rows if row.address.normal in ids}
        reasons = OptOutRepository(self.services.storage).find_reasons(codes, self.details.created.group)
        self.without_email.update(reasons.values())
        self.unsent_codes += sum(codes[recipient_id] for recipient_id in reasons)

    def _count_codes(self, row: ListRow) -> Fault:
        """Count the codes of a row; return a problem once the list has more than it may have."""
        self.codes += row.codes
        if self.codes <= LINES_MAX:
            return None
        why = f"the lines up to this one have more than {LINES_MAX} codes: upload the list in parts"
        return RejectedRecordError("too_many_codes", why, "count")

    def apply(self, lines: Sequence[ParsedLine[ListRow]]) -> list[Fault]:
        """Store a batch; recipients who are in a list already are left out."""
        if self._upload is None:
            raise RuntimeError("a list is stored between the beginning and the end of its upload")
        existing, stored = None, lines
        if self.named.are_needed:  # the check left lines out whose code is unknown
            stored = [line for line in lines if line.keys[1] is not None]
            existing = [code_id for code_id in _ids_of(stored) if code_id is not None]
        are_new = self.lists.add(self._upload, [line.row for line in stored], self.services.now(), existing)
        added = {line.line for line, is_new in zip(stored, are_new, strict=True) if is_new}
        self.codes += sum(line.row.codes for line in stored if line.line in added)
        return [None if line.line in added else _find_repeated(line) or _LISTED for line in lines]

    @contextmanager
    def open_target(self, checked: ImportCounts | None) -> Iterator[None]:
        """Record the upload in the audit log, and begin it; in the end all its recipients are due."""
        hand_out, counts, codes = self.details.hand_out, checked or ImportCounts(), self.codes
        self.check_variables()
        self.codes = 0  # from now on, of those who are stored
        values = {"lines": counts.lines, "added": counts.new, "count": codes}
        details = describe_values(**values) if self.note is None else describe_reason(self.note, **values)
        self.services.open_audit_log(self.caller).record("uploaded_recipients", hand_out.hand_out_id, details)
        self._upload = self.lists.begin(hand_out.hand_out_id, hand_out.campaign_id, self.services.now())
        try:
            yield
            self.lists.end(self._upload, self.services.now())
        except (HandOutConflict, HandOutCodeConflict) as error:
            raise ApplicationError.from_refusal(error) from error

    def check_variables(self) -> None:
        """Check that some recipient has each variable, if the first list of a hand-out is sent at once.

        Raises:
            ApplicationError: HAND_OUT_CONFLICT, for a variable that is mistyped or that the list does not have.
        """
        reader = HandOutReader(self.services.storage)
        unknown = self._list_names(self.absent)
        if self.is_sent_at_once and unknown and reader.count_listed([self.details], listed_max=0):
            raise ApplicationError.from_refusal(HandOutConflict.of_unknown_variables(unknown))

    def _list_names(self, names: Mapping[Language, Collection[str]]) -> list[str]:
        return sorted({name for language in self.languages for name in names.get(language, ())})

    def _find_excluding(self, address: EmailAddress) -> Literal["campaign", "hand-out"] | None:
        """Return whose terms exclude the domain of an address; None if both admit it."""
        terms, created = self.campaign.terms, self.details.created
        if not admits_domain(address.domain, terms.allowed_domains, terms.denied_domains):
            return "campaign"
        if not admits_domain(address.domain, created.allowed_domains, created.denied_domains):
            return "hand-out"
        return None


def _find_repeated(line: ParsedLine[ListRow]) -> Fault:
    earlier = line.find_earlier()
    if earlier is None:
        return None
    return SkippedRecordError("repeated", f"the address is the same as on line {earlier}", "email", first=earlier)


def _ids_of(lines: Sequence[ParsedLine[ListRow]]) -> list[UUID | None]:
    """Return the ids of the codes that lines name."""
    return [key if isinstance(key := line.keys[1], UUID) else None for line in lines]


def _describe(fault: FaultyLine) -> dict[str, Any]:
    return {"line": fault.line, "reason": fault.fault.reason, "column": fault.fault.column, "why": fault.why}
