"""Limits on invitations: which limit holds a decision back, and for how long."""

from uuid import UUID

import pytest

from domain.commands.access.rebind import RequestRebind
from domain.commands.context import CommandContext, InvitationWaits
from domain.commands.invitation_limits import find_invitation_limit, hide_recipient
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.reserve import ReserveUse
from domain.errors import (
    AddressUndeliverable,
    EmailMismatch,
    InvitationsLimited,
    PersonLimitReached,
    RecipientNotCorrectable,
    Refusal,
)
from domain.events.event import Event
from domain.events.reservation import RebindReserved, UseReserved
from tests.support.ledger.code_terms import make_campaign_terms
from tests.support.ledger.scenario import START, Scenario, ScenarioDraft, done, draft_person, refusal

WAITS = InvitationWaits(recipient_s=1, again_s=20, address_s=300)
NO_ID = UUID(int=0)


def context_with(waits: InvitationWaits | None) -> CommandContext:
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
    limited = find_invitation_limit(
        [started(follows=NO_ID)], context_with(InvitationWaits(recipient_s=50, again_s=20)), Scenario().code
    )

    assert limited is not None
    assert limited.why == "recipient"


def test_decision_is_not_limited_when_no_limit_concerns_it() -> None:
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


ASKED_TOO_MUCH = InvitationWaits(others_s=36)


def redeem_after_asking_too_much(scenario: Scenario, person: str) -> str:
    """The refusal that a client receives which asked about too many other recipients."""
    command = ReserveUse(
        context=context_with(ASKED_TOO_MUCH),
        code_digests=[b"code"],
        recipient=draft_person(person, scenario.new_id()),
        reservation_id=scenario.new_id(),
        language="en",
    )
    return refusal(scenario.run(command))


@pytest.mark.parametrize(
    ("max_uses", "bound", "person", "answer"),
    [
        (1, False, "li", "CODE_EXHAUSTED"),
        (1, False, "stranger", "CODE_EXHAUSTED"),
        (1, True, "li", "RATE_LIMITED"),
        (1, True, "stranger", "RATE_LIMITED"),
        (2, False, "li", "RATE_LIMITED"),
    ],
)
def test_own_use_is_hidden_from_a_client_that_asked_about_too_many_recipients(
    max_uses: int, bound: bool, person: str, answer: str
) -> None:
    """The answer is that of a stranger; where a stranger would get a use, it is that of the limit."""
    scenario = Scenario(max_uses=max_uses, bound=bound)
    scenario.sent("li")

    assert redeem_after_asking_too_much(scenario, person) == answer


def test_stranger_redeems_although_the_client_asked_about_too_many_recipients() -> None:
    scenario = Scenario(max_uses=2, bound=False)
    scenario.sent("li")
    command = ReserveUse(
        context=context_with(ASKED_TOO_MUCH),
        code_digests=[b"code"],
        recipient=draft_person("stranger", scenario.new_id()),
        reservation_id=scenario.new_id(),
        language="en",
    )

    assert not isinstance(scenario.run(command), Refusal)


def test_correction_hides_who_has_a_use_beyond_the_limit() -> None:
    """The refusal comes with a decision here, since a correction may also settle a lease."""
    scenario = Scenario(max_uses=2, bound=False)
    mine = scenario.sent("mine")
    scenario.sent("li")
    command = CorrectRecipient(
        context=context_with(ASKED_TOO_MUCH),
        reservation_id=mine,
        recipient=draft_person("li", scenario.new_id()),
        new_reservation_id=scenario.new_id(),
        code_digests=[b"code"],
        token_of=mine,
    )

    assert refusal(scenario.run(command)) == "RATE_LIMITED"


@pytest.mark.parametrize(("is_offered", "is_bounded"), [(False, False), (False, True), (True, True)])
def test_place_on_a_waiting_list_is_hidden_from_a_client_that_asked_about_too_many_recipients(
    *, is_offered: bool, is_bounded: bool
) -> None:
    """Once it may put no more people on the list, the answer is the same for those who wait and for those who do not.

    Until then, a stranger still joins, which an email and a place on the list show.
    """
    scenario = Scenario(campaign=make_campaign_terms(max_uses=1, waiting_hours=24), max_uses=9, bound=False)
    use = scenario.sent("mine")
    scenario.wait("li")
    if is_offered:
        done(scenario.refund(use, revoke_access=False))
        scenario.offer_uses()
    waits = InvitationWaits(others_s=36, address_s=90 if is_bounded else 0)

    of_li, of_stranger = (scenario.wait(person, waits=waits) for person in ("li", "stranger"))

    assert isinstance(of_li, InvitationsLimited)
    assert (of_li.why, of_li.retry_after_s) == ("other_recipients", 36)
    assert isinstance(of_stranger, Refusal) == is_bounded
    if is_bounded:
        assert isinstance(of_stranger, InvitationsLimited)
        assert (of_stranger.why, of_stranger.retry_after_s) == (of_li.why, of_li.retry_after_s)


SAME_FOR_EVERYONE = {
    *("CODE_INVALID", "CODE_REVOKED", "CODE_PAUSED", "CODE_EXPIRED", "CODE_NOT_STARTED", "CODE_HELD", "CODE_EXHAUSTED"),
    *("CAMPAIGN_NOT_STARTED", "CAMPAIGN_ENDED", "CAMPAIGN_PAUSED", "CAMPAIGN_HELD", "CAMPAIGN_EXHAUSTED"),
    *("CAMPAIGN_DAY_LIMIT", "DOMAIN_NOT_ALLOWED", "THROWAWAY_ADDRESS", "CORRECTION_TOKEN_REQUIRED"),
}
NEEDS_ID_OR_TOKEN = {"AGAIN_UNKNOWN", "NOT_FOUND", "IDEMPOTENCY_KEY_REUSED", "REBIND_NOT_POSSIBLE", "GRANT_EXPIRED"}
"""Only a request with a random id, a key or a token of the recipient's own client leads to them."""


def test_each_refusal_of_a_person_is_declared_to_depend_on_the_recipient_or_not() -> None:
    """A new refusal of these commands is added here: hidden, or the reason is in docs/explanation/rate-limits.md."""
    classes = {each for command in (ReserveUse, CorrectRecipient, RequestRebind) for each in command.refusals}
    dependent = {each for each in classes if each.depends_on_recipient}
    same = {each.code for each in classes - dependent - {RecipientNotCorrectable}}
    reasons = {why for why in RecipientNotCorrectable.reasons if RecipientNotCorrectable(why).depends_on_recipient}

    assert dependent == {AddressUndeliverable, EmailMismatch, PersonLimitReached, InvitationsLimited}
    assert reasons == {"address_taken", "kept_binding"}
    assert same == SAME_FOR_EVERYONE | NEEDS_ID_OR_TOKEN
    assert isinstance(hide_recipient(EmailMismatch(), context_with(None)), EmailMismatch)
