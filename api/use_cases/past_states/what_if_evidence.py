"""The events that an answer to "what if" rests on: those that made the state which decided it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from domain.errors import (
    AddressUndeliverable,
    CodeExhausted,
    CodeExpired,
    CodeHeld,
    CodeIsPaused,
    CodeIsRevoked,
    CodeNotStarted,
    CodeUnknown,
    DomainNotAllowed,
    EmailMismatch,
    Refusal,
    ReservationNotResolvable,
)
from domain.events.code import CodeIssued, CodePaused, CodeTermsChanged, OpeningBalanceImported
from domain.events.event import Event
from domain.events.reservation import InviteSent, LateSuccessRecorded, ReservationEvent
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.results import CommandResult
from projections.event_store.codec import topics_of
from projections.read_models.past_states import PastState, PastStateReader
from projections.read_models.statements import HistoryQuery

EVIDENCE_MAX: Final = 20
"""Most events that an answer names; a code with thousands of uses would name thousands."""
TERMS_EVENTS: Final = (CodeIssued, CodeTermsChanged)
TERMS_REFUSALS: Final = (AddressUndeliverable, CodeExpired, CodeNotStarted, DomainNotAllowed)
"""Refusals that, of all events of the code, the terms alone decide."""
COUNTING_EVENTS: Final = (InviteSent, LateSuccessRecorded, OpeningBalanceImported)


class Evidence(NamedTuple):
    """Versions of events, oldest first, and how many more there are."""

    versions: list[int]
    left_out: int


def find_evidence(
    states: PastStateReader,
    past: PastState,
    result: CommandResult | Refusal,
    reservation_id: UUID,
    reservations: Mapping[UUID, Reservation],
    events: Sequence[Event],
) -> Evidence:
    """Return the events that a decision rests on.

    Args:
        states: Where earlier events are read.
        past: The code at the time of the decision.
        result: The decision.
        reservation_id: The reservation that the command names; a new one for a redeem request.
        reservations: The reservations before the decision.
        events: What it would add: the reservations that it would change decided it too.
    """
    code = past.code
    if code is None or isinstance(result, CodeUnknown):
        return Evidence([], 0)
    touched = {event.reservation_id for event in events if isinstance(event, ReservationEvent)}
    named = touched | {reservation_id}
    if isinstance(result, CommandResult) and result.reservation is not None:
        named.add(result.reservation.reservation_id)
    own = [reservations[key] for key in named if key in reservations]
    match result:
        case Refusal() if (deciding := _find_deciding_version(code, result)) is not None:
            return _select([deciding], own)
        case CodeIsPaused():
            return _select(_find_newest(states, past, CodePaused), own)
        case EmailMismatch():
            owners = {code.owner_id, code.bound_to}
            binding = [each for each in reservations.values() if each.recipient_id in owners and each.occupies_use]
            terms = [] if code.bound_to is None else _find_newest(states, past, *TERMS_EVENTS)
            return _select(terms, binding)
        case CodeHeld():
            pending = [each for each in reservations.values() if each.is_live and each.is_use]
            return _select(_find_newest(states, past, *TERMS_EVENTS), pending, count=code.reserved)
        case CodeExhausted():
            return _find_counted(states, past)
        case Refusal() if not isinstance(result, TERMS_REFUSALS):
            revoked = [] if code.revoked_by is None else [code.revoked_by]
            return _select(revoked, own)
        case _:
            decided_by_code = not own or isinstance(result, TERMS_REFUSALS) or bool(touched - {reservation_id})
            return _select(_find_newest(states, past, *TERMS_EVENTS) if decided_by_code else [], own)


def _find_deciding_version(code: RedeemCode, refusal: Refusal) -> int | None:
    """Return the version of the only event of the code that a refusal rests on; None if there may be others."""
    if refusal.campaign_id is not None and not isinstance(refusal, ReservationNotResolvable):
        return code.campaign_since
    return code.revoked_by if isinstance(refusal, CodeIsRevoked) else None


def _select(versions: Iterable[int], reservations: Sequence[Reservation], count: int | None = None) -> Evidence:
    """Return these versions, and how each of these reservations began and came to its state; bounded.

    Args:
        versions: Events about the code itself.
        reservations: Reservations that decided.
        count: How many reservations there are, where not all were loaded.
    """
    code_versions = sorted(set(versions))
    of_reservations = sorted({version for each in reservations for version in (each.versions[0], each.moved_by)})
    shown = of_reservations[-(EVIDENCE_MAX - len(code_versions)) :]
    unloaded = 0 if count is None else count - len(reservations)
    left_out = len(of_reservations) - len(shown) + unloaded
    return Evidence(sorted({*code_versions, *shown}), left_out)


def _find_newest(states: PastStateReader, past: PastState, *types: type[Event]) -> list[int]:
    """Return the version of the newest event of these types, which are about the code itself."""
    versions = [mark.last for mark in states.list_landmarks(past.code_id, past.version) if mark.event_type in types]
    return [max(versions)] if versions else []


def _find_counted(states: PastStateReader, past: PastState) -> Evidence:
    """Return the terms, and the newest events that counted the uses which still counted then."""
    terms = _find_newest(states, past, *TERMS_EVENTS)
    query = HistoryQuery(
        past.code_id, 0, past.version, [topic for kind in COUNTING_EVENTS for topic in topics_of(kind)]
    )
    newest = states.list_versions(query, after=None, newest_first=True, limit=2 * EVIDENCE_MAX)
    entries = [
        entry
        for entry in states.read_entries(past.code_id, newest)
        if entry.before is None or entry.state.used > entry.before.used
    ]
    ids = {entry.event.reservation_id for entry in entries if isinstance(entry.event, ReservationEvent)}
    loaded = {reservation.reservation_id: reservation for reservation in states.fold_related(past, ids, ())}
    counted = [entry for entry in entries if _still_counts(entry.event, loaded)][: EVIDENCE_MAX - len(terms)]
    named = sum(entry.event.uses if isinstance(entry.event, OpeningBalanceImported) else 1 for entry in counted)
    used = 0 if past.code is None else past.code.used
    return Evidence(sorted({*terms, *(entry.version for entry in counted)}), used - named)


def _still_counts(event: Event, reservations: Mapping[UUID, Reservation]) -> bool:
    """Return whether the uses that an event counted were still counted at the time of the reservations' states."""
    if not isinstance(event, ReservationEvent):
        return True
    reservation = reservations.get(event.reservation_id)
    return reservation is not None and reservation.status == "sent"
