"""Those outside: persons who redeem and open links, staff who decide, and who looks into the books in the meantime.

They are not part of the ledger and never crash. What they were promised is kept for the checks.
"""

from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from uuid import UUID

from domain.command_bus import Command
from domain.commands.access.rebind import RequestRebind
from domain.commands.access.record_removal import RecordExternalRemoval
from domain.commands.context import CommandContext
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.commands.reservation.reserve import ReserveUse
from domain.events.event import ActorKind
from domain.ports import OutboundMessage
from domain.results import CommandResult, Result
from domain.values.link_token import read_token
from domain.writes import IdempotencyKey
from tests.simulation.actors.components import MESSAGES, ApiComponent, SharedInfrastructure
from tests.simulation.actors.mail_reports import ReportingServers
from tests.simulation.actors.recipients import RECIPIENTS, recipient_draft
from tests.simulation.actors.staff import Make, SimulatedStaff
from tests.simulation.scheduler import SimulatedProcess

TRANSACTIONS_PER_BATCH_MAX = 5
GROUPS = ("red", "blue", "green")


@dataclass(frozen=True)
class PromisedReservation:
    """A promise: this person has this reservation. `key` is what the client called its request."""

    code: int
    person: int
    key: str | None
    reservation_id: UUID


@dataclass
class SimulatedClients:
    """Everybody outside. While `is_open` is false, no client begins anything new; `codes` are digests of texts."""

    infrastructure: SharedInfrastructure
    apis: list[ApiComponent]
    codes: list[bytes]
    staff: SimulatedStaff
    acks: list[PromisedReservation] = field(default_factory=list)
    refusals: int = 0
    is_open: bool = True

    def __post_init__(self) -> None:
        self.haste = self.infrastructure.scheduler.random.choice([0.0, 0.8])
        self.process = SimulatedProcess("outside")
        self.servers = ReportingServers(self.infrastructure, self.process, self._call)
        self.infrastructure.mail.on_taken = self._message_arrives
        self.infrastructure.mail.on_removed = self._removal_is_reported

    def begin(self, persons: int, until_s: float) -> None:
        scheduler, random = self.infrastructure.scheduler, self.infrastructure.scheduler.random
        for _ in range(persons):
            scheduler.spawn(self.process, self._person, random.uniform(0, until_s) * random.random())
        scheduler.spawn(self.process, self._shop, random.uniform(0, until_s))
        scheduler.spawn(self.process, self._do_staff_work, random.uniform(5, until_s / 2))
        scheduler.spawn(self.process, self._make_up_for_an_outage, random.uniform(5, until_s * 2))

    def redeem(self, code: int, person: int, key: str | None = None, again: UUID | None = None) -> Result | None:
        """One request; None without an answer."""
        result = self._call(self._make_redeem_command(code, person, key, again))
        self._record_answer(code, person, key, result)
        return result

    def _make_redeem_command(self, code: int, person: int, key: str | None, again: UUID | None = None) -> ReserveUse:
        scheduler = self.infrastructure.scheduler
        scope = sha256(b"%d/%d/" % (code, person) + key.encode()).digest() if key is not None else b""
        command = ReserveUse(
            context=self._context("person"),
            code_digests=(self.codes[code],),
            recipient=recipient_draft(person, scheduler.new_id()),
            reservation_id=scheduler.new_id(),
            language="zh",
            again=again,
            key=IdempotencyKey(scope_digest=scope, body_digest=again.bytes if again else b"") if key else None,
        )
        scheduler.note("asks", "code", code, "person", person, "key", key, "again", again)
        return command

    def _record_answer(self, code: int, person: int, key: str | None, result: Result | None) -> None:
        scheduler = self.infrastructure.scheduler
        if isinstance(result, CommandResult):
            ack = PromisedReservation(code, person, key, result.require_reservation().reservation_id)
            self.acks.append(ack)
            scheduler.note("is promised", ack.reservation_id)
        elif result is not None:
            self.refusals += 1
            scheduler.note("is refused", result.code)

    def rebind(self, code: int, person: int) -> None:
        scheduler = self.infrastructure.scheduler
        command = RequestRebind(
            context=self._context("person"),
            code_digests=(self.codes[code],),
            recipient=recipient_draft(person, scheduler.new_id()),
            new_reservation_id=scheduler.new_id(),
            group=scheduler.random.choice(GROUPS),
            language="zh",
            token_of=self._newest_token(code, person),
        )
        scheduler.note("asks to move to", command.group, "code", code, "person", person)
        result = self._call(command)
        if isinstance(result, CommandResult):
            self.acks.append(PromisedReservation(code, person, None, result.require_reservation().reservation_id))
            scheduler.note("is promised", result.require_reservation().reservation_id)

    def _newest_token(self, code: int, person: int) -> UUID | None:
        """The reservation of the newest correction token that a person may have of a code."""
        mine = (ack.reservation_id for ack in reversed(self.acks) if (ack.code, ack.person) == (code, person))
        return next(mine, None)

    def hear_of_doubt(self, reservation_id: UUID) -> None:
        """Support gives a use back before anybody knows better."""
        random = self.infrastructure.scheduler.random
        if self.is_open and random.random() < self.haste:
            command = self.staff.resolve(reservation_id, "refunded")
            self.infrastructure.scheduler.spawn(
                self.process, partial(self._perform, command), random.choice([0.1, 2, 30])
            )

    def _shop(self) -> None:
        """Redeems for many people by one request, and sends what has no result yet until all of it has one."""
        scheduler, random = self.infrastructure.scheduler, self.infrastructure.scheduler.random
        items = [
            (random.randrange(len(self.codes)), random.randrange(RECIPIENTS), f"shop{number}") for number in range(12)
        ]
        items += random.sample(items, 3)  # twice in one batch
        for _ in range(TRANSACTIONS_PER_BATCH_MAX):
            scheduler.counts["batch redeem"] += 1
            api = random.choice(self.apis)
            commands = [self._make_redeem_command(*order) for order in items]
            results = api.call_batch(commands, chunk=random.choice([1, 4, 128]))
            for order, result in zip(items, results, strict=False):
                self._record_answer(*order, result)
            if len(results) == len(items) or not self.is_open:
                return
            scheduler.pass_time(random.choice([0.1, 3, 30]))

    def _person(self) -> None:
        """Redeems; without an answer asks again with the same key; later perhaps again for a further use."""
        scheduler, random = self.infrastructure.scheduler, self.infrastructure.scheduler.random
        code, person = random.randrange(len(self.codes)), random.randrange(RECIPIENTS)
        again: UUID | None = None
        for _ in range(random.choice([1, 2, 3])):
            key = f"k{random.randrange(10**6)}" if random.random() < 0.7 else None
            if random.random() < 0.2:
                scheduler.counts["double click"] += 1
                scheduler.spawn(self.process, partial(self._click, code, person, key, again), random.uniform(0, 0.01))
            result = self._until_answered(code, person, key, again)
            scheduler.pass_time(random.choice([1, 20, 100, 400]))
            if not self.is_open:
                return
            if random.random() < 0.3:
                self.rebind(code, person)
            if key is not None and random.random() < 0.3:
                scheduler.counts["page loaded again"] += 1
                self.redeem(code, person, key, again)
            again = (
                result.require_reservation().reservation_id
                if isinstance(result, CommandResult) and random.random() < 0.5
                else None
            )

    def _click(self, code: int, person: int, key: str | None, again: UUID | None) -> None:
        self.redeem(code, person, key, again)

    def _until_answered(self, code: int, person: int, key: str | None, again: UUID | None) -> Result | None:
        scheduler = self.infrastructure.scheduler
        for _ in range(TRANSACTIONS_PER_BATCH_MAX):
            if (result := self.redeem(code, person, key, again)) is not None:
                return result
            scheduler.pass_time(scheduler.random.choice([0.1, 3, 30]))
        return None

    def _message_arrives(self, message: OutboundMessage) -> None:
        """A link is opened, perhaps; or the email comes back."""
        scheduler, random = self.infrastructure.scheduler, self.infrastructure.scheduler.random
        if not self.is_open:
            return
        if message.template != "invite":
            if self.infrastructure.faults.happens("mail: came back later"):
                self.servers.report(message)
            return
        delivery = read_token(MESSAGES.secret, message.link.rpartition("/")[2])
        if delivery is None:
            raise AssertionError("a letter's link is not of this ledger")
        if random.random() < 0.4:
            scheduler.counts["link opened"] += 1
            command: Make = lambda: AcceptInvite(  # noqa: E731 - time and ids are those of the act
                context=self._context("person"),
                reservation_id=delivery.reservation_id,
                delivery=delivery.number,
                case_id=scheduler.new_id(),
            )
            scheduler.spawn(self.process, lambda: self._perform(command), random.choice([0.1, 30, 200]))
        if self.infrastructure.faults.happens("mail: came back later"):
            self.servers.report(message)

    def _removal_is_reported(self, reservation_id: UUID) -> None:
        """A group's external system reports what it removed, since its answer was lost."""
        if self.is_open:
            report = partial(self._report_removal, reservation_id)
            self.infrastructure.scheduler.spawn(
                self.process, lambda: self._perform(report), self.infrastructure.scheduler.random.choice([0.1, 30])
            )

    def _report_removal(self, reservation_id: UUID) -> RecordExternalRemoval:
        return RecordExternalRemoval(context=self._context("channel"), reservation_id=reservation_id)

    def _do_staff_work(self) -> None:
        scheduler = self.infrastructure.scheduler
        while self.is_open:
            command = self.staff.next_act()
            if command is not None:
                self._perform(command)
            scheduler.pass_time(scheduler.random.choice([3, 15, 60]))

    def _make_up_for_an_outage(self) -> None:
        """Everything that may be refunded, perhaps twice."""
        scheduler, random = self.infrastructure.scheduler, self.infrastructure.scheduler.random
        if not self.is_open or random.random() < 0.7:
            return
        include_sent = random.random() < 0.3
        scheduler.counts["refund after an outage"] += 1
        for reservation_id in list(self.infrastructure.store.reservations) * random.choice([1, 2]):
            self._perform(self.staff.after_outage(reservation_id, include_sent=include_sent))

    def _perform(self, command: Make) -> None:
        """Ask again if there was no answer; the same request again is the same act."""
        for _ in range(2):
            if self._call(command()) is not None:
                return
            self.infrastructure.scheduler.pass_time(1.0)

    def _call(self, command: Command) -> Result | None:
        return self.infrastructure.scheduler.random.choice(self.apis).call(command)

    def _context(self, actor: ActorKind, request_id: str | None = None) -> CommandContext:
        return CommandContext(now=self.infrastructure.now(), actor=actor, actor_id=actor, request_id=request_id)
