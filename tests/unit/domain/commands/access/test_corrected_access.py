"""No use counts for two invitations of an external system: it receives the end first, no matter who refunds."""

from datetime import timedelta
from uuid import UUID

from domain.commands.access.record_removal import RecordExternalRemoval
from domain.commands.context import CommandContext
from tests.support.ledger.scenario import START, done
from tests.unit.domain.histories import Case, History, cases

EXTERNAL = {"group": "TEAM", "channel": "webhook"}  # a code of a group whose invitations go to a system of its own
OPEN = {**EXTERNAL, "bound": False}
CORRECTED = "ly.deliver ly.correct:li>li"  # the wrong address, and the right one
DIED = "ly.deliver ly.resend ly.claim"  # a worker died with a further delivery
LATE = "ly.reserve ly.refused li.deliver"  # the system deferred it, gave it all the same, and another has the use
REMOVING = {"access.ending": "withdrawn", "access.removal": "removing"}
NOTHING = {"access": None}


@cases(
    # The channel is asked at once, and the second invitation is not: it waits.
    correcting_a_sent_use_ends_its_access_in_the_same_commit=Case(
        f"{CORRECTED} claim=unchanged",
        ends="UseRefunded AccessCorrected UseReserved",
        has={"access.ending": "corrected", "access.removal": "removing", "access_due_at": START},
        of="ly",
        terms=EXTERNAL,
    ),
    second_invitation_waits=Case(CORRECTED, has={"due_at": None, "public_state": "waiting"}, terms=EXTERNAL),
    # With a deadline of its own from then on, in the commit that records the channel's answer.
    second_invitation_is_released_when_the_channel_removed_the_first=Case(
        f"{CORRECTED} 600s ly.removal:gone",
        ends="AccessRemoved InviteReleased",
        last={"deadline": START + timedelta(seconds=600 + 1800)},
        has={"waits_for": None},
        terms=EXTERNAL,
    ),
    released_invitation_is_sent=Case(f"{CORRECTED} 600s ly.removal:gone sent", balance=(1, 0), terms=EXTERNAL),
    second_invitation_is_released_when_the_system_reports_the_removal=Case(
        f"{CORRECTED} ly.removed claim=changed", has={"waits_for": None}, terms=EXTERNAL
    ),
    second_invitation_is_released_when_the_group_has_gone_back_to_email=Case(
        f"{CORRECTED} ly.removal:told claim=changed", has={"waits_for": None}, terms=EXTERNAL
    ),
    second_invitation_is_released_when_staff_removed_the_first=Case(
        f"{CORRECTED} ly.removal:never claim=unchanged ly.resolve:sent claim=changed",
        has={"waits_for": None},
        terms=EXTERNAL,
    ),
    failed_removal_releases_nothing=Case(
        f"{CORRECTED} ly.removal:never claim=unchanged",
        has={"access.ending": "corrected", "access.removal": "removal_failed"},
        of="ly",
        terms=EXTERNAL,
    ),
    removal_that_is_retried_keeps_the_second_invitation_waiting=Case(
        f"{CORRECTED} ly.removal:failed ly.removal:never ly.resolve:retry claim=unchanged ly.removal:gone",
        has={"waits_for": None},
        terms=EXTERNAL,
    ),
    # Neither the sweep nor the next command refunds it: then its use would invite a third person.
    waiting_for_a_removal_outlasts_the_deadline=Case(
        f"{CORRECTED} 100000s settle claim zhao.redeem=CODE_HELD", balance=(0, 1), terms=OPEN
    ),
    staff_may_cancel_a_reservation_that_waits_for_a_removal=Case(
        f"{CORRECTED} cancel ly.removal:gone", ends="AccessRemoved", balance=(0, 0), terms=EXTERNAL
    ),
    # The first access is still being removed, so a third reservation could not say what it waits for.
    reservation_is_not_corrected_while_it_waits_for_a_removal=Case(
        f"{CORRECTED} correct:zhao=RECIPIENT_NOT_CORRECTABLE/waiting", terms=EXTERNAL
    ),
    # The old link is dead with the refund, so nothing is left to remove.
    mail_alone_delays_no_second_invitation=Case(
        f"{CORRECTED} claim=changed",
        ends="UseRefunded AccessCorrected AccessRemoved UseReserved InviteAttempted",
        has={"access.ending": "corrected", "access.removal": "told", "access_due_at": None},
        of="ly",
    ),
    # No attempt, or only refused ones: no recipient has an invitation.
    correction_ends_no_access_that_was_never_requested=Case(
        "ly.reserve ly.busy ly.correct:li>li claim=changed", has=NOTHING, of="ly", terms=EXTERNAL
    ),
    # A group's external system that did not answer may have invited.
    correcting_an_unknown_outcome_ends_the_possible_access=Case(
        "ly.park ly.correct:li>li claim=unchanged",
        has={"access.ending": "corrected", "access.removal": "removing"},
        of="ly",
        terms={"channel": "webhook"},
    ),
    correcting_an_unknown_outcome_of_an_email_ends_its_link=Case(
        "ly.park ly.correct:li>li claim=changed", has=NOTHING, of="ly"
    ),
    # Otherwise the use could invite a second person while the first one keeps what the system gave.
    staff_who_refund_an_unknown_end_the_access=Case(
        "ly.park ly.resolve:refunded", balance=(0, 0), has=REMOVING, of="ly", terms=EXTERNAL
    ),
    outage_that_refunds_an_unknown_ends_the_access=Case(
        "ly.park ly.outage", balance=(0, 0), has=REMOVING, of="ly", terms=EXTERNAL
    ),
    outage_that_refunds_a_sent_use_ends_the_access=Case(
        "ly.deliver ly.outage+", balance=(0, 0), has=REMOVING, of="ly", terms=EXTERNAL
    ),
    staff_who_refund_a_bounced_use_end_the_access=Case(
        "ly.deliver ly.bounce ly.resolve:refunded", balance=(0, 0), has=REMOVING, of="ly", terms=EXTERNAL
    ),
    staff_who_refund_a_sent_use_end_the_access=Case(
        "ly.deliver ly.refund", balance=(0, 0), has=REMOVING, of="ly", terms=EXTERNAL
    ),
    # By email the link ends with the refund.
    refunded_unknown_of_an_email_says_nothing_of_an_access=Case(
        "ly.park ly.resolve:refunded", balance=(0, 0), has=NOTHING, of="ly"
    ),
    outage_of_a_sent_email_says_nothing_of_an_access=Case(
        "ly.deliver ly.outage+", balance=(0, 0), has=NOTHING, of="ly"
    ),
    refund_of_a_sent_email_says_nothing_of_an_access=Case("ly.deliver ly.refund", balance=(0, 0), has=NOTHING, of="ly"),
    access_that_staff_let_stand_is_not_ended=Case(
        "ly.deliver ly.refund-", balance=(0, 0), has=NOTHING, of="ly", terms=EXTERNAL
    ),
    late_success_that_stays_refunded_ends_the_external_access=Case(
        f"{LATE} ly.accept=LINK_NOT_VALID ly.resolve:refunded",
        ends="LateSuccessRecorded CaseOpened CaseClosed AccessRevoked",
        has=REMOVING,
        of="ly",
        terms=OPEN,
    ),
    staff_may_leave_external_access_of_a_refunded_use=Case(
        f"{LATE} ly.answer:sent@2 ly.resolve:refunded-", ends="CaseClosed", has=NOTHING, of="ly", terms=OPEN
    ),
    # A stalled worker asked the system after the end was reported: it is reported again, and no case is needed.
    success_after_a_correction_is_notified_of_the_end_again=Case(
        "ly.park ly.correct:li>li ly.removal:gone ly.answer:sent",
        ends="LateSuccessRecorded",
        balance=(0, 1),
        has={"case_id": None, "access.removal": "removing"},
        of="ly",
        terms={**EXTERNAL, "max_uses": 5},
    ),
    success_after_a_refund_is_notified_of_the_end_again=Case(
        "ly.park ly.resolve:refunded ly.removal:gone ly.answer:sent",
        ends="LateSuccessRecorded",
        balance=(0, 0),
        has={"case_id": None, "access.removal": "removing"},
        of="ly",
        terms={**EXTERNAL, "max_uses": 5},
    ),
    end_that_is_reported_again_is_removed_again=Case(
        "ly.park ly.resolve:refunded ly.removal:gone ly.answer:sent ly.removal:gone",
        has={"access.removal": "removed"},
        of="ly",
        terms={**EXTERNAL, "max_uses": 5},
    ),
    end_of_a_corrected_use_that_is_reported_again_is_removed_again=Case(
        "ly.park ly.correct:li>li ly.removal:gone ly.answer:sent ly.removal:gone",
        has={"access.removal": "removed"},
        of="ly",
        terms={**EXTERNAL, "max_uses": 5},
    ),
    # The first attempt stalled with an unknown outcome, the second one counted, then the address was corrected.
    repeated_success_after_a_correction_is_notified_of_the_end_again=Case(
        "ly.reserve ly.lost 10s ly.sent ly.correct:li>li ly.removal:gone ly.answer:sent@1",
        ends="LateSuccessRecorded",
        has={"access.ending": "corrected", "access.removal": "removing"},
        of="ly",
        terms=EXTERNAL,
    ),
    # It is waited for, so its report ends it.
    system_may_report_the_removal_of_an_unsent_invitation=Case(
        "ly.park ly.resolve:refunded ly.removed",
        has={"access.ending": "withdrawn", "access.removal": "removed"},
        of="ly",
        terms=EXTERNAL,
    ),
    unknown_rebind_that_is_refunded_is_ended_where_it_was_asked_for=Case(
        "ly.deliver ly.rebind:BLUE>moved moved.lost 2000s moved.settle moved.resolve:refunded",
        balance=(1, 0),
        has=REMOVING,
        of="moved",
        terms=EXTERNAL,
    ),
    refunded_rebind_leaves_the_access_where_it_was=Case(
        "ly.deliver ly.rebind:BLUE>moved moved.lost 2000s moved.settle moved.resolve:refunded",
        has={"has_active_access": True},
        of="ly",
        terms=EXTERNAL,
    ),
    # The command need not wait for the sweep to say so.
    correction_records_the_lease_that_lapsed_before_it=Case(
        f"{DIED} ly.correct:li=RECIPIENT_NOT_CORRECTABLE/leased 61s ly.correct:li>li",
        ends="InviteOutcomeUnknown CaseOpened UseRefunded CaseClosed AccessCorrected UseReserved",
        has={"case_id": None},
        of="ly",
        terms=EXTERNAL,
    ),
    # A person may not resolve an unknown; that it is one is recorded all the same.
    refused_correction_records_the_lapsed_lease_too=Case(
        "ly.reserve ly.claim 61s ly.selfcorrect:li=RECIPIENT_NOT_CORRECTABLE/unknown",
        ends="InviteOutcomeUnknown",
        terms=EXTERNAL,
    ),
    # Of a sent use whose further delivery died it is refunded at once; a held one is unknown from then on.
    refund_records_the_lease_that_lapsed_before_it=Case(
        "ly.deliver li.reserve ly.resend ly.claim claim 61s ly.refund- refund=RESERVATION_NOT_REFUNDABLE/unknown",
        ends="InviteOutcomeUnknown CaseOpened UseRefunded CaseClosed InviteOutcomeUnknown",
        terms={**OPEN, "max_uses": 2},
    ),
    refused_refund_leaves_the_decision_to_staff=Case(
        "reserve claim 61s refund=RESERVATION_NOT_REFUNDABLE/unknown resolve:sent=changed", terms=EXTERNAL
    ),
)
def test_end_of_an_external_access_comes_first(case: Case) -> None:
    case.check()


def test_correction_and_the_access_that_it_ends_name_each_other() -> None:
    history = History(CORRECTED, **EXTERNAL)

    assert getattr(history.events[-2], "by", None) == history.ids["li"]
    assert history.of("li").waits_for == history.ids["ly"]


def test_release_has_the_actor_and_request_of_its_cause() -> None:
    """By these the history shows the removal and the release as one action."""
    history = History(CORRECTED, **EXTERNAL)
    context = CommandContext(
        now=history.now, actor="channel", actor_id="team", request_id="r1", correlation_id=UUID(int=9)
    )

    done(history.run(RecordExternalRemoval(context=context, reservation_id=history.ids["ly"])))

    released = history.events[-1]
    assert history.kinds[-1] == "InviteReleased"
    assert (released.actor, released.actor_id) == ("channel", "team")
    assert (released.request_id, released.correlation_id) == ("r1", UUID(int=9))
