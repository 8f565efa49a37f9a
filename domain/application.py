"""The application: it decides batches of commands by `execute(commands) -> results`, for API, workers and CLI alike.

The recorder behind `LedgerRecorder` locks, loads, appends and commits (docs/explanation/internals.md). A refusal is the
result of that command and never fails the other commands of the batch.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple, Protocol, cast, overload
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.utils import EnvType

from domain.command_bus import AnyCommand, Command, handle, split_batch
from domain.commands.campaign.manage_campaign import CampaignCommand
from domain.commands.campaign.waiting_list import WaitingListCommand
from domain.commands.code.revoke import ContinueRevocation
from domain.commands.context import CommandContext
from domain.commands.hand_out.manage_hand_out import HandOutCommand
from domain.errors import Refusal
from domain.model.crossings import CrossedThreshold
from domain.model.redeem_code import RedeemCode
from domain.policy import Policy
from domain.ports import PipelineSteps, run_to_completion
from domain.results import AnyResult, CampaignResult, CommandResult, HandOutResult, Result, WaitingResult
from domain.working_set import Recorded, WorkingSet

CASES_PER_COMMAND: Final = 50
"""Ids for cases of unknown outcomes: more than a code is expected to have."""
COMMANDS_PER_ROUND: Final = 20
"""At `Policy.revoked_per_command` reservations each, for one code: some seconds of work."""


class UnitOfWork(Protocol):
    """One transaction around one batch."""

    def load(self, commands: list[AnyCommand]) -> PipelineSteps[WorkingSet]:
        """Lock what the commands touch, in sorted order, and read it; may add commands that need the same locks."""

    def save(self, working_set: WorkingSet) -> PipelineSteps[None]:
        """Append the working set's new events and what else decisions left, and bring the read models along."""


class LedgerRecorder(Protocol):
    """The store as `RedemptionLedger.execute` needs it."""

    def attempts(self) -> Iterable[AbstractContextManager[UnitOfWork]]:
        """Yield transactions until one commits. The first normally does.

        After a lost connection or a lost race the next one retries.

        A transaction commits when its block ends. Deciding the same commands again is safe, so a commit whose answer
        was lost is resolved by reading again.

        Raises:
            StorageUnavailableError: The limit of transactions or time is reached; the caller does not know the outcome.
        """

    def open_preview(self) -> AbstractContextManager[UnitOfWork]:
        """Open a transaction that only reads: it sees one moment, locks no stream, and nothing of it is cached.

        Raises:
            StorageUnavailableError: The database is unavailable.
        """


class CommandPreview(NamedTuple):
    """What a command would do: its result and events, the codes before and after, and the thresholds it would cross."""

    result: Result
    events: list[Recorded]
    before: dict[UUID, RedeemCode]
    after: dict[UUID, RedeemCode]
    crossed: list[CrossedThreshold]


class CampaignPreview(NamedTuple):
    """What a command about a campaign would do: its result, and the thresholds it would cross."""

    result: CampaignResult | Refusal
    crossed: list[CrossedThreshold]


class RedemptionLedger(Application[UUID]):
    """The application object: it decides batches of commands over the event store that `env` names."""

    name = "ledger"

    def __init__(self, env: EnvType, policy: Policy) -> None:
        super().__init__(env)
        self.policy = policy

    @property
    def _ledger_recorder(self) -> LedgerRecorder:
        """The library's recorder; `PERSISTENCE_MODULE` makes it a `LedgerRecorder`."""
        return cast("LedgerRecorder", self.recorder)

    @overload
    def execute(self, commands: Sequence[Command]) -> list[Result]: ...

    @overload
    def execute(self, commands: Sequence[CampaignCommand]) -> list[CampaignResult | Refusal]: ...

    @overload
    def execute(self, commands: Sequence[WaitingListCommand]) -> list[WaitingResult | Refusal]: ...

    @overload
    def execute(self, commands: Sequence[HandOutCommand]) -> list[HandOutResult | Refusal]: ...

    @overload
    def execute(self, commands: Sequence[AnyCommand]) -> list[AnyResult]: ...

    def execute(self, commands: Sequence[AnyCommand]) -> Sequence[AnyResult]:
        """Decide commands in order and commit their events in one transaction.

        A command that must be decided alone has its own transaction, and so have those before it and after it.

        Args:
            commands: The caller bounds how many. None need no transaction.

        Returns:
            One result per command, in order; a refusal is a result.

        Raises:
            StorageUnavailableError: The database is unavailable. Whether anything was committed is unknown; the same
                commands may be executed again.
        """
        return [result for batch in split_batch(commands) for result in self._execute_batch(batch)]

    @overload
    def execute_one(self, command: Command) -> Result: ...

    @overload
    def execute_one(self, command: CampaignCommand) -> CampaignResult | Refusal: ...

    @overload
    def execute_one(self, command: WaitingListCommand) -> WaitingResult | Refusal: ...

    @overload
    def execute_one(self, command: HandOutCommand) -> HandOutResult | Refusal: ...

    def execute_one(self, command: AnyCommand) -> AnyResult:
        """Decide one command and commit its events, as `execute` does."""
        (result,) = self.execute([command])
        return result

    def _execute_batch(self, commands: Sequence[AnyCommand]) -> Sequence[AnyResult]:
        results: Sequence[AnyResult] = ()
        for attempt in self._ledger_recorder.attempts():
            with attempt as uow:
                results = run_to_completion(self.execute_steps(uow, list(commands)))
        return results

    def preview(self, command: Command) -> CommandPreview:
        """Decide a command against the present state, without a lock and without a trace.

        Raises:
            StorageUnavailableError: The database is unavailable.
        """
        with self._ledger_recorder.open_preview() as uow:
            working_set = run_to_completion(uow.load([command]))
        before = dict(working_set.codes)
        result = handle(command, working_set, self.policy)
        crossed = working_set.list_crossed()
        return CommandPreview(result, working_set.new_code_events(), before, dict(working_set.codes), crossed)

    def preview_campaign(self, command: CampaignCommand) -> CampaignPreview:
        """Decide a command about a campaign against the present state, without a lock and without a trace.

        Raises:
            StorageUnavailableError: The database is unavailable.
        """
        with self._ledger_recorder.open_preview() as uow:
            working_set = run_to_completion(uow.load([command]))
        result = handle(command, working_set, self.policy)
        return CampaignPreview(result, working_set.list_crossed())

    @overload
    def execute_steps(self, uow: UnitOfWork, commands: list[Command]) -> PipelineSteps[list[Result]]: ...

    @overload
    def execute_steps(self, uow: UnitOfWork, commands: list[AnyCommand]) -> PipelineSteps[list[AnyResult]]: ...

    def execute_steps(self, uow: UnitOfWork, commands: Any) -> PipelineSteps[Any]:
        """Yield the steps of `execute` in one transaction, for callers that have other work between them."""
        working_set = yield from uow.load(commands)
        results = self.decide(commands, working_set)
        yield from uow.save(working_set)
        return results

    def decide(self, commands: Sequence[AnyCommand], working_set: WorkingSet) -> Sequence[AnyResult]:
        """Return the results of commands in order; their events, and what else they leave, are in the working set."""
        return [handle(command, working_set, self.policy) for command in commands]


def case_ids(new_id: Callable[[], UUID]) -> list[UUID]:
    """Return ids for the cases that one command may open."""
    return [new_id() for _ in range(CASES_PER_COMMAND)]


def settle_revoked_code(
    execute: Callable[[Sequence[Command]], list[Result]],
    code_id: UUID,
    context: Callable[[], CommandContext],
    new_id: Callable[[], UUID],
    commands_max: int = COMMANDS_PER_ROUND,
) -> bool:
    """Settle the pending reservations of a revoked code with a bounded number of commands.

    Returns:
        Whether only reservations remain that are being sent or need manual review.

    Raises:
        StorageUnavailableError: The database is unavailable; committed commands stay.
    """
    for _ in range(commands_max):
        command = ContinueRevocation(context=context(), code_id=code_id, case_ids=case_ids(new_id))
        result = execute([command])[0]
        if not (isinstance(result, CommandResult) and result.changed):
            return True
    return False
