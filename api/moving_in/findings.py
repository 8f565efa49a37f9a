"""What an import found, in words: one finding per thing that a person may want to look at."""

from collections import Counter
from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

from domain.old_system import OldCode, Verdict
from projections.legacy.source import CodeFile

FindingKind = Literal[
    "too_high",
    "too_low",
    "over_limit",
    "in_doubt",
    "bad_email",
    "orphan",
    "duplicate",
    "bad_code",
    "unreadable",
    "no_group",
    "already",
]
FINDING_KINDS: tuple[FindingKind, ...] = get_args(FindingKind)
RECORD_IDS_SHOWN_MAX = 5


class Finding(NamedTuple):
    """One thing to look at. `old_id` is the row's id in the old table."""

    kind: FindingKind
    code: str
    old_id: object
    sentence: str


def of_verdict(code: OldCode, verdict: Verdict) -> Iterator[Finding]:
    """What the weighing of one code brought to light."""
    limit = "unlimited" if code.max_uses is None else code.max_uses
    facts = f"used {verdict.counted}, really sent {verdict.proven}, limit {limit}: "
    if verdict.judgement == "too_high":
        back = verdict.counted - verdict.becomes
        given = f"{facts}{verdict.counted} -> {verdict.becomes}, {back} given back: no record proves that it was sent"
        yield Finding("too_high", code.text, code.old_id, given)
    if verdict.judgement == "too_low":
        more = f"{facts}{verdict.counted} -> {verdict.becomes}, by the records of invitations that were sent"
        yield Finding("too_low", code.text, code.old_id, more)
    if verdict.max_uses != code.max_uses:
        raised = f"{facts}the limit is raised to {verdict.max_uses}, and the old one is noted"
        yield Finding("over_limit", code.text, code.old_id, raised)
    for opening in verdict.openings:
        if opening.reason == "in_doubt":
            words = f"{opening.uses} taken over as an opening balance: invited or not, the records don't tell"
            yield Finding("in_doubt", code.text, code.old_id, words)
    if verdict.bad_emails:
        ids = ", ".join(map(str, verdict.bad_emails[:RECORD_IDS_SHOWN_MAX]))
        more = ", ..." if len(verdict.bad_emails) > RECORD_IDS_SHOWN_MAX else ""
        words = f"the address is none in invite_records {ids}{more}: counted as an opening balance, without a person"
        yield Finding("bad_email", code.text, code.old_id, words)


def of_rows(file: CodeFile) -> Iterator[Finding]:
    """Rows that can't be read, and records of a code that is not there."""
    for trouble in file.troubles:
        yield Finding("unreadable", file.text, trouble.old_id, f"{trouble.table}: {trouble.sentence}; left out")
    if file.code is None and file.records and not any(t.table == "redeem_codes" for t in file.troubles):
        name = "of no code" if not file.text else "of a code that redeem_codes does not have"
        proven = sum(record.is_proven for record in file.records)
        words = f"{len(file.records)} invite records {name}, {proven} of them sent; left out"
        yield Finding("orphan", file.text, file.records[0].old_id, words)


class Tally:
    """Counts of a whole run."""

    def __init__(self) -> None:
        self.read = 0
        self.agreeing = 0
        self.imported = 0
        self.rebinds = 0
        self.guessable = 0
        self.kinds: Counter[FindingKind] = Counter()

    def document(self) -> dict[str, int]:
        """All counts by name, zeros too."""
        own = {"codes_read": self.read, "agreeing": self.agreeing, "imported": self.imported, "rebinds": self.rebinds}
        own["guessable"] = self.guessable
        return own | {kind: self.kinds[kind] for kind in FINDING_KINDS}
