"""Findings of a legacy import, in words: one for each thing that an operator may want to check."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple, get_args

from domain.legacy.evidence import Assessment, OutOfRange
from domain.legacy.records import LegacyCode
from domain.legacy.statuses import QUEUE_STATUSES
from projections.legacy.rows import QueuedRecipient
from projections.legacy.source import LegacyCodeRecords, UnreadableRow

FindingKind = Literal[
    "too_high",
    "too_low",
    "over_limit",
    "out_of_range",
    "in_doubt",
    "unknown_status",
    "removed",
    "bad_email",
    "binding_dropped",
    "binding_kept",
    "rebind_limit",
    "ended",
    "waiting",
    "queued",
    "no_group",
    "orphan",
    "duplicate",
    "bad_code",
    "unreadable",
    "already",
]
FINDING_KINDS: Final[tuple[FindingKind, ...]] = get_args(FindingKind)
LEFT_OUT: Final[tuple[FindingKind, ...]] = ("orphan", "duplicate", "bad_code", "unreadable")
"""Kinds of findings about data that is not imported."""
RECORD_IDS_SHOWN_MAX = 5
WORDS_MAX = 100
"""Different unknown statuses that are counted by name; the rest is counted together."""
OTHER_STATUSES = ("", "others")


class ImportFinding(NamedTuple):
    """One thing to check.

    Attributes:
        old_id: The row's id in the legacy table.
        number: How many it stands for, where one code has several: records, access grants.
    """

    kind: FindingKind
    code: str
    old_id: object
    sentence: str
    number: int = 1


class Outlook(NamedTuple):
    """What an import would do with one code in addition to its assessment.

    Attributes:
        ended: When the access grants ended that expired before now.
        notify_ended: Whether their recipients are notified.
        keep_binding: Whether a binding without a use that counts is kept.
        has_group: Whether its group, if it has one, can be imported.
    """

    ended: Sequence[datetime]
    notify_ended: bool
    keep_binding: bool
    has_group: bool


def of_code(code: LegacyCode, assessment: Assessment, outlook: Outlook) -> Iterator[ImportFinding]:
    """Yield the findings about one code, and what its import would do."""
    for kind, sentence, number in (
        *_of_counter(code, assessment),
        *_of_records(assessment),
        *_of_binding(assessment, outlook),
        *_of_terms(code, assessment, outlook),
        *_of_ended(outlook),
    ):
        yield ImportFinding(kind, code.text, code.old_id, sentence, number)


Said = tuple[FindingKind, str, int]


def _of_counter(code: LegacyCode, assessment: Assessment) -> Iterator[Said]:
    limit = "unlimited" if code.max_uses is None else code.max_uses
    facts = f"used {assessment.counted}, sent {assessment.proven}, limit {limit}: "
    if assessment.judgment == "too_high":
        back = assessment.counted - assessment.becomes
        words = f"{assessment.counted} -> {assessment.becomes}, {back} refunded: no record proves that it was sent"
        yield "too_high", facts + words, 1
    if assessment.judgment == "too_low":
        words = f"{assessment.counted} -> {assessment.becomes}, by the records of invitations that were sent"
        yield "too_low", facts + words, 1
    if assessment.max_uses != code.max_uses:
        yield "over_limit", f"{facts}the limit is raised to {assessment.max_uses}, and the recorded one is noted", 1
    if assessment.out_of_range:
        yield "out_of_range", "; ".join(map(out_of_range_in_words, assessment.out_of_range)), 1


def out_of_range_in_words(out_of_range: OutOfRange) -> str:
    """Return the sentence about a number outside our bounds, and its substitute."""
    column, number, substitute = out_of_range
    return f"{column} is {number}: " + ("the records decide" if substitute is None else f"imported as {substitute}")


def _of_records(assessment: Assessment) -> Iterator[Said]:
    uses_by_reason = {opening.reason: opening.uses for opening in assessment.openings}
    if "in_doubt" in uses_by_reason:
        uses = uses_by_reason["in_doubt"]
        words = f"{uses} imported as an opening balance, because the records do not show whether they were sent"
        yield "in_doubt", words, 1
    if assessment.unknown:
        named = ", ".join(_status_in_words(*status, number) for status, number in sorted(assessment.unknown.items()))
        counted = f"{uses_by_reason.get('unknown_status', 0)} imported as an opening balance"
        yield "unknown_status", f"{named}: outcome unknown, {counted}", assessment.unknown.total()
    if refunded := sum(use.is_refunded for use in assessment.uses):
        words = f"{refunded} imported as sent, with the access removed and the use refunded, as in the legacy system"
        yield "removed", words, refunded
    if assessment.bad_emails:
        ids = ", ".join(map(str, assessment.bad_emails[:RECORD_IDS_SHOWN_MAX]))
        more = ", ..." if len(assessment.bad_emails) > RECORD_IDS_SHOWN_MAX else ""
        where = f"the email address is not valid in invite_records {ids}{more}"
        yield "bad_email", f"{where}: counted as an opening balance, without a recipient", 1


def _status_in_words(table: str, word: str, number: int) -> str:
    return f"{table} has {number} with the unknown status {word!r}"


def _of_binding(assessment: Assessment, outlook: Outlook) -> Iterator[Said]:
    if assessment.unreadable_binding:
        yield (
            "binding_dropped",
            "the code is bound to an email address that is not valid: anyone can redeem it first",
            1,
        )
    elif assessment.binding is not None and outlook.keep_binding:
        yield (
            "binding_kept",
            "no invitation counts as sent: only the recipient to whom the code is bound can redeem it",
            1,
        )
    elif assessment.binding is not None:
        words = "the code is bound, but no invitation counts as sent: anyone can redeem it first (see --keep-binding)"
        yield "binding_dropped", words, 1


def _of_terms(code: LegacyCode, assessment: Assessment, outlook: Outlook) -> Iterator[Said]:
    if assessment.rebinds_capped_at is not None:
        words = f"rebind_limit is {code.rebind_limit}, but the legacy system permits {assessment.rebinds_capped_at}"
        yield "rebind_limit", f"{words}: imported as {assessment.rebinds_max}", 1
    if not outlook.has_group:
        words = f"its group {code.group_id} has no name in team_groups that events may contain"
        yield "no_group", f"{words}; imported without one", 1


def _of_ended(outlook: Outlook) -> Iterator[Said]:
    if not outlook.ended:
        return
    last = f"{len(outlook.ended)} ended before this import, the last on {max(outlook.ended):%Y-%m-%d}"
    then = "each recipient gets an email about it" if outlook.notify_ended else "closed, and no email is sent"
    yield "ended", f"access grants: {last}: {then}", len(outlook.ended)


def of_rows(file: LegacyCodeRecords) -> Iterator[ImportFinding]:
    """Yield findings about unreadable rows, and about records of a missing code."""
    yield from (of_unreadable_row(row, file.text) for row in file.unreadable_rows)
    if file.code is None and file.records and not any(t.table == "redeem_codes" for t in file.unreadable_rows):
        name = "of no code" if not file.text else "of a code that redeem_codes does not have"
        proven = sum(record.is_proven for record in file.records)
        words = f"{len(file.records)} invite records {name}, {proven} of them sent; left out"
        yield ImportFinding("orphan", file.text, file.records[0].old_id, words)


def of_unreadable_row(row: UnreadableRow, code: str = "") -> ImportFinding:
    """Return the finding about a row that can't be read."""
    return ImportFinding("unreadable", code, row.old_id, f"{row.table}: {row.sentence}; left out")


def of_queued(row: QueuedRecipient) -> ImportFinding | None:
    """Return the finding about a recipient who still waits in the legacy queue; None if they do not.

    The import sends them nothing.
    """
    since = f" since {row.created_at:%Y-%m-%d %H:%M} UTC" if row.created_at else ""
    then = "in invite_queue: no email is sent, so tell the recipient how to continue"
    match QUEUE_STATUSES.get(row.status):
        case "waiting":
            return ImportFinding(
                "waiting", row.code, row.old_id, f"a recipient has been waiting{since} for a free seat, {then}"
            )
        case "queued":
            return ImportFinding(
                "queued", row.code, row.old_id, f"a recipient has been waiting{since} for an invitation, {then}"
            )
        case "done":
            return None
        case None:
            words = f"{_status_in_words('invite_queue', row.status, 1)}: this recipient may be waiting{since}"
            return ImportFinding("unknown_status", row.code, row.old_id, words)


class ImportSummary:
    """Counts of a whole run.

    Attributes:
        findings: How many findings there were.
        emails: How many recipients the import notifies, or would.
        statuses: Numbers of unknown statuses, by table and word.
    """

    def __init__(self) -> None:
        self.read = 0
        self.agreeing = 0
        self.imported = 0
        self.rebinds = 0
        self.guessable = 0
        self.findings = 0
        self.emails = 0
        self.kinds: Counter[FindingKind] = Counter()
        self.statuses: Counter[tuple[str, str]] = Counter()

    def note_statuses(self, unknown: Counter[tuple[str, str]]) -> None:
        """Add unknown statuses; of very many different words the later ones are counted together."""
        for name, number in unknown.items():
            is_named = name in self.statuses or len(self.statuses) < WORDS_MAX
            self.statuses[name if is_named else OTHER_STATUSES] += number

    def document(self) -> dict[str, int]:
        """Return all counts by name, zeros too."""
        own = {"codes_read": self.read, "agreeing": self.agreeing, "imported": self.imported, "rebinds": self.rebinds}
        own |= {"guessable": self.guessable, "left_out": sum(self.kinds[kind] for kind in LEFT_OUT)}
        return own | {"emails": self.emails} | {kind: self.kinds[kind] for kind in FINDING_KINDS}

    def unknown_statuses(self) -> list[dict[str, object]]:
        """Return each unknown status with its table and number, the most frequent first."""
        ranked = sorted(self.statuses.items(), key=lambda entry: (-entry[1], entry[0]))
        return [{"table": table, "status": word, "number": number} for (table, word), number in ranked]
