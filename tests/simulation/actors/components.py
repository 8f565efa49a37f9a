"""The processes of a ledger: API, workers and beat, made of the ledger's own parts. No rule of theirs is here.

Between any two steps a process may crash or stand still; `Component.step` is where.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from msgspec.structs import replace

from domain.application import RedemptionLedger, settle_revoked_code
from domain.command_bus import Command
from domain.commands.context import CommandContext
from domain.commands.reservation.settle_due import is_released_by_revocation
from domain.ports import TextDraft
from domain.results import CommandResult, Result
from domain.values.identifiers import EmailAddress
from projections.database.clock import CLOCK_REFRESH_S
from projections.database.errors import StorageUnavailableError
from projections.vault.vault import EncryptedText, PrivateText
from tests.simulation.actors.send_executor import SendExecutor, WakeTask
from tests.simulation.fault_schedule import FaultSchedule
from tests.simulation.scheduler import Scheduler, SimulatedProcess, Task
from tests.simulation.services.broker import BrokerMessage, BrokerUnavailableError, SimulatedBroker
from tests.simulation.services.connections import SimulatedConnections
from tests.simulation.services.external_systems import BY_GROUP, OWN_SYSTEMS, ExternalSystem
from tests.simulation.services.mail_server import SimulatedMailServer
from tests.simulation.services.retention import MemoryRetention
from tests.simulation.services.store import MemoryStore
from tests.simulation.services.work_queues import MemoryDueAccess, MemoryDueReservations, MemoryOutbox
from workers.channels.group_router import Cooldowns, GroupRoutingChannel
from workers.channels.registry import ChannelPlan
from workers.dispatcher import DispatchQueue
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.due_sweep import sweep
from workers.sending.invitations import InvitationBatchSender
from workers.sending.loop import Sending
from workers.sending.message_factory import MessageFactory, parse_reservation_ids
from workers.sending.notices import NoticeSender
from workers.sending.removals import AccessExpirer

TASK_LIMIT_S = 240.0
"""The default of LEDGER_TASK_TIME_LIMIT_S."""
SENDERS_S = 5.0
"""How long an erasure may wait for those who read addresses."""
MESSAGES = MessageFactory(b"secret", "https://ledger.example", "ledger.example")


class SharedInfrastructure:
    """What all processes share: time, faults, the database, the broker and the mail server."""

    def __init__(
        self, scheduler: Scheduler, faults: FaultSchedule, ledger: RedemptionLedger, store: MemoryStore, sweep_s: float
    ) -> None:
        self.scheduler, self.faults, self.ledger, self.store = scheduler, faults, ledger, store
        self.sweep_s = sweep_s
        self.start = datetime.fromisoformat("2026-11-24T23:58:30+00:00")
        self.clock_offset_s = 0.0
        self.database_away_until = 0.0
        self.broker = SimulatedBroker(scheduler, faults, visibility_s=60.0)
        self.mail = SimulatedMailServer(scheduler, faults, self.now)
        self.receivers = {group: ExternalSystem(scheduler, faults, self.now, self.mail) for group in OWN_SYSTEMS}
        self.due, self.outbox, self.accesses = MemoryDueReservations(store), MemoryOutbox(store), MemoryDueAccess(store)
        self.retention = MemoryRetention(store)
        self.supervisor = SimulatedProcess("supervisor")

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.scheduler.now + self.clock_offset_s)

    def ask(self) -> None:
        """One question to the database outside of `execute`."""
        self.scheduler.pass_time(0.001)
        if self.scheduler.now < self.database_away_until:
            raise StorageUnavailableError("away")


class Component:
    """A process that can crash and is started again."""

    kind = ""

    def __init__(self, infrastructure: SharedInfrastructure, name: str) -> None:
        self.infrastructure, self.scheduler = infrastructure, infrastructure.scheduler
        self.process = SimulatedProcess(name)
        self._crash, self._freeze = f"crash of {self.kind}", f"freeze of {self.kind}"
        self.commit = ComponentCommit(self)
        self.may_start = True
        self._clock_offset_s = 0.0
        self._clock_read_at = -CLOCK_REFRESH_S

    def boot(self) -> None:
        """Begin, with empty hands."""

    def now(self) -> datetime:
        """Database time as this process knows it: it hears of a jump only when it asks again."""
        if self.scheduler.now - self._clock_read_at >= CLOCK_REFRESH_S:
            self._clock_read_at, self._clock_offset_s = self.scheduler.now, self.infrastructure.clock_offset_s
        return self.last_known_now()

    def last_known_now(self) -> datetime:
        """The same, without asking: what a process that stands still continues with."""
        return self.infrastructure.start + timedelta(seconds=self.scheduler.now + self._clock_offset_s)

    def step(self, seconds: float) -> None:
        """The time between two steps, in which the process may crash or stand still."""
        if self.infrastructure.faults.happens(self._crash):
            self.scheduler.note("crashes")
            self.end()
        if self.infrastructure.faults.happens(self._freeze):
            self.process.frozen_until = self.scheduler.now + self.scheduler.random.choice([5.0, 50.0, 150.0])
            self.scheduler.note("stands still until", self.process.frozen_until)
        self.scheduler.pass_time(seconds)

    def end(self) -> None:
        """Crash; start again a little later."""
        self.scheduler.spawn(self.infrastructure.supervisor, self.start, self.scheduler.random.uniform(0.1, 20.0))
        self.infrastructure.broker.give_back(self.process)
        self.scheduler.crash(self.process)

    def start(self) -> None:
        if not self.process.is_alive and self.may_start:
            self.scheduler.note("starts", self.process.name)
            self.process.is_alive = True
            self.process.generation += 1
            self.process.frozen_until = 0.0
            self.commit = ComponentCommit(self)
            self._clock_read_at = -CLOCK_REFRESH_S
            self.boot()


class ComponentCommit:
    """The group commit of a process: what arrives while a batch is committed is the next batch."""

    def __init__(self, node: Component) -> None:
        self._node = node
        self._waiting: list[tuple[Command, _PendingResult]] = []
        self._is_busy = False

    def run(self, commands: Sequence[Command]) -> list[Result]:
        """Commit commands and wait for their results; StorageUnavailableError if nothing is known of them."""
        scheduler = self._node.scheduler
        answers = [_PendingResult(scheduler.current) for _ in commands]
        self._waiting += zip(commands, answers, strict=True)
        if not self._is_busy:
            self._is_busy = True
            scheduler.spawn(self._node.process, self._work)
        while any(not answer.is_there for answer in answers):
            scheduler.park()
        return [answer.result() for answer in answers]

    def _work(self) -> None:
        node = self._node
        while self._waiting:
            count = node.scheduler.random.choice([1, 2, 256])
            batch, self._waiting = self._waiting[:count], self._waiting[count:]
            node.step(0.003)
            try:
                results: list[Result | StorageUnavailableError] = [
                    *node.infrastructure.ledger.execute([command for command, _ in batch])
                ]
            except StorageUnavailableError as error:
                results = [error] * len(batch)
            node.step(0.001)
            for (_, answer), result in zip(batch, results, strict=True):
                answer.give(node.scheduler, result)
        self._is_busy = False


class _PendingResult:
    """The result of one command, once it is there."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._result: Result | StorageUnavailableError | None = None
        self.is_there = False

    def give(self, scheduler: Scheduler, result: Result | StorageUnavailableError) -> None:
        self._result, self.is_there = result, True
        scheduler.wake(self._task)

    def result(self) -> Result:
        if isinstance(self._result, StorageUnavailableError):
            raise self._result
        if self._result is None:
            raise AssertionError("not there yet")
        return self._result


class ApiComponent(Component):
    """A web process: answers requests, and hands ids to the broker from a task of its own."""

    kind = "the api"

    def boot(self) -> None:
        self._queue = DispatchQueue(self.publish, lambda _: None)
        self._is_idle = False
        self._dispatcher = self.scheduler.spawn(self.process, self._dispatch)

    def publish(self, ids: Sequence[UUID]) -> None:
        publish_ids(self.infrastructure.broker, ids)

    def call(self, command: Command, patience_s: float = 10.0) -> Result | None:
        """A request from outside; None if no answer came, or only an honest "unknown"."""
        results = self.call_batch([command], patience_s, chunk=1)
        return results[0] if results else None

    def call_batch(self, commands: Sequence[Command], patience_s: float = 10.0, *, chunk: int) -> list[Result]:
        """A request with many commands, committed chunk by chunk; the results up to the first chunk that is unknown."""
        scheduler = self.scheduler
        if not self.process.is_alive:
            scheduler.pass_time(0.05)
            return []
        reply: list[Result] = []
        client, is_waiting = scheduler.current, [True]

        def serve() -> None:
            results = self._serve(commands, chunk)
            if results and is_waiting[0]:
                reply.extend(results)
                scheduler.wake(client)

        scheduler.spawn(self.process, serve)
        scheduler.pass_time(patience_s)
        is_waiting[0] = False
        return reply

    def _serve(self, commands: Sequence[Command], chunk: int) -> list[Result]:
        results: list[Result] = []
        for start in range(0, len(commands), chunk):
            try:
                results += self._commit(commands[start : start + chunk])
            except StorageUnavailableError:
                break
        if not results:
            return []
        self.step(0.001)
        return [] if self.infrastructure.faults.happens("answer to the client lost") else results

    def _commit(self, commands: Sequence[Command]) -> list[Result]:
        results = self.commit.run(
            [replace(command, context=replace(command.context, now=self.now())) for command in commands]
        )
        for result in results:
            if isinstance(result, CommandResult) and result.changed and result.reservation is not None:
                self._queue.add(result.reservation.reservation_id)
                if self._is_idle:
                    self.scheduler.wake(self._dispatcher)
        return results

    def _dispatch(self) -> None:
        """As the thread of `BackgroundDispatcher`."""
        while True:
            while self._queue:
                self.step(0.0)
                pause_s = self._queue.publish_some()
                self.step(pause_s)
            self._is_idle = True
            self.scheduler.park()
            self._is_idle = False


class WorkerComponent(Component):
    """A worker process: takes messages and works them off with several hands."""

    kind = "a worker"
    line: SimulatedConnections | None = None

    def boot(self) -> None:
        infrastructure, scheduler = self.infrastructure, self.scheduler
        self._steps = DeliverySteps(
            execute=self._execute,
            addresses=self._addresses,
            message_factory=MESSAGES,
            draft_text=self._draft_text,
            now=self.now,
            new_id=scheduler.new_id,
            worker=f"{self.process.name}:{self.process.generation}",
            request_removal=self._request_removal,
        )
        self._waiting: set[UUID] = set()
        self._cooldowns = Cooldowns(lambda: scheduler.now)
        send_slots = scheduler.random.choice([1, 2, 8])
        if self.line is not None:
            self.line.end()
        self.line = line = SimulatedConnections(infrastructure.mail, scheduler, send_slots)
        threads = SendExecutor(scheduler, self.process, self.step)
        self._sender = InvitationBatchSender(
            self._steps,
            threads,
            send_slots,
            self._channel,
            self._await_some,
            self._plan,
            self._cooldowns,
            line.capacity,
        )
        for _ in range(scheduler.random.choice([1, 2])):
            scheduler.spawn(self.process, self._consume)

    def _consume(self) -> None:
        """As a Celery child does: one message after the other, acknowledged when it is done."""
        broker = self.infrastructure.broker
        while True:
            message = broker.take()
            self.step(0.002)
            if message.task == "sweep":
                self._sweep()
            elif message.task == "cleanup":
                self._clean_up()
            else:
                self._invite(message)
            self.step(0.001)
            broker.ack(message)

    def _invite(self, message: BrokerMessage) -> None:
        """The task `process_invite_task`."""
        ends, task_id = self.scheduler.now + TASK_LIMIT_S / 3, str(message.number)
        self._sender.run(parse_reservation_ids(list(message.ids)), task_id, lambda: self.scheduler.now > ends)
        if self._waiting:
            waiting = sorted(self._waiting)
            self._waiting.clear()
            try:
                self._expirer().remove(waiting, lambda: self.scheduler.now > ends)
            except StorageUnavailableError as error:
                self.scheduler.note("removal failed", type(error).__name__)

    def _request_removal(self, reservation_id: UUID) -> None:
        self._waiting.add(reservation_id)

    def _plan(self, ids: Sequence[UUID]) -> ChannelPlan:
        """As `workers.channels.registry.GroupChannels.plan`."""
        self.infrastructure.ask()
        reservations = self.infrastructure.store.reservations
        groups = {key: group for key in ids if key in reservations and (group := reservations[key].group) in BY_GROUP}
        return ChannelPlan(BY_GROUP, {key: group for key, group in groups.items() if group is not None})

    def _sweep(self) -> None:
        """The task `sweep_due_reservations`."""
        infrastructure = self.infrastructure
        context = self._sweeps()
        try:
            infrastructure.ask()
            self._settle_revoked()
            sweep(
                infrastructure.due,
                self.commit.run,
                lambda ids: publish_ids(infrastructure.broker, ids),
                context,
                self.scheduler.new_id,
            )
            self.step(0.001)
            NoticeSender(
                infrastructure.outbox,
                infrastructure.store.reservations.get,
                self._steps,
                self._channel(),
                cooldowns=self._cooldowns,
            ).run()
        except (StorageUnavailableError, BrokerUnavailableError) as error:
            self.scheduler.note("sweep failed", type(error).__name__)

    def _clean_up(self) -> None:
        """The task `cleanup_expired_users`."""
        infrastructure, ends = self.infrastructure, self.scheduler.now + TASK_LIMIT_S / 3
        try:
            infrastructure.ask()
            self._expirer().work(lambda: self.scheduler.now > ends)
            erased = infrastructure.retention.erase_due(self.now(), partial(self._wait_for_senders, ends))
            self.scheduler.counts["address erased"] += erased
        except StorageUnavailableError as error:
            self.scheduler.note("cleanup failed", type(error).__name__)

    def _wait_for_senders(self, ends: float) -> bool:
        """As an erasure waits until no address is read for sending; return whether the time is over."""
        self.step(SENDERS_S)
        return self.scheduler.now > ends

    def _expirer(self) -> AccessExpirer:
        """As `workers.runtime.Runtime.grants`."""
        infrastructure = self.infrastructure
        return AccessExpirer(
            rows=infrastructure.accesses,
            execute=self.commit.run,
            addresses=self._addresses,
            message_factory=MESSAGES,
            channel=self._channel(),
            by_group=lambda _: BY_GROUP,
            context=self._sweeps,
            new_id=self.scheduler.new_id,
            draft_text=self._draft_text,
            publish=lambda ids: publish_ids(infrastructure.broker, ids),
        )

    def _channel(self) -> GroupRoutingChannel:
        if self.line is None:
            raise AssertionError("it has not begun")
        return GroupRoutingChannel(self.line, self.infrastructure.receivers.get)

    def _settle_revoked(self) -> None:
        """As `projections.storage.revocation_queue.settle_next`, whose list of such codes is a table."""
        store = self.infrastructure.store
        code_ids = {
            reservation.code_id for reservation in store.reservations.values() if is_released_by_revocation(reservation)
        }
        for code_id in sorted(key for key in code_ids if store.codes[key].is_revoked):
            settle_revoked_code(self.commit.run, code_id, self._sweeps, self.scheduler.new_id)

    def _sweeps(self) -> CommandContext:
        return CommandContext(now=self.now(), actor="sweep", actor_id="sweep")

    def _execute(self, commands: Sequence[Command]) -> Sequence[CommandResult | Exception]:
        return self.commit.run(commands)

    def _addresses(self, ids: Sequence[UUID]) -> Mapping[UUID, EmailAddress]:
        self.infrastructure.ask()
        store = self.infrastructure.store
        stored = (key for key in ids if key in store.addresses)  # the others were erased
        return {key: EmailAddress.parse(store.addresses[key].sealed.decode()) for key in stored}

    def _draft_text(self, text: str, reservation_id: UUID) -> TextDraft:
        return PrivateText(self.scheduler.new_id(), reservation_id, EncryptedText(text.encode(), 1))

    def _await_some(self, sending: Sending) -> tuple[Sending, Sending]:
        while not any(future.done() for future in sending):
            for future in sending:
                future.add_done_callback(WakeTask(self.scheduler))
            self.scheduler.park()
        self.step(0.003)
        ended = {future for future in sending if future.done()}
        return ended, sending - ended


def publish_ids(broker: SimulatedBroker, ids: Sequence[UUID]) -> None:
    """As `workers.tasks.publish_ids`: ids as text, and nothing else."""
    broker.publish("invite", [str(reservation_id) for reservation_id in ids])
