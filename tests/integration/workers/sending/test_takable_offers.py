"""Emails of offers lead to uses that can be taken: what waits, what ends, and which end they name."""

from datetime import timedelta

import pytest

from domain.commands.campaign.waiting_list import (
    OfferUses,
)
from domain.commands.code.pause import PauseCode, ResumeCode
from domain.commands.code.revoke import RevokeCode
from domain.ports import Rejected
from projections.event_store.stored_state import read_fields
from projections.privacy.opt_outs import OptOutRepository
from tests.integration.workers.sending.waiting_rig import HOURS, WaitingRig, make_waiting_rig
from tests.support.fake_channel import FakeChannel
from tests.support.ledger.ledger_bench import LedgerBench, done
from workers.sending.delivery_steps import DeliverySteps

LATER = Rejected(server="mx", reason="temporary", final=False)


@pytest.fixture
def house(bench: LedgerBench, steps: DeliverySteps) -> WaitingRig:
    return make_waiting_rig(bench, steps)


def test_use_goes_to_the_next_person_if_the_code_cannot_be_redeemed_any_more(house: WaitingRig) -> None:
    """No email leads to a refusal, and the history says why the place ended."""
    house.wait("li", house.bench.issue(1, bound=False, campaign_id=house.campaign_id))
    house.wait("wang")
    house.allow(2)
    revocation = RevokeCode(context=house.context("staff"), code_id=house.campaign.waiting[0].code_id, case_ids=())
    house.bench.run(revocation)
    for _ in range(2):
        people = house.sweep()

    query = "SELECT state FROM ledger_events WHERE topic = 'WaitingListLeft:1'"
    assert people == ["wang"]
    assert [read_fields(state)["cause"] for (state,) in house.bench.rows(query)] == ["code_ended"]
    assert house.outcomes() == ["code_ended", "sent"]


def test_email_waits_while_the_code_is_paused(house: WaitingRig) -> None:
    """Then it is sent, and the hours count from it."""
    house.wait("li")
    house.allow(2)
    code_id = house.campaign.waiting[0].code_id
    house.bench.run(PauseCode(context=house.context("staff"), code_id=code_id))
    paused = [house.sweep()]
    house.now += timedelta(days=1)
    paused.append(house.sweep())
    house.bench.run(ResumeCode(context=house.context("staff"), code_id=code_id))
    house.now += timedelta(minutes=1)

    assert (paused, house.sweep()) == ([[], []], ["li"])
    assert house.campaign.waiting[0].offered_until == house.now + timedelta(hours=HOURS)


@pytest.mark.parametrize("change", [{"paused": True}, {"starts_at": 9}, {"max_uses": 1}])
def test_email_waits_while_the_campaign_gives_no_use(house: WaitingRig, change: dict[str, int]) -> None:
    """It would lead to a refusal. Then it is sent, and the hours count from it."""
    house.wait("li")
    house.allow(2)
    house.bench.storage.ledger.execute_one(OfferUses(context=house.context(), campaign_id=house.campaign_id))
    house.stop(change)
    waiting = [house.sweep()]
    house.now += timedelta(hours=1)
    waiting.append(house.sweep())
    house.go_on(change)
    house.now += timedelta(minutes=1)

    assert (waiting, house.sweep()) == ([[], []], ["li"])
    assert house.campaign.waiting[0].offered_until == house.now + timedelta(hours=HOURS)


def test_no_email_is_sent_after_the_end_of_the_campaign(house: WaitingRig) -> None:
    """Nor does one that is sent before promise more."""
    house.wait("li")
    house.wait("wang")
    house.change({"ends_at": house.now + timedelta(hours=6), "max_uses": 3})
    house.channel = FakeChannel(LATER)
    house.sweep()
    (first, _) = house.channel.sent
    house.now += timedelta(hours=6)
    house.channel = FakeChannel()

    assert first.ends_at == house.now
    assert house.sweep() == []


def test_email_names_the_end_of_the_code_if_it_is_earlier(house: WaitingRig) -> None:
    """And not the hours of the offer."""
    ends_at = house.now + timedelta(hours=2)
    house.wait("li", house.bench.issue(1, bound=False, campaign_id=house.campaign_id, expires_at=ends_at))
    house.allow(2)
    house.sweep()

    assert house.channel.sent[0].ends_at == ends_at


def test_next_person_gets_the_use_if_another_has_bound_the_code(house: WaitingRig) -> None:
    """The code belongs to the first person who redeemed it; while their use is only reserved, the email waits."""
    code = house.bench.issue(9, campaign_id=house.campaign_id)
    house.wait("li", code)
    house.wait("wang")
    house.allow(3)
    house.bench.storage.ledger.execute_one(OfferUses(context=house.context(), campaign_id=house.campaign_id))
    house.allow(4)
    reservation_id = done(house.bench.redeem(code, "chen@example.com")).require_reservation().reservation_id
    before = house.sweep()
    house.bench.attempt(reservation_id)
    house.now += timedelta(minutes=1)
    for _ in range(2):
        after = house.sweep()

    assert (before, after) == (["wang"], ["wang"])
    assert sorted(filter(None, house.outcomes())) == ["code_ended", "sent"]


def test_outage_of_days_costs_no_place(house: WaitingRig) -> None:
    """An attempt without a connection does not count; only the end of the offer bounds them."""
    house.wait("li")
    house.allow(2)
    down = Rejected(server="mx", reason="connection_failed", final=False, about_connection=True)
    house.channel = FakeChannel(down, down, down)
    for _ in range(3):
        house.sweep()
        house.now += timedelta(days=1)
    before = house.outcomes()

    assert (before, house.sweep()[3:], house.outcomes()) == (["failed"], ["li"], ["sent"])


def test_person_who_opted_out_before_joining_gets_the_email(house: WaitingRig) -> None:
    """They asked for it when they joined."""
    house.wait("li")
    recipient_id, joined_at = house.campaign.waiting[0].recipient_id, house.campaign.waiting[0].joined_at
    OptOutRepository(house.bench.storage).insert(recipient_id, "red", joined_at - timedelta(days=1))
    house.allow(2)

    assert house.sweep() == ["li"]


def test_person_who_opted_out_gets_no_email_and_loses_the_place(house: WaitingRig) -> None:
    """The use goes to the next person, although they had opted out before they joined as well."""
    house.wait("li")
    house.wait("wang")
    house.allow(2)
    recipient_id = house.campaign.waiting[0].recipient_id
    for at in (house.now - timedelta(days=1), house.now + timedelta(seconds=1)):
        OptOutRepository(house.bench.storage).insert(recipient_id, "red", at)

    for _ in range(2):
        people = house.sweep()

    assert people == ["wang"]
