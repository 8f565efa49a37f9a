"""From folded states to rows of the read models: one place, used by the live path and by rebuild alike."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast
from uuid import UUID

from msgspec import structs

from domain.events import CaseClosed, CaseOpened, Event
from domain.events.code_terms import TERM_NAMES, CodeTerms
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from projections.database.binary_arrays import (
    BIGS,
    BOOLEANS,
    BYTEAS,
    INTEGERS,
    SMALLS,
    TEXTS,
    TIMESTAMPS,
    UUIDS,
    ArrayType,
)


def _array_literal(versions: tuple[int, ...]) -> bytes:
    """unnest takes apart arrays of arrays too, so within a batch each row's versions travel as text such as {1,2}."""
    return TEXTS.write("{" + ",".join(map(str, versions)) + "}")


ARRAY_OF_INT8 = ArrayType(TEXTS.item_oid, TEXTS.array_oid, _array_literal)
"""The versions of a reservation's events."""

EVENT_KINDS = (UUIDS, BIGS, TEXTS, BYTEAS)
"""Types of the columns of an event: stream, version, topic, state."""
BALANCE_KINDS = (
    *(UUIDS, BIGS, TIMESTAMPS, TIMESTAMPS, BIGS, BIGS, BIGS),
    *(BOOLEANS, UUIDS, BIGS, TIMESTAMPS, INTEGERS, TEXTS, BOOLEANS, BIGS, INTEGERS, UUIDS),
)
"""Types of a balance row's columns."""
RESERVATION_KINDS = (
    *(UUIDS, UUIDS, UUIDS, ARRAY_OF_INT8, TEXTS, TEXTS, TIMESTAMPS, TIMESTAMPS),
    *(TIMESTAMPS, TIMESTAMPS, SMALLS, SMALLS, BOOLEANS, UUIDS, UUIDS),
    *(TIMESTAMPS, TIMESTAMPS, TIMESTAMPS, TEXTS, TIMESTAMPS, BOOLEANS),
)
"""Types of a reservation row's columns, laid out as in the statement."""
CASE_KINDS = (UUIDS, UUIDS, UUIDS, SMALLS, TEXTS, TIMESTAMPS, TIMESTAMPS, TEXTS)
CLOSED_CASE_KINDS = (UUIDS, TIMESTAMPS, TEXTS)


def balance_row(code: RedeemCode) -> tuple[Any, ...]:
    """`code_balances`, in the order of its columns."""
    terms = code.terms
    return (
        code.code_id,
        code.version,
        code.issued_at,
        code.last_at,
        terms.max_uses,
        code.used,
        code.reserved,
        code.bound,
        code.owner_id,
        code.sent_binding,
        terms.expires_at,
        terms.validity_days,
        terms.group,
        code.is_paused,
        code.revoked_by,
        terms.rebinds_max,
        code.bound_to,
    )


def _order_of_balance_row() -> tuple[str, ...]:
    """Find which field of a code each value of its row is: the row of a code whose fields hold their own names."""
    names = [field.name for field in structs.fields(RedeemCode) if field.name != "terms"]
    make_code, make_terms = cast("Any", RedeemCode), cast("Any", CodeTerms)
    code = make_code(terms=make_terms(*TERM_NAMES), **{name: name for name in names})
    order = balance_row(code)
    if sorted(order) != sorted([*names, *TERM_NAMES]):
        raise AssertionError("a balance row must hold every field and term of a code as it is, so that it is read back")
    return order


BALANCE_FIELDS: Final = _order_of_balance_row()
"""Field or term of a code by its place in a row of `code_balances`."""
_TERM_PLACES: Final = tuple(BALANCE_FIELDS.index(name) for name in TERM_NAMES)
_FIELD_PLACES: Final = tuple((n, name) for n, name in enumerate(BALANCE_FIELDS) if name not in TERM_NAMES)


def code_from_row(row: Sequence[Any]) -> RedeemCode:
    """Build the code of a row of `code_balances`, the values in the order of its columns."""
    terms = CodeTerms(*(row[place] for place in _TERM_PLACES))
    return RedeemCode(terms=terms, **{name: row[place] for place, name in _FIELD_PLACES})


def code_from_named_row(row: Mapping[str, Any]) -> RedeemCode:
    """Build the code of a row of `code_balances`, the values by the names of its columns."""
    return code_from_row([row[COLUMN_OF_FIELD.get(name, name)] for name in BALANCE_FIELDS])


COLUMN_OF_FIELD: Final = {"group": "group_name"}
"""Columns whose names are not those of the field or term."""


def reservation_row(reservation: Reservation) -> tuple[Any, ...]:
    """`reservations`, in the order of its columns."""
    return (
        reservation.reservation_id,
        reservation.code_id,
        reservation.recipient_id,
        reservation.versions,
        reservation.status,
        reservation.kind,
        reservation.reserved_at,
        reservation.deadline,
        reservation.due_at,
        None if reservation.lease is None else reservation.lease.until,
        reservation.delivery,
        reservation.attempts,
        reservation.ever_unknown,
        reservation.case_id,
        reservation.follows,
        reservation.sent_at,
        reservation.accepted_at,
        reservation.refunded_at,
        reservation.refund_cause,
        reservation.access_due_at,
        reservation.is_deferred,
    )


def case_rows(events: Iterable[tuple[UUID, Event]]) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """What events (each with its code) do to `cases`: rows to insert, and (case, time, how) of others to close."""
    opened: dict[UUID, tuple[Any, ...]] = {}
    closed: list[tuple[Any, ...]] = []
    for code_id, event in events:
        if isinstance(event, CaseOpened):
            opening = (event.case_id, code_id, event.reservation_id, event.delivery, event.cause, event.at)
            opened[event.case_id] = (*opening, None, None)
        elif isinstance(event, CaseClosed):
            if (row := opened.get(event.case_id)) is not None:
                opened[event.case_id] = (*row[:-2], event.at, event.how)
            else:
                closed.append((event.case_id, event.at, event.how))
    return list(opened.values()), closed


PROJECTIONS: Final[Mapping[str, Sequence[ArrayType]]] = {
    "code_balances": BALANCE_KINDS,
    "reservations": RESERVATION_KINDS,
    "cases": CASE_KINDS,
}
"""Every read model by the name of its table, in the order in which tables are locked."""
