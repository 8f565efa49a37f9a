"""What use cases work with: an open ledger, and what they take from outside. Each front end makes one."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ParamSpec, Protocol, TypeVar
from uuid import UUID

from msgspec import Struct

from api.errors import RETRY_AFTER_S, ApplicationError
from api.rate_limits.caller_limit import QUESTIONS, TEST_MESSAGES, CallerLimit
from api.rate_limits.gcra import Limit
from api.rate_limits.guard import Guard
from api.settings import ApiSettings
from api.use_cases.background_records import BackgroundRecords, FoldedRecords
from api.use_cases.heavy_reads import HeavyReads
from api.use_cases.run_blocking import run_blocking
from domain.application import COMMANDS_PER_ROUND
from domain.command_bus import Command
from domain.commands.command_drafts import CommandDrafts
from domain.commands.context import CommandContext
from domain.errors import Refusal
from domain.events.event import ActorKind
from domain.model.campaign import Campaign
from domain.model.reservation import Reservation
from domain.ports import TextDraft
from domain.results import CommandResult, Result
from projections.config.approvals import ApprovalPolicy
from projections.database.errors import StorageUnavailableError, translate_database_errors
from projections.read_models.past_states import PastStateReader
from projections.read_models.reader import Reader
from projections.read_models.statements import HistoryReader
from projections.repositories.audit_log import Actor, AuditLog
from projections.repositories.channel_form import ChannelForm
from projections.repositories.staff_sessions import Proof
from projections.storage.bootstrap import LedgerStore
from projections.storage.group_commit import AsyncGroupCommit, OverloadedError
from projections.storage.report_store import ReportStore
from projections.telemetry.metrics import ERRORS, LIMITED
from projections.telemetry.tracing import TRACING

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class Dispatcher(Protocol):
    """Wakes workers for reservations; never blocks."""

    def dispatch(self, reservation_id: UUID) -> None:
        """Wake a worker for a reservation soon."""


class SweepDispatcher:
    """Wakes no worker: the sweep finds the reservation within its interval."""

    def dispatch(self, reservation_id: UUID) -> None:
        """Leave the reservation to the sweep."""


class Caller(Struct, frozen=True):
    """The caller, for events: kind, id, and the id of the request.

    Attributes:
        client_ip: The IP address of the request, for rate limits; another text names an API key there.
        proof: The last proof of a member of staff that it is them; None of other callers.
        approved_by: Staff id of the second person. Only what performs an approved proposal sets it.
    """

    actor: ActorKind
    request_id: str | None = None
    actor_id: str | None = None
    client_ip: str | None = None
    proof: Proof | None = None
    approved_by: str | None = None

    @property
    def account_id(self) -> UUID | None:
        """The member of staff or the API key; None for other actors."""
        return UUID(self.actor_id) if self.actor_id and self.actor in {"staff", "key"} else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerServices:
    """An open ledger, for use cases that wait for the database: of a route's thread, or of a command.

    Attributes:
        new_id: Random ids.
        approvals: Which actions wait for the approval of a second person.
        new_ordered_id: Random ids that sort by time, for recipients and reservations: their tables grow the fastest.
        settling_commands_max: Commands that settle what a revoked code holds before the sweep continues.
    """

    storage: LedgerStore
    reader: Reader
    dispatcher: Dispatcher
    approvals: ApprovalPolicy
    new_id: Callable[[], UUID]
    new_ordered_id: Callable[[], UUID]
    settling_commands_max: int = COMMANDS_PER_ROUND

    def now(self) -> datetime:
        """Database time; waits for the database if the clock has to be set."""
        clock = self.storage.recorder.clock
        if clock.is_stale():
            with self.storage.datastore.get_connection() as conn:
                clock.refresh(conn)
        return clock.now()

    def limit_test_messages(self, caller: Caller) -> None:
        """Count a test message that a caller is about to send. Commands of the operator have no limit.

        Raises:
            ApplicationError: RATE_LIMITED.
        """

    def context(self, caller: Caller) -> CommandContext:
        """Return the context of a caller's command."""
        return CommandContext(
            now=self.now(),
            actor=caller.actor,
            actor_id=caller.actor_id,
            approved_by=caller.approved_by,
            request_id=caller.request_id,
        )

    def open_audit_log(self, caller: Caller) -> AuditLog:
        """Return the audit log for a caller's change that is not an event."""
        caller_id = caller.account_id
        is_staff = caller.actor == "staff"
        approver = UUID(caller.approved_by) if caller.approved_by else None
        actor = Actor(caller_id if is_staff else None, None if is_staff else caller_id, caller.proof, approver)
        return AuditLog(self.storage, actor, self.now(), self.new_id)

    @property
    def drafts(self) -> CommandDrafts:
        """Drafts of commands about a recipient."""
        return CommandDrafts(self.storage.vault, self.new_ordered_id)

    def note(self, text: str | None, reservation_id: UUID | None = None) -> TextDraft | None:
        """Encrypt a free text about a reservation, or about a code; None if there is none."""
        return self.storage.vault.seal_text(text, self.new_id(), reservation_id) if text else None

    def execute(self, command: Command) -> CommandResult:
        """Execute one command in a transaction of its own; waits for the database.

        Raises:
            ApplicationError: The ledger refuses.
            StorageUnavailableError: The database is unavailable.
        """
        started_at = TRACING.read_clock()
        results = self.storage.ledger.execute([command])
        TRACING.record_commit([command], results, started_at)
        return raise_refusal(results[0])

    def reservation(self, reservation_id: UUID) -> Reservation:
        """Return one reservation; waits for the database.

        Raises:
            ApplicationError: NOT_FOUND.
            StorageUnavailableError: The database is unavailable.
        """
        reservation = self.reader.find_reservation(reservation_id)
        if reservation is None:
            raise ApplicationError("NOT_FOUND")
        return reservation


@dataclass(frozen=True, slots=True, kw_only=True)
class Services(LedgerServices):
    """The services of an API process, whose event loop groups the commands of concurrent requests into commits.

    Attributes:
        check_commit: Raises `NoCommitError` if the database confirms no commit; for readiness.
        broker_missing: Components that the broker does not know to be running.
        reports: Where the feed, the dashboard and exports are read; a standby, if there is one.
        states: States of codes at past times, from checkpoints that this process keeps.
        guard: Rate limits; None where they are off.
        channel_kinds: The kinds of channels that groups can have, by name.
        heavy_reads: Slots of reads whose work grows with a history.
        key_uses: What is recorded of uses of API keys, behind the answers.
        other_questions: What is recorded of requests by assistants that no tool accepted, and of lists of tools.
    """

    settings: ApiSettings
    commit: AsyncGroupCommit[Command, Result]
    check_commit: Callable[[], None]
    broker_missing: Callable[[], list[str]]
    reports: ReportStore
    states: PastStateReader
    guard: Guard | None = None
    channel_kinds: Mapping[str, ChannelForm] = field(default_factory=dict)
    heavy_reads: HeavyReads = field(default_factory=HeavyReads)
    key_uses: BackgroundRecords = field(default_factory=BackgroundRecords)
    other_questions: FoldedRecords = field(default_factory=FoldedRecords)

    @property
    def campaign_histories(self) -> HistoryReader[Campaign]:
        """Histories of campaigns, from checkpoints that this process keeps, too."""
        return self.states.campaign_histories

    def now(self) -> datetime:
        """Database time, without waiting: the commits of the event loop keep the clock set."""
        return self.storage.recorder.clock.now()

    def read_clock(self) -> datetime:
        """Database time; waits for the database if no commit has set the clock recently.

        Raises:
            StorageUnavailableError: The database is unavailable.
        """
        with translate_database_errors():
            return LedgerServices.now(self)

    def limit_test_messages(self, caller: Caller) -> None:
        """Count a test message that a caller is about to send.

        Raises:
            ApplicationError: RATE_LIMITED.
        """
        if self.guard is not None:
            _count_unit(self.guard.message_tests, TEST_MESSAGES, caller)

    def limit_questions(self, caller: Caller) -> None:
        """Count a question that an assistant is about to ask for a caller.

        Raises:
            ApplicationError: RATE_LIMITED.
        """
        if self.guard is not None:
            _count_unit(self.guard.questions, QUESTIONS, caller)

    def limit_tool_lists(self, caller: Caller) -> None:
        """Count a list of tools that an assistant is about to read for a caller.

        Raises:
            ApplicationError: RATE_LIMITED.
        """
        if self.guard is not None:
            _count_unit(self.guard.tool_lists, QUESTIONS, caller)

    async def execute_in_group(self, command: Command) -> CommandResult:
        """Execute one command in the event loop, in one transaction with those that arrive with it.

        Raises:
            ApplicationError: The ledger refuses; UNAVAILABLE; OVERLOADED, too many commands wait.
        """
        try:
            result = await self.commit.run(command)
        except Exception as error:  # noqa: BLE001 - `require_result` raises what it is about
            return require_result(error)
        return require_result(result)

    async def execute_chunk(self, commands: Sequence[Command]) -> list[CommandResult | ApplicationError]:
        """Execute at most `commit.chunk_max` commands of one caller in the event loop; return their results in order.

        They share transactions with each other and with the commands of concurrent requests. A refusal, a bug and an
        unavailable database are results of the commands that they concern.
        """
        try:
            results = await self.commit.run_chunk(commands)
        except OverloadedError as error:
            return [_service_error(error)] * len(commands)
        return [
            result
            if isinstance(result, CommandResult)
            else ApplicationError.from_refusal(result)
            if isinstance(result, Refusal)
            else _service_error(result)
            for result in results
        ]

    async def run_blocking(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that may wait for the database, in a thread; for as long as a command may take.

        Raises:
            ApplicationError: UNAVAILABLE, the database is unavailable or does not answer in time.
        """
        return await run_blocking(self.settings.request_wait_s, function, *args, **kwargs)


def _count_unit(used: CallerLimit, limit: Limit, caller: Caller) -> None:
    if wait_s := used.acquire(f"{caller.actor}:{caller.actor_id}".encode()):
        LIMITED.labels(limit.name).inc()
        raise ApplicationError("RATE_LIMITED", retry_after_s=wait_s, why=limit.name)


def require_result(outcome: Result | BaseException) -> CommandResult:
    """Return the result of an accepted command that was executed in a group; raise what else became of it.

    Raises:
        ApplicationError: The ledger refused; UNAVAILABLE; OVERLOADED.
    """
    if isinstance(outcome, CommandResult):
        return outcome
    if isinstance(outcome, Refusal):
        raise ApplicationError.from_refusal(outcome) from outcome
    if isinstance(outcome, OverloadedError | StorageUnavailableError | TimeoutError):
        raise _service_error(outcome) from outcome
    raise outcome


def _service_error(error: Exception) -> ApplicationError:
    """Count what kept a command from its result, and return the error that the caller receives."""
    if isinstance(error, OverloadedError):
        return ApplicationError("OVERLOADED", retry_after_s=RETRY_AFTER_S)
    if isinstance(error, StorageUnavailableError | TimeoutError):
        ERRORS.labels("database_error").inc()
        return ApplicationError("UNAVAILABLE", retry_after_s=RETRY_AFTER_S)
    ERRORS.labels("internal_error").inc()
    log.error("request failed", exc_info=error)
    return ApplicationError("INTERNAL")


def raise_refusal(result: Result) -> CommandResult:
    """Return the result of an accepted command; raise the refusal of a refused one.

    Raises:
        ApplicationError: The ledger refused.
    """
    if isinstance(result, Refusal):
        raise ApplicationError.from_refusal(result) from result
    return result
