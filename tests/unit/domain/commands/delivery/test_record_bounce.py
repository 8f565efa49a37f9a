"""A mail that comes back: a fact, and after sent a case, or a refund where the policy says so; a delay; a complaint."""

from collections.abc import Callable
from typing import Literal
from uuid import UUID

import pytest

from domain.commands.delivery.record_bounce import RecordMailReport
from domain.events.reservation import CaseOpened, InviteBounced, UseRefunded
from domain.policy import Policy
from tests.support.ledger.scenario import BUSY, LOST, SENT, Scenario, done, refusal

REFUNDING = Policy(bounce_policy="refund")


def test_bounce_after_sent_opens_a_case_and_moves_no_number() -> None:
    scenario = Scenario()
    reservation_id = scenario.sent()

    scenario.bounce(reservation_id)

    case = scenario.events[-1]
    assert scenario.kinds[-2:] == ["InviteBounced", "CaseOpened"]
    assert isinstance(case, CaseOpened)
    assert case.cause == "bounced"
    assert scenario.balance == (1, 0)
    assert scenario.reservation(reservation_id).public_state == "sent"


def test_delivery_bounces_once() -> None:
    """Mail systems report twice; the second report adds nothing, after the case was closed neither."""
    scenario = Scenario()
    reservation_id = scenario.sent()
    scenario.bounce(reservation_id)
    assert not done(scenario.bounce(reservation_id)).changed
    scenario.resolve(reservation_id, "sent")

    assert not done(scenario.bounce(reservation_id)).changed


def test_one_refund_ends_the_case_too() -> None:
    scenario = Scenario()
    reservation_id = scenario.sent()
    scenario.bounce(reservation_id)

    scenario.refund(reservation_id)

    assert scenario.kinds[-2:] == ["UseRefunded", "CaseClosed"]
    assert scenario.balance == (0, 0)
    assert scenario.reservation(reservation_id).case_id is None


def test_before_sent_a_bounce_is_kept_as_evidence_only() -> None:
    """An attempt with an unknown outcome that bounces stays unknown: nothing is refunded automatically."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.attempt(reservation_id, LOST)

    scenario.bounce(reservation_id)

    assert scenario.kinds[-1] == "InviteBounced"
    assert scenario.balance == (0, 1)


def test_accepted_or_refunded_use_opens_no_case() -> None:
    """The recipient opened the link, or the use is back already: there is nothing to decide."""
    scenario = Scenario(max_uses=2, bound=False)
    accepted, returned = scenario.sent("li"), scenario.sent("wang")
    scenario.accept(accepted)
    scenario.refund(returned)

    scenario.bounce(accepted)
    scenario.bounce(returned)

    assert scenario.kinds[-2:] == ["InviteBounced", "InviteBounced"]


def test_unsent_invitation_cannot_bounce() -> None:
    scenario = Scenario()
    waiting = scenario.reserved()
    assert refusal(scenario.bounce(waiting)) == "NOTHING_SENT"
    scenario.claim(waiting)

    assert refusal(scenario.bounce(waiting, delivery=2)) == "NOTHING_SENT"
    assert refusal(scenario.bounce(scenario.new_id())) == "NOT_FOUND"


def test_late_success_after_a_refund_opens_a_case() -> None:
    """The report overtakes the worker's commit: the use is counted, and with an unknown outcome at once."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    scenario.bounce(reservation_id)

    scenario.outcome(reservation_id, SENT)

    case = scenario.events[-1]
    assert scenario.kinds[-3:] == ["InviteBounced", "InviteSent", "CaseOpened"]
    assert isinstance(case, CaseOpened)
    assert (case.cause, scenario.balance) == ("bounced", (1, 0))


def test_so_it_is_with_a_further_delivery_and_with_a_use_that_is_retaken() -> None:
    scenario = Scenario(max_uses=2, bound=False)
    resent, retaken = scenario.sent("li"), scenario.given_back("wang")
    scenario.resend(resent)
    scenario.claim(resent)
    scenario.bounce(resent, delivery=2)
    scenario.bounce(retaken)

    scenario.outcome(resent, SENT)
    assert scenario.kinds[-2:] == ["InviteSent", "CaseOpened"]
    scenario.outcome(retaken, SENT, attempt=2)
    assert scenario.kinds[-2:] == ["LateSuccessRecorded", "CaseOpened"]


def test_opened_link_outweighs_a_bounce() -> None:
    """The recipient has the invitation: no case is opened, and that of the unknown outcome ends."""
    scenario = Scenario()
    reservation_id = scenario.parked()
    scenario.bounce(reservation_id)

    scenario.accept(reservation_id)

    assert scenario.kinds[-3:] == ["InviteSent", "CaseClosed", "InviteAccepted"]


class ReplyDraft:
    text_id = UUID(int=7)


def test_bounce_names_its_reason_and_the_reply_of_the_server() -> None:
    """The words themselves go to the vault."""
    scenario = Scenario()
    command = RecordMailReport(
        context=scenario.context("key"),
        reservation_id=scenario.sent(),
        delivery=1,
        reason="mailbox_full",
        case_id=UUID(int=5),
        reply_code=552,
        text=ReplyDraft(),
    )

    done(scenario.run(command))

    bounced, case = scenario.events[-2:]
    assert isinstance(bounced, InviteBounced)
    assert isinstance(case, CaseOpened)
    assert (bounced.reason, bounced.reply_code, bounced.text_id) == ("mailbox_full", 552, ReplyDraft.text_id)
    assert case.case_id == UUID(int=5)


class TextWithId:
    def __init__(self, number: int) -> None:
        self.text_id = UUID(int=number)


def test_policy_refunds_the_use_of_an_invitation_that_certainly_did_not_arrive() -> None:
    scenario = Scenario(policy=REFUNDING)
    reservation_id = scenario.sent()

    scenario.bounce(reservation_id)

    refund = scenario.events[-1]
    assert scenario.kinds[-2:] == ["InviteBounced", "UseRefunded"]
    assert isinstance(refund, UseRefunded)
    assert (refund.cause, refund.held, scenario.balance) == ("bounced", "used", (0, 0))
    assert done(scenario.redeem("wang")).changed


def sent_after_a_failure(scenario: Scenario) -> UUID:
    """The second attempt was accepted; of the first one a copy may exist."""
    reservation_id = scenario.reserved()
    scenario.attempt(reservation_id, BUSY)
    scenario.passes(10)
    scenario.attempt(reservation_id, SENT)
    return reservation_id


def proved_after_an_unknown(scenario: Scenario) -> UUID:
    """Staff counted an unknown outcome."""
    reservation_id = scenario.parked()
    scenario.resolve(reservation_id, "sent")
    return reservation_id


@pytest.mark.parametrize("prepare", [sent_after_a_failure, proved_after_an_unknown])
def test_policy_leaves_uncertain_invitations_to_staff(prepare: Callable[[Scenario], UUID]) -> None:
    """More than one copy may have been sent: one of them bounced."""
    scenario = Scenario(policy=REFUNDING)
    reservation_id = prepare(scenario)
    balance = scenario.balance

    scenario.bounce(reservation_id)

    assert (scenario.kinds[-2:], scenario.balance) == (["InviteBounced", "CaseOpened"], balance)


def test_policy_leaves_access_of_external_systems_to_staff() -> None:
    """What the system gave is not ended by an email that bounced."""
    scenario = Scenario(policy=REFUNDING, channel="webhook")
    reservation_id = scenario.sent()

    scenario.bounce(reservation_id)

    assert (scenario.kinds[-1], scenario.balance) == ("CaseOpened", (1, 0))


def test_policy_refunds_nothing_while_the_outcome_is_unknown() -> None:
    scenario = Scenario(policy=REFUNDING)
    reservation_id = scenario.reserved()
    scenario.attempt(reservation_id, LOST)

    scenario.bounce(reservation_id)

    assert (scenario.kinds[-1], scenario.balance) == ("InviteBounced", (0, 1))


def test_bounced_notice_changes_no_state_and_is_recorded_once() -> None:
    """The invitation itself arrived, as far as is known; its delivery can still bounce."""
    scenario = Scenario()
    reservation_id = scenario.sent()
    before = scenario.reservation(reservation_id)

    scenario.bounce(reservation_id, mail="notice", reply=TextWithId(7))

    assert (scenario.kinds[-1], scenario.reservation(reservation_id).case_id) == ("InviteBounced", None)
    assert scenario.reservation(reservation_id).bounced_deliveries == before.bounced_deliveries
    assert not done(scenario.bounce(reservation_id, mail="notice", reply=TextWithId(7))).changed
    assert done(scenario.bounce(reservation_id)).changed


@pytest.mark.parametrize(("kind", "event"), [("delayed", "InviteDelayed"), ("complained", "InviteComplained")])
def test_delay_and_complaint_are_recorded_once_and_change_no_state(
    kind: Literal["delayed", "complained"], event: str
) -> None:
    scenario = Scenario()
    reservation_id = scenario.sent()

    scenario.report(reservation_id, kind, TextWithId(8))

    assert (scenario.kinds[-1], scenario.balance) == (event, (1, 0))
    assert not done(scenario.report(reservation_id, kind, TextWithId(8))).changed


def test_notice_about_a_use_that_was_never_sent_may_bounce() -> None:
    """Its deadline passed without an attempt, and the notice of the refund came back."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.refund(reservation_id)

    reported = done(scenario.bounce(reservation_id, mail="notice", reply=TextWithId(7)))

    assert reported.changed
    assert scenario.kinds[-1] == "InviteBounced"
    assert scenario.balance == (0, 0)


def test_nothing_is_reported_of_what_was_never_attempted() -> None:
    scenario = Scenario()
    waiting = scenario.reserved()

    assert refusal(scenario.report(waiting, "delayed", TextWithId(1))) == "NOTHING_SENT"
    assert refusal(scenario.report(scenario.new_id(), "complained", TextWithId(2))) == "NOT_FOUND"


@pytest.mark.parametrize("reason", ["mailbox_unknown", "domain_unknown"])
def test_address_that_bounced_for_good_is_refused_at_once(reason: str) -> None:
    scenario = Scenario(max_uses=3, bound=False)
    reservation_id = scenario.sent("li")
    scenario.bounce(reservation_id, reason=reason)

    refused = scenario.redeem("li", again=reservation_id)

    assert (refusal(refused), scenario.balance) == ("ADDRESS_UNDELIVERABLE", (1, 0))
    assert getattr(refused, "why", None) == reason
    assert done(scenario.redeem("wang")).changed


def test_full_mailbox_and_refused_mail_say_nothing_about_the_address() -> None:
    scenario = Scenario(max_uses=4, bound=False)
    for reason in ("mailbox_full", "refused", "expired", "other"):
        reservation_id = scenario.sent(reason)
        scenario.bounce(reservation_id, reason=reason)
        assert done(scenario.resend(reservation_id)).changed


def test_complaint_stops_emails_of_its_group_alone() -> None:
    scenario = Scenario(max_uses=3, bound=False, group="red")
    reservation_id = scenario.sent("li")
    scenario.issue(b"blue", bound=False, group="blue")
    scenario.report(reservation_id, "complained", TextWithId(3))

    refused = scenario.redeem("li", again=reservation_id)

    assert (refusal(refused), getattr(refused, "why", None)) == ("ADDRESS_UNDELIVERABLE", "complained")
    assert done(scenario.redeem("li", code=b"blue")).changed


def test_nothing_is_sent_again_to_an_address_that_is_not_written_to() -> None:
    """Support corrects it, or allows emails again."""
    scenario = Scenario()
    reservation_id = scenario.sent()
    scenario.bounce(reservation_id, reason="mailbox_unknown")

    refused = scenario.resend(reservation_id)

    assert (refusal(refused), getattr(refused, "why", None)) == ("RESERVATION_NOT_RESENDABLE", "undeliverable")
