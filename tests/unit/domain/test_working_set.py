"""What must not be committed is stopped where it would be recorded, whatever decision asked for it."""

from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.events.event import Event
from domain.events.reservation import CaseClosed, InviteSent, LateSuccessRecorded, UseRefunded
from domain.model.invariants import InvariantViolationError
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.working_set import WorkingSet
from tests.support.ledger.scenario import START, Scenario

CASE = UUID(int=1)


def wrong(name: str, reservation_id: UUID) -> Event:
    match name:
        case "sent twice":
            return InviteSent(at=START, actor="worker", reservation_id=reservation_id, attempt=2, server="mx:25")
        case "given back as if held":
            return UseRefunded(
                at=START, actor="sweep", reservation_id=reservation_id, cause="deadline", held="reserved"
            )
        case "retaken while counted":
            return LateSuccessRecorded(
                at=START,
                actor="worker",
                reservation_id=reservation_id,
                recipient_id=reservation_id,
                attempt=2,
                server="mx:25",
                effect="retaken",
            )
        case "no such case":
            return CaseClosed(at=START, actor="staff", reservation_id=reservation_id, case_id=CASE, how="resolved_sent")
        case _:
            raise ValueError(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sent twice", "InviteSent: invariant 4: sent once per delivery, invariant 4: taken and refunded by turns"),
        ("given back as if held", "UseRefunded: invariant 4: taken and refunded by turns"),
        ("retaken while counted", "LateSuccessRecorded: invariant 4: taken and refunded by turns"),
        ("no such case", "CaseClosed: rule 6: one case at a time"),
    ],
)
def test_working_set_refuses_events_that_break_an_invariant(name: str, message: str) -> None:
    scenario = Scenario(max_uses=5)
    reservation_id = scenario.sent()

    with pytest.raises(InvariantViolationError, match=rf"^reservation {reservation_id}, {message}$"):
        scenario.working_set.record(scenario.code_id, [wrong(name, reservation_id)])


def test_transition_gives_the_states_of_one_kind() -> None:
    scenario = Scenario()
    reservation_id = scenario.reserved()
    issued, reserved = scenario.working_set.transitions

    assert [issued.recorded, reserved.recorded] == scenario.working_set.new_events
    assert issued.states(RedeemCode) == (None, issued.code)
    assert issued.states(Reservation) == (None, None)
    assert reserved.states(RedeemCode) == (issued.code, scenario.code)
    assert reserved.states(Reservation) == (None, scenario.reservation(reservation_id))
    assert reserved.states(None) == (None, None)
    before = scenario.reservation(reservation_id)
    scenario.claim(reservation_id)
    assert scenario.working_set.transitions[-1].states(Reservation) == (before, scenario.reservation(reservation_id))


def test_overdue_and_pending_reservations_come_in_the_order_of_their_deadlines() -> None:
    scenario = Scenario(max_uses=None, bound=False)
    later = scenario.reserved("li")
    scenario.passes(-600)
    earlier = scenario.reserved("mei")
    working_set, code_id = scenario.working_set, scenario.code_id
    reservations = working_set.reservations
    reservations[earlier] = replace(reservations[earlier], deadline=START)
    deadline = reservations[later].deadline
    sent = scenario.sent("wang")

    assert [each.reservation_id for each in working_set.overdue(code_id, deadline)] == [earlier, later]
    assert [each.reservation_id for each in working_set.overdue(code_id, START)] == [earlier]
    assert [each.reservation_id for each in working_set.pending_reservations(code_id)] == [earlier, later]
    assert sent not in {each.reservation_id for each in working_set.pending_reservations(code_id)}
    before = START - timedelta(seconds=1)
    assert working_set.earliest_deadline(code_id, before) == START
    assert working_set.earliest_deadline(code_id, START) == deadline
    assert working_set.earliest_deadline(code_id, deadline) is None
    working_set.earliest_deadlines[code_id] = START + timedelta(seconds=1)
    assert working_set.earliest_deadline(code_id, START) == START + timedelta(seconds=1)
    assert working_set.earliest_deadline(code_id, START + timedelta(seconds=1)) == deadline


def test_overdue_reservations_with_one_deadline_come_in_the_order_of_the_log() -> None:
    """Whichever of them was loaded first: reservations of one batch have one deadline."""
    scenario = Scenario(max_uses=None, bound=False)
    ids = [scenario.reserved(name) for name in ("li", "mei", "wang")]
    deadline = scenario.reservation(ids[0]).deadline
    loaded = WorkingSet()
    for reservation_id in reversed(ids):
        loaded.add_reservation(replace(scenario.reservation(reservation_id), deadline=deadline))

    assert [each.reservation_id for each in loaded.overdue(scenario.code_id, deadline)] == ids


def test_changed_states_are_those_of_this_batch() -> None:
    scenario = Scenario(max_uses=3, bound=False)
    ids = {scenario.reserved("li"), scenario.sent("mei")}

    codes, new, changed = scenario.working_set.changed()

    assert list(codes) == [scenario.code]
    assert ({each.reservation_id for each in new}, list(changed)) == (ids, [])


def test_code_without_loaded_reservations_has_none_that_are_overdue_or_pending() -> None:
    """An unlimited code of which nothing was loaded is a usual case, not an error."""
    working_set, code_id = Scenario().working_set, UUID(int=9)

    assert working_set.overdue(code_id, START) == []
    assert working_set.pending_reservations(code_id) == []
    assert working_set.earliest_deadline(code_id, START) is None


def test_new_events_name_their_stream_and_their_version_in_it() -> None:
    """By these the store appends them, and notices a concurrent writer."""
    scenario = Scenario()
    scenario.sent()

    assert [(each.originator_id, each.originator_version) for each in scenario.working_set.new_events] == [
        (scenario.code_id, version) for version in (1, 2, 3, 4)
    ]


def test_reservation_follows_the_loaded_one_that_it_names() -> None:
    scenario = Scenario(max_uses=2)
    first = scenario.sent()
    further = scenario.reserved(again=first)
    working_set = scenario.working_set

    assert working_set.followed_by(scenario.reservation(first)) is None
    assert working_set.followed_by(scenario.reservation(further)) == scenario.reservation(first)


@pytest.mark.parametrize("is_draft_first", [True, False])
def test_inbox_with_two_digests_is_one_person(is_draft_first: bool) -> None:
    """While keys are rotated: a row by the former digest sees fewer uses, and takes none away from the inbox."""
    working_set = WorkingSet()
    campaign_id, li, tagged = UUID(int=1), UUID(int=2), UUID(int=3)
    by_both = partial(working_set.add_mailbox_uses, campaign_id, li, b"new", 1, [tagged])
    by_former = partial(working_set.add_mailbox_uses, campaign_id, tagged, b"former", 0, [li])
    for add in (by_both, by_former) if is_draft_first else (by_former, by_both):
        add()

    persons = {working_set.mailboxes[each] for each in (li, tagged)}
    assert [working_set.uses_of_persons[campaign_id, person] for person in persons] == [1]
