"""Each invariant is able to fail: one event that breaks it is named, the right one is not."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.events import (
    AccessCorrected,
    AccessExpired,
    AccessRemoved,
    AccessReplaced,
    CaseClosed,
    CaseOpened,
    CodeIssued,
    Event,
    ExpiryAnnounced,
    InviteAttempted,
    InviteFailed,
    InviteOutcomeUnknown,
    InviteReleased,
    InviteSent,
    RebindReserved,
    ReservationEvent,
    UseRefunded,
    UseReserved,
)
from domain.model.access import Access
from domain.model.invariants import (
    CODE_RULES,
    RESERVATION_RULES,
    Corrections,
    find_broken_code_rules,
    find_broken_reservation_rules,
)
from domain.model.redeem_code import RedeemCode, evolve_code
from domain.model.reservation import Reservation
from domain.model.reservation_transitions import evolve_reservation, fold_reservation
from tests.support.ledger.scenario import START

ID, OTHER = UUID(int=1), UUID(int=2)
ISSUED = CodeIssued(at=START, actor="operator", max_uses=1)
OPENED_FIELDS: dict[str, Any] = {
    "at": START,
    "actor": "person",
    "recipient_id": OTHER,
    "deadline": START,
    "language": "zh",
}
RESERVED = UseReserved(**OPENED_FIELDS, reservation_id=ID)
TIMED = UseReserved(**OPENED_FIELDS, reservation_id=ID, validity_days=30)
EXPIRED = AccessExpired(at=START, actor="sweep", reservation_id=ID)
OVER = AccessExpired(at=START + timedelta(days=30), actor="sweep", reservation_id=ID)
REPLACED = AccessReplaced(at=START, actor="worker", reservation_id=ID, by=OTHER)
REMOVED = AccessRemoved(at=START, actor="sweep", reservation_id=ID, channel="c", server="s", cause="expired")
ANNOUNCED = ExpiryAnnounced(at=START, actor="sweep", reservation_id=ID, days=7)
SENT = InviteSent(at=START, actor="worker", reservation_id=ID, attempt=1, server="mx:25")
UNKNOWN = InviteOutcomeUnknown(at=START, actor="worker", reservation_id=ID, attempt=1, cause="timeout")
REFUNDED = UseRefunded(at=START, actor="sweep", reservation_id=ID, cause="deadline", held="reserved")
CASE_OPENED = CaseOpened(at=START, actor="sweep", reservation_id=ID, case_id=ID, cause="unknown_outcome")
MOVED_AWAY = UseRefunded(at=START, actor="staff", reservation_id=ID, cause="corrected", held="reserved")
CORRECTED = AccessCorrected(at=START, actor="staff", reservation_id=ID, by=OTHER)
HELD_BACK = UseReserved(**OPENED_FIELDS, reservation_id=OTHER, corrects=ID, waits_for=ID)
RELEASED = InviteReleased(at=START, actor="sweep", reservation_id=ID, deadline=START)
ATTEMPTED = InviteAttempted(
    at=START, actor="worker", reservation_id=OTHER, attempt=1, lease_until=START, channel="webhook"
)
CLOSED = CaseClosed(at=START, actor="staff", reservation_id=ID, case_id=OTHER, how="resolved_sent")


def code_after(*events: Event) -> RedeemCode:
    """A code with these events."""
    code = evolve_code(None, ID, 1, ISSUED)
    for version, event in enumerate(events, start=2):
        code = evolve_code(code, ID, version, event)
    return code


def item_after(*events: ReservationEvent) -> Reservation:
    """A reservation with these events."""
    return fold_reservation(ID, enumerate(events, start=2))


@pytest.mark.parametrize(
    ("before", "event", "broken"),
    [
        (code_after(RESERVED), replace(RESERVED, reservation_id=OTHER), "invariant 1: uses stay within the limit"),
        (code_after(RESERVED), replace(SENT, at=START - timedelta(seconds=1)), "event log: time never goes back"),
    ],
)
def test_an_event_that_breaks_a_rule_of_the_code_is_named(before: RedeemCode, event: Event, broken: str) -> None:
    """One reservation too many; a moment before the last one."""
    assert [broken] == find_broken_code_rules(before, event, evolve_code(before, ID, 9, event))


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"used": 1, "sent_binding": 1}, "invariant 3: only a success counts"),
        ({"owner_id": None}, "rule 9: bound while taken"),
        ({"reserved": 2}, "invariant 1: uses stay within the limit"),
    ],
)
def test_a_state_that_does_not_follow_is_named(change: dict[str, object], broken: str) -> None:
    """A use that no event counts, a binding that is lost: a fold that is wrong would be found."""
    before = code_after()
    after = replace(evolve_code(before, ID, 2, RESERVED), **change)

    assert broken in find_broken_code_rules(before, RESERVED, after)


@pytest.mark.parametrize(
    ("before", "event", "broken"),
    [
        (
            item_after(RESERVED, SENT),
            SENT,
            ["invariant 4: sent once per delivery", "invariant 4: taken and refunded by turns"],
        ),
        (item_after(RESERVED, SENT), REFUNDED, ["invariant 4: taken and refunded by turns"]),
        (item_after(RESERVED, REFUNDED), REFUNDED, ["invariant 4: taken and refunded by turns"]),
        (item_after(RESERVED, UNKNOWN), REFUNDED, ["invariant 10: no machine refunds an unknown"]),
        (item_after(RESERVED, CASE_OPENED), CASE_OPENED, ["rule 6: one case at a time"]),
        (item_after(RESERVED), CLOSED, ["rule 6: one case at a time"]),
        (item_after(TIMED, SENT), EXPIRED, ["access: ends once, not early"]),
        (item_after(TIMED, SENT, OVER), OVER, ["access: ends once, not early"]),
        (item_after(RESERVED), REPLACED, ["access: ends once, not early"]),
        (item_after(TIMED, SENT), REMOVED, ["access: removed after its end"]),
        (item_after(TIMED, SENT, OVER, REMOVED), REMOVED, ["access: removed after its end"]),
        (item_after(TIMED, SENT, ANNOUNCED), ANNOUNCED, ["access: its end is announced once"]),
        (item_after(RESERVED, SENT), ANNOUNCED, ["access: its end is announced once"]),
        (item_after(RESERVED, SENT), CORRECTED, ["access: ends once, not early"]),
        (item_after(RESERVED, MOVED_AWAY, CORRECTED), CORRECTED, ["access: ends once, not early"]),
        (item_after(HELD_BACK), ATTEMPTED, ["invariant 11: nothing is sent while it waits"]),
        (item_after(RESERVED), RELEASED, ["invariant 11: nothing is sent while it waits"]),
    ],
)
def test_an_event_that_breaks_a_rule_of_the_reservation_is_named(
    before: Reservation, event: ReservationEvent, broken: list[str]
) -> None:
    """Sent twice, refunded twice or as what it isn't, an unknown refunded by the sweep, cases that cross.

    And an access that ends early, twice or before it began, is removed while it stands, or is announced twice.
    """
    assert broken == find_broken_reservation_rules(before, event, evolve_reservation(before, ID, 9, event))


def test_a_rebind_that_takes_a_use_is_named() -> None:
    """Held, counted or refunded: all of it would be somebody's use."""
    before = code_after(RESERVED, SENT)
    event = RebindReserved(**OPENED_FIELDS, reservation_id=OTHER, moves=1)
    for change in ({"reserved": 1}, {"used": 0, "sent_binding": 0, "owner_id": None}):
        after = replace(evolve_code(before, ID, 4, event), **change)

        assert "invariant 3: a rebind takes no use" in find_broken_code_rules(before, event, after)


def test_an_end_that_moves_is_named() -> None:
    """Whatever happens, the access ends when it was to end."""
    before = item_after(TIMED, SENT)
    after = replace(before, access=Access(validity_days=31))

    assert find_broken_reservation_rules(before, ANNOUNCED, after) == ["access: its end does not move"]


def test_verify_names_pending_reservations_without_deadline_or_case() -> None:
    """A parked reservation without a case would wait for nobody."""

    class ForgetfulState(Reservation, frozen=True, kw_only=True):
        @property
        def due_at(self) -> None:
            return None

    parked = item_after(RESERVED, CASE_OPENED)
    fields = {name: getattr(parked, name) for name in parked.__struct_fields__}
    forgotten = ForgetfulState(**{**fields, "case_id": None})

    assert find_broken_reservation_rules(item_after(RESERVED), CASE_OPENED, forgotten) == ["invariant 2: due or parked"]


@pytest.mark.parametrize("about_connection", [True, False])
def test_attempt_count_is_named_when_it_disagrees_with_a_failure(about_connection: bool) -> None:
    """A failure of the connection keeps the attempt, any other spends it: the reverse of each is named."""
    attempted = InviteAttempted(
        at=START, actor="worker", reservation_id=ID, attempt=1, lease_until=START, channel="smtp"
    )
    before = item_after(RESERVED, attempted)
    event = InviteFailed(
        at=START,
        actor="worker",
        reservation_id=ID,
        attempt=1,
        server="mx:25",
        reason="temporary",
        retry_at=START,
        about_connection=about_connection,
    )
    right = evolve_reservation(before, ID, 9, event)
    wrong = replace(right, attempts=1 - right.attempts)

    assert find_broken_reservation_rules(before, event, right) == []
    assert find_broken_reservation_rules(before, event, wrong) == ["rule 4: a connection spends no attempt"]


FORMER_SENT: list[ReservationEvent] = [
    RESERVED,
    replace(ATTEMPTED, reservation_id=ID),
    SENT,
    replace(MOVED_AWAY, held="used"),
    CORRECTED,
]
TAKEN_AWAY = replace(REMOVED, cause="corrected")
FREED = replace(RELEASED, reservation_id=OTHER)


@pytest.mark.parametrize(
    ("history", "broken"),
    [
        ([*FORMER_SENT, HELD_BACK, TAKEN_AWAY, FREED, replace(ATTEMPTED)], 0),
        ([*FORMER_SENT, replace(HELD_BACK, waits_for=None)], 1),
        ([*FORMER_SENT, HELD_BACK, FREED], 1),
        ([*FORMER_SENT, HELD_BACK, TAKEN_AWAY, replace(RESERVED, reservation_id=UUID(int=3))], 1),
        ([RESERVED, MOVED_AWAY, replace(HELD_BACK, waits_for=None)], 0),
        ([RESERVED, MOVED_AWAY, HELD_BACK], 1),
    ],
)
def test_corrections_name_an_invitation_that_does_not_wait_for_the_former_end(
    history: list[ReservationEvent], broken: int
) -> None:
    """It waits exactly while the former access is to be removed, and is released in the commit that removes it."""
    corrections, items = Corrections(), dict[UUID, Reservation]()
    broken_rules: list[str] = []
    for version, event in enumerate(history, start=2):
        before = items.get(event.reservation_id)
        after = evolve_reservation(before, ID, version, event)
        broken_rules += corrections.find_broken_rules(before, event, after)
        items[event.reservation_id] = after

    assert broken_rules == ["invariant 11: a corrected invitation waits for the former end"] * broken


def test_a_right_history_breaks_nothing() -> None:
    """Negative control: reserve, send, refund by staff."""
    back = replace(REFUNDED, actor="staff", cause="staff", held="used")
    code, reservation = code_after(), None
    for version, event in enumerate((RESERVED, SENT, back), start=2):
        after = evolve_code(code, ID, version, event)
        now = evolve_reservation(reservation, ID, version, event if reservation else RESERVED)

        assert (find_broken_code_rules(code, event, after), find_broken_reservation_rules(reservation, event, now)) == (
            [],
            [],
        )
        code, reservation = after, now


def test_every_rule_has_a_case_here() -> None:
    """A rule added without a test of its failure would be noticed."""
    assert (len(CODE_RULES), len(RESERVATION_RULES)) == (5, 11)
