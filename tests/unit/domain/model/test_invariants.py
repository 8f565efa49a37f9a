"""Each invariant is able to fail: one event that breaks it is named, the right one is not."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.events.access import (
    AccessCorrected,
    AccessExpired,
    AccessRemoved,
    AccessReplaced,
    AccessRevoked,
    ExpiryAnnounced,
    InviteReminded,
)
from domain.events.code import CodeIssued, CodeJoinedCampaign, CodeTermsChanged, OpeningBalanceImported
from domain.events.event import Event
from domain.events.reservation import (
    CaseClosed,
    CaseOpened,
    InviteAccepted,
    InviteAttempted,
    InviteBounced,
    InviteFailed,
    InviteLinkRevealed,
    InviteOutcomeUnknown,
    InviteReleased,
    InviteSent,
    LateSuccessRecorded,
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
    InvariantViolationError,
    check_balance,
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
JOINED = CodeJoinedCampaign(at=START, actor="staff", campaign_id=OTHER)
RESERVED = UseReserved(**OPENED_FIELDS, reservation_id=ID)
TIMED = UseReserved(**OPENED_FIELDS, reservation_id=ID, validity_days=30)
EXPIRED = AccessExpired(at=START, actor="sweep", reservation_id=ID)
OVER = AccessExpired(at=START + timedelta(days=30), actor="sweep", reservation_id=ID)
REPLACED = AccessReplaced(at=START, actor="worker", reservation_id=ID, by=OTHER)
REMOVED = AccessRemoved(at=START, actor="sweep", reservation_id=ID, channel="c", server="s", cause="expired")
ANNOUNCED = ExpiryAnnounced(at=START, actor="sweep", reservation_id=ID, days=7)
REMINDED = InviteReminded(at=START, actor="sweep", reservation_id=ID, days=7)
ACCEPTED = InviteAccepted(at=START, actor="person", reservation_id=ID, delivery=1, via="link")
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
BOUNCED = InviteBounced(at=START, actor="worker", reservation_id=ID, reason="mailbox_unknown")
CAME_BACK = replace(REFUNDED, actor="worker", cause="bounced", held="used")
ONCE = (RESERVED, replace(ATTEMPTED, reservation_id=ID, channel="smtp"), SENT)
REVEALED = InviteLinkRevealed(at=START, actor="staff", reservation_id=ID, delivery=1)
REPORTED = "invariant 16: a bounce refunds nothing uncertain"


def code_after(*events: Event) -> RedeemCode:
    code = evolve_code(None, ID, 1, ISSUED)
    for version, event in enumerate(events, start=2):
        code = evolve_code(code, ID, version, event)
    return code


def item_after(*events: ReservationEvent) -> Reservation:
    return fold_reservation(ID, enumerate(events, start=2))


@pytest.mark.parametrize(
    ("before", "event", "broken"),
    [
        (
            code_after(RESERVED),
            replace(RESERVED, reservation_id=OTHER),
            "invariant 1: no use is granted beyond the limit",
        ),
        (code_after(RESERVED), replace(SENT, at=START - timedelta(seconds=1)), "event log: time never goes back"),
        (code_after(RESERVED), JOINED, "invariant 12: a code joins one campaign, without reserved uses"),
        (code_after(JOINED), JOINED, "invariant 12: a code joins one campaign, without reserved uses"),
    ],
)
def test_event_that_breaks_a_rule_of_the_code_is_named(before: RedeemCode, event: Event, broken: str) -> None:
    assert [broken] == find_broken_code_rules(before, event, evolve_code(before, ID, 9, event))


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"used": 1, "sent_binding": 1}, "invariant 3: only a success counts"),
        ({"owner_id": None}, "rule 9: bound while taken"),
        ({"reserved": 2}, "invariant 1: no use is granted beyond the limit"),
    ],
)
def test_state_that_does_not_follow_is_named(change: dict[str, object], broken: str) -> None:
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
        (item_after(*ONCE, BOUNCED), BOUNCED, [REPORTED]),
        (item_after(*ONCE), CAME_BACK, [REPORTED]),
        (item_after(*ONCE, ACCEPTED, BOUNCED), CAME_BACK, [REPORTED]),
        (item_after(*ONCE, REVEALED, BOUNCED), CAME_BACK, [REPORTED]),
        (item_after(*ONCE[:-1], UNKNOWN, SENT, BOUNCED), CAME_BACK, [REPORTED]),
        (
            item_after(*ONCE[:-1], replace(ATTEMPTED, reservation_id=ID, attempt=2), SENT, BOUNCED),
            CAME_BACK,
            [REPORTED],
        ),
        (item_after(*ONCE, BOUNCED), CAME_BACK, []),
    ],
)
def test_event_that_breaks_a_rule_of_the_reservation_is_named(
    before: Reservation, event: ReservationEvent, broken: list[str]
) -> None:
    assert broken == find_broken_reservation_rules(before, event, evolve_reservation(before, ID, 9, event))


def test_rebind_that_takes_a_use_is_named() -> None:
    """Reserved, counted or refunded: each would belong to a recipient."""
    before = code_after(RESERVED, SENT)
    event = RebindReserved(**OPENED_FIELDS, reservation_id=OTHER, moves=1)
    for change in ({"reserved": 1}, {"used": 0, "sent_binding": 0, "owner_id": None}):
        after = replace(evolve_code(before, ID, 4, event), **change)

        assert "invariant 3: a rebind takes no use" in find_broken_code_rules(before, event, after)


def test_end_that_moves_is_named() -> None:
    before = item_after(TIMED, SENT)
    after = replace(before, access=Access(validity_days=31))

    assert find_broken_reservation_rules(before, ANNOUNCED, after) == ["access: its end does not move"]


def test_verify_names_pending_reservations_without_deadline_or_case() -> None:
    """A parked reservation without a case would never be decided."""

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
        ([*FORMER_SENT, HELD_BACK, TAKEN_AWAY, FREED, replace(RESERVED, reservation_id=UUID(int=3))], 0),
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


def test_right_history_breaks_nothing() -> None:
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
    assert (len(CODE_RULES), len(RESERVATION_RULES)) == (6, 13)


BALANCED = replace(code_after(), used=2, reserved=1, sent_binding=1, terms=replace(code_after().terms, max_uses=3))


@pytest.mark.parametrize(
    ("change", "is_right"),
    [
        ({}, True),
        ({"used": 0, "sent_binding": 0}, True),
        ({"reserved": 0}, True),
        ({"sent_binding": 2}, True),
        ({"sent_binding": 0}, True),
        ({"terms": replace(BALANCED.terms, max_uses=None)}, True),
        ({"reserved": 2}, False),
        ({"used": 3}, False),
        ({"used": -1, "sent_binding": -1}, False),
        ({"reserved": -1}, False),
        ({"sent_binding": -1}, False),
        ({"sent_binding": 3}, False),
    ],
)
def test_balance_keeps_the_limit_and_no_counter_is_negative(change: dict[str, Any], *, is_right: bool) -> None:
    code = replace(BALANCED, **change)

    if is_right:
        assert check_balance(BALANCED, RESERVED, code) is code
    else:
        numbers = rf"used {code.used}, reserved {code.reserved}, limit 3$"
        with pytest.raises(InvariantViolationError, match=rf"^code {ID} at version 1: {numbers}"):
            check_balance(BALANCED, RESERVED, code)


RETAKEN = LateSuccessRecorded(
    at=START, actor="worker", reservation_id=ID, attempt=1, recipient_id=OTHER, server="mx", effect="retaken"
)
OPENING = OpeningBalanceImported(at=START, actor="import", uses=2, source="old", reason="stated")
USED_REFUND = replace(REFUNDED, held="used")
LOWERED = CodeTermsChanged(at=START, actor="staff", max_uses=2, counting="all")
OVER_LIMIT = replace(BALANCED, terms=LOWERED.terms)


@pytest.mark.parametrize(
    ("before", "event", "is_right"),
    [
        (BALANCED, LOWERED, True),
        (BALANCED, replace(LOWERED, counting=None), False),
        (BALANCED, replace(LOWERED, counting="from_now"), False),
        (replace(BALANCED, terms=replace(BALANCED.terms, max_uses=None)), replace(LOWERED, counting=None), False),
        (OVER_LIMIT, replace(LOWERED, counting=None, validity_days=3), True),
        (replace(OVER_LIMIT, terms=replace(LOWERED.terms, max_uses=1)), replace(LOWERED, counting=None), True),
        (OVER_LIMIT, SENT, True),
        (OVER_LIMIT, RESERVED, False),
        (replace(OVER_LIMIT, reserved=0), HELD_BACK, True),
        (OVER_LIMIT, CAME_BACK, True),
        (OVER_LIMIT, RETAKEN, False),
        (OVER_LIMIT, OPENING, False),
    ],
)
def test_uses_over_a_limit_stay_and_none_is_added(before: RedeemCode, event: Event, *, is_right: bool) -> None:
    """Only a choice of staff sets a limit below the uses, and a correction only moves one of them."""
    after = evolve_code(before, ID, before.version + 1, event)

    broken = find_broken_code_rules(before, event, after)

    assert ("invariant 1: no use is granted beyond the limit" not in broken) is is_right


@pytest.mark.parametrize(
    ("event", "changes"),
    [
        (SENT, {0, 1}),
        (RETAKEN, {1}),
        (replace(RETAKEN, effect="duplicate"), {0}),
        (replace(RETAKEN, kind="rebind"), {0}),
        (USED_REFUND, {-1}),
        (REFUNDED, {0}),
        (replace(USED_REFUND, kind="rebind"), {0}),
        (OPENING, {2}),
        (replace(OPENING, uses=1), {1}),
        (replace(OPENING, uses=0), set()),
        (RESERVED, {0}),
    ],
)
def test_event_counts_exactly_its_uses(event: Event, changes: set[int]) -> None:
    before = replace(code_after(), used=5)
    rule = CODE_RULES["invariant 3: only a success counts"]

    assert {change for change in range(-3, 4) if rule(before, event, replace(before, used=5 + change))} == changes
    assert rule(None, ISSUED, replace(before, used=0))
    assert not rule(None, ISSUED, replace(before, used=1))


@pytest.mark.parametrize(
    "event",
    [RebindReserved(**OPENED_FIELDS, reservation_id=OTHER), replace(SENT, kind="rebind")],
    ids=["reserved", "sent"],
)
@pytest.mark.parametrize("change", [{"used": 4}, {"reserved": 1}, {"owner_id": OTHER}, {}], ids=str)
def test_rebind_changes_no_part_of_the_balance(event: Event, change: dict[str, Any]) -> None:
    before = replace(code_after(), used=5)
    rule = CODE_RULES["invariant 3: a rebind takes no use"]

    assert rule(before, event, replace(before, **change)) is (change == {})
    assert rule(before, SENT, replace(before, **change))
    assert rule(None, event, replace(before, **change))


@pytest.mark.parametrize(
    ("change", "is_right"),
    [
        ({}, True),
        ({"owner_id": OTHER}, False),
        ({"owner_id": OTHER, "reserved": 1}, True),
        ({"owner_id": OTHER, "sent_binding": 1}, True),
        ({"reserved": 1}, False),
        ({"sent_binding": 1}, False),
        ({"bound": False, "reserved": 1}, True),
        ({"bound": False, "reserved": 1, "owner_id": OTHER}, False),
    ],
)
def test_code_has_an_owner_exactly_while_a_use_binds_it(change: dict[str, Any], *, is_right: bool) -> None:
    assert CODE_RULES["rule 9: bound while taken"](None, ISSUED, replace(code_after(), **change)) is is_right


def check_reservation_rule(rule: str, before: Reservation | None, event: ReservationEvent) -> bool:
    """Whether an event keeps one rule, whatever the state after it."""
    return RESERVATION_RULES[rule](before, event, before or item_after(RESERVED))


LIVE, TIMED_SENT = item_after(RESERVED), item_after(TIMED, SENT)
UNKNOWN_LIVE, PARKED = item_after(RESERVED, UNKNOWN), item_after(RESERVED, CASE_OPENED)
STAFF_REFUND = replace(REFUNDED, actor="staff", cause="resolved")
STAFF_REVOKED = AccessRevoked(at=START, actor="staff", reservation_id=ID)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("rule", "before", "event", "is_right"),
    [
        ("invariant 4: sent once per delivery", None, SENT, False),
        ("invariant 4: sent once per delivery", None, RESERVED, True),
        ("invariant 4: sent once per delivery", TIMED_SENT, replace(SENT, delivery=2), True),
        ("invariant 4: taken and refunded by turns", None, RESERVED, True),
        ("invariant 4: taken and refunded by turns", LIVE, RESERVED, False),
        ("invariant 4: taken and refunded by turns", None, CASE_OPENED, False),
        ("invariant 4: taken and refunded by turns", TIMED_SENT, replace(SENT, delivery=2), True),
        ("invariant 4: taken and refunded by turns", TIMED_SENT, RETAKEN, False),
        ("invariant 4: taken and refunded by turns", TIMED_SENT, replace(RETAKEN, effect="duplicate"), True),
        ("invariant 4: taken and refunded by turns", item_after(RESERVED, REFUNDED), RETAKEN, True),
        ("invariant 4: taken and refunded by turns", TIMED_SENT, USED_REFUND, True),
        ("invariant 4: taken and refunded by turns", LIVE, USED_REFUND, False),
        ("invariant 10: no machine refunds an unknown", UNKNOWN_LIVE, STAFF_REFUND, True),
        ("invariant 10: no machine refunds an unknown", UNKNOWN_LIVE, replace(STAFF_REFUND, cause="staff"), False),
        ("invariant 10: no machine refunds an unknown", UNKNOWN_LIVE, replace(STAFF_REFUND, actor="sweep"), False),
        ("invariant 10: no machine refunds an unknown", UNKNOWN_LIVE, SENT, True),
        ("invariant 10: no machine refunds an unknown", LIVE, REFUNDED, True),
        ("invariant 10: no machine refunds an unknown", item_after(RESERVED, UNKNOWN, SENT), USED_REFUND, True),
        ("invariant 10: no machine refunds an unknown", None, REFUNDED, True),
        ("rule 6: one case at a time", None, CASE_OPENED, True),
        ("rule 6: one case at a time", PARKED, replace(CLOSED, case_id=ID), True),
        ("rule 6: one case at a time", None, CLOSED, False),
        ("access: ends once, not early", None, EXPIRED, False),
        ("access: ends once, not early", TIMED_SENT, OVER, True),
        ("access: ends once, not early", TIMED_SENT, replace(OVER, at=OVER.at - timedelta(microseconds=1)), False),
        ("access: ends once, not early", item_after(RESERVED, SENT), OVER, False),
        ("access: ends once, not early", None, REPLACED, False),
        ("access: ends once, not early", TIMED_SENT, REPLACED, True),
        ("access: ends once, not early", item_after(TIMED, SENT, OVER), REPLACED, False),
        ("access: ends once, not early", None, CORRECTED, False),
        ("access: ends once, not early", item_after(RESERVED, MOVED_AWAY), CORRECTED, True),
        ("access: ends once, not early", item_after(TIMED, MOVED_AWAY), CORRECTED, True),
        ("access: ends once, not early", item_after(RESERVED, REFUNDED), CORRECTED, False),
        ("access: ends once, not early", None, STAFF_REVOKED, False),
        ("access: ends once, not early", LIVE, STAFF_REVOKED, True),
        ("access: ends once, not early", TIMED_SENT, STAFF_REVOKED, True),
        ("access: ends once, not early", item_after(TIMED, SENT, OVER), STAFF_REVOKED, False),
        ("access: ends once, not early", item_after(TIMED, SENT, OVER), replace(STAFF_REVOKED, actor="channel"), True),
        ("access: removed after its end", None, REMOVED, False),
        ("access: removed after its end", LIVE, REMOVED, False),
        ("access: removed after its end", item_after(TIMED, SENT, OVER), REMOVED, True),
        ("access: its end is announced once", None, ANNOUNCED, False),
        ("access: its end is announced once", TIMED_SENT, ANNOUNCED, True),
        ("access: its end is announced once", item_after(TIMED, SENT, ANNOUNCED), replace(ANNOUNCED, days=3), True),
        ("access: its end is announced once", item_after(TIMED, SENT, REMINDED), ANNOUNCED, False),
        ("access: its end is announced once", item_after(TIMED, SENT, REMINDED), replace(ANNOUNCED, days=3), True),
        ("access: its recipient is reminded once", None, REMINDED, False),
        ("access: its recipient is reminded once", TIMED_SENT, REMINDED, True),
        ("access: its recipient is reminded once", item_after(TIMED, SENT, REMINDED), REMINDED, False),
        ("access: its recipient is reminded once", TIMED_SENT, replace(REMINDED, at=START + 30 * DAY), False),
        ("access: its recipient is reminded once", item_after(TIMED, SENT, ACCEPTED), REMINDED, False),
        ("access: its recipient is reminded once", item_after(TIMED, SENT, OVER), REMINDED, False),
        ("access: its recipient is reminded once", item_after(TIMED), REMINDED, False),
        ("access: its end is announced once", TIMED_SENT, replace(ANNOUNCED, at=START + 30 * DAY), False),
        ("access: its end is announced once", item_after(TIMED, SENT, OVER), ANNOUNCED, False),
        ("access: its end is announced once", item_after(TIMED), ANNOUNCED, False),
        ("rule 4: a connection spends no attempt", None, RESERVED, True),
        ("invariant 11: nothing is sent while it waits", None, ATTEMPTED, False),
        ("invariant 11: nothing is sent while it waits", LIVE, ATTEMPTED, True),
        ("invariant 11: nothing is sent while it waits", LIVE, SENT, True),
        ("invariant 11: nothing is sent while it waits", item_after(HELD_BACK), SENT, False),
        ("invariant 11: nothing is sent while it waits", None, RELEASED, False),
        ("invariant 11: nothing is sent while it waits", item_after(HELD_BACK), RELEASED, True),
    ],
)
def test_rule_holds_exactly_where_it_says(
    rule: str, before: Reservation | None, event: ReservationEvent, *, is_right: bool
) -> None:
    assert check_reservation_rule(rule, before, event) is is_right


def test_release_of_an_invitation_that_waits_for_nothing_breaks_the_order() -> None:
    for before in (None, item_after(RESERVED)):
        broken = Corrections().find_broken_rules(before, RELEASED, item_after(RESERVED))
        assert broken == ["invariant 11: a corrected invitation waits for the former end"]


def test_corrections_of_one_code_say_nothing_about_the_next() -> None:
    corrections, states = Corrections(), dict[UUID, Reservation]()
    for version, event in enumerate([*FORMER_SENT, HELD_BACK, TAKEN_AWAY], start=2):
        before = states.get(event.reservation_id)
        states[event.reservation_id] = evolve_reservation(before, ID, version, event)
        assert corrections.find_broken_rules(before, event, states[event.reservation_id]) == []

    event = replace(RESERVED, reservation_id=UUID(int=3))
    assert corrections.find_broken_rules(None, event, evolve_reservation(None, OTHER, 2, event)) == []


def test_release_whose_start_was_not_seen_is_named_and_not_an_error() -> None:
    """A log that is checked from a later event on."""
    before = item_after(HELD_BACK)

    broken = Corrections().find_broken_rules(before, FREED, replace(before, waits_for=None))

    assert broken == ["invariant 11: a corrected invitation waits for the former end"]
