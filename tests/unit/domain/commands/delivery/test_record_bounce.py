"""A mail that comes back: a fact, and after sent a case, or a refund where the policy says so; a delay; a complaint."""

from typing import Any, Literal
from uuid import UUID

import pytest

from domain.commands.delivery.record_bounce import RecordMailReport
from domain.commands.delivery.reveal_link import RevealLink
from domain.policy import Policy
from tests.support.ledger.scenario import Scenario, done
from tests.unit.domain.histories import Case, History, answer, cases

REFUNDING: dict[str, Any] = {"policy": Policy(bounce_policy="refund")}
OPEN = {"max_uses": 3, "bound": False}


@cases(
    bounce_after_sent_opens_a_case_and_moves_no_number=Case(
        "deliver bounce",
        ends="InviteBounced CaseOpened",
        balance=(1, 0),
        last={"cause": "bounced"},
        has={"public_state": "sent"},
    ),
    # Mail systems report twice; the second report adds nothing, after the case was closed neither.
    delivery_bounces_once=Case("deliver bounce bounce=unchanged resolve:sent bounce=unchanged"),
    one_refund_ends_the_case_too=Case(
        "deliver bounce refund", ends="UseRefunded CaseClosed", balance=(0, 0), has={"case_id": None}
    ),
    # An attempt with an unknown outcome that bounces stays unknown: nothing is refunded automatically.
    bounce_before_sent_is_kept_as_evidence_only=Case("reserve lost bounce", ends="InviteBounced", balance=(0, 1)),
    # The recipient opened the link, or the use is back already: there is nothing to decide.
    accepted_or_refunded_use_opens_no_case=Case(
        "deliver wang.deliver accept wang.refund bounce wang.bounce", ends="InviteBounced InviteBounced", terms=OPEN
    ),
    unsent_invitation_cannot_bounce=Case("reserve bounce=NOTHING_SENT claim bounce/2=NOTHING_SENT"),
    # The report overtakes the worker's commit: the use is counted, and with an unknown outcome at once.
    success_after_a_bounce_opens_a_case=Case(
        "reserve claim bounce answer:sent",
        ends="InviteBounced InviteSent CaseOpened",
        balance=(1, 0),
        last={"cause": "bounced"},
    ),
    success_of_a_resend_after_a_bounce_opens_a_case=Case(
        "deliver wang.fail resend claim bounce/2 wang.bounce answer:sent", ends="InviteSent CaseOpened", terms=OPEN
    ),
    late_success_after_a_bounce_opens_a_case=Case(
        "deliver wang.fail resend claim bounce/2 wang.bounce answer:sent wang.answer:sent@2",
        ends="LateSuccessRecorded CaseOpened",
        terms=OPEN,
    ),
    # The recipient has the invitation: no case is opened, and that of the unknown outcome ends.
    opened_link_outweighs_a_bounce=Case("park bounce accept", ends="InviteSent CaseClosed InviteAccepted"),
    policy_refunds_the_use_of_an_invitation_that_certainly_did_not_arrive=Case(
        "deliver bounce",
        ends="InviteBounced UseRefunded",
        balance=(0, 0),
        last={"cause": "bounced", "held": "used"},
        terms=REFUNDING,
    ),
    code_that_the_policy_refunded_is_redeemed_by_another=Case("deliver bounce wang.redeem=changed", terms=REFUNDING),
    # More than one copy may have been sent: one of them bounced.
    policy_leaves_an_invitation_after_a_failure_to_staff=Case(
        "reserve busy 10s sent bounce", ends="InviteBounced CaseOpened", balance=(1, 0), terms=REFUNDING
    ),
    policy_leaves_an_invitation_that_staff_counted_to_staff=Case(
        "park resolve:sent bounce", ends="InviteBounced CaseOpened", balance=(1, 0), terms=REFUNDING
    ),
    # What the system gave is not ended by an email that bounced.
    policy_leaves_access_of_external_systems_to_staff=Case(
        "deliver bounce", ends="CaseOpened", balance=(1, 0), terms={**REFUNDING, "channel": "webhook"}
    ),
    policy_refunds_nothing_while_the_outcome_is_unknown=Case(
        "reserve lost bounce", ends="InviteBounced", balance=(0, 1), terms=REFUNDING
    ),
    unknown_mailbox_is_refused_at_once=Case(
        "deliver>first first.bounce:mailbox_unknown "
        "redeem:first=ADDRESS_UNDELIVERABLE/mailbox_unknown wang.redeem=changed",
        balance=(1, 1),
        terms=OPEN,
    ),
    unknown_domain_is_refused_at_once=Case(
        "deliver>first first.bounce:domain_unknown "
        "redeem:first=ADDRESS_UNDELIVERABLE/domain_unknown wang.redeem=changed",
        balance=(1, 1),
        terms=OPEN,
    ),
    full_mailbox_and_refused_mail_say_nothing_about_the_address=Case(
        " ".join(
            f"{reason}.deliver {reason}.bounce:{reason} {reason}.resend=changed"
            for reason in ("mailbox_full", "refused", "expired", "other")
        ),
        terms={"max_uses": 4, "bound": False},
    ),
    # Support corrects it, or allows emails again.
    nothing_is_sent_again_to_an_address_that_is_not_written_to=Case(
        "deliver bounce:mailbox_unknown resend=RESERVATION_NOT_RESENDABLE/undeliverable"
    ),
)
def test_bounce_leads_to(case: Case) -> None:
    case.check()


def test_policy_leaves_an_invitation_to_staff_once_they_saw_its_link() -> None:
    """Support read it out on the phone: the person may have it, although the email bounced."""
    history = History("deliver", **REFUNDING)
    reveal = RevealLink(context=history.context("staff"), reservation_id=history.ids["li"])
    done(history.run(reveal))

    history.run_steps("bounce")

    assert (history.kinds[-2:], history.balance) == (["InviteBounced", "CaseOpened"], (1, 0))


def test_policy_refunds_by_evidence_and_not_by_a_statement() -> None:
    """Anyone with a key of few rights could state that an email bounced."""
    history = History("deliver", **REFUNDING)

    history.bounce(history.ids["li"], evidence="statement")

    assert (history.kinds[-2:], history.balance) == (["InviteBounced", "CaseOpened"], (1, 0))


class TextWithId:
    def __init__(self, number: int) -> None:
        self.text_id = UUID(int=number)


def test_bounce_names_its_reason_and_the_reply_of_the_server() -> None:
    """The words themselves go to the vault."""
    scenario = Scenario()
    command = RecordMailReport(
        context=scenario.context("key"),
        evidence="token",
        reservation_id=scenario.sent(),
        delivery=1,
        reason="mailbox_full",
        case_id=UUID(int=5),
        reply_code=552,
        text=TextWithId(7),
    )

    done(scenario.run(command))

    bounced, case = scenario.events[-2:]
    assert [getattr(bounced, name) for name in ("reason", "reply_code", "text_id")] == [
        "mailbox_full",
        552,
        UUID(int=7),
    ]
    assert getattr(case, "case_id", None) == UUID(int=5)


def test_bounced_notice_changes_no_state_and_is_recorded_once() -> None:
    """The invitation itself arrived, as far as is known; its delivery can still bounce."""
    history = History("deliver")
    reservation_id, before = history.ids["li"], history.of()

    history.bounce(reservation_id, mail="notice", reply=TextWithId(7))

    assert (history.kinds[-1], history.of().case_id) == ("InviteBounced", None)
    assert history.of().bounced_deliveries == before.bounced_deliveries
    assert not done(history.bounce(reservation_id, mail="notice", reply=TextWithId(7))).changed
    history.run_steps("bounce=changed")


def test_notice_about_a_use_that_was_never_sent_may_bounce() -> None:
    """Its deadline passed without an attempt, and the notice of the refund came back."""
    history = History("reserve refund")

    assert done(history.bounce(history.ids["li"], mail="notice", reply=TextWithId(7))).changed
    assert history.kinds[-1] == "InviteBounced"
    assert history.balance == (0, 0)


@pytest.mark.parametrize(("kind", "event"), [("delayed", "InviteDelayed"), ("complained", "InviteComplained")])
def test_delay_and_complaint_are_recorded_once_and_change_no_state(
    kind: Literal["delayed", "complained"], event: str
) -> None:
    history = History("deliver")
    reservation_id = history.ids["li"]

    history.report(reservation_id, kind, TextWithId(8))

    assert (history.kinds[-1], history.balance) == (event, (1, 0))
    assert not done(history.report(reservation_id, kind, TextWithId(8))).changed


def test_nothing_is_reported_of_what_was_never_attempted() -> None:
    scenario = Scenario()
    waiting = scenario.reserved()

    assert answer(scenario.report(waiting, "delayed", TextWithId(1))) == "NOTHING_SENT"
    assert answer(scenario.report(scenario.new_id(), "complained", TextWithId(2))) == "NOT_FOUND"
    assert answer(scenario.bounce(scenario.new_id())) == "NOT_FOUND"


def test_complaint_stops_emails_of_its_group_alone() -> None:
    history = History("deliver>first", max_uses=3, bound=False, group="red")
    history.issue(b"blue", bound=False, group="blue")
    history.report(history.ids["first"], "complained", TextWithId(3))

    history.run_steps("redeem:first=ADDRESS_UNDELIVERABLE/complained")
    assert done(history.redeem("li", code=b"blue")).changed
