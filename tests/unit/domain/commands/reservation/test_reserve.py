"""Reserving a use: who gets one, who is refused, and in which order."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.commands.reservation.reserve import ReserveUse
from domain.errors import CodeNotStarted, Refusal
from domain.events.reservation import UseReserved
from domain.values.email_domains import parse_domains
from domain.writes import RememberedKey
from tests.support.ledger.scenario import REFUSED, START, Scenario, ScenarioDraft, done, refusal
from tests.unit.domain.histories import Case, History, answer, cases, change

MANY = {"max_uses": 5}
OPEN = {"max_uses": 1, "bound": False}
MINUTE_LEFT = {"expires_at": START + timedelta(seconds=60)}


@cases(
    first_redeem_holds_one_use=Case(
        "redeem=changed",
        balance=(0, 1),
        last={"deadline": START + timedelta(seconds=1800)},
        terms={"max_uses": 2},
    ),
    same_person_gets_the_same_live_reservation=Case("redeem redeem=unchanged redeem=li"),
    same_person_gets_the_sent_reservation=Case("deliver redeem=li", balance=(1, 0), terms=MANY),
    # Idempotency first: also an expired code answers its own people.
    own_reservation_comes_before_expiry=Case(
        "reserve 61s redeem=li wang.redeem=CODE_EXPIRED", terms={"max_uses": 2, "bound": False, **MINUTE_LEFT}
    ),
    expired_comes_before_mismatch=Case("deliver 61s wang.redeem=CODE_EXPIRED", terms=MINUTE_LEFT),
    sent_use_binds_the_code=Case("deliver wang.redeem=EMAIL_MISMATCH", terms=MANY),
    reserved_use_is_not_exhausted=Case("reserve wang.redeem=CODE_HELD", terms=OPEN),
    used_up_is_shown_only_when_true=Case("deliver wang.redeem=CODE_EXHAUSTED", terms=OPEN),
    # Binding is derived: once the use is back, the code is anybody's.
    refunded_first_use_leaves_no_binding=Case("reserve refund wang.redeem=changed"),
    # Nothing depends on the sweep: the next command refunds what it needs.
    overdue_reservation_gives_way_in_the_same_commit=Case(
        "reserve 1800s wang.redeem", kinds="UseReserved UseRefunded UseReserved", balance=(0, 1), terms=OPEN
    ),
    ones_own_overdue_reservation_is_renewed=Case(
        "reserve 1801s redeem=changed", kinds="UseReserved UseRefunded UseReserved", terms={"max_uses": 1}
    ),
    leased_reservation_is_never_given_way=Case("reserve 1799s claim 2s wang.redeem=CODE_HELD", terms=OPEN),
    waiting_after_a_failure_still_holds_the_use=Case("reserve busy wang.redeem=CODE_HELD", terms=OPEN),
    again_takes_a_further_use=Case("deliver>first redeem:first=changed", balance=(1, 1), terms={"max_uses": 2}),
    again_twice_gives_the_one_that_follows=Case("deliver>first reserve:first redeem:first=li", terms=MANY),
    again_after_a_refund_is_a_new_one=Case("deliver>first reserve:first refund redeem:first=changed", terms=MANY),
    again_of_a_refunded_one_is_a_plain_redeem=Case(
        "deliver>first first.refund redeem:first=changed", has={"follows": None}, terms=MANY
    ),
    again_with_the_reservation_of_another_recipient_is_refused=Case(
        "wang.deliver redeem:wang=AGAIN_UNKNOWN", terms={**MANY, "bound": False}
    ),
    # Its time is over too: a redeem request opens no case, and gives nothing back.
    settling_is_left_to_commands_that_may_open_a_case=Case(
        "reserve claim 5000s redeem=unchanged settle", ends="InviteOutcomeUnknown CaseOpened"
    ),
    # A refund is refused because the case must be decided, not because it is being sent.
    lease_that_ended_is_an_unknown_outcome=Case(
        "reserve claim 100s refund=RESERVATION_NOT_REFUNDABLE/unknown resolve:refunded=changed"
    ),
)
def test_redeem_leads_to(case: Case) -> None:
    case.check()


def test_further_use_follows_the_one_that_it_names() -> None:
    history = History("deliver>first redeem:first", max_uses=2)

    assert history.of().follows == history.ids["first"]


@pytest.mark.parametrize(
    ("steps", "retry_after_s", "terms"),
    [
        ("reserve 100s", 1700, MANY),
        # After a second at the earliest.
        ("reserve 1799.5s", 1, MANY),
        ("reserve 1798.5s", 2, MANY),
        # A machine never refunds an unknown, also not for the next caller.
        ("reserve lost 4000s", 1800, OPEN),
        # Only staff decide an unknown outcome, so no deadline is ahead: for one lifetime.
        ("reserve lost 4000s", 1800, MANY),
    ],
)
def test_held_code_is_asked_for_again_later(steps: str, retry_after_s: int, terms: dict[str, Any]) -> None:
    history = History(steps, **terms)

    refused = history.redeem("wang")

    assert refusal(refused) == "CODE_HELD"
    assert isinstance(refused, Refusal)
    assert refused.retry_after_s == retry_after_s


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

    reservation = again.require_reservation()
    assert (reservation.reservation_id, reservation.status, again.changed) == (first, "refunded", False)


def test_unknown_code_and_code_of_another_group_are_refused() -> None:
    scenario = Scenario(group="blue")

    assert refusal(Scenario().redeem(code=b"other")) == "CODE_INVALID"
    assert refusal(scenario.redeem(group="red")) == "CODE_INVALID"
    assert done(scenario.redeem(group="blue")).changed
    assert refusal(scenario.redeem(again=UUID(int=7))) == "AGAIN_UNKNOWN"


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
    history = History("wang.deliver")
    done(change(history, **terms))
    if is_paused:
        history.pause()
    order = [declared.code for declared in ReserveUse.refusals]

    assert refusal(history.redeem("li")) == code
    assert order.index("CODE_PAUSED") < order.index(code) or code == "CODE_PAUSED"
    assert order.index(code) <= order.index("EMAIL_MISMATCH")


def test_code_is_redeemed_from_its_start_on() -> None:
    history = History(starts_at=LATER)

    early = history.redeem()
    history.passes(60)
    just_before = history.redeem()

    assert isinstance(early, CodeNotStarted)
    assert isinstance(just_before, CodeNotStarted)
    assert (early.retry_after_s, just_before.retry_after_s) == (61, 1)
    assert early.facts == {"starts_at": LATER}
    history.run_steps("1s redeem=changed")


def test_domains_decide_before_uses_and_own_reservations_before_domains() -> None:
    """Another address learns nothing of others' uses, and a recipient keeps a reservation when terms change."""
    history = History(allowed_domains=parse_domains("example.com *.example.org"))
    own = history.reserved("li@mail.example.org")

    strangers = [history.redeem(f"li@{domain}") for domain in ("example.org", "example.net", "mail.example.com")]
    change(history, **DENIED)
    repeated = done(history.redeem("li@mail.example.org")).require_reservation()

    assert {refusal(result) for result in strangers} == {"DOMAIN_NOT_ALLOWED"}
    assert repeated.reservation_id == own
    assert b"example.org" in msgspec.json.encode(history.events[0])
    assert b"example" not in msgspec.json.encode([event for event in history.events if isinstance(event, UseReserved)])


def test_overdue_reservations_release_the_binding() -> None:
    history = History("reserve 1800s wang.redeem=changed", max_uses=5)

    assert history.code.owner_id == history.working_set.recipient_ids[b"wang"]


def test_clock_moved_back_changes_nothing() -> None:
    """`at` never goes back in a stream; what was really on the clock is kept next to it."""
    history = History("-3600s reserve", max_uses=2, bound=False)

    assert (history.events[-1].at, history.events[-1].recorded_at) == (START, history.now)


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


def test_second_request_sees_that_the_outcome_of_an_attempt_is_unknown() -> None:
    """Every worker is dead and no sweep comes: their answer is not "being sent" forever, and says so once."""
    history = History("reserve claim")
    assert done(history.redeem()).require_reservation().public_state == "sending"
    history.passes(100)

    for is_first in (True, False):
        seen = done(history.redeem())
        assert (seen.require_reservation().reservation_id, seen.changed) == (history.ids["li"], is_first)
        assert seen.require_reservation().public_state == "unknown"

    assert history.kinds[-1] == "InviteOutcomeUnknown"


def test_key_is_remembered_within_its_batch() -> None:
    """Requests that share a commit are answered as if each had come after the other."""
    scenario = Scenario()
    first = done(scenario.redeem(key="k")).require_reservation().reservation_id
    scenario.attempt(first, REFUSED)

    same = done(scenario.redeem(key="k"))

    assert (same.require_reservation().reservation_id, same.changed) == (first, False)
    assert refusal(scenario.redeem(key="k", again=first)) == "IDEMPOTENCY_KEY_REUSED"


def test_same_key_and_body_lead_to_the_first_result_whatever_became_of_it() -> None:
    """The named reservation was refunded, so the new one follows none; the request is the same all the same."""
    history = History("deliver refund", max_uses=3)
    refunded = history.ids["li"]
    first = done(history.redeem(key="k", again=refunded)).require_reservation().reservation_id

    again = done(history.redeem(key="k", again=refunded))

    assert (again.require_reservation().reservation_id, again.changed) == (first, False)


def remember(scenario: Scenario, scope: bytes, reservation_id: UUID) -> None:
    """Remember a key whose body digest was made under a pepper that is gone."""
    scenario.working_set.remembered[scope] = RememberedKey(b"older digest", reservation_id)


def test_key_of_an_older_pepper_leads_to_the_same_result() -> None:
    """The digests differ, but the stored reservation is what the request asks for."""
    history = History("deliver>first reserve:first>further", max_uses=3)
    first, further = history.ids["first"], history.ids["further"]
    remember(history, b"li/k", first)
    remember(history, b"li/k2", further)

    for key, again, expected in (("k", None, first), ("k2", first, further)):
        result = done(history.redeem(key=key, again=again))
        assert (result.require_reservation().reservation_id, result.changed) == (expected, False)


@pytest.mark.parametrize("difference", ["person", "again", "code", "gone"])
def test_key_of_an_older_pepper_is_refused_for_another_request(difference: str) -> None:
    scenario = Scenario(max_uses=3, bound=False)
    first = scenario.sent()
    person, code = "wang" if difference == "person" else "li", b"code"
    if difference == "code":
        code = b"other"
        scenario.issue(code, max_uses=3, bound=False)
    remember(scenario, f"{person}/k".encode(), UUID(int=7) if difference == "gone" else first)

    result = scenario.redeem(person, key="k", code=code, again=first if difference == "again" else None)

    assert answer(result) == "IDEMPOTENCY_KEY_REUSED"
