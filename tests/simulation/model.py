"""One run: a small ledger, people, faults; then calm, and everything has to come to its end."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from domain.command_bus import AnyCommand, Command
from domain.commands.code.import_code import ImportCode, ImportedUse, Opening
from domain.commands.code.issue import IssueCode
from domain.commands.context import CommandContext
from domain.errors import CodeExhausted, CodeHeld, EmailMismatch
from domain.events.reservation import InviteOutcomeUnknown
from domain.judgment import NOTICE
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.results import AnyResult
from domain.values.email_domains import parse_domains
from domain.values.limits.thresholds import parse_thresholds
from domain.values.timestamps import is_impossible
from domain.working_set import WorkingSet
from projections.database.clock import CLOCK_REFRESH_S
from projections.database.errors import StorageUnavailableError
from projections.work_queue.due_access import BUSY_S
from projections.work_queue.due_reservations import DOUBLINGS_MAX, GRACE_S, REPEAT_S
from projections.work_queue.impossible_times import find_bounds
from projections.work_queue.outbox import LEASE_S
from tests.simulation.actors.beat import CLEANUP_S, Beat
from tests.simulation.actors.campaigns import SimulatedCampaign
from tests.simulation.actors.clients import SimulatedClients
from tests.simulation.actors.components import ApiComponent, SharedInfrastructure, WorkerComponent
from tests.simulation.actors.ends import SimulatedEnds
from tests.simulation.actors.hand_outs import SimulatedHandOut
from tests.simulation.actors.recipients import DOMAINS, RECIPIENTS, code_draft, recipient_draft
from tests.simulation.actors.staff import SimulatedStaff
from tests.simulation.actors.waiting_lists import SimulatedWaitingList
from tests.simulation.checks.campaign_checks import find_untrue_refusals, find_uses_beyond_limits, find_wrong_campaigns
from tests.simulation.checks.complete_reads import find_omitted_reads
from tests.simulation.checks.complete_writes import find_omitted_writes
from tests.simulation.checks.external_access_check import ExternalAccessCheck
from tests.simulation.checks.hand_out_checks import find_used_hand_outs
from tests.simulation.checks.run_checks import bank, refusals_are_true, violations
from tests.simulation.checks.run_result import RunResult, facts_of
from tests.simulation.fault_schedule import FaultSchedule
from tests.simulation.scheduler import Scheduler, SimulatedProcess, short
from tests.simulation.services.persistence import open_memory
from tests.simulation.services.transaction_faults import Fate, NoFaults
from tests.support.ledger.code_terms import make_terms
from workers.channels.smtp.connection_window import REST_LONGEST_S

NOTICES_S = timedelta(seconds=LEASE_S + 100) + NOTICE.wait.after(NOTICE.attempts_max)
"""The longest that a notice waits: for the lease of a worker that died, or after its last failure."""
DUE_MOMENTS_MAX = 16
"""Moments of accesses that are waited for: three announcements, the end, and as many attempts to remove, twice."""
CALM_S_MAX = 3000.0
"""Longest time in which everything comes to its end once nothing goes wrong any more; deadlines are far below it."""


class ViolationError(AssertionError):
    """A promise was broken."""


@dataclass(frozen=True)
class ScheduleOutcome:
    """What came of a run: what happened how often, broken promises in words, and who did what and when."""

    seed: int
    counts: Counter[str]
    broken: list[str]
    trace: list[str]


def simulate(seed: int, *, without: Collection[str] = (), with_trace: bool = False) -> ScheduleOutcome:
    """Run a schedule, without some kinds of faults; its trace is shown if it broke a guarantee or is asked for."""
    model = LedgerModel(seed, without)
    try:
        broken = model.run()
    except ViolationError as error:
        broken = [str(error)]
    except AssertionError as error:
        broken = [f"a decision would have broken a rule: {error}"]
    finally:
        model.close()
    return ScheduleOutcome(seed, model.counts(), broken, model.describe_trace() if broken or with_trace else [])


class _Database(NoFaults):
    def __init__(self, infrastructure: SharedInfrastructure) -> None:
        self._site = infrastructure

    def begin(self) -> None:
        if self._site.scheduler.now < self._site.database_away_until:
            raise StorageUnavailableError("away")

    def commit(self) -> Fate:
        if self._site.faults.happens("commit rolled back"):
            return "rolled_back"
        return "answer_lost" if self._site.faults.happens("commit answer lost") else "committed"

    def pause(self, attempts: int) -> None:
        self._site.scheduler.pass_time(0.1 * attempts)


class LedgerModel:
    def __init__(self, seed: int, without: Collection[str] = ()) -> None:
        self.seed = seed
        self.scheduler = scheduler = Scheduler(seed)
        random = scheduler.random
        self.policy = Policy(
            reservation_ttl_s=random.choice([40, 120, 300]),
            attempts_max=random.choice([1, 2, 3, 8]),
            lease_s=random.choice([30, 60]),
            retry_first_s=random.choice([1.0, 5.0]),
            retry_longest_s=60.0,
            deferrals_s_max=600,
            overdue_per_command=random.choice([1, 10]),
            revoked_per_command=random.choice([1, 100]),
            deliveries_max=random.choice([2, 20]),
            rebinds_max=random.choice([1, 1, 2]),
            removal_attempts_max=random.choice([1, 2, 5]),
            removal_retry_s=random.choice([5.0, 60.0]),
            removal_retry_factor=2.0,
            bounce_policy=random.choice(["case", "case", "refund"]),
        )
        self.faults = FaultSchedule(random, scheduler.counts, without)
        ledger, self.store = open_memory(self.policy)
        self.infrastructure = SharedInfrastructure(
            scheduler, self.faults, ledger, self.store, sweep_s=random.choice([5.0, 15.0, 30.0])
        )
        self.committed_at: list[float] = []
        self.omissions: list[str] = []
        self.asked = ExternalAccessCheck(self.store, self.infrastructure.receivers, scheduler.counts)
        for receiver in self.infrastructure.receivers.values():
            receiver.on_asked = self._has_asked
        self.store.on_commit = self._committed
        self.store.on_decision = self._decided
        self.code_ids = [scheduler.new_id() for _ in range(random.choice([1, 2, 3]))]
        self.campaign = SimulatedCampaign(self.infrastructure)
        self.hand_out = SimulatedHandOut(self.infrastructure, self.campaign.campaign_id)
        codes = self._issue()
        self.store.faults_of_transactions = _Database(self.infrastructure)
        self.apis = [ApiComponent(self.infrastructure, f"api{number}") for number in range(random.choice([1, 2]))]
        self.workers = [
            WorkerComponent(self.infrastructure, f"worker{number}") for number in range(random.choice([1, 2]))
        ]
        self.beats = [Beat(self.infrastructure, f"beat{number}") for number in range(random.choice([1, 1, 1, 2]))]
        if len(self.beats) > 1:
            scheduler.counts["two beats"] += 1
        self.clients = SimulatedClients(self.infrastructure, self.apis, codes, SimulatedStaff(self.infrastructure))
        self.hand_out.report = self.clients.servers.report
        self.gremlin = SimulatedProcess("gremlin")
        self.calm_at: float | None = None
        self.waiting: list[UUID] = []
        self.clocks_ahead = 0
        self.clocks_of_frozen: list[datetime] = []
        self.ended_at: datetime | None = None

    def run(self) -> list[str]:
        scheduler, random = self.scheduler, self.scheduler.random
        for node in [*self.apis, *self.workers, *self.beats]:
            node.boot()
        storm_s = random.choice([60.0, 150.0, 400.0])
        self.clients.begin(random.randint(3, 12), storm_s)
        self._let_faults_come(storm_s)
        self.campaign.begin(self.gremlin, storm_s)
        self.hand_out.begin(self.gremlin, storm_s, self._redeem)
        waiting_list = SimulatedWaitingList(
            self.infrastructure,
            self.campaign.campaign_id,
            self.clients.servers,
        )
        waiting_list.begin(self.gremlin, storm_s)
        SimulatedEnds(self.infrastructure, self.campaign.campaign_id, self.code_ids).begin(self.gremlin, storm_s)
        scheduler.spawn(self.gremlin, self._audit)
        scheduler.run_until(storm_s)
        self._calm()
        self.calm_at = None if random.random() < 0.25 else scheduler.now
        self.waiting = [key for key, reservation in self.store.reservations.items() if self._has_time(reservation)]
        if self.calm_at is None:
            self._without_celery()
        self._come_to_an_end()
        waiting_list.stop_sweep()
        self._let_days_pass()
        if waiting_list.outlast_offers(self.gremlin):
            self._come_to_an_end()
        if self.hand_out.outlast_ends():
            self._come_to_an_end()
        return [*self.omissions, *violations(self.left_behind())]

    def left_behind(self) -> RunResult:
        return RunResult(
            store=self.store,
            facts=facts_of(self.store, self.committed_at),
            acks=self.clients.acks,
            accepted_messages=self.infrastructure.mail.accepted_messages,
            published=[message.ids for message in self.infrastructure.broker.published],
            code_ids=self.code_ids,
            in_time=() if self.calm_at is None else self.waiting,
            removals=self.infrastructure.mail.removals,
            busy=self.infrastructure.mail.busy,
            policy=self.policy,
            ended_at=self.ended_at,
            sent_hand_outs=self.hand_out.sent,
            reported=self.clients.servers.reported,
            acknowledged=self.clients.servers.acknowledged,
        )

    def counts(self) -> Counter[str]:
        counts = Counter(self.scheduler.counts)
        counts.update(f"event {stored_event.topic.partition(':')[0]}" for stored_event in self.store.log)
        counts["promises"] = len(self.clients.acks)
        counts["refusals"] = self.clients.refusals
        counts["letters taken"] = len(self.infrastructure.mail.accepted_messages)
        return counts

    def describe_trace(self) -> list[str]:
        return [
            f"{at:9.3f}  {who:<10} {what} {' '.join(map(short, about))}"
            for at, who, what, about in self.scheduler.trace
        ]

    def close(self) -> None:
        nodes = [*self.apis, *self.workers, *self.beats]
        self.scheduler.close(
            [*(node.process for node in nodes), self.clients.process, self.gremlin, self.infrastructure.supervisor]
        )

    def _slack_s(self) -> float:
        """Return the longest duration: a lease, a wake-up message that is lost, sweeps, a server's backoff."""
        trusted_s: float = GRACE_S + REPEAT_S * 2**DOUBLINGS_MAX
        return self.policy.lease_s + trusted_s + self.infrastructure.sweep_s * 3 + 30 + REST_LONGEST_S * 2

    def _has_time(self, reservation: Reservation) -> bool:
        """Whether there is time enough left to send it, now that nothing goes wrong any more.

        By every clock: a process that did not hear yet that the clock was set back refunds by the time that it knows.
        One that stood still until now has asked before: seed 129215. A deadline of a wrong clock becomes one of the
        right clock, which is past by a process that has the wrong one still. So none has time while one is to be set
        right: seed 5035051.
        """
        now = self.infrastructure.now()
        deadline = min(reservation.deadline, now + timedelta(seconds=self.policy.reservation_ttl_s))
        clocks = [node.now() for node in [*self.apis, *self.workers, *self.beats]]
        left = deadline - max(*clocks, *self.clocks_of_frozen, now, self.store.codes[reservation.code_id].last_at)
        is_due = reservation.due_at is not None and reservation.is_live
        return is_due and not self.clocks_ahead and left.total_seconds() > self._slack_s()

    def _issue(self) -> list[bytes]:
        """Codes, some of them imported from another system with a use whose history is not known."""
        random, now = self.scheduler.random, self.infrastructure.now()
        digests = []
        for number, code_id in enumerate(self.code_ids):
            draft = code_draft(number, code_id)
            digests.append(draft.digests[0])
            terms: dict[str, Any] = {
                "context": CommandContext(now=now, actor="operator"),
                "code_id": code_id,
                "text": draft,
            }
            max_uses, bound = random.choice([1, 1, 2, 3, None]), random.random() < 0.4
            terms |= {
                "bound": bound,
                "terms": make_terms(
                    max_uses=max_uses,
                    expires_at=random.choice([None, None, None, now + timedelta(seconds=random.choice([50, 300]))]),
                    validity_days=random.choice([None, None, None, 1, 8]),
                    group=random.choice([None, "green", "red"]),
                    rebinds_max=random.choice([None, None, 0, 2]),
                    **_admission(code_id, now),
                ),
            }
            command: Command = self._imported(terms) if random.random() < 0.2 else self._native(terms)
            self.infrastructure.ledger.execute([command])
        return digests

    def _native(self, terms: dict[str, Any]) -> IssueCode:
        return IssueCode(**terms, campaign_id=self.campaign.choose_for_code())

    def _imported(self, terms: dict[str, Any]) -> ImportCode:
        """A use whose history is not known, or one whose access ends during the check."""
        random, now = self.scheduler.random, self.infrastructure.now()
        terms["context"] = CommandContext(now=now, actor="import")
        if random.random() < 0.3:
            return ImportCode(**terms, source="before", openings=[Opening(uses=1, reason="unproven")])
        days = terms["terms"].validity_days or 0
        use = ImportedUse(
            reservation_id=self.scheduler.new_id(),
            recipient=recipient_draft(random.randrange(RECIPIENTS), self.scheduler.new_id()),
            sent_at=now - timedelta(days=days, seconds=-random.choice([20, 100, 300])),
            moves=random.choice([0, 0, 1]),
        )
        return ImportCode(**terms, source="before", uses=[use])

    def _decided(self, commands: Sequence[AnyCommand], working_set: WorkingSet, results: Sequence[AnyResult]) -> None:
        """Decide a batch on everything too, and compare what it leaves; one that is rolled back is as good a case."""
        self.omissions += find_omitted_reads(self.store, self.policy, commands, working_set, results)
        self.omissions += find_omitted_writes(working_set, commands, results)
        self.omissions += find_uses_beyond_limits(self.store, working_set, commands)

    def _committed(self, working_set: WorkingSet, commands: Sequence[AnyCommand], results: Sequence[AnyResult]) -> None:
        """Note what a transaction wrote; look at its refusals."""
        scheduler = self.scheduler
        for recorded in working_set.new_events:
            self.committed_at.append(scheduler.now)
            event = recorded.event
            scheduler.note(type(event).__name__, event)
            if isinstance(event, InviteOutcomeUnknown):
                self.clients.hear_of_doubt(event.reservation_id)
        for violation in [
            *refusals_are_true(working_set, commands, results),
            *find_untrue_refusals(self.store, working_set, commands, results),
            *find_used_hand_outs(working_set),
            *self.asked.committed(working_set, commands, results),
        ]:
            raise ViolationError(violation)

    def _has_asked(self, reservation_id: UUID) -> None:
        for violation in self.asked.accepted_messages(reservation_id):
            raise ViolationError(violation)

    def _redeem(self, code_id: UUID, person: int) -> None:
        """A person redeems a code that is being handed out, if its text is known outside."""
        if code_id in self.code_ids:
            self.clients.redeem(self.code_ids.index(code_id), person)

    def _audit(self) -> None:
        while True:
            self.scheduler.pass_time(self.scheduler.random.uniform(5, 120))
            for violation in (*bank(self.store), *find_wrong_campaigns(self.store)):
                raise ViolationError(violation)

    def _let_faults_come(self, until_s: float) -> None:
        random = self.scheduler.random
        acts: dict[str, Callable[[], None]] = {
            "broker away": self._broker_away,
            "broker flushed": self.infrastructure.broker.flush,
            "database away": self._database_away,
            "clock forward": partial(self._jump, 1),
            "clock back": partial(self._jump, -1),
            "clock ahead for a while": self._clock_ahead,
            "beat dead": self._beat_dead,
            "all workers killed": self._kill_workers,
        }
        for kind, times in self.faults.moments.items():
            for _ in range(times):
                self.scheduler.spawn(self.gremlin, partial(self._fault, kind, acts[kind]), random.uniform(0, until_s))

    def _fault(self, kind: str, inject: Callable[[], None]) -> None:
        self.scheduler.counts[kind] += 1
        self.scheduler.note(kind)
        inject()

    def _broker_away(self) -> None:
        """For a while; what it held may be gone afterwards."""
        broker, seconds = self.infrastructure.broker, self.scheduler.random.choice([2.0, 30.0, 200.0])
        broker.away_until = max(broker.away_until, self.scheduler.now + seconds)
        self.scheduler.pass_time(seconds + 0.001)
        broker.wake()

    def _database_away(self) -> None:
        self.infrastructure.database_away_until = self.scheduler.now + self.scheduler.random.choice([1.0, 20.0, 90.0])

    def _jump(self, sign: int) -> None:
        self.infrastructure.clock_offset_s += sign * self.scheduler.random.choice([1.0, 40.0, 200.0])

    def _clock_ahead(self) -> None:
        """A virtual machine was resumed with a wrong clock, which is set right again."""
        random, infrastructure = self.scheduler.random, self.infrastructure
        ahead_s = random.choice([3_600.0, 2 * 86_400.0])
        infrastructure.clock_offset_s += ahead_s
        self.clocks_ahead += 1
        self.scheduler.pass_time(random.choice([5.0, 30.0, 120.0]))
        infrastructure.clock_offset_s -= ahead_s
        self.clocks_ahead -= 1

    def _beat_dead(self) -> None:
        for beat in self.beats:
            beat.may_start = False
            self.scheduler.crash(beat.process)

    def _kill_workers(self) -> None:
        for worker in self.workers:
            if worker.process.is_alive:
                worker.end()

    def _calm(self) -> None:
        self.scheduler.note("calm")
        self.faults.end()
        self.clients.is_open = False
        self.infrastructure.broker.away_until = self.infrastructure.database_away_until = self.scheduler.now
        self.infrastructure.broker.wake()
        nodes = [*self.apis, *self.workers, *self.beats]
        frozen = [node for node in nodes if node.process.frozen_until > self.scheduler.now]
        self.clocks_of_frozen = [node.last_known_now() for node in frozen]
        for node in nodes:
            node.may_start = True
            self.scheduler.thaw(node.process)
            node.start()

    def _without_celery(self) -> None:
        """Every Celery process dies permanently: when the deadlines are over, a further try works (rule 7)."""
        self.scheduler.counts["celery dead for good"] += 1
        for node in [*self.workers, *self.beats]:
            node.may_start = False
            self.scheduler.crash(node.process)
        self._pass_until_all_is_overdue()
        for number in range(len(self.code_ids)):
            self.scheduler.spawn(self.clients.process, partial(self._try_again, number), number * 20.0)
        self.scheduler.run_until(self.scheduler.now + 100)
        for node in [*self.workers, *self.beats]:
            node.may_start = True
            node.start()

    def _pass_until_all_is_overdue(self) -> None:
        live = [reservation for reservation in self.store.reservations.values() if reservation.is_live]
        ends = [
            max(reservation.deadline, reservation.lease.until if reservation.lease else reservation.deadline)
            for reservation in live
        ]
        last = max(ends, default=self.infrastructure.now())
        self.scheduler.run_until(self.scheduler.now + max(30.0, (last - self.infrastructure.now()).total_seconds() + 1))

    def _try_again(self, number: int) -> None:
        result = self.clients.redeem(number, RECIPIENTS + number)
        code = self.store.codes[self.code_ids[number]]
        pending_uses = [
            reservation
            for reservation in self.store.reservations.values()
            if reservation.is_use and reservation.is_live
        ]
        live = [reservation for reservation in pending_uses if reservation.code_id == code.code_id]
        firm = [reservation for reservation in live if not reservation.is_overdue(self.infrastructure.now())]
        many = code.bound and len(live) > self.policy.overdue_per_command
        if result is None:
            raise ViolationError(f"no answer on code {number}, and nothing was wrong")
        if isinstance(result, CodeHeld) and not firm and not many:
            raise ViolationError(f"code {number} stays held with Celery dead")
        if isinstance(result, CodeExhausted) and code.used < (code.terms.max_uses or 0):
            raise ViolationError(f"code {number} was said to be used up")
        if isinstance(result, EmailMismatch) and not code.sent_binding:
            raise ViolationError(f"code {number} was said to be another's")

    def _come_to_an_end(self) -> None:
        """Until nothing is pending: no later than a lease, some sweeps and a wake-up call after the last deadline."""
        scheduler, slack = self.scheduler, timedelta(seconds=self._slack_s())
        ends, begun = scheduler.now + CALM_S_MAX, self.infrastructure.now()
        while scheduler.now < ends:
            pending = self.store.pending()
            longest = find_bounds(begun)["longest_postponement"]
            notices = [min(row.due_at, longest) for row in self.store.outbox.values() if row.due_at is not None]
            if not pending and not notices:
                return
            # A notice deferred while the clock was ahead comes that much later: seed 7060156.
            last = [begun + NOTICES_S, *(due_at + NOTICES_S for due_at in notices)]
            if self.infrastructure.now() > max(
                [*last, *(self._due_by(reservation, begun) + slack for reservation in pending)]
            ):
                return
            scheduler.run_until(scheduler.now + self.infrastructure.sweep_s)

    def _due_by(self, reservation: Reservation, begun: datetime) -> datetime:
        """Its deadline; or when the removal that it waits for is due, and the task that has it done has come by.

        Invariant 15: what was stored while the clock was ahead is due when the clock is right.
        """
        if is_impossible(reservation.timed_at, begun):
            return begun + timedelta(seconds=self.policy.reservation_ttl_s)
        former = None if reservation.waits_for is None else self.store.reservations[reservation.waits_for]
        if former is None or former.access_due_at is None:
            return reservation.deadline
        return max(reservation.deadline, former.access_due_at + timedelta(seconds=2 * CLEANUP_S + BUSY_S))

    def _let_days_pass(self) -> None:
        """Move from one time at which something about an access is due to the next, until none has an end."""
        scheduler, infrastructure = self.scheduler, self.infrastructure
        if self.store.pending():
            return
        for _ in range(DUE_MOMENTS_MAX):
            due = [
                at for reservation in self.store.reservations.values() if (at := reservation.access_due_at) is not None
            ]
            if due:
                infrastructure.clock_offset_s += max(0.0, (min(due) - infrastructure.now()).total_seconds())
            # Also if nothing is due: a clock that went ahead a moment ago has brought an end, which a sweep has to see.
            scheduler.run_until(scheduler.now + 2 * CLEANUP_S + CLOCK_REFRESH_S)
            if not due:
                break
        self.ended_at = infrastructure.now() - timedelta(seconds=2 * CLEANUP_S + BUSY_S)


def _admission(code_id: UUID, now: datetime) -> dict[str, Any]:
    """When a code starts, whom it admits and what it reports, by its random id: the schedules stay as they are."""
    starts_at = now + timedelta(seconds=40) if code_id.bytes[0] % 4 == 0 else None
    allowed, denied = ((parse_domains(DOMAINS[0]), None), (None, parse_domains("*.example.org")))[code_id.bytes[1] % 2]
    if code_id.bytes[2] % 4:
        allowed = denied = None
    notify_at = parse_thresholds("50%, 100%, 1 left") if code_id.bytes[3] % 2 else None
    return {"starts_at": starts_at, "allowed_domains": allowed, "denied_domains": denied, "notify_at": notify_at}
