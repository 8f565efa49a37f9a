"""A hand-out of the campaign's codes: workers that take the same rows, and what staff do to it at odd times."""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final, NamedTuple
from uuid import UUID

from domain.command_bus import Command
from domain.commands.code.issue import HandOutPlace, IssueCode
from domain.commands.context import CommandContext
from domain.commands.hand_out.hand_out_mail import (
    RecordHandOutBounce,
    RecordHandOutMail,
    RemindOfHandOut,
    ResendHandOut,
)
from domain.commands.hand_out.manage_hand_out import (
    CreateHandOut,
    EndHandOut,
    HandOutCommand,
    PauseHandOut,
    ResumeHandOut,
)
from domain.events.hand_out import SkipReason
from domain.ports import Accepted, Outcome, OutcomeUnknown, Rejected
from projections.database.errors import StorageUnavailableError
from tests.simulation.actors.components import SharedInfrastructure
from tests.simulation.actors.recipients import code_draft
from tests.simulation.scheduler import SimulatedProcess
from tests.support.ledger.code_terms import make_terms

SHARE: Final = 0.5
"""Share of the schedules that have a hand-out."""
WORKERS, ROWS_MAX = 2, 3
FIRST_NUMBER: Final = 100
"""Number of its first code: those before it are of the schedule."""
OUTCOMES: Final[tuple[Outcome | SkipReason, ...]] = (
    *[Accepted(server="mx", reply_code=250)] * 3,
    Rejected(server="mx", reason="address_refused", final=True),
    OutcomeUnknown(server="mx", cause="timeout"),
    "opted_out",
)


class ListedRow(NamedTuple):
    """A row of the list: the code that its recipient gets, which is chosen with the row."""

    code_id: UUID
    recipient_id: UUID
    number: int


class SimulatedHandOut:
    """One hand-out. Its randomness is separate, so that the schedules of everything else stay as they are."""

    def __init__(self, infrastructure: SharedInfrastructure, campaign_id: UUID) -> None:
        self._site, self._scheduler, self._campaign_id = infrastructure, infrastructure.scheduler, campaign_id
        self._random = Random(campaign_id.int + 1)
        self._hand_out_id = self._new_id()
        self._rows = [
            ListedRow(self._new_id(), self._new_id(), FIRST_NUMBER + number)
            for number in range(self._random.randint(1, ROWS_MAX))
        ]

    def begin(self, process: SimulatedProcess, until_s: float) -> None:
        """Let workers send at some times, and staff act."""
        random = self._random
        if random.random() >= SHARE:
            return
        start_s = random.uniform(0, until_s / 2)
        self._scheduler.spawn(process, self._create, start_s)
        for _ in range(WORKERS):
            self._scheduler.spawn(process, self._work, random.uniform(start_s, until_s))
        for action in random.sample(self._actions(), random.randint(1, 4)):
            self._scheduler.spawn(process, action, random.uniform(start_s, until_s))

    def _create(self) -> None:
        create = CreateHandOut(
            context=self._context(),
            campaign_id=self._campaign_id,
            hand_out_id=self._hand_out_id,
            name="Autumn",
            terms=make_terms(),
        )
        self._manage(create)

    def _work(self) -> None:
        """Send what is queued, as a worker does that may have lost its lease to another one."""
        for row in self._rows:
            hand_out = self._site.store.hand_outs.get(self._hand_out_id)
            if hand_out is None or hand_out.state != "running":
                return
            issue = IssueCode(
                context=self._context(),
                code_id=row.code_id,
                text=code_draft(row.number, row.code_id),
                terms=make_terms(),
                bound=True,
                campaign_id=self._campaign_id,
                handed_out=HandOutPlace(self._hand_out_id, row.recipient_id),
            )
            self._execute(issue)
            self._send(row.code_id)

    def _send(self, code_id: UUID) -> None:
        handed_out = self._site.store.handed_out.get(code_id)
        if handed_out is None or handed_out.mail_state != "queued":
            return
        outcome = self._random.choice(OUTCOMES)
        self._scheduler.sleep(self._random.choice([0.1, 5.0]))
        for _ in range(self._random.choice([1, 1, 2])):  # an answer may be lost
            self._execute(
                RecordHandOutMail(context=self._context(), code_id=code_id, mail=handed_out.mail, outcome=outcome)
            )

    def _actions(self) -> list[Callable[[], None]]:
        code_ids = [row.code_id for row in self._rows]
        return [
            self._pause,
            partial(self._change_mail, RecordHandOutBounce, code_ids),
            partial(self._change_mail, ResendHandOut, code_ids),
            partial(self._change_mail, ResendHandOut, code_ids),
            partial(self._change_mail, RemindOfHandOut, code_ids),
            partial(self._change_mail, RemindOfHandOut, code_ids),
            self._end,
        ]

    def _pause(self) -> None:
        about = {"campaign_id": self._campaign_id, "hand_out_id": self._hand_out_id}
        self._manage(PauseHandOut(context=self._context(), **about))
        self._scheduler.sleep(self._random.choice([5.0, 40.0]))
        self._manage(ResumeHandOut(context=self._context(), **about))
        self._work()

    def _end(self) -> None:
        self._manage(EndHandOut(context=self._context(), campaign_id=self._campaign_id, hand_out_id=self._hand_out_id))

    def _change_mail(
        self, command: type[RecordHandOutBounce | ResendHandOut | RemindOfHandOut], code_ids: list[UUID]
    ) -> None:
        code_id = self._random.choice(code_ids)
        self._execute(command(context=self._context(), code_id=code_id))
        self._send(code_id)

    def _manage(self, command: HandOutCommand) -> None:
        try:
            self._site.ledger.execute_on_hand_out(command)
        except StorageUnavailableError:
            self._scheduler.note("hand-out: no database")

    def _execute(self, command: Command) -> None:
        try:
            self._site.ledger.execute([command])
        except StorageUnavailableError:
            self._scheduler.note("hand-out: no database")

    def _context(self) -> CommandContext:
        return CommandContext(now=self._site.now(), actor="worker")

    def _new_id(self) -> UUID:
        return UUID(int=self._random.getrandbits(128), version=4)
