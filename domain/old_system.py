"""What the counter-based system before this one proves of a code, and what it only claims.

Its counter is not believed: it was raised before anything was sent. Its invite records are evidence: `success` and
`removed` (a person who was removed had been invited) prove an invitation; `failed` and `reserved` (a seat held,
nothing sent yet) prove that none went out; `pending` proves nothing either way, so those uses are taken over as an
opening balance, since a machine gives nothing back that may have been sent.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from domain.decisions.import_code import Opening
from domain.values import EmailAddress, MalformedEmailError

PROVEN = frozenset({"success", "removed"})
IN_DOUBT = frozenset({"pending"})

_EVER = datetime.min.replace(tzinfo=UTC)

Judgement = Literal["agrees", "too_high", "too_low"]


class OldCode(Struct, frozen=True, kw_only=True):
    """One row of `redeem_codes`; times are aware UTC. `max_uses` None: without limit (0 in the old table).

    `knows_binding` is false for versions of the old system whose codes were not bound to anybody. `is_removed`: its
    person was taken out of the team again.
    """

    old_id: int
    text: str
    used_count: int
    max_uses: int | None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    is_active: bool = True
    note: str | None = None
    group_id: int | None = None
    validity_days: int | None = None
    bound_email: str | None = None
    knows_binding: bool = False
    removed_at: datetime | None = None
    activated_at: datetime | None = None
    rebind_count: int = 0
    rebind_limit: int | None = None
    is_removed: bool = False


class OldRecord(Struct, frozen=True, kw_only=True):
    """One row of `invite_records`. `status` is in lower case; times are aware UTC."""

    old_id: int
    email: str
    status: str
    created_at: datetime | None = None
    accepted_at: datetime | None = None
    consumed_at: datetime | None = None
    is_rebind: bool = False

    @property
    def is_proven(self) -> bool:
        """Whether it proves that an invitation went out."""
        return self.status in PROVEN


class ProvenUse(Struct, frozen=True, kw_only=True):
    """An invitation that a record proves; `activated_at`: when its time began, if not then; `moves`: to other teams."""

    email: EmailAddress
    sent_at: datetime | None
    accepted_at: datetime | None
    removed_at: datetime | None
    activated_at: datetime | None = None
    moves: int = 0


class Verdict(Struct, frozen=True, kw_only=True):
    """What is taken over for one code.

    Attributes:
        judgement: Whether the old counter agrees with what is taken over.
        counted: The old counter.
        proven: Invitations that records prove.
        openings: Uses beside those, with the reason of each.
        max_uses: The limit to issue it with; above the old one where the uses exceed it.
        bad_emails: Ids of records whose address is none.
        rebinds: Records of moves to another group, which took no use.
    """

    judgement: Judgement
    counted: int
    proven: int
    uses: Sequence[ProvenUse]
    openings: Sequence[Opening]
    max_uses: int | None
    bound: bool
    bad_emails: Sequence[int]
    rebinds: int

    @property
    def becomes(self) -> int:
        """The count in the ledger."""
        return len(self.uses) + sum(opening.uses for opening in self.openings)


def judge(code: OldCode, records: Sequence[OldRecord], *, keep_unproven: bool = False) -> Verdict:
    """Weigh the records of one code.

    Args:
        code: The code as the old system has it.
        records: All that name it.
        keep_unproven: Take uses that the counter claims and nothing proves over as an opening balance, instead of
            proposing to give them back. For a system whose old records were deleted.
    """
    counting = [record for record in records if not record.is_rebind]
    proofs = [record for record in counting if record.is_proven]
    uses, bad_emails = _uses(code, proofs)
    moved = max(code.rebind_count, sum(record.is_rebind and record.is_proven for record in records))
    uses = _with_its_time(code, uses, moved)
    unproven = code.used_count - len(proofs)
    reasons: Counter[str] = Counter(bad_email=len(bad_emails))
    doubtful = sum(record.status in IN_DOUBT for record in counting)
    reasons["in_doubt"] = min(doubtful, unproven)
    if keep_unproven:
        reasons["unproven"] = unproven - min(doubtful, unproven)
    openings = [Opening(number, reason) for reason, number in reasons.items() if number > 0]
    total = len(uses) + sum(opening.uses for opening in openings)
    return Verdict(
        judgement="agrees" if total == code.used_count else "too_high" if total < code.used_count else "too_low",
        counted=code.used_count,
        proven=len(proofs),
        uses=uses,
        openings=openings,
        max_uses=code.max_uses if code.max_uses is None or total <= code.max_uses else total,
        bound=_is_bound(code, uses),
        bad_emails=bad_emails,
        rebinds=len(records) - len(counting),
    )


def _uses(code: OldCode, proofs: Sequence[OldRecord]) -> tuple[list[ProvenUse], list[int]]:
    """The proven uses, and the ids of records that prove one for an address that is none."""
    uses, bad = [], []
    for record in proofs:
        try:
            email = EmailAddress.parse(record.email)
        except MalformedEmailError:
            bad.append(record.old_id)
            continue
        sent_at = record.created_at or record.consumed_at or record.accepted_at
        is_removed = record.status == "removed" or code.is_removed
        removed_at = (code.removed_at or record.accepted_at or sent_at) if is_removed else None
        uses.append(
            ProvenUse(email=email, sent_at=sent_at, accepted_at=record.accepted_at, removed_at=removed_at),
        )
    return uses, bad


def _with_its_time(code: OldCode, uses: list[ProvenUse], moved: int) -> list[ProvenUse]:
    """The old system kept one time of activation and one count of moves for each code: its first and its last use's."""
    if not uses:
        return uses
    order = sorted(range(len(uses)), key=lambda nth: uses[nth].sent_at or _EVER)
    first, last = order[0], order[-1]
    uses[first] = replace(uses[first], activated_at=code.activated_at)
    uses[last] = replace(uses[last], moves=moved)
    return uses


def _is_bound(code: OldCode, uses: Sequence[ProvenUse]) -> bool:
    """Bound to one person, unless the proofs tell of several, or of one whom the old system did not bind it to."""
    if len({use.email.normal for use in uses}) > 1:
        return False
    return not (uses and code.knows_binding and not code.bound_email)
