"""Moving an access to another group: no use, a reservation of its own, the former access until the new one is sent."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.command_bus import Result
from domain.commands.access.rebind import RebindReservation, RequestRebind
from domain.commands.access.settle_access import SettleAccess
from domain.errors import RebindNotPossible
from domain.events import AccessReplaced, RebindReserved, UseRefunded
from domain.policy import Policy
from tests.support.ledger.scenario import BUSY, LOST, REFUSED, SENT, START, Scenario, ScenarioDraft, done, refusal


def scenario(**more: object) -> Scenario:
    """A code of the red group with three uses, whose access ends after 30 days."""
    terms: dict[str, object] = {"max_uses": 3, "group": "red", "validity_days": 30, **more}
    return Scenario(**terms)  # type: ignore[arg-type]  # whatever a scenario takes


def ask(
    given: Scenario, group: str = "blue", person: str = "li", code: bytes = b"code", token_of: UUID | None = None
) -> Result:
    """A person asks to move the access of a reservation: of their newest use, unless another is named."""
    return given.run(
        RequestRebind(
            context=given.context("person"),
            code_digests=[code],
            recipient=ScenarioDraft([person.encode()], given.new_id()),
            new_reservation_id=given.new_id(),
            group=group,
            language="en",
            token_of=token_of or given.newest_use(person),
        )
    )


def by_staff(given: Scenario, item: UUID, group: str = "blue") -> Result:
    """Staff move an access."""
    return given.run(
        RebindReservation(
            context=given.context("staff", "s1"),
            reservation_id=item,
            new_reservation_id=given.new_id(),
            group=group,
        )
    )


def asked(given: Scenario, group: str = "blue") -> UUID:
    """A rebind that waits to be sent; its id."""
    return done(ask(given, group)).require_reservation().reservation_id


def why(result: Result) -> str:
    """Why it can't be moved."""
    assert isinstance(result, RebindNotPossible), result
    return result.why


def test_rebind_reserves_no_use_and_waits_like_any_reservation() -> None:
    """One event, which names what it moves; the balance stays."""
    given = scenario()
    former = given.sent()
    rebind = asked(given)

    event = given.events[-1]
    assert isinstance(event, RebindReserved)
    assert (event.follows, event.group, event.moves, event.validity_days) == (former, "blue", 1, 30)
    assert given.balance == (1, 0)
    assert given.reservation(rebind).due_at == given.now
    assert given.reservation(former).has_active_access


def test_the_former_access_ends_when_the_new_invitation_is_sent_not_earlier() -> None:
    """Through failures and doubts it stands; with the success, in the same commit, it ends."""
    given = scenario()
    former = given.sent()
    rebind = asked(given)
    for outcome in (BUSY, LOST):
        given.attempt(rebind, outcome)
        given.passes(20)
        assert given.reservation(former).has_active_access
    given.attempt(rebind, SENT)

    replaced = given.events[-1]
    assert isinstance(replaced, AccessReplaced)
    assert (replaced.reservation_id, replaced.by) == (former, rebind)
    assert given.reservation(former).access_due_at == given.now
    assert given.balance == (1, 0)


def test_the_end_does_not_move() -> None:
    """It is that of the first activation, however late it was moved."""
    given = scenario()
    former = given.sent()
    given.passes(86_400 * 10)
    rebind = asked(given)
    given.attempt(rebind, SENT)

    assert given.reservation(rebind).access_ends_at == START + timedelta(days=30)
    assert given.reservation(former).access_ends_at == START + timedelta(days=30)
    given.now = START + timedelta(days=30)
    given.run(SettleAccess(context=given.context("sweep"), reservation_id=rebind))
    assert given.kinds[-1] == "AccessExpired"


@pytest.mark.parametrize("how", ["refused", "deadline"])
def test_one_that_fails_gives_the_move_back_and_no_use(how: str) -> None:
    """A refund of kind rebind; then it can be asked for anew."""
    given = scenario()
    former = given.sent()
    rebind = asked(given)
    if how == "refused":
        given.attempt(rebind, REFUSED)
    else:
        given.passes(1800)
        given.settle(rebind)

    refund = given.events[-1]
    assert isinstance(refund, UseRefunded)
    assert refund.kind == "rebind"
    assert given.balance == (1, 0)
    assert given.reservation(former).has_active_access
    assert asked(given) != rebind


def test_the_same_request_gives_the_same_rebind() -> None:
    """While it is under way, whatever group is named; and after it, for the same group."""
    given = scenario()
    given.sent()
    rebind = asked(given)

    assert asked(given, "green") == rebind
    given.attempt(rebind, SENT)
    assert asked(given) == rebind


def test_a_lost_answer_begins_no_second_one() -> None:
    """Whatever happened meanwhile: a further use was sent, whose access would be moved now (seed 80078481)."""
    given = scenario()
    first = given.sent()
    command = RequestRebind(
        context=given.context("person"),
        code_digests=[b"code"],
        recipient=ScenarioDraft([b"li"], given.new_id()),
        new_reservation_id=given.new_id(),
        group="blue",
        language="en",
        token_of=first,
    )
    begun = done(given.run(command)).require_reservation()
    given.sent(again=first)

    again = done(given.run(command))

    assert (again.require_reservation(), again.changed) == (begun, False)


def test_a_lost_answer_to_staff_begins_no_second_one() -> None:
    """Not even if the first was given back meanwhile."""
    given = scenario()
    command = RebindReservation(
        context=given.context("staff", "s1"),
        reservation_id=given.sent(),
        new_reservation_id=given.new_id(),
        group="blue",
    )
    begun = done(given.run(command)).require_reservation().reservation_id
    done(given.cancel(begun))

    again = done(given.run(command))

    assert (again.require_reservation().reservation_id, again.require_reservation().status, again.changed) == (
        begun,
        "refunded",
        False,
    )


def test_an_overdue_one_does_not_need_the_sweep() -> None:
    """The next request gives it back and begins anew, in one commit."""
    given = scenario()
    given.sent()
    first = asked(given)
    given.passes(1800)
    second = asked(given)

    assert second != first
    assert given.kinds[-2:] == ["UseRefunded", "RebindReserved"]


def test_once_is_enough_for_a_person_and_staff_may_more() -> None:
    """The limit is the code's, else the policy's; what was given back does not count."""
    given = scenario()
    given.sent()
    rebind = asked(given)
    given.attempt(rebind, SENT)

    assert why(ask(given, "green")) == "used_up"
    assert done(by_staff(given, rebind, "green")).changed
    twice = scenario(rebinds_max=2)
    twice.sent()
    twice.attempt(asked(twice), SENT)
    assert done(ask(twice, "green")).changed
    never = scenario(rebinds_max=0)
    never.sent()
    assert why(ask(never)) == "used_up"


def test_there_is_a_time_for_it() -> None:
    """Fifteen days from the activation; staff may later."""
    given = scenario()
    given.sent()
    given.passes(86_400 * 15)
    assert done(ask(given)).changed
    late = scenario()
    former = late.sent()
    late.passes(86_400 * 15 + 1)

    assert why(ask(late)) == "too_late"
    assert done(by_staff(late, former)).changed


def test_rebind_refusals_come_in_order() -> None:
    """Unknown code, nothing sent, the same group, revoked, paused, over."""
    given = scenario()
    assert refusal(ask(given, code=b"other")) == "CODE_INVALID"
    given.reserved()
    assert why(ask(given)) == "nothing_sent"
    given = scenario()
    former = given.sent()
    assert refusal(ask(given, person="wang")) == "CORRECTION_TOKEN_REQUIRED"
    assert why(ask(given, "red")) == "same_group"
    given.pause()
    assert refusal(ask(given)) == "CODE_PAUSED"
    given.resume()
    given.revoke()
    assert refusal(by_staff(given, former)) == "CODE_REVOKED"
    over = scenario(validity_days=10)
    over.sent()
    over.passes(86_400 * 10)
    assert refusal(ask(over)) == "GRANT_EXPIRED"


def test_rebind_by_a_person_needs_the_token_of_the_access() -> None:
    """Who shares the code and the email address can't use up the one move; a token of another person is no help."""
    given = scenario(max_uses=3, bound=False)
    mine, other = given.sent(), given.sent("wang")
    command = RequestRebind(
        context=given.context("person"),
        code_digests=[b"code"],
        recipient=ScenarioDraft([b"li"], given.new_id()),
        new_reservation_id=given.new_id(),
        group="blue",
        language="en",
    )

    assert refusal(given.run(command)) == "CORRECTION_TOKEN_REQUIRED"
    assert refusal(ask(given, token_of=other)) == "CORRECTION_TOKEN_REQUIRED"
    assert done(ask(given, token_of=mine)).changed


def test_rebind_by_a_person_moves_the_access_that_the_token_is_of() -> None:
    """Not whichever is newest; and the token still covers the access after it was moved on."""
    given = scenario(rebinds_max=2)
    first = given.sent()
    given.sent(again=first)

    moved = done(ask(given, token_of=first)).require_reservation()
    given.attempt(moved.reservation_id, SENT)
    again = done(ask(given, "green", token_of=first)).require_reservation()

    assert (moved.follows, again.follows) == (first, moved.reservation_id)


def test_a_code_that_expired_still_lets_its_people_move() -> None:
    """Its last day is for redeeming; the access lives by its own time."""
    given = scenario(expires_at=START + timedelta(seconds=10))
    given.sent()
    given.passes(20)

    assert done(ask(given)).changed


def test_one_that_is_unsent_when_the_access_ends_is_given_back() -> None:
    """Its deadline is the end at the latest, whatever a channel asks for; once in doubt it is a case."""
    given = scenario(validity_days=1, policy=Policy(reservation_ttl_s=86_400))
    given.sent()
    given.passes(80_000)
    rebind = asked(given)
    assert given.reservation(rebind).deadline == START + timedelta(days=1)
    given.now = START + timedelta(days=1)
    given.settle(rebind)
    refund = given.events[-1]
    assert isinstance(refund, UseRefunded)
    assert (refund.cause, refund.kind) == ("grant_ended", "rebind")

    doubtful = scenario(validity_days=1, policy=Policy(reservation_ttl_s=86_400))
    doubtful.sent()
    doubtful.passes(80_000)
    rebind = asked(doubtful)
    doubtful.attempt(rebind, LOST)
    doubtful.now = START + timedelta(days=1)
    doubtful.settle(rebind)
    assert doubtful.kinds[-1] == "CaseOpened"
    assert refusal(doubtful.resolve(rebind, "retry")) == "RESERVATION_NOT_RESOLVABLE"


def test_a_rebind_is_nobodys_free_use() -> None:
    """Overdue or given back, it makes no room for another person on a full code."""
    given = scenario(max_uses=1, bound=False)
    given.sent()
    asked(given)
    given.passes(1800)

    assert refusal(given.redeem("wang")) == "CODE_EXHAUSTED"


def test_redeeming_gives_the_use_and_not_the_rebind() -> None:
    """The person's use is what it was."""
    given = scenario()
    former = given.sent()
    asked(given)

    assert done(given.redeem()).require_reservation().reservation_id == former


def test_access_is_not_refunded_while_it_is_being_moved() -> None:
    """A use, or a corrected address, would leave the rebind with nothing to move."""
    given = scenario()
    former = given.sent()
    rebind = asked(given)

    assert refusal(given.refund(former)) == "RESERVATION_NOT_REFUNDABLE"
    assert refusal(given.correct(former, "wang")) == "RECIPIENT_NOT_CORRECTABLE"
    assert not done(given.outage(former, include_sent=True)).changed
    given.cancel(rebind)
    assert done(given.refund(former, request_id="r2")).changed


def test_a_moved_access_is_taken_away_where_it_is() -> None:
    """The former reservation has none any more, and its link leads nowhere."""
    given = scenario()
    former = given.sent()
    rebind = asked(given)
    given.attempt(rebind, SENT)

    assert refusal(given.refund(former, revoke_access=True)) == "RESERVATION_NOT_REFUNDABLE"
    assert refusal(given.accept(former)) == "LINK_NOT_VALID"
    assert refusal(by_staff(given, former)) == "REBIND_NOT_POSSIBLE"
    assert refusal(given.correct(rebind, "wang")) == "RECIPIENT_NOT_CORRECTABLE"
    assert done(given.refund(rebind, revoke_access=True)).changed
    assert given.balance == (1, 0)
    assert given.reservation(rebind).access_due_at == given.now


def test_a_late_success_moves_after_all_if_there_is_something_to_move() -> None:
    """Given back and sent all the same: the access is moved, unless it was moved elsewhere or is over."""
    given = scenario()
    former = given.sent()
    rebind = asked(given)
    given.claim(rebind)
    given.outcome(rebind, REFUSED)
    given.outcome(rebind, SENT)
    assert given.kinds[-2:] == ["LateSuccessRecorded", "AccessReplaced"]
    assert not given.reservation(former).has_active_access

    other = scenario()
    other.sent()
    rebind = asked(other)
    other.claim(rebind)
    other.outcome(rebind, REFUSED)
    other.attempt(asked(other), SENT)
    other.outcome(rebind, SENT)
    assert other.kinds[-2:] == ["LateSuccessRecorded", "CaseOpened"]
    assert other.balance == (1, 0)


def test_revoking_gives_it_back() -> None:
    """A revoked code sends nothing."""
    given = scenario()
    given.sent()
    rebind = asked(given)
    given.revoke()

    assert given.reservation(rebind).refund_cause == "revoked"
    assert given.balance == (1, 0)
