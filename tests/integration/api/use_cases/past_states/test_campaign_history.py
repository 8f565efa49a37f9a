"""The explanation of a campaign's numbers: at every time they are those of its codes, and each says what it is."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from api.schemas.campaigns import CampaignExplanation
from api.use_cases.past_states.campaign_history import explain_campaign
from domain.commands.campaign.manage_campaign import ChangeCampaignTerms
from domain.commands.campaign.waiting_list import JoinWaitingList, OfferUses
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.commands.reservation.resolve_case import ResolveReservation
from domain.errors import Refusal
from domain.events.campaign import Counting
from domain.ports import OutcomeUnknown, Rejected
from domain.values.timestamps import text_of
from projections.read_models.campaign_list import CampaignReader
from projections.read_models.past_states import PastStateReader
from tests.support.ledger.ledger_bench import SENT, LedgerBench, done

REFUSED = Rejected(server="mx:25", reason="address_refused", final=True, about_address=True, reply_code=550)
LOST = OutcomeUnknown(server="mx:25", cause="timeout")


def record_late_success(bench: LedgerBench, reservation_id: UUID) -> None:
    bench.attempt(reservation_id, LOST)
    resolve = ResolveReservation(
        context=bench.context("staff", "s1"),
        reservation_id=reservation_id,
        resolution="refunded",
        case_id=uuid4(),
        revoke_access=None,
    )
    done(bench.run(resolve))
    outcome = RecordOutcome(
        context=bench.context("worker", "t1"),
        reservation_id=reservation_id,
        delivery=1,
        attempt=1,
        outcome=SENT,
        case_id=uuid4(),
    )
    done(bench.run(outcome))


def test_used_and_reserved_are_those_of_the_codes_at_the_time_of_every_event(bench: LedgerBench) -> None:
    campaign_id = bench.create_campaign(max_uses=9, max_per_person=3, max_per_day=8)
    codes = [bench.issue(None, bound=False, campaign_id=campaign_id) for _ in range(2)]
    ids = [
        done(bench.redeem(codes[number % 2], f"{person}@example.com")).require_reservation().reservation_id
        for number, person in enumerate(("li", "li", "mei", "wang"))
    ]
    bench.attempt(ids[0])
    bench.attempt(ids[1], REFUSED)
    record_late_success(bench, ids[2])
    states, reader = PastStateReader(bench.storage), CampaignReader(bench.storage)
    code_ids = [code_id for code in codes if (code_id := bench.reader.find_code(code)) is not None]
    entries = [entry for code_id in code_ids for entry in states.read_page(code_id, 0)]

    def explain(as_of: datetime | None = None, most: int = 99) -> CampaignExplanation:
        now, histories = bench.storage.recorder.clock.now(), states.campaign_histories
        explained = explain_campaign(histories, reader, campaign_id, now, "en", as_of=as_of, most=most)
        assert explained is not None
        return explained

    for at in sorted({entry.event.at for entry in entries}):
        balances = [code for code_id in code_ids if (code := states.fold_until(code_id, at)) is not None]
        past = explain(as_of=at)
        expected = sum(code.used for code in balances), sum(code.reserved for code in balances)
        assert (past.used, past.reserved) == expected, at
        assert sorted(use.state for use in past.uses) == ["reserved"] * expected[1] + ["used"] * expected[0]
        assert past.occupied == past.takes - past.returns == sum(expected)

    now, bounded = explain(), explain(most=1)
    tomorrow = now.as_of + timedelta(days=1)
    assert now.numbers == [
        "Used: 2. These invitations were sent.",
        "Reserved: 1. These reservations are pending.",
        "Available: 6. This is the limit of 9 over all codes, less 2 used and 1 reserved.",
        "Per person: at most 3. The most that one person has is 1.",
        "One person is one email address. Counted by inbox, the most that one person has would be 1.",
        f"Per day: 3 of 8 taken on {now.as_of:%Y-%m-%d} (UTC), so 5 left until {tomorrow:%Y-%m-%d} 00:00 UTC.",
    ]
    assert (now.most_per_person, now.taken_today, now.available_today, now.left_out) == (1, 3, 5, 0)
    assert {use.reservation_id: use.state for use in now.uses} == {
        ids[0]: "used",
        ids[2]: "used",
        ids[3]: "reserved",
    }
    assert (len(bounded.uses), bounded.left_out, bounded.numbers) == (1, 2, now.numbers)


def test_uses_that_are_offered_are_named_although_they_are_available(bench: LedgerBench) -> None:
    campaign_id = bench.create_campaign(max_uses=1, waiting_hours=24)
    code = bench.issue(None, bound=False, campaign_id=campaign_id)
    done(bench.redeem(code, "first@example.com"))
    ledger, states = bench.storage.ledger, PastStateReader(bench.storage)
    for name in ("li", "wang"):
        ledger.execute_one(JoinWaitingList(redeem=bench.reserve(code, f"{name}@example.com")))
    before = bench.storage.recorder.clock.now()
    context = bench.context("staff")
    raised = ChangeCampaignTerms(context=context, campaign_id=campaign_id, changes={"max_uses": 3})
    ledger.execute_one(raised)
    ledger.execute_one(OfferUses(context=bench.context("sweep"), campaign_id=campaign_id))
    now = bench.storage.recorder.clock.now()

    def explain(as_of: datetime) -> list[str]:
        reader = CampaignReader(bench.storage)
        explained = explain_campaign(states.campaign_histories, reader, campaign_id, now, "en", as_of=as_of)
        assert explained is not None
        return explained.numbers

    rest = "Available to a person who is not on the list: 0."
    assert isinstance(bench.redeem(code, "visitor@example.com"), Refusal)
    assert "Available: 2. This is the limit of 3 over all codes, less 0 used and 1 reserved." in explain(now)
    assert f"Waiting list: 2. Offered uses: 2. {rest}" in explain(now)
    assert f"Waiting list: 2. Offered uses: 0. {rest}" in explain(before)
    assert not any("Waiting list" in number for number in explain(now + timedelta(days=30)))


def test_start_of_counting_is_named_after_a_later_change_of_the_terms(bench: LedgerBench) -> None:
    """The newest terms do not have it, and the uses that are left out are no part of the numbers."""
    campaign_id = bench.create_campaign()
    done(bench.redeem(bench.issue(campaign_id=campaign_id), "li@example.com"))
    steps: list[tuple[dict[str, object], Counting | None]] = [({"max_uses": 5}, "from_now"), ({"name": "Winter"}, None)]
    for changes, counting in steps:
        context = bench.context("staff")
        bench.storage.ledger.execute_one(
            ChangeCampaignTerms(context=context, campaign_id=campaign_id, changes=changes, counting=counting)
        )
    states, reader, now = PastStateReader(bench.storage), CampaignReader(bench.storage), bench.context().now

    explained = explain_campaign(states.campaign_histories, reader, campaign_id, now, "en")
    campaign = reader.find_campaign_state(campaign_id)

    assert explained is not None
    assert campaign is not None
    assert campaign.counts_from is not None
    assert explained.occupied == 0
    assert explained.numbers[0] == (
        f"Counted: only uses that were reserved at {text_of(campaign.counts_from)} or later."
        " Limits that were set then leave out earlier uses."
    )


def test_campaign_that_counts_no_uses_explains_no_numbers(bench: LedgerBench) -> None:
    """Its stream has no use, so a number would not be one of its events."""
    campaign_id = bench.create_campaign()
    bench.redeem(bench.issue(campaign_id=campaign_id), "li@example.com")
    states = PastStateReader(bench.storage)
    now = bench.storage.recorder.clock.now()

    explained = explain_campaign(states.campaign_histories, CampaignReader(bench.storage), campaign_id, now, "en")

    assert explained is not None
    assert (explained.used, explained.reserved, explained.most_per_person, explained.numbers) == (None, None, None, [])
    assert explained.sentence.startswith("The campaign never had a common limit")
