"""What the campaign of a code allows: each refusal in its order, and every use that comes back is free again."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from domain.commands.campaign import campaign_limits
from domain.errors import PersonLimitReached, Refusal
from domain.events.reservation import LateSuccessRecorded, UseReserved
from domain.policy import Policy
from domain.results import Result
from tests.support.ledger.code_terms import make_campaign_terms
from tests.support.ledger.scenario import LOST, REFUSED, SENT, START, Scenario, done, refusal

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


def test_campaign_that_has_not_started_says_when_it_does() -> None:
    """Part of a second is a whole one, so that a retry is not too early."""
    scenario = two_codes(starts_at=START + timedelta(seconds=9.5))
    early = scenario.redeem()

    assert (refusal(early), wait_of(early)) == ("CAMPAIGN_NOT_STARTED", 10)
    scenario.passes(9.5)
    assert done(scenario.redeem()).changed


def test_campaign_ends_at_its_end() -> None:
    scenario = two_codes(ends_at=START + timedelta(seconds=10))
    scenario.passes(9)

    assert done(scenario.redeem("li")).changed
    scenario.passes(1)
    assert refusal(scenario.redeem("wang")) == "CAMPAIGN_ENDED"
    assert done(scenario.redeem("li")).require_reservation().status == "live"


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


def test_campaign_whose_uses_are_all_sent_is_exhausted() -> None:
    scenario = two_codes(max_uses=1)
    scenario.sent("li")

    assert refusal(scenario.redeem("wang", code=OTHER)) == "CAMPAIGN_EXHAUSTED"
    assert done(scenario.redeem("li")).require_reservation().status == "sent"


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


def test_person_has_at_most_their_uses_over_all_codes() -> None:
    scenario = two_codes(max_per_person=1)
    mine = scenario.sent("li")

    assert refusal(scenario.redeem("li", code=OTHER)) == "PERSON_LIMIT"
    assert done(scenario.redeem("wang", code=OTHER)).changed
    done(scenario.refund(mine, revoke_access=False))
    assert done(scenario.redeem("li", code=OTHER)).changed
    assert campaign_uses(scenario) == [
        "CampaignUseTaken",
        "CampaignUseTaken",
        "CampaignUseReturned",
        "CampaignUseTaken",
    ]


def test_correction_moves_the_use_to_a_person_who_may_have_one() -> None:
    scenario = two_codes(max_uses=2, max_per_person=1)
    mine = scenario.reserved("li")
    done(scenario.redeem("wang", code=OTHER))

    assert refusal(scenario.correct(mine, "wang")) == "PERSON_LIMIT"
    assert done(scenario.correct(mine, "zhao")).changed
    assert scenario.campaign.occupied == 2


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


def test_use_returned_on_its_day_is_free_again_and_on_a_later_day_is_not() -> None:
    scenario = two_codes(max_per_day=1)
    scenario.attempt(scenario.reserved("li"), REFUSED)
    mine = scenario.sent("wang")
    scenario.passes(86_400)
    done(scenario.redeem("zhao", code=OTHER))
    done(scenario.refund(mine, revoke_access=False))

    assert refusal(scenario.redeem("li", code=OTHER)) == "CAMPAIGN_DAY_LIMIT"
    assert (scenario.campaign.occupied, scenario.campaign.occupied_on_day) == (1, 1)


def test_correction_on_a_full_day_moves_a_use_of_the_same_day_only() -> None:
    scenario = two_codes(max_per_day=1)
    mine = scenario.reserved("li")
    assert done(scenario.correct(mine, "wang")).changed
    scenario.passes(86_400)
    today = done(scenario.redeem("zhao", code=OTHER)).require_reservation().reservation_id
    yesterday = next(
        key for key, row in scenario.working_set.reservations.items() if row.status == "live" and key != today
    )

    assert refusal(scenario.correct(yesterday, "qian")) == "CAMPAIGN_DAY_LIMIT"


def succeed_late(scenario: Scenario, fill: str | None, *, code: bytes = OTHER) -> str:
    """The invitation of a refunded use arrives after all, after another person or the same one redeemed; its effect."""
    mine = scenario.reserved("li")
    scenario.attempt(mine, LOST)
    done(scenario.resolve(mine, "refunded"))
    if fill is not None:
        done(scenario.redeem(fill, code=code))
    scenario.outcome(mine, SENT, attempt=1)
    (late,) = [event for event in scenario.events if isinstance(event, LateSuccessRecorded)]
    return late.effect


@pytest.mark.parametrize(
    ("terms", "fill", "effect"),
    [
        ({"max_uses": 1}, None, "retaken"),
        ({"max_uses": 1}, "wang", "not_retaken"),
        ({"max_uses": 2}, "wang", "retaken"),
        ({"max_per_person": 1}, "li", "not_retaken"),
        ({"max_per_person": 1}, "wang", "retaken"),
        ({"max_per_person": 2}, "li", "retaken"),
        ({"max_per_day": 1}, "wang", "not_retaken"),
        ({"max_per_day": 2}, "wang", "retaken"),
        ({"starts_at": START}, "li", "retaken"),
    ],
)
def test_late_success_takes_a_use_only_within_the_limits(
    terms: dict[str, object], fill: str | None, effect: str
) -> None:
    scenario = two_codes(**terms)

    assert succeed_late(scenario, fill) == effect
    assert campaign_uses(scenario)[-1:] == (["CampaignUseTaken"] if scenario.campaign.counts_uses else [])
    assert scenario.code.used == (effect == "retaken")


def test_late_success_on_a_code_without_a_campaign_takes_a_use() -> None:
    scenario = Scenario(max_uses=9, bound=False)

    assert succeed_late(scenario, "wang", code=b"code") == "retaken"


def test_person_whose_reservation_is_overdue_gets_a_new_one_at_the_limit() -> None:
    scenario = two_codes(max_uses=1, max_per_person=1)
    old = scenario.reserved("li")
    scenario.passes(scenario.policy.reservation_ttl_s + 1)
    new = done(scenario.redeem("li")).require_reservation()

    assert new.reservation_id != old
    assert campaign_uses(scenario) == ["CampaignUseTaken", "CampaignUseReturned", "CampaignUseTaken"]


def test_wait_until_the_start_is_at_least_a_second() -> None:
    scenario = two_codes(starts_at=START + timedelta(milliseconds=1))

    assert wait_of(scenario.redeem()) == 1


def test_reservation_of_a_campaign_without_shared_limits_is_not_in_its_stream() -> None:
    """So such a campaign costs a redeem nothing."""
    scenario = two_codes(starts_at=START)
    scenario.reserved("li")

    assert campaign_uses(scenario) == []
    assert (scenario.campaign.version, scenario.campaign.occupied) == (1, 0)
    assert scenario.balance == (0, 1)
