"""A campaign whose uses are all reserved, its waiting list, and what offers and sends."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

from msgspec.structs import replace

from domain.commands.campaign.manage_campaign import ChangeCampaignTerms, PauseCampaign, ResumeCampaign
from domain.commands.campaign.waiting_list import (
    JoinWaitingList,
    LeaveWaitingList,
)
from domain.commands.context import CommandContext
from domain.events.event import ActorKind
from domain.model.campaign import Campaign
from domain.model.redeem_code import RedeemCode
from domain.report_intake import ReportIntake
from domain.results import CampaignResult, WaitingResult
from projections.definitions.tables.code_balances import code_from_named_row
from projections.privacy.opt_outs import OptOutRepository
from projections.privacy.reported_recipients import find_offer
from projections.read_models.campaign_list import CampaignReader
from projections.work_queue.outbox import LEASE_S
from projections.work_queue.waiting_offers import WaitingRows
from tests.support.fake_channel import FakeChannel
from tests.support.ledger.ledger_bench import LedgerBench, assert_no_drift
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.waiting_offers import WaitingOfferSender

HOURS = 24


@dataclass
class WaitingRig:
    """A campaign whose uses are all reserved, and its waiting list."""

    bench: LedgerBench
    steps: DeliverySteps
    channel: FakeChannel
    now: datetime
    campaign_id: UUID
    code: str
    bugs: list[Exception] = field(default_factory=list)

    def context(self, actor: ActorKind = "sweep") -> CommandContext:
        return CommandContext(now=self.now, actor=actor)

    def wait(self, name: str, code: str | None = None) -> None:
        redeem = replace(self.bench.reserve(code or self.code, f"{name}@example.com"), context=self.context("person"))
        result = self.bench.storage.ledger.execute_one(JoinWaitingList(redeem=redeem))
        assert isinstance(result, WaitingResult), result

    def allow(self, uses: int) -> None:
        self.change({"max_uses": uses})

    def change(self, changes: Mapping[str, object]) -> None:
        change = ChangeCampaignTerms(context=self.context("staff"), campaign_id=self.campaign_id, changes=changes)
        assert isinstance(self.bench.storage.ledger.execute_one(change), CampaignResult)

    def stop(self, change: Mapping[str, int]) -> None:
        """The campaign gives no use for some hours."""
        if "paused" in change:
            self.manage(PauseCampaign(context=self.context("staff"), campaign_id=self.campaign_id))
        elif "starts_at" in change:
            self.change({"starts_at": self.now + timedelta(hours=change["starts_at"])})
        else:
            self.change(change)

    def go_on(self, change: Mapping[str, int]) -> None:
        if "paused" in change:
            self.manage(ResumeCampaign(context=self.context("staff"), campaign_id=self.campaign_id))
        elif "starts_at" in change:
            self.change({"starts_at": None})
        else:
            self.allow(2)

    def manage(self, command: PauseCampaign | ResumeCampaign) -> None:
        assert isinstance(self.bench.storage.ledger.execute_one(command), CampaignResult)

    @property
    def campaign(self) -> Campaign:
        campaign = CampaignReader(self.bench.storage).find_campaign_state(self.campaign_id)
        assert campaign is not None
        return campaign

    def make_sender(self) -> WaitingOfferSender:
        storage = self.bench.storage
        return WaitingOfferSender(
            WaitingRows(storage, LEASE_S),
            CampaignReader(storage).find_campaign_state,
            self._find_code,
            OptOutRepository(storage),
            dataclasses.replace(self.steps, now=lambda: self.now),
            self.channel,
            storage.ledger.execute_one,
            self.context,
            self.bugs.append,
        )

    def sweep(self) -> list[str]:
        """Offer and send; the people who were written to so far."""
        self.make_sender().run()
        assert_no_drift(self.bench)
        assert self.bugs == []
        return [message.recipient.typed.partition("@")[0] for message in self.channel.sent]

    def leave(self, place_id: UUID) -> None:
        leave = LeaveWaitingList(
            context=self.context("person"), campaign_id=self.campaign_id, place_id=place_id, cause="left"
        )
        self.bench.storage.ledger.execute_one(leave)

    def make_intake(self) -> ReportIntake:
        storage = self.bench.storage
        return ReportIntake(
            secret=b"secret",
            execute=storage.ledger.execute,
            draft_text=storage.vault.seal_text,
            new_id=uuid4,
            has_recipient=lambda _: False,
            find_offer=partial(find_offer, storage),
            leave=storage.ledger.execute_one,
        )

    def _find_code(self, code_id: UUID) -> RedeemCode | None:
        row = self.bench.reader.find_balance(code_id)
        return None if row is None else code_from_named_row(row)

    def outcomes(self) -> list[str | None]:
        query = "SELECT outcome FROM waiting_places WHERE offered_at IS NOT NULL ORDER BY joined_at"
        return [row[0] for row in self.bench.rows(query)]


def make_waiting_rig(bench: LedgerBench, steps: DeliverySteps) -> WaitingRig:
    """A campaign with one use, which a person has."""
    campaign_id = bench.create_campaign(max_uses=1, waiting_hours=HOURS)
    code = bench.issue(99, bound=False, campaign_id=campaign_id, group="red")
    bench.redeem(code, "first@example.com")
    now = bench.storage.recorder.clock.now() + timedelta(seconds=1)
    return WaitingRig(bench, steps, FakeChannel(), now, campaign_id, code)
