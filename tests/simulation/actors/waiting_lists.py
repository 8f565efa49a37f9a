"""People who wait for a use of the simulated campaign, and the sweep that offers what comes back.

Randomness of their own, and few campaigns with a list, so that most schedules stay as they are.
"""

from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Final, get_args
from uuid import UUID

from domain.commands.campaign.waiting_list import (
    JoinWaitingList,
    LeaveWaitingList,
    OfferUses,
    RecordOfferMail,
    WaitingListCommand,
)
from domain.commands.code.issue import IssueCode
from domain.commands.context import CommandContext
from domain.commands.reservation.reserve import ReserveUse
from domain.errors import Refusal
from domain.events.event import ActorKind
from domain.events.waiting_list import OfferMailOutcome
from domain.model.waiting_list import OFFER_MAIL_MAX, WaitingPlace
from domain.report_intake import ReportedOffer
from domain.results import CommandResult, WaitingResult
from projections.database.errors import StorageUnavailableError
from tests.simulation.actors.components import SharedInfrastructure
from tests.simulation.actors.mail_reports import ReportingServers
from tests.simulation.actors.recipients import RECIPIENTS, SPELLINGS, code_draft, recipient_draft
from tests.simulation.scheduler import SimulatedProcess
from tests.support.ledger.code_terms import make_terms

CODE: Final = 50
"""Number of the code that the list is about; those of the schedule are below, and those of hand-outs above."""
CODE_LIMITS: Final = (None, 2, 3)
"""Limits of that code."""
VISITS: Final = 4
"""How often a person asks for a place."""
REPORTED: Final = 0.6
"""Share of the sent emails of offers of which something is reported later."""
RESPELLED: Final = 0.8
"""Share of the people with two addresses who wait under one and redeem under the other."""


class SimulatedWaitingList:
    """Who comes to the waiting list of a campaign, and when uses are offered."""

    def __init__(
        self,
        infrastructure: SharedInfrastructure,
        campaign_id: UUID,
        servers: ReportingServers,
    ) -> None:
        self._site, self._scheduler = infrastructure, infrastructure.scheduler
        self.campaign_id, self._servers = campaign_id, servers
        self._random, self._mails = Random(campaign_id.int + 5), Random(campaign_id.int + 6)
        self._spellings, self._reports = Random(campaign_id.int + 7), Random(campaign_id.int + 8)
        self._mailed: set[tuple[UUID, datetime]] = set()
        self._is_swept = True

    def begin(self, process: SimulatedProcess, until_s: float) -> None:
        campaign = self._site.store.campaigns.get(self.campaign_id)
        if campaign is None or campaign.terms.waiting_hours is None:
            return
        self._scheduler.spawn(process, self._issue)
        for _ in range(self._random.choice([4, 8, 12])):
            visit = partial(self._visit, self._random.choice((*range(RECIPIENTS), *SPELLINGS)))
            self._scheduler.spawn(process, visit, self._random.uniform(0, until_s))
        self._scheduler.spawn(process, self._sweep, 5.0)

    def _visit(self, person: int) -> None:
        """Join, once the campaign is full; later leave, or redeem as anyone does."""
        for _ in range(VISITS):
            place_id = self._join(person)
            if place_id is not None:
                break
            if self._random.random() < 0.5 and self._take(person):
                return
            self._scheduler.pass_time(self._random.uniform(5, 40))
        else:
            return
        self._scheduler.pass_time(self._random.uniform(1, 60))
        if self._random.random() < 0.3:
            self._execute(
                LeaveWaitingList(
                    context=self._context("person"), campaign_id=self.campaign_id, place_id=place_id, cause="left"
                )
            )
        else:
            is_other = self._spellings.random() < RESPELLED
            self._take_later(SPELLINGS.get(person, person) if is_other else person)

    def _take_later(self, person: int) -> None:
        """Ask for the use, some times, as a person does whose email is late."""
        for _ in range(VISITS):
            if self._take(person):
                return
            self._scheduler.pass_time(self._spellings.uniform(10, 60))

    def _issue(self) -> None:
        """Issue a code that anyone may redeem, so that only the campaign says no, or the people who wait by it."""
        code_id = self._new_id()
        issue = IssueCode(
            context=self._context("operator"),
            code_id=code_id,
            text=code_draft(CODE, code_id),
            terms=make_terms(max_uses=Random(self.campaign_id.int + 10).choice(CODE_LIMITS)),
            bound=False,
            campaign_id=self.campaign_id,
        )
        try:
            self._site.ledger.execute([issue])
        except StorageUnavailableError:
            self._scheduler.note("waiting list: no database")

    def _join(self, person: int) -> UUID | None:
        result = self._execute(JoinWaitingList(redeem=self._redeem_command(person)))
        return None if result is None or result.place is None else result.place.place_id

    def _redeem_command(self, person: int) -> ReserveUse:
        return ReserveUse(
            context=self._context("person"),
            code_digests=code_draft(CODE, self._new_id()).digests,
            recipient=recipient_draft(person, self._new_id()),
            reservation_id=self._new_id(),
            language="zh",
        )

    def _sweep(self) -> None:
        while self._is_swept:
            self._execute(OfferUses(context=self._context("sweep"), campaign_id=self.campaign_id))
            self._send_offers()
            self._scheduler.pass_time(self._random.choice([10.0, 25.0]))

    def _send_offers(self) -> None:
        for place in self._site.store.campaigns[self.campaign_id].waiting:
            if place.offered_until is None or self._mails.random() < 0.5:
                continue
            if (mail := (place.place_id, place.offered_until)) not in self._mailed:
                context, outcome = self._context("worker"), self._mails.choice(get_args(OfferMailOutcome))
                about = {"campaign_id": self.campaign_id, "place_id": place.place_id}
                result = self._execute(RecordOfferMail(context=context, outcome=outcome, **about))
                if result is not None and result.place is not None and result.place.offered_until is not None:
                    self._mailed |= {mail, (place.place_id, result.place.offered_until)}
                    self._report(place, outcome)

    def _report(self, place: WaitingPlace, outcome: OfferMailOutcome) -> None:
        """Have servers report some emails that they accepted, or may have."""
        if outcome != "failed" and self._reports.random() < REPORTED:
            group = self._site.store.codes[place.code_id].terms.group
            offer = ReportedOffer(self.campaign_id, place.recipient_id, group)
            self._servers.report_offer(place.place_id, offer, self._reports)

    def stop_sweep(self) -> None:
        """Offer nothing from now on, and end no offer."""
        self._is_swept = False

    def outlast_offers(self, process: SimulatedProcess) -> bool:
        """Let all deadlines pass, and let people redeem what is kept for no one. False: nothing was offered."""
        campaign = self._site.store.campaigns.get(self.campaign_id)
        if campaign is None or not campaign.offers:
            return False
        self._site.clock_offset_s += (timedelta(hours=1) + OFFER_MAIL_MAX).total_seconds()
        for person in self._random.sample(range(RECIPIENTS), 2):
            self._scheduler.spawn(process, partial(self._take_later, person))
        self._scheduler.run_until(self._scheduler.now + 1.0)
        return True

    def _take(self, person: int) -> bool:
        """Redeem as anyone does; return whether the person has a use."""
        try:
            (result,) = self._site.ledger.execute([self._redeem_command(person)])
        except StorageUnavailableError:
            self._scheduler.note("waiting list: no database")
            return False
        return isinstance(result, CommandResult)

    def _execute(self, command: WaitingListCommand) -> WaitingResult | None:
        try:
            result = self._site.ledger.execute_one(command)
        except StorageUnavailableError:
            self._scheduler.note("waiting list: no database")
            return None
        return None if isinstance(result, Refusal) else result

    def _context(self, actor: ActorKind) -> CommandContext:
        return CommandContext(now=self._site.now(), actor=actor)

    def _new_id(self) -> UUID:
        return UUID(int=self._random.getrandbits(128))
