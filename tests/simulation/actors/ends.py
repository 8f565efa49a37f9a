"""Ends that come near, and two sweeps that report it: of the campaign, and of a code.

Randomness of their own, and few schedules, so that most schedules stay as they are.
"""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Final
from uuid import UUID

from domain.command_bus import AnyCommand
from domain.commands.campaign.manage_campaign import ChangeCampaignTerms, ReportCampaignEnd
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.report_end import ReportCodeEnd
from domain.commands.context import CommandContext
from domain.events.event import ActorKind
from domain.model.campaign import Campaign
from domain.model.redeem_code import RedeemCode
from domain.values.limits.thresholds import parse_thresholds
from projections.database.errors import StorageUnavailableError
from tests.simulation.actors.components import SharedInfrastructure
from tests.simulation.scheduler import SimulatedProcess

SHARE: Final = 0.2
"""Share of the schedules in which an end comes near."""
SWEEP_S: Final = 10.0


class SimulatedEnds:
    """Who sets and moves ends, and what reports them."""

    def __init__(self, infrastructure: SharedInfrastructure, campaign_id: UUID, code_ids: Sequence[UUID]) -> None:
        self._site, self._scheduler = infrastructure, infrastructure.scheduler
        self._random = Random(campaign_id.int + 6)
        self._campaign_id, self._code_id = campaign_id, self._random.choice(code_ids)

    def begin(self, process: SimulatedProcess, until_s: float) -> None:
        if self._random.random() > SHARE:
            return
        for _ in range(4):
            self._scheduler.spawn(process, self._change_terms, self._random.uniform(0, until_s))
        for first_s in (SWEEP_S, SWEEP_S):
            self._scheduler.spawn(process, self._sweep, first_s)

    def _change_terms(self) -> None:
        now, name = self._site.now(), self._random.choice(["expires_at", "ends_at"])
        end = now + timedelta(days=1, seconds=self._random.choice([-20, 20, 90]))
        changes = {name: end, "notify_at": parse_thresholds("50%, 1 day, end")}
        staff = self._context("staff")
        if name == "ends_at":
            self._execute(ChangeCampaignTerms(context=staff, campaign_id=self._campaign_id, changes=changes))
        else:
            self._execute(ChangeTerms(context=staff, code_id=self._code_id, changes=changes))
        self._scheduler.pass_time(self._random.uniform(5, 120))
        other = {"notify_at": parse_thresholds(self._random.choice(["60%", "70%"]) + ", 1 day, end")}
        self._execute(ChangeTerms(context=self._context("staff"), code_id=self._code_id, changes=other))

    def _sweep(self) -> None:
        while True:
            due = self._list_due()
            self._scheduler.pass_time(0.1)  # the other sweep finds the same
            for command in due:
                self._execute(command)
            self._scheduler.pass_time(SWEEP_S)

    def _list_due(self) -> list[AnyCommand]:
        """The statement `near_ends`."""
        store, context = self._site.store, self._context("sweep")
        codes = [key for key, code in store.codes.items() if _is_due(code, context)]
        campaigns = [key for key, campaign in store.campaigns.items() if _is_due(campaign, context)]
        return [
            *(ReportCodeEnd(context=context, code_id=key) for key in codes),
            *(ReportCampaignEnd(context=context, campaign_id=key) for key in campaigns),
        ]

    def _execute(self, command: AnyCommand) -> None:
        try:
            self._site.ledger.execute([command])
        except StorageUnavailableError:
            self._scheduler.note("end: no database")

    def _context(self, actor: ActorKind) -> CommandContext:
        return CommandContext(now=self._site.now(), actor=actor)


def _is_due(state: RedeemCode | Campaign, context: CommandContext) -> bool:
    return state.next_report_at is not None and state.next_report_at <= context.now
