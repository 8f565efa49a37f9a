"""A campaign that some of the codes share, and what staff do to it at odd times."""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, Final
from uuid import UUID

from domain.commands.campaign.join_campaign import JoinCampaign
from domain.commands.campaign.manage_campaign import (
    CampaignCommand,
    ChangeCampaignTerms,
    CreateCampaign,
    EndCampaign,
    PauseCampaign,
    ResumeCampaign,
)
from domain.commands.context import CommandContext
from domain.errors import Refusal
from domain.events.campaign import Counting
from domain.values.limits.thresholds import parse_thresholds
from projections.database.errors import StorageUnavailableError
from tests.simulation.actors.components import SharedInfrastructure
from tests.simulation.scheduler import SimulatedProcess
from tests.support.ledger.code_terms import make_campaign_terms

RULES: Final = (None, "mailbox")
"""Whose uses one person's are."""
MEMBERS: Final = 0.5
"""Share of the codes of a schedule that are in its campaign."""
WAITING_LISTS: Final = 0.5
"""Share of the campaigns with a limit that have a waiting list."""


class SimulatedCampaign:
    """One campaign with limits that its few codes can reach."""

    def __init__(self, infrastructure: SharedInfrastructure) -> None:
        self._site, self._scheduler = infrastructure, infrastructure.scheduler
        self.campaign_id = self._scheduler.new_id()
        random = self._scheduler.random
        self._private = Random(self.campaign_id.int + 1)
        max_uses = random.choice([1, 2, 3, None])
        max_per_person = random.choice([None, 1, 1]) if max_uses is None else random.choice([None, 1])
        max_per_day = Random(self.campaign_id.int).choice([None, None, 1])
        self._rules = Random(self.campaign_id.int + 2)
        has_list = max_uses is not None and Random(self.campaign_id.int + 4).random() < WAITING_LISTS
        self.execute(
            CreateCampaign(
                context=self._context(),
                campaign_id=self.campaign_id,
                terms=make_campaign_terms(
                    max_uses=max_uses,
                    max_per_person=max_per_person,
                    max_per_day=max_per_day,
                    person_rule=self._rules.choice(RULES),
                    remind_days=3,
                    notify_at=parse_thresholds("60%, 0 left"),
                    waiting_hours=1 if has_list else None,
                ),
            )
        )

    def choose_for_code(self) -> UUID | None:
        return self.campaign_id if self._scheduler.random.random() < MEMBERS else None

    def begin(self, process: SimulatedProcess, until_s: float) -> None:
        random = self._scheduler.random
        self._private = Random(self.campaign_id.int + 1)
        for _ in range(random.choice([0, 1, 2])):
            self._scheduler.spawn(process, random.choice(self._acts()), random.uniform(0, until_s))

        # Randomness of their own, so that the schedules of everything else stay as they are.
        private = Random(self.campaign_id.int)
        for _ in range(private.choice([0, 1, 3])):
            join = partial(self._join, private)
            self._scheduler.spawn(process, join, private.uniform(0, until_s))
        later = Random(self.campaign_id.int + 3)
        for _ in range(later.choice([0, 0, 1, 2])):
            self._scheduler.spawn(process, partial(self._limit_later, later), later.uniform(0, until_s))

    def execute(self, command: CampaignCommand) -> None:
        try:
            self._site.ledger.execute_one(command)
        except StorageUnavailableError:
            self._scheduler.note("campaign: no database")

    def _acts(self) -> list[Callable[[], None]]:
        return [self._pause, self._change, self._change, self._end]

    def _pause(self) -> None:
        self.execute(PauseCampaign(context=self._context(), campaign_id=self.campaign_id))
        self._scheduler.pass_time(self._scheduler.random.choice([5.0, 40.0]))
        self.execute(ResumeCampaign(context=self._context(), campaign_id=self.campaign_id))

    def _change(self) -> None:
        changes: dict[str, Any] = {"max_uses": self._scheduler.random.choice([2, 4, None])}
        if self._private.random() < 0.5:
            changes["max_per_person"] = self._private.choice([None, 1, 2])
        if self._rules.random() < 0.3:
            changes["person_rule"] = self._rules.choice(RULES)
        self._limit(changes, None)

    def _limit(self, changes: dict[str, Any], counting: Counting | None) -> None:
        """Change limits; which uses they count may change too, and they may be below those uses."""
        command = ChangeCampaignTerms(
            context=self._context(), campaign_id=self.campaign_id, changes=changes, counting=counting
        )
        before = self._site.store.campaigns.get(self.campaign_id)
        self.execute(command)
        after = self._site.store.campaigns.get(self.campaign_id)
        self._scheduler.counts["limit is below the uses"] += after is not None and (after.available or 0) < 0
        if before is not None and after is not None and before.recounted_by != after.recounted_by:
            chosen = "all" if after.counts_from is None else "from now"
            self._scheduler.counts[f"limits of a campaign count {chosen}"] += 1

    def _limit_later(self, random: Random) -> None:
        """Add limits to a campaign that may have counted no uses."""
        changes = {"max_uses": random.choice([1, 2, 4]), "max_per_person": random.choice([None, 1])}
        self._limit(changes, random.choice([None, "all", "from_now"]))

    def _end(self) -> None:
        self.execute(EndCampaign(context=self._context(), campaign_id=self.campaign_id))

    def _join(self, random: Random) -> None:
        """Let a code join the campaign; often it is a member already, or has reserved uses."""
        code_id = random.choice(sorted(self._site.store.codes))
        command = JoinCampaign(context=self._context(), code_id=code_id, campaign_id=self.campaign_id)
        try:
            (result,) = self._site.ledger.execute([command])
        except StorageUnavailableError:
            self._scheduler.note("campaign: no database")
            return
        self._scheduler.counts["code joined a campaign"] += not isinstance(result, Refusal)

    def _context(self) -> CommandContext:
        return CommandContext(now=self._site.now(), actor="staff")
