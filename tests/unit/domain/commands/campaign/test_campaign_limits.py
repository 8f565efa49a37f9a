"""What the campaign of a code allows: each refusal in its order, and every use that comes back is free again."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from domain.commands.campaign import campaign_limits
from domain.errors import PersonLimitReached, Refusal
from domain.events.reservation import UseReserved
from domain.policy import Policy
from domain.results import Result
from tests.support.ledger.code_terms import make_campaign_terms
from tests.support.ledger.scenario import LOST, REFUSED, SENT, START, Scenario, done, refusal
from tests.unit.domain.histories import Case, History, cases

OTHER = b"other"


def wait_of(result: Result) -> int | None:
    assert isinstance(result, Refusal), result
    return result.retry_after_s


def two_codes(**terms: object) -> Scenario:
    scenario = Scenario(campaign=make_campaign_terms(**terms), max_uses=9, bound=False)
    scenario.issue(OTHER, max_uses=9, bound=False)
    return scenario


def campaign_uses(scenario: Scenario) -> list[str]:
    kinds = (type(event).__name__ for event in scenario.events)
    return [kind for kind in kinds if kind.startswith("CampaignUse")]


def limits(**terms: object) -> dict[str, Any]:
    """An open code with many uses, in a campaign with such limits."""
    return {"campaign": make_campaign_terms(**terms), "max_uses": 9, "bound": False}


USE_COUNTED, USE_RETURNED = "CampaignUseTaken", "CampaignUseReturned"
RETRACTED = "issue:other reserve lost resolve:refunded"  # its invitation arrives after all


@cases(
    campaign_ends_at_its_end=Case(
        "issue:other 9s reserve 1s wang.redeem=CAMPAIGN_ENDED redeem=li",
        has={"status": "live"},
        terms=limits(ends_at=START + timedelta(seconds=10)),
    ),
    campaign_whose_uses_are_all_sent_is_exhausted=Case(
        "issue:other deliver wang.redeemother=CAMPAIGN_EXHAUSTED redeem=li", terms=limits(max_uses=1)
    ),
    person_has_at_most_their_uses_over_all_codes=Case(
        "issue:other deliver redeemother=PERSON_LIMIT wang.redeemother=changed refund- redeemother=changed",
        terms=limits(max_per_person=1),
    ),
    # It takes a use of the campaign only for what it returns.
    correction_moves_the_use_to_a_person_who_may_have_one=Case(
        "issue:other reserve wang.redeemother correct:wang=PERSON_LIMIT correct:zhao=changed",
        campaign={"occupied": 2},
        terms=limits(max_uses=2, max_per_person=1),
    ),
    # A place of the day before is no place of this one.
    use_returned_on_its_day_is_free_again_and_on_a_later_day_is_not=Case(
        "issue:other reserve refused wang.deliver 1d zhao.redeemother wang.refund- redeemother=CAMPAIGN_DAY_LIMIT",
        campaign={"occupied": 1, "occupied_on_day": 1},
        terms=limits(max_per_day=1),
    ),
    # What it returns of the day before frees no place of this one.
    correction_on_a_full_day_moves_a_use_of_the_same_day_only=Case(
        "issue:other reserve correct:wang>wang 1d zhao.redeemother wang.correct:qian=CAMPAIGN_DAY_LIMIT",
        terms=limits(max_per_day=1),
    ),
    # So such a campaign costs a redeem nothing.
    reservation_of_a_campaign_without_shared_limits_is_not_in_its_stream=Case(
        "issue:other reserve",
        kinds="CodeIssued CodeIssued UseReserved",
        balance=(0, 1),
        campaign={"version": 1, "occupied": 0},
        terms=limits(starts_at=START),
    ),
    late_success_on_a_code_without_a_campaign_takes_a_use=Case(
        "reserve lost resolve:refunded wang.redeem answer:sent@1",
        last={"effect": "retaken"},
        terms={"max_uses": 9, "bound": False},
    ),
)
def test_limit_of_a_campaign_leads_to(case: Case) -> None:
    case.check()


@pytest.mark.parametrize(
    ("terms", "fill", "effect"),
    [
        ({"max_uses": 1}, "", "retaken"),
        ({"max_uses": 1}, "wang.redeemother", "not_retaken"),
        ({"max_uses": 2}, "wang.redeemother", "retaken"),
        ({"max_per_person": 1}, "redeemother>again", "not_retaken"),
        ({"max_per_person": 1}, "wang.redeemother", "retaken"),
        ({"max_per_person": 2}, "redeemother>again", "retaken"),
        ({"max_per_day": 1}, "wang.redeemother", "not_retaken"),
        ({"max_per_day": 2}, "wang.redeemother", "retaken"),
        ({"starts_at": START}, "redeemother>again", "retaken"),
    ],
)
def test_late_success_takes_a_use_only_within_the_limits(terms: dict[str, object], fill: str, effect: str) -> None:
    """Beyond them it is for staff to decide."""
    case = Case(f"{RETRACTED} {fill} answer:sent@1", newest={"LateSuccessRecorded.effect": effect})
    history = replace(case, terms=limits(**terms)).check()

    assert campaign_uses(history)[-1:] == ([USE_COUNTED] if history.campaign.counts_uses else [])
    assert history.code.used == (effect == "retaken")


@pytest.mark.parametrize(
    ("steps", "terms", "uses"),
    [
        ("deliver wang.redeemother refund- redeemother", {}, [USE_COUNTED, USE_COUNTED, USE_RETURNED, USE_COUNTED]),
        # The same commit refunds the overdue one first.
        ("reserve 1801s redeem=changed", {"max_uses": 1}, [USE_COUNTED, USE_RETURNED, USE_COUNTED]),
    ],
)
def test_returned_use_of_a_person_is_taken_again_in_the_log_of_the_campaign(
    steps: str, terms: dict[str, int], uses: list[str]
) -> None:
    history = History(f"issue:other {steps}", **limits(max_per_person=1, **terms))

    assert campaign_uses(history) == uses


@pytest.mark.parametrize(("seconds", "retry_after_s"), [(9.5, 10), (0.001, 1)])
def test_campaign_that_has_not_started_says_when_it_does(seconds: float, retry_after_s: int) -> None:
    """Part of a second is a whole one, so that a retry is not too early."""
    scenario = two_codes(starts_at=START + timedelta(seconds=seconds))
    early = scenario.redeem()

    assert (refusal(early), wait_of(early)) == ("CAMPAIGN_NOT_STARTED", retry_after_s)
    scenario.passes(seconds)
    assert done(scenario.redeem()).changed


def test_refusals_of_a_campaign_come_in_the_order_that_they_are_declared_in() -> None:
    scenario = two_codes(
        starts_at=START + timedelta(seconds=10),
        ends_at=START + timedelta(seconds=20),
        max_uses=1,
        max_per_person=1,
        max_per_day=1,
        denied_domains="example.org",
    )
    scenario.pause_campaign()
    results = [scenario.redeem("wang@example.org")]
    scenario.passes(10)
    scenario.resume_campaign()
    scenario.reserved("li")
    scenario.pause_campaign()
    scenario.passes(10)
    results.append(scenario.redeem("wang@example.org"))
    scenario.change_campaign(ends_at=None)
    results.append(scenario.redeem("wang@example.org"))
    scenario.resume_campaign()
    results.append(scenario.redeem("wang@example.org"))
    results.append(scenario.redeem("li", code=OTHER))
    scenario.change_campaign(max_uses=2)
    results += [scenario.redeem(person, code=OTHER) for person in ("li", "wang")]
    scenario.change_campaign(max_per_day=2)
    results.append(scenario.redeem("li", code=OTHER))

    assert [refusal(result) for result in results] == [
        "CAMPAIGN_NOT_STARTED",
        "CAMPAIGN_ENDED",
        "CAMPAIGN_PAUSED",
        "DOMAIN_NOT_ALLOWED",
        "CAMPAIGN_HELD",
        *["CAMPAIGN_DAY_LIMIT"] * 2,
        "PERSON_LIMIT",
    ]
    assert {result.campaign_id for result in results if isinstance(result, Refusal)} == {scenario.campaign_id}


def test_every_refusal_by_a_campaign_names_it_and_no_other_does() -> None:
    """A rule gets the campaign from `campaign_rule` alone, which writes its id on the refusal."""
    terms = make_campaign_terms(max_uses=1, denied_domains="example.org")
    scenario = Scenario(campaign=terms, max_uses=9, bound=False, denied_domains="example.net")
    scenario.issue(OTHER, max_uses=9, bound=False)
    own, shared = scenario.redeem("li@example.net"), scenario.redeem("li@example.org")
    late = scenario.reserved("li")
    scenario.attempt(late, LOST)
    done(scenario.resolve(late, "refunded"))
    done(scenario.redeem("wang", code=OTHER))
    scenario.outcome(late, SENT, attempt=1)
    full = scenario.resolve(late, "sent", request_id="s2")
    commands = Path(campaign_limits.__file__).parents[1].rglob("*.py")
    asking = [file.name for file in commands for _ in range(file.read_text().count("campaign_of("))]

    assert [refusal(own), refusal(shared), refusal(full)] == [
        *["DOMAIN_NOT_ALLOWED"] * 2,
        "RESERVATION_NOT_RESOLVABLE",
    ]
    assert [getattr(result, "campaign_id", "") for result in (own, shared, full)] == [None, *[scenario.campaign_id] * 2]
    assert asking == ["campaign_limits.py"]


@pytest.mark.parametrize("terms", [{"allowed_domains": "example.org"}, {"denied_domains": "example.com"}])
def test_domains_of_a_campaign_hold_for_every_code(terms: dict[str, str]) -> None:
    scenario = two_codes(**terms)

    assert refusal(scenario.redeem("li@example.com")) == "DOMAIN_NOT_ALLOWED"
    assert done(scenario.redeem("li@example.org", code=OTHER)).changed


def test_limit_holds_over_all_codes_and_is_used_up_only_when_nothing_is_reserved() -> None:
    """A reserved use may still come back, so the answer until then is to wait."""
    scenario = two_codes(max_uses=2)
    scenario.sent("li")
    wang = done(scenario.redeem("wang", code=OTHER)).require_reservation()
    scenario.working_set.campaign_deadlines[UUID(int=0xCA)] = wang.deadline
    full = scenario.redeem("zhao")

    assert (refusal(full), wait_of(full)) == ("CAMPAIGN_HELD", scenario.policy.reservation_ttl_s)
    scenario.passes(60)
    assert wait_of(scenario.redeem("zhao")) == scenario.policy.reservation_ttl_s - 60
    scenario.attempt(wang.reservation_id, REFUSED)
    assert done(scenario.redeem("zhao", code=OTHER)).changed
    assert scenario.campaign.occupied == 2


def test_deadline_that_has_passed_is_not_given_as_a_wait() -> None:
    """The lifetime of a reservation is, since the refund may be recorded at any time."""
    scenario = two_codes(max_uses=1)
    scenario.sent("li")
    scenario.working_set.campaign_deadlines[UUID(int=0xCA)] = START
    full = scenario.redeem("wang", code=OTHER)

    assert (refusal(full), wait_of(full)) == ("CAMPAIGN_HELD", scenario.policy.reservation_ttl_s)


@pytest.mark.parametrize(
    ("rule", "answer", "flag"), [(None, None, None), ("flag", None, "throwaway"), ("refuse", "THROWAWAY_ADDRESS", None)]
)
def test_throwaway_address_is_allowed_flagged_or_refused(
    rule: str | None, answer: str | None, flag: str | None
) -> None:
    terms = make_campaign_terms(max_uses=9, throwaway=rule)
    policy = Policy(throwaway_domains=frozenset({"mailinator.com"}))
    scenario = Scenario(campaign=terms, policy=policy, max_uses=9, bound=False)
    redeemed = scenario.redeem("li@eu.mailinator.com")
    mine = scenario.sent("wang@example.com")
    corrected = scenario.correct(mine, "wang@mailinator.com")
    flags = [event.flag for event in scenario.events if isinstance(event, UseReserved)]

    assert [refusal(result) if isinstance(result, Refusal) else None for result in (redeemed, corrected)] == [
        answer
    ] * 2
    assert flags == ([None] if answer else [flag, None, flag])


def test_spellings_of_a_mailbox_are_one_person_where_the_campaign_says_so() -> None:
    scenario = two_codes(max_per_person=1, person_rule="mailbox")
    mine = scenario.sent("l.i@gmail.com")
    refused = scenario.redeem("Li+gift@googlemail.com".lower(), code=OTHER)

    assert isinstance(refused, PersonLimitReached)
    assert refused.facts == {"mailbox": "l***@gmail.com"}
    assert done(scenario.redeem("li@hotmail.com", code=OTHER)).changed
    done(scenario.refund(mine, revoke_access=False))
    again = done(scenario.redeem("li+2@gmail.com", code=OTHER)).require_reservation()
    assert again.recipient_id != scenario.reservation(mine).recipient_id
    assert refusal(scenario.redeem("l.i@gmail.com", code=OTHER)) == "PERSON_LIMIT"


def test_use_is_corrected_to_another_spelling_of_its_mailbox() -> None:
    scenario = two_codes(max_per_person=1, person_rule="mailbox")
    mine = scenario.sent("li@gmail.com")
    other = done(scenario.redeem("wang@gmail.com", code=OTHER)).require_reservation()

    assert refusal(scenario.correct(other.reservation_id, "l.i@gmail.com")) == "PERSON_LIMIT"
    assert done(scenario.correct(mine, "li+new@gmail.com")).changed
    assert refusal(scenario.correct(other.reservation_id, "l.i@gmail.com")) == "PERSON_LIMIT"


def test_addresses_count_for_themselves_without_that_rule() -> None:
    exact, unlimited = two_codes(max_per_person=1), two_codes(max_uses=9, person_rule="mailbox")
    for scenario in (exact, unlimited):
        scenario.sent("li@gmail.com")
        assert done(scenario.redeem("l.i@gmail.com", code=OTHER)).changed
    refused = exact.redeem("li@gmail.com", code=OTHER)

    assert isinstance(refused, PersonLimitReached)
    assert "mailbox" not in refused.facts


def test_day_that_is_full_names_the_next_day_in_utc() -> None:
    scenario = two_codes(max_per_day=2)
    scenario.sent("li")
    scenario.reserved("wang")
    full = scenario.redeem("zhao", code=OTHER)

    assert (refusal(full), wait_of(full)) == ("CAMPAIGN_DAY_LIMIT", 12 * 3600)
    assert isinstance(full, Refusal)
    assert full.facts["starts_at"] == START.replace(hour=0) + timedelta(days=1)
    assert done(scenario.redeem("li")).require_reservation().status == "sent"
    scenario.passes(12 * 3600)
    assert done(scenario.redeem("zhao", code=OTHER)).changed
