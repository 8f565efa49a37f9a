"""Random histories on a real ledger: people, workers, staff and time do what they like to some codes."""

import random
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from msgspec.structs import replace

from domain.deciding import Command, Done, Result
from domain.decisions.accept import AcceptInvite
from domain.decisions.attempt import ClaimAttempt
from domain.decisions.bounce import RecordBounce
from domain.decisions.command import Context
from domain.decisions.overdue import SettleDue
from domain.decisions.refund import RefundReservation
from domain.decisions.resolve import ResolveReservation
from domain.decisions.settle import RecordOutcome
from domain.events import ActorKind
from domain.ports import Accepted, Outcome, Rejected, Uncertain
from tests.projections.ledgers import LedgerBench

OUTCOMES: tuple[Outcome, ...] = (
    Accepted(server="mx:25", reply_code=250),
    Accepted(server="mx:25", reply_code=250),
    Rejected(server="mx:25", reason="temporary", final=False, reply_code=451),
    Rejected(server="mx:25", reason="address_refused", final=True, about_address=True, reply_code=550),
    Uncertain(server="mx:25", cause="connection_lost"),
)
ACTS = ("redeem", "redeem", "redeem", "claim", "claim", "record", "record", "settle", "refund", "accept", "bounce")
RECORDED_AT_ONCE = 0.6


class History:
    """Lets things happen; the same seed gives the same history."""

    def __init__(self, bench: LedgerBench, seed: int, codes: int = 2) -> None:
        self.bench, self.random = bench, random.Random(seed)
        limits = (1, 4, 9, None)
        self.codes = [bench.issue(self.random.choice(limits), bound=self.random.random() < 0.3) for _ in range(codes)]
        self.reservations: list[UUID] = []
        self.shift = timedelta()

    def go_on(self, steps: int) -> None:
        """Some steps further."""
        for _ in range(steps):
            if self.random.random() < 0.1:
                self.shift += timedelta(seconds=self.random.choice([30, 70, 2000]))
            act = self.random.choice((*ACTS, "resolve"))
            if act == "redeem" or not self.reservations:
                self._run(self._redeem())
                continue
            item = self.random.choice(self.reservations)
            self._run(self._about(act, item))
            if act == "claim" and self.random.random() < RECORDED_AT_ONCE:
                self._run(self._about("record", item))

    def _run(self, command: Command) -> None:
        result: Result = self.bench.run(command)
        if (
            isinstance(result, Done)
            and result.reservation
            and result.reservation.reservation_id not in self.reservations
        ):
            self.reservations.append(result.reservation.reservation_id)

    def _redeem(self) -> Command:
        person = f"p{self.random.randrange(7)}@example.com"
        command = self.bench.reserve(self.random.choice(self.codes), person)
        again = self.random.choice([None, None, *self.reservations[-2:]])
        return replace(command, context=self._context("person"), again=again)

    def _about(self, act: str, item: UUID) -> Command:
        case: dict[str, Any] = {"reservation_id": item, "case_id": uuid4()}
        draw = self.random.choice
        made: dict[str, Any] = {
            "claim": lambda: ClaimAttempt(context=self._context("worker"), channel="smtp", **case),
            "record": lambda: RecordOutcome(
                context=self._context("worker"), delivery=1, attempt=draw([1, 1, 2]), outcome=draw(OUTCOMES), **case
            ),
            "settle": lambda: SettleDue(context=self._context("sweep"), **case),
            "refund": lambda: RefundReservation(context=self._context("staff"), reservation_id=item, cause="staff"),
            "accept": lambda: AcceptInvite(context=self._context("person"), delivery=1, **case),
            "bounce": lambda: RecordBounce(context=self._context("key"), delivery=1, reason="mailbox_unknown", **case),
            "resolve": lambda: ResolveReservation(
                context=self._context("staff"), resolution=draw(["sent", "refunded", "retry"]), **case
            ),
        }
        command: Command = made[act]()
        return command

    def _context(self, actor: ActorKind) -> Context:
        context = self.bench.context(actor, request_id=uuid4().hex)
        return replace(context, now=context.now + self.shift)
