"""Reserving a use: who gets one, who is refused, and in which order."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.issue import IssueCode
from domain.commands.reservation.reserve import ReserveUse
from domain.errors import CodeHeld, CodeNotStarted, Refusal, ReservationNotRefundable
from domain.events.reservation import UseReserved
from domain.values.email_domains import parse_domains
from domain.writes import RememberedKey
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.scenario import BUSY, LOST, REFUSED, START, Scenario, ScenarioDraft, done, refusal


def test_first_redeem_holds_one_use() -> None:
    scenario = Scenario(max_uses=2)

    result = done(scenario.redeem())

    event = scenario.events[-1]
    assert isinstance(event, UseReserved)
    assert result.changed
    assert scenario.balance == (0, 1)
    assert event.deadline == START + timedelta(seconds=1800)


def test_same_person_gets_the_same_live_reservation() -> None:
    scenario = Scenario()
    first = scenario.reserved()

    result = done(scenario.redeem())

    assert result.require_reservation().reservation_id == first
    assert not result.changed


def test_lost_answer_makes_no_second_reservation() -> None:
    """Not even if the first was refunded before the command came again."""
    scenario = Scenario()
    command = ReserveUse(
        context=scenario.context("person"),
        code_digests=[b"code"],
        recipient=ScenarioDraft([b"li"], scenario.new_id()),
        reservation_id=scenario.new_id(),
        language="zh",
    )
    first = done(scenario.run(command)).require_reservation().reservation_id
    done(scenario.cancel(first))

    again = done(scenario.run(command))

    assert (again.require_reservation().reservation_id, again.require_reservation().status, again.changed) == (
        first,
        "refunded",
        False,
    )


def test_same_person_gets_the_sent_reservation() -> None:
    scenario = Scenario(max_uses=5)
    first = scenario.sent()

    result = done(scenario.redeem())

    assert result.require_reservation().reservation_id == first
    assert scenario.balance == (1, 0)


def test_unknown_code_is_refused_first() -> None:
    assert refusal(Scenario().redeem(code=b"other")) == "CODE_INVALID"


def test_code_of_another_group_is_refused() -> None:
    scenario = Scenario(group="blue")

    assert refusal(scenario.redeem(group="red")) == "CODE_INVALID"
    assert done(scenario.redeem(group="blue")).changed


def test_own_reservation_comes_before_expiry() -> None:
    """Idempotency first: also an expired code answers its own people."""
    scenario = Scenario(max_uses=2, bound=False, expires_at=START + timedelta(seconds=60))
    first = scenario.reserved()
    scenario.passes(61)

    assert done(scenario.redeem()).require_reservation().reservation_id == first
    assert refusal(scenario.redeem("wang")) == "CODE_EXPIRED"


def test_expired_comes_before_mismatch() -> None:
    scenario = Scenario(expires_at=START + timedelta(seconds=60))
    scenario.sent()
    scenario.passes(61)

    assert refusal(scenario.redeem("wang")) == "CODE_EXPIRED"


LATER = START + timedelta(seconds=60, microseconds=1)
DENIED: dict[str, Any] = {"denied_domains": parse_domains("example.com")}


@pytest.mark.parametrize(
    ("terms", "is_paused", "code"),
    [
        ({"starts_at": LATER, **DENIED}, True, "CODE_PAUSED"),
        ({"starts_at": LATER, **DENIED}, False, "CODE_NOT_STARTED"),
        ({"expires_at": START, **DENIED}, False, "CODE_EXPIRED"),
        (DENIED, False, "DOMAIN_NOT_ALLOWED"),
        ({}, False, "EMAIL_MISMATCH"),
    ],
)
def test_refusals_come_in_the_order_that_the_command_declares(
    terms: dict[str, Any], is_paused: bool, code: str
) -> None:
    scenario = Scenario()
    scenario.sent("wang")
    changed = ChangeTerms(context=scenario.context("operator"), code_id=scenario.code_id, changes=terms)
    done(scenario.run(changed))
    if is_paused:
        scenario.pause()
    order = [declared.code for declared in ReserveUse.refusals]

    assert refusal(scenario.redeem("li")) == code
    assert order.index("CODE_PAUSED") < order.index(code) or code == "CODE_PAUSED"
    assert order.index(code) <= order.index("EMAIL_MISMATCH")


def test_code_is_redeemed_from_its_start_on() -> None:
    scenario = Scenario(starts_at=LATER)

    early = scenario.redeem()
    scenario.passes(60)
    just_before = scenario.redeem()
    scenario.passes(1)

    assert isinstance(early, CodeNotStarted)
    assert isinstance(just_before, CodeNotStarted)
    assert (early.retry_after_s, just_before.retry_after_s) == (61, 1)
    assert early.facts == {"starts_at": LATER}
    assert done(scenario.redeem()).changed


def test_domains_decide_before_uses_and_own_reservations_before_domains() -> None:
    """Another address learns nothing of others' uses, and a recipient keeps a reservation when terms change."""
    scenario = Scenario(allowed_domains=parse_domains("example.com *.example.org"))
    own = scenario.reserved("li@mail.example.org")

    strangers = [scenario.redeem(f"li@{domain}") for domain in ("example.org", "example.net", "mail.example.com")]
    scenario.run(ChangeTerms(context=scenario.context("operator"), code_id=scenario.code_id, changes=DENIED))
    repeated = done(scenario.redeem("li@mail.example.org")).require_reservation()

    assert {refusal(result) for result in strangers} == {"DOMAIN_NOT_ALLOWED"}
    assert repeated.reservation_id == own
    assert b"example.org" in msgspec.json.encode(scenario.events[0])
    assert b"example" not in msgspec.json.encode([event for event in scenario.events if isinstance(event, UseReserved)])


def test_sent_use_binds_the_code() -> None:
    scenario = Scenario(max_uses=5)
    scenario.sent()

    assert refusal(scenario.redeem("wang")) == "EMAIL_MISMATCH"


def test_live_use_only_holds_the_binding() -> None:
    scenario = Scenario(max_uses=5)
    scenario.reserved()
    scenario.passes(100)

    result = scenario.redeem("wang")

    assert refusal(result) == "CODE_HELD"
    assert isinstance(result, Refusal)
    assert result.retry_after_s == 1700


def test_held_code_is_asked_for_again_after_a_second_at_the_earliest() -> None:
    for seconds, retry_after_s in ((1799.5, 1), (1798.5, 2)):
        scenario = Scenario(max_uses=5)
        scenario.reserved()
        scenario.passes(seconds)

        result = scenario.redeem("wang")

        assert isinstance(result, CodeHeld)
        assert result.retry_after_s == retry_after_s


def test_reserved_use_is_not_exhausted() -> None:
    scenario = Scenario(max_uses=1, bound=False)
    scenario.reserved()

    assert refusal(scenario.redeem("wang")) == "CODE_HELD"


def test_used_up_is_shown_only_when_true() -> None:
    scenario = Scenario(max_uses=1, bound=False)
    scenario.sent()

    assert refusal(scenario.redeem("wang")) == "CODE_EXHAUSTED"


def test_refunded_first_use_leaves_no_binding() -> None:
    """Binding is derived: once the use is back, the code is anybody's."""
    scenario = Scenario()
    scenario.refund(scenario.reserved())

    assert done(scenario.redeem("wang")).changed


def test_overdue_reservation_gives_way_in_the_same_commit() -> None:
    """Nothing depends on the sweep: the next command refunds what it needs."""
    scenario = Scenario(max_uses=1, bound=False)
    scenario.reserved()
    scenario.passes(1800)

    done(scenario.redeem("wang"))

    assert scenario.kinds == ["UseReserved", "UseRefunded", "UseReserved"]
    assert scenario.balance == (0, 1)


def test_overdue_reservations_release_the_binding() -> None:
    scenario = Scenario(max_uses=5)
    scenario.reserved()
    scenario.passes(1800)

    assert done(scenario.redeem("wang")).changed
    assert scenario.code.owner_id == scenario.working_set.recipient_ids[b"wang"]


def test_ones_own_overdue_reservation_is_renewed() -> None:
    scenario = Scenario(max_uses=1)
    first = scenario.reserved()
    scenario.passes(1801)

    again = done(scenario.redeem()).require_reservation().reservation_id

    assert again != first
    assert scenario.kinds == ["UseReserved", "UseRefunded", "UseReserved"]


def test_unknown_is_never_given_way() -> None:
    """A machine never refunds an unknown, also not for the next caller."""
    scenario = Scenario(max_uses=1, bound=False)
    scenario.attempt(scenario.reserved(), LOST)
    scenario.passes(4000)

    result = scenario.redeem("wang")

    assert refusal(result) == "CODE_HELD"
    assert isinstance(result, Refusal)
    assert result.retry_after_s == 1800


def test_leased_reservation_is_never_given_way() -> None:
    scenario = Scenario(max_uses=1, bound=False)
    reservation_id = scenario.reserved()
    scenario.passes(1799)
    scenario.claim(reservation_id)
    scenario.passes(2)

    assert refusal(scenario.redeem("wang")) == "CODE_HELD"


def test_again_takes_a_further_use() -> None:
    scenario = Scenario(max_uses=2)
    first = scenario.sent()

    second = done(scenario.redeem(again=first))

    assert second.changed
    assert second.require_reservation().follows == first
    assert scenario.balance == (1, 1)


def test_again_twice_gives_the_one_that_follows() -> None:
    scenario = Scenario(max_uses=5)
    first = scenario.sent()
    second = scenario.reserved(again=first)

    assert scenario.reserved(again=first) == second


def test_again_after_a_refund_is_a_new_one() -> None:
    scenario = Scenario(max_uses=5)
    first = scenario.sent()
    second = scenario.reserved(again=first)
    scenario.refund(second)

    assert scenario.reserved(again=first) not in {first, second}


def test_again_of_a_refunded_one_is_a_plain_redeem() -> None:
    scenario = Scenario(max_uses=5)
    first = scenario.sent()
    scenario.refund(first)

    again = done(scenario.redeem(again=first)).require_reservation()

    assert again.follows is None


def test_again_with_the_reservation_of_another_recipient_is_refused() -> None:
    scenario = Scenario(max_uses=5, bound=False)
    theirs = scenario.sent("wang")

    assert refusal(scenario.redeem(again=theirs)) == "AGAIN_UNKNOWN"
    assert refusal(scenario.redeem(again=UUID(int=7))) == "AGAIN_UNKNOWN"


def test_clock_moved_back_changes_nothing() -> None:
    """`at` never goes back in a stream; what was really on the clock is kept next to it."""
    scenario = Scenario(max_uses=2, bound=False)
    scenario.passes(-3600)

    scenario.reserved()

    event = scenario.events[-1]
    assert event.at == START
    assert event.recorded_at == scenario.now


def test_unlimited_code_has_no_available() -> None:
    scenario = Scenario(max_uses=None, bound=False)
    for number in range(50):
        scenario.reserved(f"p{number}")

    assert scenario.code.available is None
    assert scenario.balance == (0, 50)


@pytest.mark.parametrize("people", [1, 3])
def test_uses_never_exceed_the_limit(people: int) -> None:
    scenario = Scenario(max_uses=people, bound=False)
    results = [scenario.redeem(f"p{number}") for number in range(10)]

    assert sum(not isinstance(result, Refusal) for result in results) == people
    assert scenario.code.available == 0


def test_waiting_after_a_failure_still_holds_the_use() -> None:
    scenario = Scenario(max_uses=1, bound=False)
    scenario.attempt(scenario.reserved(), BUSY)

    assert refusal(scenario.redeem("wang")) == "CODE_HELD"


def test_key_is_remembered_within_its_batch() -> None:
    """Requests that share a commit are answered as if each had come after the other."""
    scenario = Scenario()
    first = done(scenario.redeem(key="k")).require_reservation().reservation_id
    scenario.attempt(first, REFUSED)

    same = done(scenario.redeem(key="k"))
    other = scenario.redeem(key="k", again=first)

    assert (same.require_reservation().reservation_id, same.changed) == (first, False)
    assert refusal(other) == "IDEMPOTENCY_KEY_REUSED"


def test_second_request_sees_that_the_outcome_of_an_attempt_is_unknown() -> None:
    """Every worker is dead and no sweep comes: their answer is not "being sent" forever, and says so once."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    assert done(scenario.redeem()).require_reservation().public_state == "sending"
    scenario.passes(100)

    seen = [done(scenario.redeem()) for _ in range(2)]

    assert [
        (result.require_reservation().reservation_id, result.require_reservation().public_state, result.changed)
        for result in seen
    ] == [
        (reservation_id, "unknown", True),
        (reservation_id, "unknown", False),
    ]
    assert scenario.kinds[-1] == "InviteOutcomeUnknown"


def test_settling_is_left_to_commands_that_may_open_a_case() -> None:
    """Its time is over too: a click opens no case, and gives nothing back."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    scenario.passes(5000)

    assert not done(scenario.redeem()).changed
    scenario.settle(reservation_id)

    assert scenario.kinds[-2:] == ["InviteOutcomeUnknown", "CaseOpened"]


def test_lease_that_ended_is_an_unknown_outcome() -> None:
    """A refund is refused because the case must be decided, not because it is being sent."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.claim(reservation_id)
    scenario.passes(100)

    refused = scenario.refund(reservation_id)

    assert isinstance(refused, ReservationNotRefundable)
    assert refused.why == "unknown"
    assert done(scenario.resolve(reservation_id, "refunded")).changed


def test_bound_code_is_held_for_one_lifetime_when_no_deadline_is_ahead() -> None:
    """The outcome of its owner's attempt is unknown, so only staff decide; others ask again later."""
    scenario = Scenario(max_uses=5)
    scenario.attempt(scenario.reserved(), LOST)
    scenario.passes(4000)

    result = scenario.redeem("wang")

    assert isinstance(result, CodeHeld)
    assert result.retry_after_s == scenario.policy.reservation_ttl_s


def remember(scenario: Scenario, scope: bytes, reservation_id: UUID) -> None:
    """Remember a key whose body digest was made under a pepper that is gone."""
    scenario.working_set.remembered[scope] = RememberedKey(b"older digest", reservation_id)


def test_key_of_an_older_pepper_leads_to_the_same_result() -> None:
    """The digests differ, but the stored reservation is what the request asks for."""
    scenario = Scenario(max_uses=3)
    first = scenario.sent()
    further = scenario.reserved(again=first)
    remember(scenario, b"li/k", first)
    remember(scenario, b"li/k2", further)

    for key, again, expected in (("k", None, first), ("k2", first, further)):
        result = done(scenario.redeem(key=key, again=again))
        assert (result.require_reservation().reservation_id, result.changed) == (expected, False)


@pytest.mark.parametrize("difference", ["person", "again", "code", "gone"])
def test_key_of_an_older_pepper_is_refused_for_another_request(difference: str) -> None:
    scenario = Scenario(max_uses=3, bound=False)
    first = scenario.sent()
    person, code = "wang" if difference == "person" else "li", b"code"
    if difference == "code":
        code_id, code = scenario.new_id(), b"other"
        text, terms = ScenarioDraft([code], code_id), make_terms(max_uses=3)
        context = scenario.context("operator")
        done(scenario.run(IssueCode(context=context, code_id=code_id, text=text, terms=terms, bound=False)))
        scenario.working_set.code_ids[code] = code_id
    remember(scenario, f"{person}/k".encode(), UUID(int=7) if difference == "gone" else first)

    result = scenario.redeem(person, key="k", code=code, again=first if difference == "again" else None)

    assert refusal(result) == "IDEMPOTENCY_KEY_REUSED"


def test_same_key_and_body_lead_to_the_first_result_whatever_became_of_it() -> None:
    """The named reservation was refunded, so the new one follows none; the request is the same all the same."""
    scenario = Scenario(max_uses=3)
    refunded = scenario.sent()
    scenario.refund(refunded)
    first = done(scenario.redeem(key="k", again=refunded)).require_reservation().reservation_id

    again = done(scenario.redeem(key="k", again=refunded))

    assert (again.require_reservation().reservation_id, again.changed) == (first, False)
