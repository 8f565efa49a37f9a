"""Opening and closing a case: what only a person may decide. A reservation has at most one open case."""

from typing import Literal
from uuid import UUID, uuid5

from domain.commands.context import EventStamp
from domain.events import CaseClosed, CaseOpened
from domain.model.reservation import Reservation
from domain.ports import TextDraft

CaseCause = Literal[
    "unknown_outcome",
    "resend_failed",
    "resend_expired",
    "resend_unknown",
    "bounced",
    "no_free_use",
    "bound_to_another",
    "newer_reservation",
    "corrected_meanwhile",
    "grant_ended",
    "removal_failed",
    "address_mismatch",
]
"""Why a case is opened. The runbook says of each what to do; events of other versions may hold others."""

REMOVED_BY_HAND = "removed_by_hand"
REMOVED = "removed"
RESOLVED_BY_RETRY = "tried_again"
REMOVAL_RESOLUTIONS = frozenset({REMOVED_BY_HAND, REMOVED, RESOLVED_BY_RETRY})
"""How the case of an access that could not be taken away ends: somebody still has it, whatever becomes of the use."""


def derive_case_id(reservation: Reservation) -> UUID:
    """An id for a case that a command without an id for one has to open: the same however often it is decided."""
    return uuid5(reservation.reservation_id, f"case {reservation.moved_by}")


def open_case(
    reservation: Reservation,
    stamp: EventStamp,
    case_id: UUID,
    cause: CaseCause,
    *,
    caused_by: int | None,
    delivery: int | None = None,
) -> CaseOpened:
    """A new case about a reservation's newest delivery, unless another one is named."""
    return CaseOpened(
        **stamp.for_reservation(reservation),
        delivery=delivery or reservation.delivery,
        case_id=case_id,
        cause=cause,
        caused_by=caused_by,
    )


def close_case(
    reservation: Reservation,
    stamp: EventStamp,
    how: str,
    *,
    caused_by: int | None = None,
    note: TextDraft | None = None,
) -> list[CaseClosed]:
    """The end of a reservation's open case; empty if it has none, or one that does not end so."""
    if reservation.case_id is None or (is_removal_case(reservation) and how not in REMOVAL_RESOLUTIONS):
        return []
    event = CaseClosed(
        **stamp.for_reservation(reservation),
        case_id=reservation.case_id,
        how=how,
        text_id=note.text_id if note else None,
        caused_by=caused_by,
    )
    return [event]


def is_removal_case(reservation: Reservation) -> bool:
    """Whether the open case is that of an access which could not be taken away."""
    return reservation.access is not None and reservation.access.removal == "removal_failed"
