"""No use counts for two invitations of an external system: it receives the end first, no matter who refunds."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.commands.access.rebind import RebindReservation
from domain.commands.access.record_removal import RecordExternalRemoval
from domain.commands.context import CommandContext
from domain.errors import RecipientNotCorrectable, ReservationNotRefundable, ReservationNotResolvable
from domain.events.access import AccessCorrected
from domain.events.reservation import InviteReleased
from domain.ports import Accepted, NotifiedOnly, Rejected
from tests.support.ledger.scenario import BUSY, LOST, REFUSED, SENT, Scenario, done, refusal

GONE = Accepted(server="team:443")
NEVER = Rejected(server="team:443", reason="message_refused", final=True)


def own_system(**about: object) -> Scenario:
    return Scenario(group="TEAM", channel="webhook", **about)  # type: ignore[arg-type]  # fields of a scenario


def corrected(scenario: Scenario, wrong: UUID) -> UUID:
    """The reservation of the right address."""
    return done(scenario.correct(wrong, "li")).require_reservation().reservation_id


def removal(scenario: Scenario, reservation_id: UUID) -> tuple[str | None, str | None]:
    """How an access ended, and how far its removal is."""
    access = scenario.reservation(reservation_id).access
    return (access.ending, access.removal) if access else (None, None)


def test_correcting_a_sent_use_ends_its_access_in_the_same_commit() -> None:
    scenario = own_system()
    wrong = scenario.sent("ly")

    right = corrected(scenario, wrong)

    assert scenario.kinds[-3:] == ["UseRefunded", "AccessCorrected", "UseReserved"]
    ended = scenario.events[-2]
    assert isinstance(ended, AccessCorrected)
    assert ended.by == right
    assert removal(scenario, wrong) == ("corrected", "removing")
    assert scenario.reservation(wrong).access_due_at == scenario.now
    waiting = scenario.reservation(right)
    assert (waiting.waits_for, waiting.due_at, waiting.public_state) == (wrong, None, "waiting")
    assert not done(scenario.claim(right)).changed


def test_second_invitation_is_released_when_the_channel_removed_the_first() -> None:
    scenario = own_system()
    wrong = scenario.sent("ly")
    right = corrected(scenario, wrong)
    scenario.passes(600)

    scenario.removal(wrong, GONE)

    assert scenario.kinds[-2:] == ["AccessRemoved", "InviteReleased"]
    released = scenario.events[-1]
    assert isinstance(released, InviteReleased)
    assert (released.reservation_id, released.deadline) == (right, scenario.now + timedelta(seconds=1800))
    scenario.attempt(right, SENT)
    assert scenario.balance == (1, 0)


@pytest.mark.parametrize("end", ["callback", "resolved", "only told"])
def test_second_invitation_is_released_however_the_first_is_settled(end: str) -> None:
    scenario = own_system()
    wrong = scenario.sent("ly")
    right = corrected(scenario, wrong)
    if end == "callback":
        done(scenario.removed(wrong))
    elif end == "only told":
        scenario.removal(wrong, NotifiedOnly(server="mx:25"))
    else:
        scenario.removal(wrong, NEVER)
        assert removal(scenario, wrong) == ("corrected", "removal_failed")
        assert scenario.reservation(right).waits_for == wrong
        done(scenario.resolve(wrong, "sent"))

    assert scenario.reservation(right).waits_for is None
    assert done(scenario.claim(right)).changed


def test_removal_that_is_retried_keeps_the_second_invitation_waiting() -> None:
    scenario = own_system()
    wrong = scenario.sent("ly")
    right = corrected(scenario, wrong)
    scenario.removal(wrong, BUSY)
    scenario.removal(wrong, NEVER)
    done(scenario.resolve(wrong, "retry"))
    assert scenario.reservation(right).waits_for == wrong

    scenario.removal(wrong, GONE)

    assert scenario.reservation(right).waits_for is None


def test_waiting_for_a_removal_outlasts_the_deadline() -> None:
    """Neither the sweep nor the next command refunds it: then its use would invite a third person."""
    scenario = own_system(bound=False)
    right = corrected(scenario, scenario.sent("ly"))
    scenario.passes(100_000)

    done(scenario.settle(right))
    done(scenario.claim(right))

    assert refusal(scenario.redeem("zhao")) == "CODE_HELD"
    assert scenario.balance == (0, 1)


def test_staff_may_cancel_a_reservation_that_waits_for_a_removal() -> None:
    scenario = own_system()
    wrong = scenario.sent("ly")
    right = corrected(scenario, wrong)

    done(scenario.cancel(right))
    scenario.removal(wrong, GONE)

    assert scenario.kinds[-1] == "AccessRemoved"
    assert scenario.balance == (0, 0)


def test_reservation_is_not_corrected_while_it_waits_for_a_removal() -> None:
    """The first access is still being removed, so a third reservation could not say what it waits for."""
    scenario = own_system()
    right = corrected(scenario, scenario.sent("ly"))

    result = scenario.correct(right, "zhao")

    assert isinstance(result, RecipientNotCorrectable)
    assert result.why == "waiting"


def test_mail_alone_delays_no_second_invitation() -> None:
    """The old link is dead with the refund, so nothing is left to remove."""
    scenario = Scenario()
    wrong = scenario.sent("ly")

    right = corrected(scenario, wrong)

    assert scenario.kinds[-4:] == ["UseRefunded", "AccessCorrected", "AccessRemoved", "UseReserved"]
    assert removal(scenario, wrong) == ("corrected", "told")
    assert scenario.reservation(wrong).access_due_at is None
    assert done(scenario.claim(right)).changed


def test_correction_ends_no_access_that_was_never_requested() -> None:
    scenario = own_system()
    wrong = scenario.reserved("ly")
    scenario.attempt(wrong, BUSY)

    right = corrected(scenario, wrong)

    assert removal(scenario, wrong) == (None, None)
    assert scenario.reservation(right).waits_for is None


def test_correcting_an_unknown_outcome_ends_the_possible_access() -> None:
    """A group's external system that did not answer may have invited; by email the dead link is the end."""
    effects = {}
    for channel in ("webhook", "smtp"):
        scenario = Scenario(channel=channel)
        wrong = scenario.parked("ly")
        right = corrected(scenario, wrong)
        effects[channel] = (*removal(scenario, wrong), scenario.reservation(right).waits_for == wrong)

    assert effects == {"webhook": ("corrected", "removing", True), "smtp": (None, None, False)}


@pytest.mark.parametrize("refund", ["resolve", "outage", "outage of sent", "bounced", "staff"])
def test_refund_ends_access_that_an_external_system_may_have_given(refund: str) -> None:
    """Otherwise the use could invite a second person while the first one keeps what the system gave."""
    scenario = own_system()
    reservation_id = scenario.sent("ly") if refund in {"outage of sent", "bounced", "staff"} else scenario.parked("ly")
    if refund == "bounced":
        scenario.bounce(reservation_id)
    if refund in {"resolve", "bounced"}:
        done(scenario.resolve(reservation_id, "refunded"))
    elif refund == "staff":
        done(scenario.refund(reservation_id, revoke_access=None))
    else:
        done(scenario.outage(reservation_id, include_sent=refund == "outage of sent"))

    assert scenario.balance == (0, 0)
    assert removal(scenario, reservation_id) == ("withdrawn", "removing")


@pytest.mark.parametrize("refund", ["resolve", "outage of sent", "staff", "kept"])
def test_refund_that_ends_no_access_elsewhere_says_nothing_of_one(refund: str) -> None:
    """By email the link ends with the refund; what staff let stand is their decision."""
    scenario = own_system() if refund == "kept" else Scenario()
    reservation_id = scenario.parked("ly") if refund == "resolve" else scenario.sent("ly")
    if refund == "resolve":
        done(scenario.resolve(reservation_id, "refunded"))
    elif refund == "outage of sent":
        done(scenario.outage(reservation_id, include_sent=True))
    else:
        done(scenario.refund(reservation_id, revoke_access=False if refund == "kept" else None))

    assert scenario.balance == (0, 0)
    assert removal(scenario, reservation_id) == (None, None)


def test_late_success_that_stays_refunded_ends_the_external_access() -> None:
    scenario = own_system(bound=False)
    reservation_id = scenario.reserved("ly")
    scenario.attempt(reservation_id, REFUSED)
    scenario.sent("li")
    assert refusal(scenario.accept(reservation_id)) == "LINK_NOT_VALID"
    assert scenario.kinds[-2:] == ["LateSuccessRecorded", "CaseOpened"]

    done(scenario.resolve(reservation_id, "refunded"))

    assert scenario.kinds[-2:] == ["CaseClosed", "AccessRevoked"]
    assert removal(scenario, reservation_id) == ("withdrawn", "removing")


@pytest.mark.parametrize("is_corrected", [True, False])
def test_success_after_the_end_takes_nothing_and_is_notified_of_the_end_again(*, is_corrected: bool) -> None:
    """A stalled worker asked the system after the end was reported: it is reported again, and no case is needed."""
    scenario = own_system(max_uses=5)
    reservation_id = scenario.parked("ly")
    done(scenario.correct(reservation_id, "li") if is_corrected else scenario.resolve(reservation_id, "refunded"))
    scenario.removal(reservation_id, GONE)
    before = scenario.balance

    done(scenario.outcome(reservation_id, SENT))

    assert scenario.kinds[-1] == "LateSuccessRecorded"
    assert scenario.balance == before
    assert scenario.reservation(reservation_id).case_id is None
    assert removal(scenario, reservation_id)[1] == "removing"
    scenario.removal(reservation_id, GONE)
    assert removal(scenario, reservation_id)[1] == "removed"


def test_repeated_success_after_a_correction_is_notified_of_the_end_again() -> None:
    scenario = own_system()
    reservation_id = scenario.reserved("ly")
    scenario.attempt(reservation_id, LOST)
    scenario.passes(10)
    scenario.attempt(reservation_id, SENT)
    corrected(scenario, reservation_id)
    scenario.removal(reservation_id, GONE)

    done(scenario.outcome(reservation_id, SENT, attempt=1))

    assert scenario.kinds[-1] == "LateSuccessRecorded"
    assert removal(scenario, reservation_id) == ("corrected", "removing")


def test_system_may_report_the_removal_of_an_unsent_invitation() -> None:
    scenario = own_system()
    reservation_id = scenario.parked("ly")
    done(scenario.resolve(reservation_id, "refunded"))

    done(scenario.removed(reservation_id))

    assert removal(scenario, reservation_id) == ("withdrawn", "removed")


def test_unknown_rebind_that_is_refunded_is_ended_where_it_was_asked_for() -> None:
    scenario = own_system()
    former = scenario.sent("ly")
    moved = next(iter(_rebinds(scenario, former)))
    scenario.attempt(moved, LOST)
    scenario.passes(2000)
    scenario.settle(moved)

    done(scenario.resolve(moved, "refunded"))

    assert removal(scenario, moved) == ("withdrawn", "removing")
    assert scenario.reservation(former).has_active_access
    assert scenario.balance == (1, 0)


def _rebinds(scenario: Scenario, former: UUID) -> list[UUID]:
    command = RebindReservation(
        context=scenario.context("staff"),
        reservation_id=former,
        new_reservation_id=scenario.new_id(),
        group="BLUE",
    )
    return [done(scenario.run(command)).require_reservation().reservation_id]


def test_correction_records_the_lease_that_lapsed_before_it() -> None:
    """A worker died with a further delivery: the command need not wait for the sweep to say so."""
    scenario = own_system()
    reservation_id = scenario.sent("ly")
    done(scenario.resend(reservation_id))
    scenario.claim(reservation_id)
    first = scenario.correct(reservation_id, "li")
    assert isinstance(first, RecipientNotCorrectable)
    assert first.why == "leased"
    scenario.passes(61)

    done(scenario.correct(reservation_id, "li"))

    kinds = ["InviteOutcomeUnknown", "CaseOpened", "UseRefunded", "CaseClosed", "AccessCorrected", "UseReserved"]
    assert scenario.kinds[-6:] == kinds
    assert scenario.reservation(reservation_id).case_id is None


def test_refused_correction_records_the_lapsed_lease_too() -> None:
    scenario = own_system()
    reservation_id = scenario.reserved("ly")
    scenario.claim(reservation_id)
    scenario.passes(61)

    result = scenario.correct(reservation_id, "li", actor="person", code=b"code")

    assert isinstance(result, RecipientNotCorrectable)
    assert result.why == "unknown"
    assert scenario.kinds[-1] == "InviteOutcomeUnknown"


def test_refund_records_the_lease_that_lapsed_before_it() -> None:
    """Of a sent use whose further delivery died it is refunded at once; a held one is unknown from then on."""
    scenario = own_system(max_uses=2, bound=False)
    sent, reserved_id = scenario.sent("ly"), scenario.reserved("li")
    done(scenario.resend(sent))
    scenario.claim(sent)
    scenario.claim(reserved_id)
    scenario.passes(61)

    done(scenario.refund(sent, revoke_access=False))
    result = scenario.refund(reserved_id)

    assert scenario.kinds[-5:-1] == ["InviteOutcomeUnknown", "CaseOpened", "UseRefunded", "CaseClosed"]
    assert isinstance(result, ReservationNotRefundable)
    assert result.why == "unknown"
    assert scenario.kinds[-1] == "InviteOutcomeUnknown"
    assert not isinstance(scenario.resolve(reserved_id, "sent"), ReservationNotResolvable)


def test_staff_may_leave_external_access_of_a_refunded_use() -> None:
    scenario = own_system(bound=False)
    reservation_id = scenario.reserved("ly")
    scenario.attempt(reservation_id, REFUSED)
    scenario.sent("li")
    scenario.outcome(reservation_id, SENT, attempt=2)

    done(scenario.resolve(reservation_id, "refunded", revoke_access=False))

    assert scenario.kinds[-1] == "CaseClosed"
    assert removal(scenario, reservation_id) == (None, None)


def test_release_has_the_actor_and_request_of_its_cause() -> None:
    """By these the history shows the removal and the release as one action."""
    scenario = own_system()
    wrong = scenario.sent("ly")
    corrected(scenario, wrong)
    context = CommandContext(
        now=scenario.now, actor="channel", actor_id="team", request_id="r1", correlation_id=UUID(int=9)
    )

    done(scenario.run(RecordExternalRemoval(context=context, reservation_id=wrong)))

    released = scenario.events[-1]
    assert isinstance(released, InviteReleased)
    assert (released.actor, released.actor_id) == ("channel", "team")
    assert (released.request_id, released.correlation_id) == ("r1", UUID(int=9))
