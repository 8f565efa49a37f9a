"""People who wait for a use of the simulated campaign, and the sweep that offers what comes back.

Randomness of their own, and few campaigns with a list, so that most schedules stay as they are.
"""

from collections.abc import Callable, Sequence
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
from domain.commands.context import CommandContext
from domain.commands.reservation.reserve import ReserveUse
from domain.errors import Refusal
from domain.events.event import ActorKind
from domain.events.waiting_list import OfferMailOutcome
from domain.model.waiting_list import OFFER_MAIL_MAX
from domain.results import WaitingResult
from projections.database.errors import StorageUnavailableError
from tests.simulation.actors.components import SharedInfrastructure
from tests.simulation.actors.recipients import RECIPIENTS, recipient_draft
from tests.simulation.scheduler import SimulatedProcess

VISITS: Final = 4
"""How often a person asks for a place."""


class SimulatedWaitingList:
    """Who comes to the waiting list of a campaign, and when uses are offered.

    Args:
        infrastructure: The world.
        campaign_id: The campaign.
        codes: Texts of codes, as their digests, and their ids.
        redeem: A person redeems a code, both by number.
    """

    def __init__(
        self,
        infrastructure: SharedInfrastructure,
        campaign_id: UUID,
        codes: tuple[Sequence[bytes], Sequence[UUID]],
        redeem: Callable[[int, int], object],
    ) -> None:
        self._site, self._scheduler = infrastructure, infrastructure.scheduler
        self.campaign_id, self._redeem = campaign_id, redeem
        self._codes, self._code_ids = codes
        self._random, self._mails = Random(campaign_id.int + 5), Random(campaign_id.int + 6)
        self._mailed: set[tuple[UUID, datetime]] = set()
        self._is_swept = True

    def begin(self, process: SimulatedProcess, until_s: float) -> None:
        """Let people come at some times, if there is a list."""
        campaign = self._site.store.campaigns.get(self.campaign_id)
        if campaign is None or campaign.terms.waiting_hours is None:
            return
        for _ in range(self._random.choice([4, 8, 12])):
            visit = partial(self._visit, self._random.randrange(RECIPIENTS))
            self._scheduler.spawn(process, visit, self._random.uniform(0, until_s))
        self._scheduler.spawn(process, self._sweep, 5.0)

    def _visit(self, person: int) -> None:
        """Join, once the campaign is full; later leave, or redeem as anyone does."""
        code = 0
        for _ in range(VISITS):
            code = self._choose_code()
            place_id = self._join(code, person)
            if place_id is not None:
                break
            self._scheduler.sleep(self._random.uniform(5, 40))
        else:
            return
        self._scheduler.sleep(self._random.uniform(1, 60))
        if self._random.random() < 0.3:
            self._execute(
                LeaveWaitingList(
                    context=self._context("person"), campaign_id=self.campaign_id, place_id=place_id, cause="left"
                )
            )
        else:
            self._redeem(code, person)

    def _choose_code(self) -> int:
        """Choose a code of the campaign by number, one that is open to all if there is any."""
        codes = [self._site.store.codes.get(code_id) for code_id in self._code_ids]
        of_campaign = [
            (code.bound, number)
            for number, code in enumerate(codes)
            if code is not None and code.campaign_id == self.campaign_id
        ]
        return min(of_campaign, default=(False, 0))[1]

    def _join(self, code: int, person: int) -> UUID | None:
        """Ask for a place; None without one."""
        result = self._execute(JoinWaitingList(redeem=self._redeem_command(code, person)))
        return None if result is None or result.place is None else result.place.place_id

    def _redeem_command(self, code: int, person: int) -> ReserveUse:
        return ReserveUse(
            context=self._context("person"),
            code_digests=(self._codes[code],),
            recipient=recipient_draft(person, self._new_id()),
            reservation_id=self._new_id(),
            language="zh",
        )

    def _sweep(self) -> None:
        while self._is_swept:
            self._execute(OfferUses(context=self._context("sweep"), campaign_id=self.campaign_id))
            self._send_offers()
            self._scheduler.sleep(self._random.choice([10.0, 25.0]))

    def _send_offers(self) -> None:
        """Send the emails of some offers, each once."""
        for place in self._site.store.campaigns[self.campaign_id].waiting:
            if place.offered_until is None or self._mails.random() < 0.5:
                continue
            if (mail := (place.place_id, place.offered_until)) not in self._mailed:
                context, outcome = self._context("worker"), self._mails.choice(get_args(OfferMailOutcome))
                about = {"campaign_id": self.campaign_id, "place_id": place.place_id}
                result = self._execute(RecordOfferMail(context=context, outcome=outcome, **about))
                if result is not None and result.place is not None and result.place.offered_until is not None:
                    self._mailed |= {mail, (place.place_id, result.place.offered_until)}

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
            self._scheduler.spawn(process, partial(self._take, self._choose_code(), person))
        self._scheduler.run_until(self._scheduler.now + 1.0)
        return True

    def _take(self, code: int, person: int) -> None:
        try:
            self._site.ledger.execute_one(self._redeem_command(code, person))
        except StorageUnavailableError:
            self._scheduler.note("waiting list: no database")

    def _execute(self, command: WaitingListCommand) -> WaitingResult | None:
        """Run a command; None without a result."""
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
