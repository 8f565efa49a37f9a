"""A mail that comes back: a fact, and after sent a case; never a refund."""

from uuid import UUID

from domain.commands.delivery.record_bounce import RecordBounce
from domain.events.reservation import CaseOpened, InviteBounced
from tests.support.ledger.scenario import LOST, SENT, Scenario, done, refusal


def test_bounce_after_sent_opens_a_case_and_moves_no_number() -> None:
    """The use stays counted until a person decides."""
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
    """The case of a bounce is closed by giving the use back."""
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
    """A report for an unborn delivery is a mistake of the caller."""
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
    """Whatever the success is recorded as, its email came back."""
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
    """What a server said, as the vault drafts it."""

    text_id = UUID(int=7)


def test_bounce_names_its_reason_and_the_reply_of_the_server() -> None:
    """The words themselves go to the vault."""
    scenario = Scenario()
    command = RecordBounce(
        context=scenario.context("key"),
        reservation_id=scenario.sent(),
        delivery=1,
        reason="mailbox_full",
        case_id=UUID(int=5),
        reply_code=552,
        reply=ReplyDraft(),
    )

    done(scenario.run(command))

    bounced, case = scenario.events[-2:]
    assert isinstance(bounced, InviteBounced)
    assert isinstance(case, CaseOpened)
    assert (bounced.reason, bounced.reply_code, bounced.text_id) == ("mailbox_full", 552, ReplyDraft.text_id)
    assert case.case_id == UUID(int=5)
