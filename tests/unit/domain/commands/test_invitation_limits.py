"""Limits on invitations: which limit holds a decision back, and for how long."""

from uuid import UUID

import pytest

from domain.commands.context import CommandContext, InvitationWaits
from domain.commands.invitation_limits import find_invitation_limit
from domain.commands.reservation.reserve import ReserveUse
from domain.errors import InvitationsLimited
from domain.events import Event, RebindReserved, UseReserved
from tests.support.ledger.scenario import START, Scenario, ScenarioDraft

WAITS = InvitationWaits(recipient_s=1, again_s=20, address_s=300)
NO_ID = UUID(int=0)


def context_with(waits: InvitationWaits | None) -> CommandContext:
    """A person's context with reached limits."""
    return CommandContext(now=START, actor="person", waits=waits)


def started(kind: type[UseReserved | RebindReserved] = UseReserved, follows: UUID | None = None) -> Event:
    """The event that begins a reservation."""
    return kind(
        reservation_id=NO_ID,
        recipient_id=NO_ID,
        deadline=START,
        language="en",
        follows=follows,
        at=START,
        actor="person",
    )


@pytest.mark.parametrize(
    ("event", "bound", "why", "seconds"),
    [
        (started(), True, "recipient", 1),
        (started(), False, "new_recipients", 300),
        (started(follows=NO_ID), True, "again", 20),
        (started(follows=NO_ID), False, "again", 20),
        (started(RebindReserved, NO_ID), False, "recipient", 1),
    ],
)
def test_longest_limit_that_concerns_the_reservation_refuses_it(
    event: Event, bound: bool, why: str, seconds: int
) -> None:
    """A rebind has its own bound, `again` another; only an open code counts new recipients."""
    code = Scenario(bound=bound).code

    limited = find_invitation_limit([event], context_with(WAITS), code)

    assert isinstance(limited, InvitationsLimited)
    assert limited.why == why
    assert limited.retry_after_s == seconds


def test_longer_wait_of_the_recipient_wins_over_the_shorter_one_of_again() -> None:
    """The longest of the limits that concern it."""
    limited = find_invitation_limit(
        [started(follows=NO_ID)], context_with(InvitationWaits(recipient_s=50, again_s=20)), Scenario().code
    )

    assert limited is not None
    assert limited.why == "recipient"


def test_decision_is_not_limited_when_no_limit_concerns_it() -> None:
    """No reached limit, no known code, no new reservation, or a limit that leaves room now."""
    code = Scenario().code

    assert find_invitation_limit([started()], context_with(None), code) is None
    assert find_invitation_limit([started()], context_with(WAITS), None) is None
    assert find_invitation_limit([], context_with(WAITS), code) is None
    assert find_invitation_limit([started()], context_with(InvitationWaits(address_s=300)), code) is None


def test_redeem_beyond_a_limit_is_refused_and_changes_nothing() -> None:
    """The command bus asks for the limits before it records; a code's own refusals come first."""
    scenario = Scenario()
    command = ReserveUse(
        context=context_with(WAITS),
        code_digests=[b"code"],
        recipient=ScenarioDraft([b"li"], scenario.new_id()),
        reservation_id=scenario.new_id(),
        language="en",
    )

    assert isinstance(scenario.run(command), InvitationsLimited)
    assert scenario.kinds == []
