"""Success of any attempt is evidence, whenever it comes (rule 6)."""

from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.domain.histories import Case, History, cases

TWICE_ATTEMPTED = "reserve lost 30s claim:w2"
WHILE_RESENDING = f"deliver {30 * 86_400 - 60}s resend claim 60s look"  # the access expires before the success is known
OPEN = {"max_uses": 1, "bound": False}
FIVE_OPEN = {"max_uses": 5, "bound": False}
TWO_REFUSED = "deliver>first reserve:first>a a.refused reserve:first>b b.refused "


@cases(
    second_success_is_a_duplicate=Case(
        f"{TWICE_ATTEMPTED} answer:sent@1 answer:sent@2",
        ends="InviteSent LateSuccessRecorded",
        balance=(1, 0),
        last={"effect": "duplicate", "attempt": 2},
    ),
    # A worker that asks again because the commit's answer was lost adds nothing, of a duplicate neither.
    success_is_recorded_once=Case(
        f"{TWICE_ATTEMPTED} answer:sent@2 answer:sent@1 answer:sent@1=unchanged answer:sent@2=unchanged"
    ),
    success_after_the_refund_of_a_sent_use_takes_no_use=Case(
        f"{TWICE_ATTEMPTED} answer:sent@1 refund answer:sent@2",
        ends="LateSuccessRecorded",
        balance=(0, 0),
        last={"effect": "duplicate"},
    ),
    success_after_a_refund_retakes_a_free_use=Case(
        "fail answer:sent@2",
        ends="LateSuccessRecorded",
        balance=(1, 0),
        last={"effect": "retaken"},
        has={"status": "sent", "refund_cause": None, "refunded_at": None},
    ),
    retaken_use_is_refunded_once=Case(
        "fail answer:sent@2 refund#r1 refund#r2=RESERVATION_NOT_REFUNDABLE answer:sent@3",
        ends="UseRefunded LateSuccessRecorded UseRefunded LateSuccessRecorded",
        balance=(0, 0),
        last={"effect": "duplicate"},
    ),
    one_use_follows_another=Case(
        TWO_REFUSED + "a.answer:sent@2 b.answer:sent@2",
        ends="CaseOpened",
        has={"status": "refunded"},
        of="b",
        terms=FIVE_OPEN,
    ),
    one_use_follows_another_in_the_other_order_too=Case(
        TWO_REFUSED + "b.answer:sent@2 a.answer:sent@2",
        ends="CaseOpened",
        has={"status": "refunded"},
        of="a",
        terms=FIVE_OPEN,
    ),
    older_sent_use_of_the_same_person_hinders_nothing=Case(
        "deliver>first reserve:first refused answer:sent@2",
        balance=(2, 0),
        last={"effect": "retaken"},
        terms={"max_uses": 2},
    ),
    late_success_names_the_delivery_that_it_is_of=Case(
        "deliver resend claim:w1 answer:sent claim:w2 answer:busy=unchanged answer:sent@3",
        last={"effect": "duplicate", "delivery": 2, "attempt": 3},
    ),
    # The access expired where it was, so staff decide; counting it again is refused for the same reason.
    late_success_of_a_rebind_without_an_access_to_move_is_a_case=Case(
        f"deliver rebind:blue>moved moved.refused {30 * 86_400}s look moved.answer:sent@1"
        " moved.resolve:sent=RESERVATION_NOT_RESOLVABLE/grant_ended moved.resolve:refunded=changed",
        ends="LateSuccessRecorded CaseOpened CaseClosed",
        newest={"CaseOpened.cause": "grant_ended", "LateSuccessRecorded.effect": "not_retaken"},
        terms={"group": "red", "validity_days": 30},
    ),
    # Both would move one access; once the other is refunded, staff can decide so.
    refunded_rebind_is_not_counted_as_sent_while_another_one_moves_the_access=Case(
        "deliver rebind:blue#blue>first first.lost first.resolve:refunded rebind:green#green>second first.answer:sent@1"
        " first.resolve:sent#s2=RESERVATION_NOT_RESOLVABLE/moving second.cancel first.resolve:sent#s3=changed",
        has={"status": "sent"},
        of="first",
        terms={"group": "red"},
    ),
    # It proves that this delivery was sent; the use counts already.
    first_success_of_a_resend_is_recorded_after_the_access_expired_too=Case(
        f"{WHILE_RESENDING} answer:sent",
        ends="InviteSent",
        balance=(1, 0),
        terms={"channel": "webhook", "validity_days": 30},
    ),
    # An external system may have given access a second time.
    repeated_success_after_the_access_expired_asks_an_external_system_to_remove_it=Case(
        f"{WHILE_RESENDING} answer:sent/1@3",
        last={"effect": "ended"},
        terms={"channel": "webhook", "validity_days": 30},
    ),
    repeated_success_after_the_access_expired_asks_no_mail_server=Case(  # An email's link ended with the access.
        f"{WHILE_RESENDING} answer:sent/1@3", last={"effect": "duplicate"}, terms={"validity_days": 30}
    ),
    late_success_of_a_bounced_invitation_replaces_the_case_of_its_unknown_outcome=Case(
        "park bounce answer:sent@1", ends="InviteSent CaseClosed CaseOpened", last={"cause": "bounced"}
    ),
    # An older one than the newest: its outcome was unknown when the next was requested.
    case_of_a_late_success_is_about_the_delivery_that_was_sent=Case(
        "deliver resend#s1 lost resend#s2 lost refund wang.deliver answer:sent/2@2",
        last={"cause": "no_free_use", "delivery": 2},
        terms=OPEN,
    ),
)
def test_late_success_leads_to(case: Case) -> None:
    case.check()


def test_retaken_use_binds_the_code_again() -> None:
    history = History("fail")
    before = history.code.owner_id
    history.run_steps("answer:sent@2")

    assert (before, history.code.owner_id) == (None, history.of().recipient_id)


@pytest.mark.parametrize(
    ("steps", "cause", "terms"),
    [
        ("fail>late wang.deliver", "no_free_use", OPEN),
        ("fail>late wang.deliver", "bound_to_another", {"max_uses": 3}),
        ("fail>late deliver", "newer_reservation", {"max_uses": 3}),
        # It is pending, and one of the two counts at most.
        ("fail>late reserve", "newer_reservation", {"max_uses": 3}),
        ("fail>late", "corrected_meanwhile", {"max_uses": 3}),
    ],
)
def test_success_that_may_not_retake_opens_a_case(steps: str, cause: str, terms: dict[str, Any]) -> None:
    history = History(steps, **terms)
    if cause == "corrected_meanwhile":
        corrected = replace(history.of("late"), refund_cause="corrected")
        history.working_set.reservations[history.ids["late"]] = corrected
    before = history.balance

    history.run_steps("late.answer:sent@2")

    late, case = history.events[-2:]
    assert history.kinds[-2:] == ["LateSuccessRecorded", "CaseOpened"]
    assert (getattr(late, "effect", None), getattr(case, "cause", None)) == ("not_retaken", cause)
    assert getattr(case, "caused_by", None) == history.code.version - 1
    assert history.balance == before
    assert (history.of("late").public_state, history.of("late").due_at) == ("refunded", None)


def test_late_success_of_a_resend_keeps_the_case_of_a_removal_as_the_only_one() -> None:
    """The resend bounced before its success became known, but a reservation has one case at a time."""
    history = History(f"{WHILE_RESENDING} bounce/2 removal:never", channel="webhook", validity_days=30)
    case_id = history.of().case_id

    history.run_steps("answer:sent")

    assert history.kinds[-1] == "InviteSent"
    assert case_id is not None
    assert history.of().case_id == case_id
