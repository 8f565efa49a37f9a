"""The waiting list of a campaign: uses that come back go to those who wait longest, and no request overtakes them."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from domain.commands.campaign.campaign_limits import count_only_for_waiting
from domain.commands.campaign.waiting_list import OFFERS_PER_COMMAND, LeaveWaitingList, RecordOfferMail
from domain.commands.context import InvitationWaits
from domain.errors import Refusal
from domain.events.waiting_list import OfferMailOutcome, WaitingPlaceRespelled
from domain.model import waiting_list
from domain.model.waiting_list import OFFER_MAIL_MAX
from domain.results import WaitingResult
from tests.support.ledger.code_terms import make_campaign_terms
from tests.support.ledger.scenario import START, Scenario, done, refusal
from tests.unit.domain.histories import Answered, Case, History, answer, cases

FULL = "p0.deliver"
LOST = "p0.reserve p0.lost"  # the invitation of the only use has an unknown outcome
NO_EMAIL = f"{24 * 3600 + OFFER_MAIL_MAX.total_seconds():.0f}s"
OFFERED = f"{FULL} wait p0.refund- offer"
WAITED_FOR = f"{LOST} wait p0.resolve:refunded 1h"  # the last use of a code is for the person who waits by it


def listed(uses: int = 1, **terms: object) -> dict[str, Any]:
    """A campaign with a waiting list."""
    named = {"max_uses": uses, "waiting_hours": 24, **terms}
    return {"campaign": make_campaign_terms(**named), "max_uses": 99, "bound": False}


def offered(*people: str, uses: int = 1) -> str:
    """People wait, and the first ones got the email of an offer."""
    former = [f"p{nth}" for nth in range(uses)]
    steps = [f"{each}.deliver" for each in former] + [f"{each}.wait" for each in people]
    steps += [f"{each}.refund-" for each in former] + ["offer"] + [f"{each}.mail" for each in people[:uses]]
    return " ".join(steps)


MAILBOX = listed(max_per_person=1, person_rule="mailbox")


@cases(
    person_joins_once_behind_those_who_wait=Case(
        f"{FULL} wait=changed wang.wait=changed wait=unchanged", waiting="li wang", terms=listed()
    ),
    inbox_waits_once_if_the_campaign_counts_by_mailbox=Case(
        f"{FULL} wait=changed wang.wait=changed li+gift.wait=unchanged", waiting="li wang", terms=MAILBOX
    ),
    each_address_waits_without_that_rule=Case(
        f"{FULL} wait wang.wait li+gift.wait=changed", waiting="li wang li+gift", terms=listed(max_per_person=1)
    ),
    all_places_of_an_inbox_end_when_it_takes_a_use=Case(
        "p0.deliver p1.deliver wait wang.wait li+1.wait set:max_uses:6 set:person_rule:mailbox li+gift.redeem=changed",
        waiting="wang",
        terms=listed(2, max_per_person=2),
    ),
    each_address_has_its_place_without_that_rule=Case(
        "p0.deliver p1.deliver wait wang.wait li+1.wait set:max_uses:6 li+gift.redeem=changed",
        waiting="li wang li+1",
        terms=listed(2, max_per_person=2),
    ),
    returned_use_is_kept_for_the_first_person=Case(
        f"{FULL} wait wang.wait p0.refund- wang.redeem=CAMPAIGN_EXHAUSTED visitor.redeem=CAMPAIGN_EXHAUSTED offer"
        " wang.redeem=CAMPAIGN_EXHAUSTED visitor.redeem=CAMPAIGN_EXHAUSTED redeem=changed",
        waiting="wang",
        terms=listed(),
    ),
    use_goes_to_the_next_person_when_an_offer_is_declined=Case(
        f"{FULL} wait wang.wait p0.refund- offer leave offer offer=unchanged",
        waiting="wang*",
        newest={"WaitingListLeft.cause": "declined"},
        terms=listed(),
    ),
    use_goes_to_the_next_person_at_the_deadline_of_an_offer=Case(
        f"{FULL} wait wang.wait p0.refund- offer 3h mail 24h offer offer=unchanged",
        waiting="wang*",
        newest={"WaitingListLeft.cause": "expired"},
        terms=listed(),
    ),
    use_goes_to_the_next_person_if_the_email_of_an_offer_is_never_sent=Case(
        f"{FULL} wait wang.wait p0.refund- offer {NO_EMAIL} offer offer=unchanged",
        waiting="wang*",
        newest={"WaitingListLeft.cause": "expired"},
        terms=listed(),
    ),
    # The worker was late, and the person waits without an offer.
    email_without_an_offer_sets_no_deadline=Case(f"{FULL} wait mail=unchanged", waiting="li", terms=listed()),
    use_of_an_offer_is_kept_until_its_deadline=Case(
        f"{offered('li', 'wang')} {24 * 3600 - 1}s wang.redeem=CAMPAIGN_EXHAUSTED visitor.redeem=CAMPAIGN_EXHAUSTED",
        waiting="li* wang",
        terms=listed(),
    ),
    # The log says why the place ended.
    use_of_an_expired_offer_goes_to_the_next_person_without_a_sweep=Case(
        f"{offered('li', 'wang')} 24h visitor.redeem=CAMPAIGN_EXHAUSTED redeem=CAMPAIGN_EXHAUSTED wang.redeem=changed",
        ends="UseReserved WaitingListLeft CampaignUseTaken",
        waiting="",
        newest={"WaitingListLeft.cause": "expired"},
        terms=listed(),
    ),
    use_of_an_expired_offer_goes_to_a_visitor_if_no_one_waits=Case(
        f"{offered('li')} 24h visitor.redeem=changed", waiting="", terms=listed()
    ),
    use_of_an_expired_offer_goes_to_its_person_if_no_one_waits=Case(
        f"{offered('li')} 24h redeem=changed", waiting="", terms=listed()
    ),
    # The sweep, or the next request, ends the others: a request after an outage is as small as any.
    redeem_ends_no_more_expired_offers_than_it_needs=Case(
        f"{offered('li', 'wang', 'zhao', uses=3)} 24h visitor.redeem=changed", waiting="wang* zhao*", terms=listed(3)
    ),
    late_success_takes_the_use_of_an_expired_offer=Case(
        f"{LOST} wait p0.resolve:refunded offer mail 24h p0.answer:sent",
        waiting="",
        campaign={"available": 0},
        terms=listed(),
    ),
    # Without a sweep, too.
    person_whose_offer_expired_joins_again_behind_the_others=Case(
        f"{offered('li', 'wang')} 24h wait=changed", waiting="wang li", terms=listed()
    ),
    decline_after_the_deadline_comes_too_late=Case(
        f"{offered('li')} 24h leave", ends="WaitingListLeft", last={"cause": "expired"}, terms=listed()
    ),
    # A year ahead, uses were offered; then the clock was set right.
    offer_that_a_wrong_clock_made_endless_is_made_again=Case(
        f"{FULL} wait p0.refund- 365d offer -365d offer=changed offer=unchanged {NO_EMAIL} visitor.redeem=changed",
        terms=listed(),
    ),
    # A raised limit gives the waiting person one use, and the visitor the other.
    visitor_takes_what_is_left_besides_those_who_wait=Case(
        f"{FULL} wait set:max_uses:3 v0.redeem=changed v1.redeem=CAMPAIGN_EXHAUSTED redeem=changed", terms=listed()
    ),
    no_use_is_offered_during_a_pause=Case(
        "p0.deliver p1.deliver wait p0.refund- pausecampaign offer", waiting="li", terms=listed(2)
    ),
    no_use_is_offered_that_the_day_has_not=Case(
        "p0.deliver p1.deliver wait set:max_uses:3 offer", waiting="li", terms=listed(2, max_per_day=2)
    ),
    list_ends_with_its_term=Case(f"{FULL} wait set:waiting_hours:none", waiting="", terms=listed()),
    list_ends_with_its_campaign=Case(f"{FULL} wait endcampaign", waiting="", terms=listed()),
    # No one learns from it who has a use of the code.
    joining_has_one_answer_for_customers_and_strangers_while_a_use_is_left=Case(
        "p0.deliver p1.deliver p1.refund- p0.wait=WAITING_LIST_CLOSED/uses_left wait=WAITING_LIST_CLOSED/uses_left",
        terms=listed(2, max_per_person=1),
    ),
    joining_needs_a_list=Case(f"{FULL} wait=WAITING_LIST_CLOSED/none", terms=listed(waiting_hours=None)),
    # It frees the use of the former address, which no one waits for.
    correction_keeps_its_use_while_others_wait=Case(
        f"{FULL} wait p0.correct:new", waiting="li", campaign={"available": 0}, terms=listed()
    ),
    # A refunded use whose invitation was sent after all becomes a case, because the free use is kept.
    late_success_does_not_overtake=Case(
        f"{LOST} wait p0.resolve:refunded p0.answer:sent",
        ends="CaseOpened",
        waiting="li",
        last={"cause": "no_free_use"},
        terms=listed(),
    ),
    late_success_takes_no_use_of_a_code_that_is_kept=Case(
        f"{WAITED_FOR} set:max_uses:9 visitor.redeem p0.answer:sent p0.resolve:sent#s2=RESERVATION_NOT_RESOLVABLE",
        balance=(0, 1),
        newest={"CaseOpened.cause": "no_free_use"},
        terms={**listed(), "max_uses": 2},
    ),
    late_success_takes_no_use_that_is_kept_after_a_choice_either=Case(
        f"{WAITED_FOR} setnew:max_uses:9 visitor.redeem p0.answer:sent p0.resolve:sent#s2=RESERVATION_NOT_RESOLVABLE",
        balance=(0, 1),
        newest={"CaseOpened.cause": "no_free_use"},
        terms={**listed(), "max_uses": 2},
    ),
    late_success_is_counted_when_no_one_waits_any_longer=Case(
        f"{WAITED_FOR} set:max_uses:9 visitor.redeem p0.answer:sent leave p0.resolve:sent#s3",
        balance=(1, 1),
        terms={**listed(), "max_uses": 2},
    ),
    # No one could take them.
    offers_do_not_end_during_a_pause_and_are_renewed_after_it=Case(
        f"{offered('li', 'wang')} pausecampaign 48h offer=unchanged resumecampaign offer=unchanged redeem=changed",
        waiting="wang",
        terms=listed(),
    ),
    # The limit was lowered after the offer, so the use could not be taken.
    offer_behind_the_uses_that_are_left_does_not_end=Case(
        "p0.deliver p1.deliver wait p0.refund- offer mail set:max_uses:1 48h offer=unchanged",
        waiting="li*",
        terms=listed(2),
    ),
    # The hours begin again, and the next person waits.
    offer_that_a_change_of_terms_makes_takable_again_is_renewed=Case(
        "p0.deliver p1.deliver wait wang.wait p0.refund- offer mail set:max_uses:1 48h set:max_uses:2 offer=unchanged"
        " redeem=changed",
        waiting="wang",
        terms=listed(2),
    ),
    offer_that_a_choice_makes_takable_again_is_renewed=Case(
        "p0.deliver p1.deliver wait wang.wait p0.refund- offer mail set:max_uses:1 48h setall:max_uses:2"
        " offer=unchanged redeem=changed",
        waiting="wang",
        terms=listed(2),
    ),
    # It could be taken until its deadline.
    offer_that_has_expired_is_not_renewed_by_a_change_of_other_terms=Case(
        f"{offered('li')} 25h set:name:Winter offer", waiting="", terms=listed()
    ),
    # A reserved use may still come back: "used up" is said only when it is true.
    full_campaign_may_say_that_a_use_is_held_while_others_wait=Case(
        "p0.reserve wait visitor.redeem=CAMPAIGN_HELD", terms=listed()
    ),
)
def test_waiting_leads_to(case: Case) -> None:
    case.check()


def place_after(result: Answered) -> object:
    """The place that a person has after a command that was not refused."""
    assert isinstance(result, WaitingResult), result
    return result.place


def test_repeated_request_returns_the_place_that_the_person_has() -> None:
    history = History(FULL, **MAILBOX)

    first, again, respelled = (place_after(history.wait(person)) for person in ("li", "li", "li+gift"))

    assert first is not None
    assert first == again == respelled


def test_offered_use_is_taken_under_another_spelling_of_the_inbox() -> None:
    """The log says whose place it was; the next person moves up."""
    history = History(
        f"{FULL} wait wang.wait p0.refund- offer wang+gift.redeem=CAMPAIGN_EXHAUSTED li+gift.redeem=changed", **MAILBOX
    )

    assert history.waiting == "wang"
    (respelled,) = [event for event in history.events if isinstance(event, WaitingPlaceRespelled)]
    ids = history.working_set.recipient_ids
    assert (respelled.former_id, respelled.recipient_id) == (ids[b"li"], ids[b"li+gift"])


@pytest.mark.parametrize("outcome", ["sent", "unknown", "failed"])
def test_hours_of_an_offer_count_from_the_end_of_its_email(outcome: OfferMailOutcome) -> None:
    """An email that was late takes nothing from the person; a repeat without a place changes nothing."""
    history = History(f"{OFFERED} 70h mail:{outcome}=changed {24 * 3600 - 1}s offer=unchanged 1s", **listed())
    place_id = history.campaign.waiting[0].place_id
    late = RecordOfferMail(
        context=history.context("worker"), campaign_id=history.campaign.campaign_id, place_id=place_id, outcome=outcome
    )

    history.run_steps("offer")

    assert history.waiting == ""
    assert answer(history.on_waiting_list(late)) == "unchanged"


def test_expired_offer_leaves_its_place_on_a_full_list(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("domain.commands.campaign.waiting_list", "domain.model.campaign"):
        monkeypatch.setattr(f"{module}.WAITING_MAX", 2)

    steps = f"{offered('li', 'wang')} zhao.wait=WAITING_LIST_CLOSED/full 24h zhao.wait=changed"
    Case(steps, waiting="wang zhao", terms=listed()).check()


def test_offer_that_a_wrong_clock_made_endless_needs_the_sweep_once() -> None:
    history = History(f"{FULL} wait p0.refund- 365d offer -365d", **listed())

    before = history.campaign.needs_offers(history.now)
    history.run_steps("offer")

    assert (before, history.campaign.needs_offers(history.now)) == (True, False)


def test_offers_are_no_more_than_uses_and_bounded_per_command() -> None:
    """What a raised limit frees at once is offered in steps; a day's limit counts too."""
    people = " ".join(f"w{nth}.wait" for nth in range(OFFERS_PER_COMMAND + 3))
    history = History(f"{FULL} {people} set:max_uses:{1 + OFFERS_PER_COMMAND + 1}", **listed(waiting_hours=1))

    counts = [history.run_steps("offer").campaign.offers for _ in range(3)]

    assert counts == [OFFERS_PER_COMMAND, OFFERS_PER_COMMAND + 1, OFFERS_PER_COMMAND + 1]


def test_joining_is_refused_with_uses_left_and_beyond_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules of a redeem request come first."""
    assert waiting_list.WAITING_MAX > 1
    monkeypatch.setattr("domain.commands.campaign.waiting_list.WAITING_MAX", 1)

    History(f"{FULL} p0.refund- wait=WAITING_LIST_CLOSED/uses_left", **listed())
    full = "wang.wait=WAITING_LIST_CLOSED/full pause wang.wait=CODE_PAUSED revoke wang.wait=CODE_REVOKED"
    History(f"{FULL} wait {full}", **listed())


def test_leaving_twice_changes_nothing() -> None:
    history = History(f"{FULL} wait", **listed())
    leave = LeaveWaitingList(
        context=history.context("person"),
        campaign_id=history.campaign.campaign_id,
        place_id=history.campaign.waiting[0].place_id,
        cause="left",
    )

    results = [history.on_waiting_list(leave) for _ in range(2)]

    assert [answer(result) for result in results] == ["changed", "unchanged"]
    assert place_after(results[1]) is None


def test_code_brings_no_more_people_than_it_has_uses() -> None:
    """A code with one use left cannot fill the list with made-up addresses."""
    history = History("p0.deliver p1.deliver", **listed(2))
    terms = replace(history.code.terms, max_uses=history.code.used + 1)
    history.working_set.codes[history.code_id] = replace(history.code, terms=terms)

    history.run_steps("wait=changed wang.wait=WAITING_LIST_CLOSED/full wait=unchanged")


@pytest.mark.parametrize(("waits", "named"), [({"recipient_s": 60}, "recipient"), ({"address_s": 9}, "new_recipients")])
def test_joining_is_limited_as_new_recipients_are(waits: dict[str, int], named: str) -> None:
    """A place leads to an email."""
    history = History(f"{FULL} wait", **listed())
    limits = InvitationWaits(**waits)

    assert answer(history.wait("wang", waits=limits)) == f"RATE_LIMITED/{named}"
    assert answer(history.wait("li", waits=limits)) == "unchanged"


def test_offer_ends_with_the_campaign() -> None:
    """No deadline is later than the end, after which no use can be taken."""
    ends_at = START + timedelta(hours=6)
    history = History(f"{OFFERED} mail", **listed(ends_at=ends_at))

    assert history.campaign.waiting[0].offered_until == ends_at


def test_use_of_a_code_is_kept_for_the_person_who_waits_by_it() -> None:
    """The campaign has uses for all, but the code has one: a visitor with the same code does not take it."""
    history = History("p0.deliver p1.deliver", **listed(2))
    last = history.issue(b"last", max_uses=1, bound=False)
    history.wait("li", code=b"last")
    history.run_steps("set:max_uses:9")

    assert answer(history.redeem("visitor", code=b"last")) == "CAMPAIGN_EXHAUSTED/kept"
    history.run_steps("visitor.redeem=changed")
    assert done(history.redeem("li", code=b"last")).changed
    assert history.working_set.codes[last].reserved == 1


DAY_S = 86400.0


def waiting_for(*, max_uses: int, left: int, people: int) -> Scenario:
    """A campaign with uses left for people on its waiting list, of which the first ones have an offer."""
    scenario = Scenario(campaign=make_campaign_terms(max_uses=max_uses, waiting_hours=24), max_uses=99, bound=False)
    for nth in range(max_uses):
        scenario.sent(f"p{nth}")
    for nth in range(people):
        scenario.wait(f"w{nth}")
    for nth in range(left):
        use = scenario.newest_use(f"p{nth}")
        assert use is not None
        done(scenario.refund(use, revoke_access=False))
    scenario.offer_uses()
    return scenario


def only_for_waiting(scenario: Scenario) -> int:
    """The uses of the campaign that the scenario's code can only bring to people who wait."""
    return count_only_for_waiting(scenario.campaign, scenario.code, scenario.now)


@pytest.mark.parametrize(
    ("left", "people", "expected", "visitor"),
    [
        (1, 1, 1, "CAMPAIGN_EXHAUSTED"),
        (2, 3, 2, "CAMPAIGN_EXHAUSTED"),
        (2, 1, 0, "ok"),
        (1, 0, 0, "ok"),
        (0, 2, 0, "CAMPAIGN_EXHAUSTED"),
    ],
)
def test_uses_are_kept_when_they_are_no_more_than_the_people_who_wait(
    left: int, people: int, expected: int, visitor: str
) -> None:
    scenario = waiting_for(max_uses=3, left=left, people=people)
    counted, on_campaign = only_for_waiting(scenario), scenario.campaign.for_waiting

    answer = scenario.redeem("visitor")

    assert (counted, on_campaign) == (expected, min(left, people))
    assert (refusal(answer) if isinstance(answer, Refusal) else "ok") == visitor


def test_use_of_a_code_is_kept_although_its_campaign_has_uses_for_all() -> None:
    scenario = waiting_for(max_uses=2, left=0, people=0)
    last = scenario.issue(b"last", max_uses=1, bound=False)
    scenario.wait("li", code=b"last")
    scenario.change_campaign(max_uses=9)
    by_code = count_only_for_waiting(scenario.campaign, scenario.working_set.codes[last], scenario.now)

    assert (by_code, only_for_waiting(scenario), count_only_for_waiting(scenario.campaign, None, scenario.now)) == (
        1,
        0,
        0,
    )
    assert refusal(scenario.redeem("visitor", code=b"last")) == "CAMPAIGN_EXHAUSTED"


def test_uses_of_the_day_are_kept_too() -> None:
    scenario = waiting_for(max_uses=1, left=0, people=2)
    scenario.change_campaign(max_uses=9, max_per_day=2)

    assert only_for_waiting(scenario) == 1
    assert refusal(scenario.redeem("visitor")) == "CAMPAIGN_DAY_LIMIT"


def test_use_of_the_day_is_for_the_first_who_waits() -> None:
    scenario = waiting_for(max_uses=3, left=2, people=2)
    scenario.change_campaign(max_per_day=2)
    campaign = scenario.campaign

    assert [campaign.keeps_use_for(place, scenario.now) for place in campaign.waiting] == [True, False]
    assert refusal(scenario.redeem("w1")) == "CAMPAIGN_DAY_LIMIT"
    assert done(scenario.redeem("w0")).changed


def test_no_use_is_kept_during_a_pause_or_after_the_offer() -> None:
    scenario = waiting_for(max_uses=1, left=1, people=1)
    scenario.pause_campaign()
    paused = only_for_waiting(scenario)
    scenario.resume_campaign()
    scenario.passes(30 * DAY_S)

    assert (paused, only_for_waiting(scenario)) == (0, 0)
    assert done(scenario.redeem("visitor")).changed
