"""What loaded states lead to, whichever commands are decided on them; and that nothing unasked for is read."""

from collections.abc import Callable
from uuid import UUID

import pytest

from domain.asks import Asks
from domain.commands.reads import ask_for_what_follows
from domain.working_set import WorkingSet
from tests.support.ledger.code_terms import make_campaign_terms
from tests.support.ledger.scenario import Scenario

UNKNOWN = UUID(int=1)


def asks_of(scenario: Scenario, *named: UUID, redeems: int = 0, freed: bool = False) -> Asks:
    """What a batch asks for that names these reservations and redeems the scenario's code so often."""
    asks = Asks()
    if redeems:
        asks.redeems[scenario.code_id] = redeems
        asks.awaited.add(scenario.code_id)
    if freed:
        asks.freed.add(scenario.code_id)
    ask_for_what_follows(asks, scenario.working_set, named, {})
    return asks


@pytest.mark.parametrize(("redeems", "expected"), [(1, False), (2, True)])
def test_overdue_are_asked_for_if_the_redeems_of_a_batch_may_use_the_code_up(redeems: int, expected: bool) -> None:
    """So a hot code that is far from its limit costs no statement."""
    scenario = Scenario(max_uses=2, bound=False)
    scenario.reserved("li")

    assert (asks_of(scenario, redeems=redeems).overdue == {scenario.code_id}) is expected


def test_newer_are_asked_for_if_a_use_may_count_again() -> None:
    """It is refunded; or another command of the batch may refund it, which names it, or the code alone."""
    scenario = Scenario(max_uses=2, bound=False)
    refunded, reserved = scenario.reserved("li"), scenario.reserved("wang")
    scenario.refund(refunded)

    assert asks_of(scenario, refunded, reserved).newer == {refunded}
    assert asks_of(scenario, reserved, reserved).newer == {reserved}
    assert asks_of(scenario, reserved, freed=True).newer == {reserved}


def test_uses_in_a_campaign_are_asked_for_if_it_limits_persons() -> None:
    limited, free = (
        Scenario(campaign=make_campaign_terms(max_per_person=limit), max_uses=9, bound=False) for limit in (2, None)
    )
    reserved = limited.reserved("li")
    person = limited.reservation(reserved).recipient_id

    assert asks_of(limited, reserved).uses == {(limited.campaign_id, person)}
    assert asks_of(free, free.reserved("li")).uses == set()


def test_deadlines_of_a_campaign_are_asked_for_if_it_may_be_full() -> None:
    """The refusal says until when the last use is held."""
    scenario = Scenario(campaign=make_campaign_terms(max_uses=2), max_uses=9, bound=False)
    scenario.reserved("li")

    assert asks_of(scenario, redeems=1).deadlines == set()
    assert asks_of(scenario, redeems=2).deadlines == {scenario.campaign_id}


@pytest.mark.parametrize(
    "read",
    [
        lambda seen, scenario, reservation: seen.reservations_of(scenario.code_id, reservation.recipient_id),
        lambda seen, _, reservation: seen.newer_than(reservation),
        lambda seen, _, reservation: seen.moves(reservation),
        lambda seen, scenario, _: seen.pending_reservations(scenario.code_id),
        lambda seen, _, __: seen.has_text(UNKNOWN),
        lambda seen, scenario, _: seen.find_handed_out(scenario.code_id),
        lambda seen, scenario, reservation: seen.count_uses_of_person(
            seen.campaigns[scenario.campaign_id], reservation.recipient_id
        ),
    ],
    ids=["persons", "newer", "rebinds", "releasable", "texts", "handed out", "uses"],
)
def test_decision_cannot_read_rows_that_no_command_asked_for(read: Callable[..., object]) -> None:
    """It would take what was not read for what does not exist."""
    scenario = Scenario(campaign=make_campaign_terms(max_per_person=1), max_uses=2, bound=False)
    reservation = scenario.reservation(scenario.reserved("li"))
    seen = WorkingSet(asked=Asks())
    seen.campaigns.update(scenario.working_set.campaigns)
    seen.add_reservation(reservation)
    seen.note_known_persons()

    with pytest.raises(AssertionError, match="no command asked for it"):
        read(seen, scenario, reservation)


def test_recipient_without_reservations_needs_no_read() -> None:
    """A new person has none, so nothing is asked for."""
    seen = WorkingSet(asked=Asks())
    seen.note_known_persons()

    assert seen.reservations_of(UNKNOWN, UNKNOWN) == []


def test_source_that_was_not_read_is_not_missing() -> None:
    """A rebind has one for certain."""
    scenario = Scenario(max_uses=2, bound=False)
    first = scenario.sent("li")
    follower = scenario.reserved("li", again=first)
    seen = WorkingSet(asked=Asks())
    seen.add_reservation(scenario.reservation(follower))

    with pytest.raises(AssertionError, match="no command asked for it"):
        seen.followed_by(scenario.reservation(follower))
