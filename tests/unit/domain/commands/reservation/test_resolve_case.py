"""Cases and doubts end by a person's word, and only so does an unknown come back."""

from datetime import timedelta

from tests.support.ledger.scenario import START, Scenario, refusal
from tests.unit.domain.histories import Case, cases

UNFREE = "fail wang.deliver answer:sent@2"  # a late success that found no free use
OPEN = {"max_uses": 1, "bound": False}


@cases(
    parked_unknown_is_counted_by_staff=Case(
        "park resolve:sent",
        ends="InviteSent CaseClosed",
        balance=(1, 0),
        newest={"InviteSent.server": "staff", "CaseClosed.how": "resolved_sent"},
    ),
    parked_unknown_is_refunded_by_staff=Case(
        "park resolve:refunded",
        ends="UseRefunded CaseClosed",
        balance=(0, 0),
        newest={
            "UseRefunded.cause": "resolved",
            "UseRefunded.held": "reserved",
            "CaseClosed.how": "resolved_refunded",
        },
    ),
    code_of_a_refunded_unknown_is_redeemed_by_another=Case("park resolve:refunded wang.redeem=changed"),
    parked_unknown_is_retried=Case(
        "park resolve:retry", has={"attempts": 0, "case_id": None, "due_at": START + timedelta(seconds=2000)}
    ),
    retried_unknown_is_parked_again=Case(
        "park resolve:retry claim=changed answer:lost 2000s settle", ends="CaseOpened", balance=(0, 1)
    ),
    # Staff need not wait until the machines give up.
    unknown_that_is_not_parked_is_counted=Case(
        "reserve lost resolve:retry#x=RESERVATION_NOT_RESOLVABLE/no_retry resolve:sent",
        ends="CaseOpened InviteSent CaseClosed",
        balance=(1, 0),
        has={"case_id": None},
    ),
    unknown_that_is_not_parked_is_refunded=Case(
        "reserve lost resolve:retry#x=RESERVATION_NOT_RESOLVABLE/no_retry resolve:refunded",
        ends="CaseOpened UseRefunded CaseClosed",
        balance=(0, 0),
        has={"case_id": None},
    ),
    # Every worker is dead: once the lease is over, the doubt is recorded and decided in one go.
    lapsed_lease_is_counted_without_a_sweep=Case(
        "reserve claim resolve:sent#x=RESERVATION_NOT_RESOLVABLE/leased 100s resolve:sent",
        ends="InviteOutcomeUnknown CaseOpened InviteSent CaseClosed",
        balance=(1, 0),
        has={"due_at": None},
    ),
    lapsed_lease_is_refunded_without_a_sweep=Case(
        "reserve claim resolve:refunded#x=RESERVATION_NOT_RESOLVABLE/leased 100s resolve:refunded",
        ends="InviteOutcomeUnknown CaseOpened UseRefunded CaseClosed",
        balance=(0, 0),
        has={"due_at": None},
    ),
    further_delivery_whose_lease_lapsed_is_decided_too=Case(
        "deliver resend#r0 claim 100s resolve:sent",
        ends="InviteOutcomeUnknown CaseOpened CaseClosed",
        balance=(1, 0),
        has={"due_at": None},
    ),
    bounced_invitation_stays_counted_or_is_refunded=Case(
        "deliver wang.deliver bounce wang.bounce resolve:sent#s1 wang.resolve:refunded#s2",
        ends="CaseClosed UseRefunded CaseClosed",
        balance=(1, 0),
        terms={"max_uses": 2, "bound": False},
    ),
    # The limit holds for staff too: first a use has to come free.
    late_success_is_counted_once_a_use_is_free=Case(
        f"{UNFREE} resolve:sent#x=RESERVATION_NOT_RESOLVABLE/no_free_use wang.refund resolve:sent",
        ends="LateSuccessRecorded CaseClosed",
        balance=(1, 0),
        newest={"LateSuccessRecorded.effect": "retaken"},
        terms=OPEN,
    ),
    late_success_may_stay_refunded=Case(
        f"{UNFREE} resolve:refunded resolve:sent#x=RESERVATION_NOT_RESOLVABLE/no_case",
        ends="CaseClosed",
        balance=(1, 0),
        terms=OPEN,
    ),
    code_that_is_anothers_by_now_is_not_counted_for_the_first=Case(
        f"{UNFREE} resolve:sent#x=RESERVATION_NOT_RESOLVABLE/bound", terms={"max_uses": 3}
    ),
    case_is_not_resolvable_when_the_system_decides=Case(
        "a.reserve b.reserve a.claim c.deliver d.fail"
        " a.resolve:sent#x=RESERVATION_NOT_RESOLVABLE/leased b.resolve:refunded#x=RESERVATION_NOT_RESOLVABLE/no_case"
        " c.resolve:refunded#x=RESERVATION_NOT_RESOLVABLE/no_case"
        " d.resolve:refunded#x=RESERVATION_NOT_RESOLVABLE/no_case",
        terms={"max_uses": 4, "bound": False},
    ),
    # A bounce is answered by a resend, not by another attempt.
    only_an_unknown_outcome_is_retried=Case("deliver bounce resolve:retry#x=RESERVATION_NOT_RESOLVABLE/no_retry"),
    same_request_is_the_same_decision_to_count=Case("park resolve:sent#s1 resolve:sent#s1=unchanged"),
    same_request_is_the_same_decision_to_refund=Case("park resolve:refunded#s1 resolve:refunded#s1=unchanged"),
    same_request_is_the_same_decision_to_retry=Case("park resolve:retry#s1 resolve:retry#s1=unchanged"),
    outage_refunds_parked_unknowns_once=Case(
        "park outage=changed outage=unchanged",
        ends="UseRefunded CaseClosed",
        newest={"UseRefunded.cause": "outage", "UseRefunded.held": "reserved"},
    ),
    # What the mail server lost after it took it; an opened link proves that it was not lost.
    outage_refunds_sent_uses_only_on_request_and_never_accepted_ones=Case(
        "deliver wang.deliver wang.accept outage=unchanged outage+=changed wang.outage+=unchanged outage+=unchanged",
        balance=(1, 0),
        terms={"max_uses": 2, "bound": False},
    ),
    # Not parked: it is tried again automatically.
    outage_refunds_nothing_that_is_still_retried=Case(
        "reserve lost outage+=unchanged", ends="InviteOutcomeUnknown", has={"is_live": True}
    ),
    # While a rebind is in progress, and after it was sent: the rebind has the access.
    use_whose_access_is_moved_is_not_refunded_by_its_case=Case(
        "deliver bounce rebind:blue#m1>moved resolve:refunded#x=RESERVATION_NOT_RESOLVABLE/moving moved.sent"
        " resolve:refunded#x=RESERVATION_NOT_RESOLVABLE/moved resolve:sent=changed",
        terms={"group": "red"},
    ),
    # The case stays open, so the refund itself is the last event of the request.
    refund_of_a_use_whose_removal_is_a_case_is_found_again_by_its_request=Case(
        "deliver 86400s look removal:never resolve:refunded#s1 resolve:refunded#s1=unchanged resolve:refunded#s1=li",
        ends="UseRefunded",
        terms={"channel": "webhook", "validity_days": 1},
    ),
    # An external system may have given access, so its end is the last event of the request.
    refund_with_its_access_is_found_again_by_its_request=Case(
        "park resolve:refunded#s1 resolve:refunded#s1=unchanged", ends="AccessRevoked", terms={"channel": "webhook"}
    ),
)
def test_decision_of_staff_leads_to(case: Case) -> None:
    case.check()


def test_reservation_that_does_not_exist_is_not_resolved() -> None:
    scenario = Scenario()

    assert refusal(scenario.resolve(scenario.new_id(), "sent")) == "NOT_FOUND"
    assert refusal(scenario.outage(scenario.new_id())) == "NOT_FOUND"
