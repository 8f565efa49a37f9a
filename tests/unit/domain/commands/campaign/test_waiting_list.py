"""The waiting list of a campaign: uses that come back go to those who wait longest, and no request overtakes them."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from domain.commands.campaign.waiting_list import OFFERS_PER_COMMAND, LeaveWaitingList, RecordOfferMail
from domain.commands.context import InvitationWaits
from domain.errors import Refusal
from domain.events.campaign import Counting
from domain.events.reservation import CaseOpened
from domain.events.waiting_list import OfferMailOutcome, WaitingPlaceRespelled
from domain.model import waiting_list
from domain.model.waiting_list import OFFER_MAIL_MAX
from domain.results import WaitingResult
from tests.support.ledger.code_terms import make_campaign_terms
from tests.support.ledger.scenario import LOST, SENT, Scenario, done, refusal

HOUR = 3600.0


def full(uses: int = 1, **terms: object) -> Scenario:
    """A campaign with a waiting list whose uses have all been sent, to people named p0, p1 and so on."""
    named = {"max_uses": uses, "waiting_hours": 24, **terms}
    scenario = Scenario(campaign=make_campaign_terms(**named), max_uses=99, bound=False)
    for nth in range(uses):
        scenario.sent(f"p{nth}")
    return scenario


def waiting(scenario: Scenario) -> list[tuple[str, bool]]:
    names = {value: key.decode() for key, value in scenario.working_set.recipient_ids.items()}
    return [(names[each.recipient_id], each.offered_until is not None) for each in scenario.campaign.waiting]


def joined(result: WaitingResult | Refusal) -> WaitingResult:
    assert isinstance(result, WaitingResult), result
    return result


def why(result: WaitingResult | Refusal) -> str:
    assert isinstance(result, Refusal), result
    return f"{result.code}/{result.facts.get('why')}"


def give_back(scenario: Scenario, person: str = "p0") -> None:
    use = scenario.newest_use(person)
    assert use is not None
    done(scenario.refund(use, revoke_access=False))


def test_person_joins_once_behind_those_who_wait() -> None:
    scenario = full()

    first, second, again = (joined(scenario.wait(person)) for person in ("li", "wang", "li"))

    assert waiting(scenario) == [("li", False), ("wang", False)]
    assert (first.changed, second.changed, again.changed) == (True, True, False)
    assert again.place == first.place


def test_inbox_waits_once_if_the_campaign_counts_by_mailbox() -> None:
    mailbox = full(max_per_person=1, person_rule="mailbox")
    exact = full(max_per_person=1)
    results = [[joined(each.wait(name)) for name in ("li", "wang", "li+gift")] for each in (mailbox, exact)]

    assert [result.changed for result in results[0]] == [True, True, False]
    assert results[0][2].place == results[0][0].place
    assert waiting(mailbox) == [("li", False), ("wang", False)]
    assert waiting(exact) == [("li", False), ("wang", False), ("li+gift", False)]


def test_offered_use_is_taken_under_another_spelling_of_the_inbox() -> None:
    scenario = full(max_per_person=1, person_rule="mailbox")
    for person in ("li", "wang"):
        scenario.wait(person)
    give_back(scenario)
    scenario.offer_uses()

    refused = refusal(scenario.redeem("wang+gift"))
    redeemed = done(scenario.redeem("li+gift"))

    assert refused == "CAMPAIGN_EXHAUSTED"
    assert redeemed.changed
    assert waiting(scenario) == [("wang", False)]
    (respelled,) = [event for event in scenario.events if isinstance(event, WaitingPlaceRespelled)]
    ids = scenario.working_set.recipient_ids
    assert (respelled.former_id, respelled.recipient_id) == (ids[b"li"], ids[b"li+gift"])


def test_all_places_of_an_inbox_end_when_it_takes_a_use() -> None:
    for rule, left in (("mailbox", ["wang"]), (None, ["li", "wang", "li+1"])):
        scenario = full(2, max_per_person=2)
        for person in ("li", "wang", "li+1"):
            scenario.wait(person)
        scenario.change_campaign(max_uses=6, person_rule=rule)

        done(scenario.redeem("li+gift"))

        assert [person for person, _ in waiting(scenario)] == left


def test_returned_use_is_kept_for_the_first_person() -> None:
    scenario = full()
    scenario.wait("li")
    scenario.wait("wang")
    give_back(scenario)

    before = [refusal(scenario.redeem(person)) for person in ("wang", "visitor")]
    scenario.offer_uses()
    after = [refusal(scenario.redeem(person)) for person in ("wang", "visitor")]
    redeemed = done(scenario.redeem("li"))

    assert before == after == ["CAMPAIGN_EXHAUSTED"] * 2
    assert redeemed.changed
    assert waiting(scenario) == [("wang", False)]


@pytest.mark.parametrize(("ending", "kind"), [("leave", "declined"), ("deadline", "expired"), ("no email", "expired")])
def test_use_goes_to_the_next_person_when_an_offer_ends(ending: str, kind: str) -> None:
    scenario = full()
    scenario.wait("li")
    scenario.wait("wang")
    give_back(scenario)
    scenario.offer_uses()

    if ending == "leave":
        scenario.leave("li")
    elif ending == "deadline":
        scenario.passes(3 * HOUR)
        scenario.mail_offer("li")
        scenario.passes(24 * HOUR)
    else:
        scenario.passes(24 * HOUR + OFFER_MAIL_MAX.total_seconds())
    scenario.offer_uses()

    assert getattr(scenario.events[-2], "cause", None) == kind
    assert waiting(scenario) == [("wang", True)]
    assert joined(scenario.offer_uses()).changed is False


def offered(*people: str, uses: int = 1, **terms: object) -> Scenario:
    scenario = full(uses, **terms)
    for person in people:
        scenario.wait(person)
    for nth in range(uses):
        give_back(scenario, f"p{nth}")
    scenario.offer_uses()
    for person in people[:uses]:
        scenario.mail_offer(person)
    return scenario


@pytest.mark.parametrize("outcome", ["sent", "unknown", "failed"])
def test_hours_of_an_offer_count_from_the_end_of_its_email(outcome: OfferMailOutcome) -> None:
    """An email that was late takes nothing from the person; a repeat without a place changes nothing."""
    scenario = full()
    scenario.wait("li")
    give_back(scenario)
    scenario.offer_uses()
    scenario.passes(70 * HOUR)

    assert joined(scenario.mail_offer("li", outcome)).changed
    scenario.passes(24 * HOUR - 1)
    assert joined(scenario.offer_uses()).changed is False
    scenario.passes(1)
    place_id = scenario.campaign.waiting[0].place_id
    scenario.offer_uses()
    late = RecordOfferMail(
        context=scenario.context("worker"),
        campaign_id=scenario.campaign.campaign_id,
        place_id=place_id,
        outcome=outcome,
    )
    assert waiting(scenario) == []
    assert joined(scenario.on_waiting_list(late)).changed is False


def test_email_without_an_offer_sets_no_deadline() -> None:
    scenario = full()
    scenario.wait("li")

    assert joined(scenario.mail_offer("li")).changed is False


def test_use_of_an_expired_offer_goes_to_the_next_person_without_a_sweep() -> None:
    scenario = offered("li", "wang")
    scenario.passes(24 * HOUR - 1)
    in_time = [refusal(scenario.redeem(person)) for person in ("wang", "visitor")]
    scenario.passes(1)

    assert in_time == ["CAMPAIGN_EXHAUSTED"] * 2
    assert [refusal(scenario.redeem(person)) for person in ("visitor", "li")] == ["CAMPAIGN_EXHAUSTED"] * 2
    assert done(scenario.redeem("wang")).changed
    assert [type(event).__name__ for event in scenario.events[-3:-1]] == ["UseReserved", "WaitingListLeft"]
    assert getattr(scenario.events[-2], "cause", None) == "expired"
    assert waiting(scenario) == []


@pytest.mark.parametrize("person", ["visitor", "li"])
def test_use_of_an_expired_offer_goes_to_anyone_if_no_one_waits(person: str) -> None:
    scenario = offered("li")
    scenario.passes(24 * HOUR)

    assert done(scenario.redeem(person)).changed
    assert waiting(scenario) == []


def test_redeem_ends_no_more_expired_offers_than_it_needs() -> None:
    """The sweep, or the next request, ends the others: a request after an outage is as small as any."""
    scenario = offered("li", "wang", "zhao", uses=3)
    scenario.passes(24 * HOUR)

    done(scenario.redeem("visitor"))

    assert waiting(scenario) == [("wang", True), ("zhao", True)]


def test_late_success_takes_the_use_of_an_expired_offer() -> None:
    scenario = Scenario(campaign=make_campaign_terms(max_uses=1, waiting_hours=24), max_uses=99, bound=False)
    lost = scenario.reserved("p0")
    scenario.attempt(lost, LOST)
    scenario.wait("li")
    done(scenario.resolve(lost, "refunded"))
    scenario.offer_uses()
    scenario.mail_offer("li")
    scenario.passes(24 * HOUR)

    done(scenario.outcome(lost, SENT))

    assert waiting(scenario) == []
    assert scenario.campaign.available == 0


def test_person_whose_offer_expired_joins_again_behind_the_others() -> None:
    scenario = offered("li", "wang")
    scenario.passes(24 * HOUR)

    assert joined(scenario.wait("li")).changed
    assert waiting(scenario) == [("wang", False), ("li", False)]

    other = offered("li")
    other.passes(24 * HOUR)
    other.leave("li")
    assert getattr(other.events[-1], "cause", None) == "expired"


def test_expired_offer_leaves_its_place_on_a_full_list(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("domain.commands.campaign.waiting_list", "domain.model.campaign"):
        monkeypatch.setattr(f"{module}.WAITING_MAX", 2)
    scenario = offered("li", "wang")
    assert why(scenario.wait("zhao")) == "WAITING_LIST_CLOSED/full"
    scenario.passes(24 * HOUR)

    assert joined(scenario.wait("zhao")).changed
    assert waiting(scenario) == [("wang", False), ("zhao", False)]


def test_offer_that_a_wrong_clock_made_endless_is_made_again() -> None:
    """A year ahead, uses were offered; then the clock was set right."""
    scenario = full()
    scenario.wait("li")
    give_back(scenario)
    scenario.passes(365 * 24 * HOUR)
    scenario.offer_uses()
    scenario.passes(-365 * 24 * HOUR)

    assert scenario.campaign.needs_offers(scenario.now)
    assert joined(scenario.offer_uses()).changed
    assert scenario.campaign.needs_offers(scenario.now) is False
    scenario.passes(24 * HOUR + OFFER_MAIL_MAX.total_seconds())
    assert done(scenario.redeem("visitor")).changed


def test_visitor_takes_what_is_left_besides_those_who_wait() -> None:
    scenario = full()
    scenario.wait("li")
    scenario.change_campaign(max_uses=3)

    visitors = [scenario.redeem("v0"), scenario.redeem("v1")]

    assert done(visitors[0]).changed
    assert refusal(visitors[1]) == "CAMPAIGN_EXHAUSTED"
    assert done(scenario.redeem("li")).changed


def test_offers_are_no_more_than_uses_and_bounded_per_command() -> None:
    scenario = full(waiting_hours=1)
    people = [f"w{nth}" for nth in range(OFFERS_PER_COMMAND + 3)]
    for person in people:
        scenario.wait(person)
    scenario.change_campaign(max_uses=1 + OFFERS_PER_COMMAND + 1)

    counts = []
    for _ in range(3):
        scenario.offer_uses()
        counts.append(scenario.campaign.offers)

    assert counts == [OFFERS_PER_COMMAND, OFFERS_PER_COMMAND + 1, OFFERS_PER_COMMAND + 1]


@pytest.mark.parametrize("state", ["paused", "day"])
def test_no_use_is_offered_that_could_not_be_redeemed(state: str) -> None:
    scenario = full(2, **({"max_per_day": 2} if state == "day" else {}))
    scenario.wait("li")
    if state == "paused":
        give_back(scenario)
        scenario.pause_campaign()
    else:
        scenario.change_campaign(max_uses=3)

    scenario.offer_uses()

    assert waiting(scenario) == [("li", False)]


@pytest.mark.parametrize("end", ["off", "ended"])
def test_list_ends_with_its_term_or_its_campaign(end: str) -> None:
    scenario = full()
    scenario.wait("li")

    if end == "off":
        scenario.change_campaign(waiting_hours=None)
    else:
        scenario.end_campaign()

    assert waiting(scenario) == []


def test_joining_has_one_answer_for_customers_and_strangers_while_a_use_is_left() -> None:
    """No one learns from it who has a use of the code."""
    scenario = full(2, max_per_person=1)
    give_back(scenario, "p1")

    assert [why(scenario.wait(person)) for person in ("p0", "li")] == ["WAITING_LIST_CLOSED/uses_left"] * 2


def test_joining_is_refused_without_a_list_with_uses_left_and_beyond_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    without = full(waiting_hours=None)
    left = full()
    assert why(without.wait("li")) == "WAITING_LIST_CLOSED/none"
    give_back(left)
    assert why(left.wait("li")) == "WAITING_LIST_CLOSED/uses_left"

    small = full()
    monkeypatch.setattr("domain.commands.campaign.waiting_list.WAITING_MAX", 1)
    small.wait("li")
    assert why(small.wait("wang")) == "WAITING_LIST_CLOSED/full"
    small.pause()
    assert why(small.wait("wang")).startswith("CODE_PAUSED")
    small.revoke()
    assert why(small.wait("wang")).startswith("CODE_REVOKED")
    assert waiting_list.WAITING_MAX > 1


def test_correction_keeps_its_use_while_others_wait() -> None:
    """It frees the use of the former address, which no one waits for."""
    scenario = full()
    scenario.wait("li")
    use = scenario.newest_use("p0")
    assert use is not None

    done(scenario.correct(use, "new"))

    assert waiting(scenario) == [("li", False)]
    assert scenario.campaign.available == 0


def test_late_success_does_not_overtake() -> None:
    """A refunded use whose invitation was sent after all becomes a case, because the free use is kept."""
    scenario = Scenario(campaign=make_campaign_terms(max_uses=1, waiting_hours=24), max_uses=99, bound=False)
    lost = scenario.reserved("p0")
    scenario.attempt(lost, LOST)
    scenario.wait("li")
    done(scenario.resolve(lost, "refunded"))
    late = scenario.outcome(lost, SENT)

    assert done(late).changed
    assert "no_free_use" in [getattr(event, "cause", None) for event in scenario.events]
    assert waiting(scenario) == [("li", False)]


@pytest.mark.parametrize("counting", [None, "from_now"])
def test_late_success_takes_no_use_of_a_code_that_is_kept(counting: Counting | None) -> None:
    scenario = Scenario(campaign=make_campaign_terms(max_uses=1, waiting_hours=24), max_uses=2, bound=False)
    lost = scenario.reserved("p0")
    scenario.attempt(lost, LOST)
    scenario.wait("li")
    done(scenario.resolve(lost, "refunded"))
    scenario.passes(HOUR)
    scenario.change_campaign(counting, max_uses=9)
    done(scenario.redeem("visitor"))

    done(scenario.outcome(lost, SENT))
    by_staff = refusal(scenario.resolve(lost, "sent", request_id="s2"))
    used_while_kept = scenario.code.used
    scenario.leave("li")
    done(scenario.resolve(lost, "sent", request_id="s3"))

    assert [event.cause for event in scenario.events if isinstance(event, CaseOpened)][-1] == "no_free_use"
    assert (by_staff, used_while_kept, scenario.code.used) == ("RESERVATION_NOT_RESOLVABLE", 0, 1)


def test_leaving_twice_changes_nothing() -> None:
    scenario = full()
    place = joined(scenario.wait("li")).place
    assert place is not None

    leave = LeaveWaitingList(
        context=scenario.context("person"),
        campaign_id=scenario.campaign.campaign_id,
        place_id=place.place_id,
        cause="left",
    )
    results = [joined(scenario.on_waiting_list(leave)) for _ in range(2)]

    assert [result.changed for result in results] == [True, False]
    assert results[1].place is None


def test_code_brings_no_more_people_than_it_has_uses() -> None:
    """A code with one use left cannot fill the list with made-up addresses."""
    scenario = full(2)
    scenario.working_set.codes[scenario.code_id] = replace(
        scenario.code, terms=replace(scenario.code.terms, max_uses=scenario.code.used + 1)
    )

    assert joined(scenario.wait("li")).changed
    assert why(scenario.wait("wang")) == "WAITING_LIST_CLOSED/full"
    assert joined(scenario.wait("li")).changed is False


@pytest.mark.parametrize(("waits", "named"), [({"recipient_s": 60}, "recipient"), ({"address_s": 9}, "new_recipients")])
def test_joining_is_limited_as_new_recipients_are(waits: dict[str, int], named: str) -> None:
    """A place leads to an email."""
    scenario = full()
    scenario.wait("li")
    limits = InvitationWaits(**waits)

    assert why(scenario.wait("wang", waits=limits)) == f"RATE_LIMITED/{named}"
    assert joined(scenario.wait("li", waits=limits)).changed is False


def test_offers_do_not_end_during_a_pause_and_are_renewed_after_it() -> None:
    """No one could take them."""
    scenario = full()
    scenario.wait("li")
    scenario.wait("wang")
    give_back(scenario)
    scenario.offer_uses()
    scenario.mail_offer("li")
    scenario.pause_campaign()
    scenario.passes(48 * HOUR)

    assert joined(scenario.offer_uses()).changed is False
    scenario.resume_campaign()
    assert joined(scenario.offer_uses()).changed is False
    assert waiting(scenario) == [("li", True), ("wang", False)]
    assert done(scenario.redeem("li")).changed


def test_offer_behind_the_uses_that_are_left_does_not_end() -> None:
    """The limit was lowered after the offer, so the use could not be taken."""
    scenario = full(2)
    scenario.wait("li")
    give_back(scenario)
    scenario.offer_uses()
    scenario.mail_offer("li")
    scenario.change_campaign(max_uses=1)
    scenario.passes(48 * HOUR)

    assert joined(scenario.offer_uses()).changed is False
    assert waiting(scenario) == [("li", True)]


@pytest.mark.parametrize("counting", [None, "all"])
def test_offer_that_a_change_of_terms_makes_takable_again_is_renewed(counting: Counting | None) -> None:
    scenario = full(2)
    for person in ("li", "wang"):
        scenario.wait(person)
    give_back(scenario)
    scenario.offer_uses()
    scenario.mail_offer("li")
    scenario.change_campaign(max_uses=1)
    scenario.passes(48 * HOUR)

    scenario.change_campaign(counting, max_uses=2)

    assert joined(scenario.offer_uses()).changed is False
    assert waiting(scenario) == [("li", True), ("wang", False)]
    assert done(scenario.redeem("li")).changed


def test_offer_that_has_expired_is_not_renewed_by_a_change_of_other_terms() -> None:
    """It could be taken until its deadline."""
    scenario = full()
    scenario.wait("li")
    give_back(scenario)
    scenario.offer_uses()
    scenario.mail_offer("li")
    scenario.passes(25 * HOUR)

    scenario.change_campaign(name="Winter")
    scenario.offer_uses()

    assert waiting(scenario) == []


def test_offer_ends_with_the_campaign() -> None:
    """No deadline is later than the end, after which no use can be taken."""
    ends_at = Scenario(max_uses=1).now + timedelta(hours=6)
    scenario = full(ends_at=ends_at)
    scenario.wait("li")
    give_back(scenario)
    scenario.offer_uses()

    scenario.mail_offer("li")

    assert scenario.campaign.waiting[0].offered_until == ends_at


def test_use_of_a_code_is_kept_for_the_person_who_waits_by_it() -> None:
    scenario = full(2)
    last = scenario.issue(b"last", max_uses=1, bound=False)
    scenario.wait("li", code=b"last")
    scenario.change_campaign(max_uses=9)

    refused = scenario.redeem("visitor", code=b"last")
    by_another = done(scenario.redeem("visitor")).changed
    own = done(scenario.redeem("li", code=b"last")).changed

    assert isinstance(refused, Refusal)
    assert (refused.code, refused.facts, by_another, own) == ("CAMPAIGN_EXHAUSTED", {"why": "kept"}, True, True)
    assert scenario.working_set.codes[last].reserved == 1


def test_full_campaign_may_say_that_a_use_is_held_while_others_wait() -> None:
    """A reserved use may still come back: "used up" is said only when it is true."""
    scenario = Scenario(campaign=make_campaign_terms(max_uses=1, waiting_hours=24), max_uses=99, bound=False)
    scenario.reserved("p0")
    scenario.wait("li")

    assert refusal(scenario.redeem("visitor")) == "CAMPAIGN_HELD"
