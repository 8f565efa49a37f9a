"""Open and close cases: items that only staff may decide. A reservation has at most one open case."""

from typing import Literal
from uuid import UUID, uuid5

from domain.commands.context import EventStamp, id_of_text
from domain.events.reservation import CaseClosed, CaseOpened
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
"""Why a case is opened. The runbook has a section for each; events of other versions may have other causes."""

REMOVED_BY_HAND = "removed_by_hand"
REMOVED = "removed"
RESOLVED_BY_RETRY = "tried_again"
REMOVAL_RESOLUTIONS = frozenset({REMOVED_BY_HAND, REMOVED, RESOLVED_BY_RETRY})
"""Results of a case about an access that could not be removed, whatever happens to the use."""


def derive_case_id(reservation: Reservation) -> UUID:
    """Return an id for a case opened by a command that brings no id; the same one each time it is decided."""
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
    """Return the start of a case about a reservation's newest delivery, unless another delivery is named."""
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
    """Return the end of a reservation's open case; empty if it has none, or one that does not end so."""
    if reservation.case_id is None or (is_removal_case(reservation) and how not in REMOVAL_RESOLUTIONS):
        return []
    event = CaseClosed(
        **stamp.for_reservation(reservation),
        case_id=reservation.case_id,
        how=how,
        text_id=id_of_text(note),
        caused_by=caused_by,
    )
    return [event]


def is_removal_case(reservation: Reservation) -> bool:
    """Return whether the open case is about an access that could not be removed."""
    return reservation.access is not None and reservation.access.removal == "removal_failed"
