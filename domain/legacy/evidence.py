"""Assess what the legacy system's records prove about a code, and what its counter only claims.

The counter is not trusted: it was raised before anything was sent. Invite records are evidence, as
`domain.legacy.statuses` defines. For records of unknown outcome the counted uses are kept as an opening balance: a use
that may have been sent is never refunded.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from domain.commands.code.import_code import Opening
from domain.legacy.records import LegacyCode, LegacyInvite
from domain.legacy.statuses import CODE_STATUSES, RECORD_STATUSES
from domain.values.identifiers import EmailAddress, MalformedEmailError
from domain.values.number_bounds import DAYS, REBINDS, Bounds

REBINDS_MAX: Final = 1
"""Moves of one access that the legacy system permits, whatever a code's record says."""

_EVER = datetime.min.replace(tzinfo=UTC)

Judgment = Literal["agrees", "too_high", "too_low"]


class EvidencedUse(Struct, frozen=True, kw_only=True):
    """An invitation that a record proves.

    Attributes:
        is_removed: Whether the access was removed there.
        removed_at: When it was, as far as that is known.
        is_refunded: Whether the legacy system refunded the use when it removed the access.
        activated_at: When the access began, if not when the invitation was sent.
        moves: How often the access was moved to another team.
    """

    email: EmailAddress
    sent_at: datetime | None
    accepted_at: datetime | None
    is_removed: bool = False
    removed_at: datetime | None = None
    is_refunded: bool = False
    activated_at: datetime | None = None
    moves: int = 0


class OutOfRange(NamedTuple):
    """A number outside this ledger's bounds, and its substitute; None if the records decide."""

    column: str
    number: int
    substitute: int | None


class Assessment(Struct, frozen=True, kw_only=True):
    """What is imported for one code.

    Attributes:
        judgment: Whether the legacy counter agrees with what is imported.
        counted: The legacy counter.
        proven: Invitations that records prove and that count.
        uses: All that records prove, refunded ones too.
        openings: Further uses that count, with the reason of each.
        max_uses: The limit to issue the code with; above the recorded one where the uses exceed it.
        binding: Whom the legacy system binds the code to although no invitation counts; None if there is none.
        unreadable_binding: Whether it names such a person by an email address that is not valid.
        rebinds_max: How often each access may be moved; None: as often as the settings say.
        rebinds_capped_at: What the legacy system permits where the record says more; None where it does not.
        validity_days: Access duration in days; None: without end.
        bad_emails: Ids of records whose email address is not valid.
        rebinds: Records of moves to another group, which took no use.
        unknown: Statuses that are not in `domain.legacy.statuses`, by table and word, with their numbers.
        out_of_range: Numbers that this ledger does not have.
    """

    judgment: Judgment
    counted: int
    proven: int
    uses: Sequence[EvidencedUse]
    openings: Sequence[Opening]
    max_uses: int | None
    bound: bool
    binding: EmailAddress | None
    unreadable_binding: bool
    rebinds_max: int | None
    rebinds_capped_at: int | None
    validity_days: int | None
    bad_emails: Sequence[int]
    rebinds: int
    unknown: Counter[tuple[str, str]]
    out_of_range: Sequence[OutOfRange]

    @property
    def counting(self) -> list[EvidencedUse]:
        """The uses that are not refunded."""
        return [use for use in self.uses if not use.is_refunded]

    @property
    def becomes(self) -> int:
        """The count in the ledger."""
        return len(self.counting) + sum(opening.uses for opening in self.openings)


def assess(
    code: LegacyCode, records: Sequence[LegacyInvite], *, keep_unproven: bool = False, rebinds_as_recorded: bool = False
) -> Assessment:
    """Assess the records of one code.

    Args:
        code: The code as the legacy system has it.
        records: All that name it.
        keep_unproven: Import uses that the counter claims and nothing proves as an opening balance, instead of
            refunding them. For a system whose old records were deleted.
        rebinds_as_recorded: Import the recorded number of moves instead of the legacy system's own bound.
    """
    invites = [record for record in records if not record.is_rebind]
    uses, bad_emails = _uses(code, invites)
    moved = max(_within(REBINDS, code.rebind_count), sum(record.is_rebind and record.is_proven for record in records))
    uses = _with_its_time(code, _without_removed_moves(uses, records), moved)
    proven = sum(not use.is_refunded for use in uses) + len(bad_emails)
    openings = _openings(code, invites, proven, len(bad_emails), keep_unproven=keep_unproven)
    total = proven - len(bad_emails) + sum(opening.uses for opening in openings)
    binding, is_unreadable = _kept_binding(code, uses)
    return Assessment(
        judgment="agrees" if total == code.used_count else "too_high" if total < code.used_count else "too_low",
        counted=code.used_count,
        proven=proven,
        uses=uses,
        openings=openings,
        max_uses=None if code.max_uses is None else max(code.max_uses, total),
        bound=_is_bound(code, uses),
        binding=binding,
        unreadable_binding=is_unreadable,
        rebinds_max=_rebinds_max(code, as_recorded=rebinds_as_recorded),
        rebinds_capped_at=REBINDS_MAX if code.rebind_limit is not None and code.rebind_limit > REBINDS_MAX else None,
        validity_days=None if code.validity_days is None else _within(DAYS, code.validity_days),
        bad_emails=bad_emails,
        rebinds=len(records) - len(invites),
        unknown=_unknown_statuses(code, records),
        out_of_range=list(_out_of_range(code)),
    )


def _openings(
    code: LegacyCode, invites: Sequence[LegacyInvite], proven: int, bad_emails: int, *, keep_unproven: bool
) -> list[Opening]:
    """Return the uses that count without an invitation here.

    The counter bounds how many records of unknown outcome count, because what it does not count was never reserved. A
    counter below zero is wrong and bounds nothing, so all of them count.
    """
    unknown = [record for record in invites if record.evidence == "unknown"]
    claimed = len(unknown) if code.used_count < 0 else code.used_count - proven
    countable = max(min(len(unknown), claimed), 0)
    doubtful = min(sum(record.status in RECORD_STATUSES for record in unknown), countable)
    reasons = {"bad_email": bad_emails, "in_doubt": doubtful, "unknown_status": countable - doubtful}
    if keep_unproven:
        reasons["unproven"] = claimed - countable
    return [Opening(number, reason) for reason, number in reasons.items() if number > 0]


def _uses(code: LegacyCode, invites: Sequence[LegacyInvite]) -> tuple[list[EvidencedUse], list[int]]:
    """Return the proven uses, and the ids of counting records whose email address is not valid."""
    uses, bad_emails = [], []
    for record in invites:
        if not record.is_proven:
            continue
        is_refunded = record.evidence == "refunded"
        try:
            email = EmailAddress.parse(record.email)
        except MalformedEmailError:
            bad_emails += [] if is_refunded else [record.old_id]
            continue
        sent_at = record.created_at or record.consumed_at or record.accepted_at
        use = EvidencedUse(email=email, sent_at=sent_at, accepted_at=record.accepted_at)
        known_since = record.accepted_at or sent_at
        if is_refunded:
            use = replace(use, is_removed=True, removed_at=known_since, is_refunded=True)
        elif code.is_removed:
            use = replace(use, is_removed=True, removed_at=code.removed_at or known_since)
        uses.append(use)
    return uses, bad_emails


def _without_removed_moves(uses: Sequence[EvidencedUse], records: Sequence[LegacyInvite]) -> list[EvidencedUse]:
    """Return the uses; each removal from the team of a later move refunds that recipient's newest one."""
    left = list(uses)
    for record in records:
        if not record.is_rebind or record.evidence != "refunded":
            continue
        for nth in reversed(range(len(left))):
            use = left[nth]
            if not use.is_refunded and use.email.normal == _normal(record.email):
                removed_at = record.accepted_at or record.created_at or use.sent_at
                left[nth] = replace(use, is_removed=True, removed_at=removed_at, is_refunded=True)
                break
    return left


def _normal(email: str) -> str | None:
    try:
        return EmailAddress.parse(email).normal
    except MalformedEmailError:
        return None


def _with_its_time(code: LegacyCode, uses: list[EvidencedUse], moved: int) -> list[EvidencedUse]:
    """Give the first use its activation and the last one its moves: the legacy system has one of each for a code.

    Refunded uses have ended, so they get neither as long as another one counts.
    """
    counting = [nth for nth, use in enumerate(uses) if not use.is_refunded] or list(range(len(uses)))
    if not counting:
        return uses
    order = sorted(counting, key=lambda nth: uses[nth].sent_at or _EVER)
    first, last = order[0], order[-1]
    uses[first] = replace(uses[first], activated_at=code.activated_at)
    uses[last] = replace(uses[last], moves=moved)
    return uses


def _is_bound(code: LegacyCode, uses: Sequence[EvidencedUse]) -> bool:
    """Return whether to bind the code.

    Not if its uses are of several recipients, or of one whom the legacy system did not bind it to.
    """
    persons = {use.email.normal for use in uses if not use.is_refunded}
    if len(persons) > 1:
        return False
    return not (persons and code.knows_binding and not code.bound_email)


def _kept_binding(code: LegacyCode, uses: Sequence[EvidencedUse]) -> tuple[EmailAddress | None, bool]:
    """Return whom the code is bound to without a counted use, and whether that email address is not valid."""
    if not code.bound_email or any(not use.is_refunded for use in uses):
        return None, False
    try:
        return EmailAddress.parse(code.bound_email), False
    except MalformedEmailError:
        return None, True


def _rebinds_max(code: LegacyCode, *, as_recorded: bool) -> int | None:
    if code.rebind_limit is None:
        return None
    limit = _within(REBINDS, code.rebind_limit)
    return limit if as_recorded else min(limit, REBINDS_MAX)


def _unknown_statuses(code: LegacyCode, records: Sequence[LegacyInvite]) -> Counter[tuple[str, str]]:
    unknown = Counter(("invite_records", record.status) for record in records if record.status not in RECORD_STATUSES)
    if code.status not in CODE_STATUSES:
        unknown["redeem_codes", code.status] = 1
    return unknown


def _within(bounds: Bounds, number: int) -> int:
    least, most = bounds
    return min(max(number, least), most)


def _out_of_range(code: LegacyCode) -> Iterator[OutOfRange]:
    if code.used_count < 0:
        yield OutOfRange("used_count", code.used_count, None)
    numbers = (
        ("validity_days", code.validity_days, DAYS),
        ("rebind_count", code.rebind_count, REBINDS),
        ("rebind_limit", code.rebind_limit, REBINDS),
    )
    for column, number, bounds in numbers:
        if number is not None and number != _within(bounds, number):
            yield OutOfRange(column, number, _within(bounds, number))
