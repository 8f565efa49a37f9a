"""Moving an access to another group: no use, a reservation of its own, the former access until the new one is sent."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.commands.access.rebind import RebindReservation, RequestRebind
from domain.commands.access.settle_access import SettleAccess
from domain.commands.context import CommandContext
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.errors import RebindNotPossible
from domain.events.access import AccessReplaced
from domain.events.reservation import RebindReserved, UseRefunded
from domain.policy import Policy
from domain.ports import RetryLater
from domain.results import Result
from tests.support.ledger.scenario import BUSY, LOST, REFUSED, SENT, START, Scenario, ScenarioDraft, done, refusal


def make_scenario(**more: Any) -> Scenario:
    return Scenario(**{"max_uses": 3, "group": "red", "validity_days": 30, **more})


def ask(
    scenario: Scenario, group: str = "blue", person: str = "li", code: bytes = b"code", token_of: UUID | None = None
) -> Result:
    return scenario.run(
        RequestRebind(
            context=scenario.context("person"),
            code_digests=[code],
            recipient=ScenarioDraft([person.encode()], scenario.new_id()),
            new_reservation_id=scenario.new_id(),
            group=group,
            language="en",
            token_of=token_of or scenario.newest_use(person),
        )
    )


def by_staff(scenario: Scenario, reservation_id: UUID, group: str = "blue") -> Result:
    return scenario.run(
        RebindReservation(
            context=scenario.context("staff", "s1"),
            reservation_id=reservation_id,
            new_reservation_id=scenario.new_id(),
            group=group,
        )
    )


def asked(scenario: Scenario, group: str = "blue") -> UUID:
    """A rebind that waits to be sent; its id."""
    return done(ask(scenario, group)).require_reservation().reservation_id


def why(result: Result) -> str:
    assert isinstance(result, RebindNotPossible), result
    return result.why


def test_rebind_reserves_no_use_and_waits_like_any_reservation() -> None:
    scenario = make_scenario()
    former = scenario.sent()
    rebind = asked(scenario)

    event = scenario.events[-1]
    assert isinstance(event, RebindReserved)
    assert (event.follows, event.group, event.moves, event.validity_days) == (former, "blue", 1, 30)
    assert scenario.balance == (1, 0)
    assert scenario.reservation(rebind).due_at == scenario.now
    assert scenario.reservation(former).has_active_access


def test_former_access_ends_when_the_new_invitation_is_sent_not_earlier() -> None:
    scenario = make_scenario()
    former = scenario.sent()
    rebind = asked(scenario)
    for outcome in (BUSY, LOST):
        scenario.attempt(rebind, outcome)
        scenario.passes(20)
        assert scenario.reservation(former).has_active_access
    scenario.attempt(rebind, SENT)

    replaced = scenario.events[-1]
    assert isinstance(replaced, AccessReplaced)
    assert (replaced.reservation_id, replaced.by) == (former, rebind)
    assert scenario.reservation(former).access_due_at == scenario.now
    assert scenario.balance == (1, 0)


def test_end_does_not_move() -> None:
    scenario = make_scenario()
    former = scenario.sent()
    scenario.passes(86_400 * 10)
    rebind = asked(scenario)
    scenario.attempt(rebind, SENT)

    assert scenario.reservation(rebind).access_ends_at == START + timedelta(days=30)
    assert scenario.reservation(former).access_ends_at == START + timedelta(days=30)
    scenario.now = START + timedelta(days=30)
    scenario.run(SettleAccess(context=scenario.context("sweep"), reservation_id=rebind))
    assert scenario.kinds[-1] == "AccessExpired"


@pytest.mark.parametrize("how", ["refused", "deadline"])
def test_failed_rebind_returns_the_move_and_no_use(how: str) -> None:
    scenario = make_scenario()
    former = scenario.sent()
    rebind = asked(scenario)
    if how == "refused":
        scenario.attempt(rebind, REFUSED)
    else:
        scenario.passes(1800)
        scenario.settle(rebind)

    refund = scenario.events[-1]
    assert isinstance(refund, UseRefunded)
    assert refund.kind == "rebind"
    assert scenario.balance == (1, 0)
    assert scenario.reservation(former).has_active_access
    assert asked(scenario) != rebind


def test_same_request_gives_the_same_rebind() -> None:
    scenario = make_scenario()
    scenario.sent()
    rebind = asked(scenario)

    assert asked(scenario, "green") == rebind
    scenario.attempt(rebind, SENT)
    assert asked(scenario) == rebind


def test_lost_answer_begins_no_second_one() -> None:
    """Whatever happened in the meantime: a further use was sent, whose access would be moved now (seed 80078481)."""
    scenario = make_scenario()
    first = scenario.sent()
    command = RequestRebind(
        context=scenario.context("person"),
        code_digests=[b"code"],
        recipient=ScenarioDraft([b"li"], scenario.new_id()),
        new_reservation_id=scenario.new_id(),
        group="blue",
        language="en",
        token_of=first,
    )
    begun = done(scenario.run(command)).require_reservation()
    scenario.sent(again=first)

    again = done(scenario.run(command))

    assert (again.require_reservation(), again.changed) == (begun, False)


def test_lost_answer_to_staff_begins_no_second_one() -> None:
    scenario = make_scenario()
    command = RebindReservation(
        context=scenario.context("staff", "s1"),
        reservation_id=scenario.sent(),
        new_reservation_id=scenario.new_id(),
        group="blue",
    )
    begun = done(scenario.run(command)).require_reservation().reservation_id
    done(scenario.cancel(begun))

    again = done(scenario.run(command))

    assert (again.require_reservation().reservation_id, again.require_reservation().status, again.changed) == (
        begun,
        "refunded",
        False,
    )


def test_overdue_one_does_not_need_the_sweep() -> None:
    scenario = make_scenario()
    scenario.sent()
    first = asked(scenario)
    scenario.passes(1800)
    second = asked(scenario)

    assert second != first
    assert scenario.kinds[-2:] == ["UseRefunded", "RebindReserved"]


def test_once_is_enough_for_a_person_and_staff_may_more() -> None:
    scenario = make_scenario()
    scenario.sent()
    rebind = asked(scenario)
    scenario.attempt(rebind, SENT)

    assert why(ask(scenario, "green")) == "used_up"
    assert done(by_staff(scenario, rebind, "green")).changed
    twice = make_scenario(rebinds_max=2)
    twice.sent()
    twice.attempt(asked(twice), SENT)
    assert done(ask(twice, "green")).changed
    never = make_scenario(rebinds_max=0)
    never.sent()
    assert why(ask(never)) == "used_up"


def test_there_is_a_time_for_it() -> None:
    scenario = make_scenario()
    scenario.sent()
    scenario.passes(86_400 * 15)
    assert done(ask(scenario)).changed
    late = make_scenario()
    former = late.sent()
    late.passes(86_400 * 15 + 1)

    assert why(ask(late)) == "too_late"
    assert done(by_staff(late, former)).changed


def test_rebind_refusals_come_in_order() -> None:
    scenario = make_scenario()
    assert refusal(ask(scenario, code=b"other")) == "CODE_INVALID"
    scenario.reserved()
    assert why(ask(scenario)) == "nothing_sent"
    assert why(by_staff(scenario, scenario.reserved())) == "nothing_sent"
    scenario = make_scenario()
    former = scenario.sent()
    assert refusal(ask(scenario, person="wang")) == "CORRECTION_TOKEN_REQUIRED"
    assert why(ask(scenario, "red")) == "same_group"
    scenario.pause()
    assert refusal(ask(scenario)) == "CODE_PAUSED"
    scenario.resume()
    scenario.revoke()
    assert refusal(by_staff(scenario, former)) == "CODE_REVOKED"
    over = make_scenario(validity_days=10)
    over.sent()
    over.passes(86_400 * 10)
    assert refusal(ask(over)) == "GRANT_EXPIRED"


def test_rebind_by_a_person_needs_the_token_of_the_access() -> None:
    """Who shares the code and the email address can't use up the one move; a token of another person is no help."""
    scenario = make_scenario(max_uses=3, bound=False)
    mine, other = scenario.sent(), scenario.sent("wang")
    command = RequestRebind(
        context=scenario.context("person"),
        code_digests=[b"code"],
        recipient=ScenarioDraft([b"li"], scenario.new_id()),
        new_reservation_id=scenario.new_id(),
        group="blue",
        language="en",
    )

    assert refusal(scenario.run(command)) == "CORRECTION_TOKEN_REQUIRED"
    assert refusal(ask(scenario, token_of=other)) == "CORRECTION_TOKEN_REQUIRED"
    assert done(ask(scenario, token_of=mine)).changed


def test_rebind_by_a_person_moves_the_access_that_the_token_is_of() -> None:
    scenario = make_scenario(rebinds_max=2)
    first = scenario.sent()
    scenario.sent(again=first)

    moved = done(ask(scenario, token_of=first)).require_reservation()
    scenario.attempt(moved.reservation_id, SENT)
    again = done(ask(scenario, "green", token_of=first)).require_reservation()

    assert (moved.follows, again.follows) == (first, moved.reservation_id)


def test_code_that_expired_still_lets_its_people_move() -> None:
    """Its last day is for redeeming; the access lives by its own time."""
    scenario = make_scenario(expires_at=START + timedelta(seconds=10))
    scenario.sent()
    scenario.passes(20)

    assert done(ask(scenario)).changed


def test_rebind_that_is_unsent_when_the_access_ends_is_refunded() -> None:
    scenario = make_scenario(validity_days=1, policy=Policy(reservation_ttl_s=86_400))
    scenario.sent()
    scenario.passes(80_000)
    rebind = asked(scenario)
    assert scenario.reservation(rebind).deadline == START + timedelta(days=1)
    scenario.now = START + timedelta(days=1)
    scenario.settle(rebind)
    refund = scenario.events[-1]
    assert isinstance(refund, UseRefunded)
    assert (refund.cause, refund.kind) == ("grant_ended", "rebind")

    doubtful = make_scenario(validity_days=1, policy=Policy(reservation_ttl_s=86_400))
    doubtful.sent()
    doubtful.passes(80_000)
    rebind = asked(doubtful)
    doubtful.attempt(rebind, LOST)
    doubtful.now = START + timedelta(days=1)
    doubtful.settle(rebind)
    assert doubtful.kinds[-1] == "CaseOpened"
    assert refusal(doubtful.resolve(rebind, "retry")) == "RESERVATION_NOT_RESOLVABLE"


def test_rebind_is_nobodys_free_use() -> None:
    scenario = make_scenario(max_uses=1, bound=False)
    scenario.sent()
    asked(scenario)
    scenario.passes(1800)

    assert refusal(scenario.redeem("wang")) == "CODE_EXHAUSTED"


def test_redeeming_gives_the_use_and_not_the_rebind() -> None:
    scenario = make_scenario()
    former = scenario.sent()
    asked(scenario)

    assert done(scenario.redeem()).require_reservation().reservation_id == former


def test_access_is_not_refunded_while_it_is_being_moved() -> None:
    """A use, or a corrected address, would leave the rebind with nothing to move."""
    scenario = make_scenario()
    former = scenario.sent()
    rebind = asked(scenario)

    assert refusal(scenario.refund(former)) == "RESERVATION_NOT_REFUNDABLE"
    assert refusal(scenario.correct(former, "wang")) == "RECIPIENT_NOT_CORRECTABLE"
    assert not done(scenario.outage(former, include_sent=True)).changed
    scenario.cancel(rebind)
    assert done(scenario.refund(former, request_id="r2")).changed


def test_moved_access_is_removed_where_it_is() -> None:
    scenario = make_scenario()
    former = scenario.sent()
    rebind = asked(scenario)
    scenario.attempt(rebind, SENT)

    assert refusal(scenario.refund(former, revoke_access=True)) == "RESERVATION_NOT_REFUNDABLE"
    assert refusal(scenario.accept(former)) == "LINK_NOT_VALID"
    assert refusal(by_staff(scenario, former)) == "REBIND_NOT_POSSIBLE"
    assert refusal(scenario.correct(rebind, "wang")) == "RECIPIENT_NOT_CORRECTABLE"
    assert done(scenario.refund(rebind, revoke_access=True)).changed
    assert scenario.balance == (1, 0)
    assert scenario.reservation(rebind).access_due_at == scenario.now


def test_late_success_moves_after_all_if_there_is_something_to_move() -> None:
    scenario = make_scenario()
    former = scenario.sent()
    rebind = asked(scenario)
    scenario.claim(rebind)
    scenario.outcome(rebind, REFUSED)
    scenario.outcome(rebind, SENT)
    assert scenario.kinds[-2:] == ["LateSuccessRecorded", "AccessReplaced"]
    assert not scenario.reservation(former).has_active_access

    other = make_scenario()
    other.sent()
    rebind = asked(other)
    other.claim(rebind)
    other.outcome(rebind, REFUSED)
    other.attempt(asked(other), SENT)
    other.outcome(rebind, SENT)
    assert other.kinds[-2:] == ["LateSuccessRecorded", "CaseOpened"]
    assert other.balance == (1, 0)


def test_revocation_refunds_the_use() -> None:
    scenario = make_scenario()
    scenario.sent()
    rebind = asked(scenario)
    scenario.revoke()

    assert scenario.reservation(rebind).refund_cause == "revoked"
    assert scenario.balance == (1, 0)


def test_access_that_was_withdrawn_is_not_moved() -> None:
    scenario = make_scenario()
    former = scenario.sent()
    done(scenario.removed(former))

    assert why(by_staff(scenario, former)) == "withdrawn"
    assert why(ask(scenario)) == "withdrawn"


def ask_without_token(scenario: Scenario) -> Result:
    return scenario.run(
        RequestRebind(
            context=scenario.context("staff", "s1"),
            code_digests=[b"code"],
            recipient=ScenarioDraft([b"li"], scenario.new_id()),
            new_reservation_id=scenario.new_id(),
            group="blue",
            language="en",
        )
    )


def test_rebind_moves_the_newest_active_access() -> None:
    scenario = make_scenario()
    older = scenario.sent()
    done(scenario.removed(scenario.sent(again=older)))

    assert done(ask_without_token(scenario)).require_reservation().follows == older


def test_rebind_is_refused_for_the_newest_access_that_was_sent() -> None:
    scenario = make_scenario()
    older = scenario.sent()
    scenario.refund(scenario.reserved(again=older))
    done(scenario.removed(older))

    assert why(ask_without_token(scenario)) == "withdrawn"


def test_rebind_that_staff_count_as_sent_ends_the_former_access() -> None:
    scenario = make_scenario()
    former = scenario.sent()
    rebind = asked(scenario)
    scenario.attempt(rebind, LOST)

    done(scenario.resolve(rebind, "sent"))

    assert scenario.kinds[-4:] == ["CaseOpened", "InviteSent", "CaseClosed", "AccessReplaced"]
    replaced = scenario.events[-1]
    assert isinstance(replaced, AccessReplaced)
    assert (replaced.reservation_id, replaced.by, replaced.request_id) == (former, rebind, "s1")
    assert replaced.caused_by == scenario.code.version - 2


def test_end_of_the_former_access_carries_the_batch_of_the_rebind() -> None:
    """By it the history shows both as one action."""
    scenario = make_scenario()
    scenario.sent()
    rebind = asked(scenario)
    scenario.claim(rebind)
    context = CommandContext(now=scenario.now, actor="worker", actor_id="w1", correlation_id=UUID(int=9))
    fields: dict[str, Any] = {"reservation_id": rebind, "delivery": 1, "attempt": 1, "case_id": UUID(int=5)}

    done(scenario.run(RecordOutcome(context=context, outcome=SENT, **fields)))

    replaced = scenario.events[-1]
    assert isinstance(replaced, AccessReplaced)
    assert (replaced.actor, replaced.actor_id, replaced.correlation_id) == ("worker", "w1", UUID(int=9))


def test_channel_defers_a_rebind_until_the_access_expires_at_the_latest() -> None:
    scenario = make_scenario(validity_days=1)
    scenario.sent()
    end = START + timedelta(days=1)
    rebind = asked(scenario)
    tick = timedelta(microseconds=1)

    scenario.attempt(rebind, RetryLater(server="team", reason="full", wait=end - tick - START))
    assert (scenario.reservation(rebind).next_attempt_at, scenario.reservation(rebind).deadline) == (end - tick, end)
    scenario.now = end - tick
    scenario.attempt(rebind, RetryLater(server="team", reason="full", wait=tick))

    assert scenario.kinds[-2:] == ["InviteFailed", "UseRefunded"]


@pytest.mark.parametrize("kind", [RequestRebind, RebindReservation])
def test_rebind_to_a_text_that_may_not_name_a_group_cannot_be_made(kind: Any) -> None:  # noqa: ANN401 - two commands
    """The event would hold it permanently."""
    fields = dict.fromkeys(kind.__struct_fields__)

    with pytest.raises(ValueError, match="no email address"):
        kind(**{**fields, "group": "li.wei@example.com"})
