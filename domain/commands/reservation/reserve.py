"""Reserving a use: the answer to a person who typed a code and an e-mail.

Order of answers (rule 1): unknown code; the caller's own live or sent reservation; revoked; paused; expired;
bound to another by a sent use; held; exhausted. Nothing depends on the sweep: overdue reservations that stand in the
way are given back in the same commit.
"""

import math
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from msgspec import Struct

from domain.commands.context import Context, Decision, EventStamp, stamp
from domain.commands.reservation.settle_due import (
    expire_lease,
    is_released_by_revocation,
    release_on_revocation,
    release_overdue,
)
from domain.errors import (
    CodeExhausted,
    CodeExpired,
    CodeHeld,
    CodeIsPaused,
    CodeIsRevoked,
    CodeUnknown,
    EmailMismatch,
    FollowedReservationUnknown,
    IdempotencyKeyReused,
)
from domain.events import UseReserved
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.ports import Language, RecipientDraft
from domain.working_set import RememberedKey, WorkingSet


class IdempotencyKey(Struct, frozen=True, kw_only=True):
    """Digests of a client's Idempotency-Key within its scope, and of the body that came with it.

    `older`: the same under the peppers that were used before, by which it may be remembered.
    """

    scope_digest: bytes
    body_digest: bytes
    older: Sequence["IdempotencyKey"] = ()

    def spellings(self) -> Sequence["IdempotencyKey"]:
        """Itself, and as it may be remembered."""
        return (self, *self.older)


class ReserveUse(Struct, frozen=True, kw_only=True):
    """Hold one use of a code for one person.

    `reservation_id` is new and random. `group`, where given, must be the code's own.
    """

    context: Context
    code_digests: Sequence[bytes]
    recipient: RecipientDraft
    reservation_id: UUID
    language: Language
    again: UUID | None = None
    key: IdempotencyKey | None = None
    group: str | None = None


def reserve(command: ReserveUse, book: WorkingSet, policy: Policy) -> Decision:
    """Give the caller's own reservation, or hold a new use.

    Raises:
        CodeUnknown, IdempotencyKeyReused, AgainUnknown, CodeIsRevoked, CodeIsPaused, CodeExpired, EmailMismatch,
            CodeHeld, CodeExhausted: in this order of precedence.
    """
    code_id = book.code_id(command.code_digests)
    code = None if code_id is None else book.codes.get(code_id)
    if code is None or command.group not in {None, code.group}:
        raise CodeUnknown
    if (remembered := _idempotent_result(command, code, book)) is not None:
        return Decision(code.code_id, (), remembered)
    if command.reservation_id in book.reservations:  # this very command made it before its answer was lost
        return Decision(code.code_id, (), command.reservation_id)

    now = stamp(command.context, code)
    recipient_id = book.recipient_id(command.recipient)
    mine = [item for item in book.of_recipient(code.code_id, recipient_id) if item.is_use]
    follows, own = _own(command, code, mine, now)
    if own is not None:
        return Decision(code.code_id, expire_lease(code, own, now, policy), own.reservation_id)

    if code.is_revoked:
        return _revoked(code, mine, now)
    if code.is_paused:
        raise CodeIsPaused
    if code.is_expired(now.at):
        raise CodeExpired
    freed = _overdue_to_release(code, recipient_id, mine, book, now, policy)
    event = UseReserved(
        **now.fields,
        reservation_id=command.reservation_id,
        recipient_id=recipient_id,
        deadline=now.at + timedelta(seconds=policy.reservation_ttl_s),
        language=command.language,
        group=code.group,
        follows=follows,
        validity_days=code.validity_days,
    )
    events = [*release_overdue(code, freed, now), event]
    return Decision(code.code_id, events, command.reservation_id)


def _idempotent_result(command: ReserveUse, code: RedeemCode, book: WorkingSet) -> UUID | None:
    """The reservation that the same key and the same body led to before."""
    keys = () if command.key is None else command.key.spellings()
    known = next((book.remembered[key.scope_digest] for key in keys if key.scope_digest in book.remembered), None)
    if known is None:
        return None
    if known.body_digest not in {key.body_digest for key in keys} and not _asked_for(command, code, known, book):
        raise IdempotencyKeyReused
    return known.reservation_id


def _asked_for(command: ReserveUse, code: RedeemCode, known: RememberedKey, book: WorkingSet) -> bool:
    """Whether a remembered reservation is just what the command asks for: this code, this person and this `again`.

    It tells a repeat where the digest of the first body was made under a pepper that is no longer in the keyring.
    """
    item = book.reservations.get(known.reservation_id)
    if item is None or item.code_id != code.code_id:
        return False
    return item.recipient_id == book.recipient_id(command.recipient) and item.follows == command.again


def _own(
    command: ReserveUse, code: RedeemCode, mine: Sequence[Reservation], now: EventStamp
) -> tuple[UUID | None, Reservation | None]:
    """What the caller has already: (the sent reservation that a new one would follow, the answer if there is one)."""
    standing = [item for item in mine if item.occupies_use and not _is_over(item, code, now)]
    if command.again is not None:
        named = next((item for item in mine if item.reservation_id == command.again), None)
        if named is None:
            raise FollowedReservationUnknown
        if named.status == "sent":
            follower = next((item for item in standing if item.follows == named.reservation_id), None)
            return named.reservation_id, follower
    live = [item for item in standing if item.is_live]
    sent = [item for item in standing if not item.is_live]
    return None, live[-1] if live else sent[-1] if sent else None


def _is_over(item: Reservation, code: RedeemCode, now: EventStamp) -> bool:
    """Whether it only waits for a command that gives it back."""
    return item.is_overdue(now.at) or (code.is_revoked and is_released_by_revocation(item) and not item.ever_unknown)


def _revoked(code: RedeemCode, mine: Sequence[Reservation], now: EventStamp) -> Decision:
    """Refused; what of the caller's own the revoking had not come to yet is given back on the way."""
    over = [item for item in mine if _is_over(item, code, now)]
    events = [event for item in over for event in release_on_revocation(code, item, now, None)]
    return Decision(code.code_id, events, None, CodeIsRevoked())


def _overdue_to_release(
    code: RedeemCode,
    recipient_id: UUID,
    mine: Sequence[Reservation],
    book: WorkingSet,
    now: EventStamp,
    policy: Policy,
) -> list[Reservation]:
    """The overdue reservations to give back first: the caller's own, and those that stand in the way.

    Raises:
        EmailMismatch, CodeHeld, CodeExhausted: Giving back all that may be given back would not be enough.
    """
    freed = [item for item in mine if item.is_overdue(now.at)]
    if code.bound_to is not None and code.bound_to != recipient_id:
        raise EmailMismatch
    if code.bound and code.owner_id not in {None, recipient_id}:
        if code.sent_binding:
            raise EmailMismatch
        freed += book.overdue(code.code_id, now.at)[: policy.overdue_per_command]
        if len(freed) < code.reserved:
            raise _held(code, book, now, policy)
    if code.available is None or code.available + len(freed) > 0:
        return freed
    spare = next((item for item in book.overdue(code.code_id, now.at) if item not in freed), None)
    if spare is None:
        raise _held(code, book, now, policy) if code.reserved else CodeExhausted
    freed.append(spare)
    return freed


def _held(code: RedeemCode, book: WorkingSet, now: EventStamp, policy: Policy) -> CodeHeld:
    """Held by unsettled reservations: come back at the earliest deadline ahead, else after one lifetime."""
    ahead = book.earliest_deadline(code.code_id, now.at)
    if ahead is None:
        return CodeHeld(retry_after_s=policy.reservation_ttl_s)
    return CodeHeld(retry_after_s=max(1, math.ceil((ahead - now.at).total_seconds())))
