"""The application: it decides batches of commands by `execute(commands) -> results`, for API, workers and CLI alike.

The recorder behind `LedgerRecorder` locks, loads, appends and commits (docs/architecture.md). A refusal is the result
of its own command and never fails the other commands of the batch.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, NoReturn, Protocol, TypeVar, cast
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.utils import EnvType

from domain.command_bus import Command, Result, handle
from domain.commands.campaign.manage_campaign import CampaignCommand, CampaignResult, handle_campaign
from domain.commands.hand_out.manage_hand_out import HandOutCommand, HandOutResult, handle_hand_out
from domain.errors import Refusal
from domain.model.redeem_code import RedeemCode
from domain.policy import Policy
from domain.ports import PipelineSteps, run_to_completion
from domain.working_set import Recorded, WorkingSet

T = TypeVar("T")


class UnitOfWork(Protocol):
    """One transaction around one batch."""

    def load(self, commands: list[Command]) -> PipelineSteps[WorkingSet]:
        """Lock what the commands touch, in sorted order, and read it; may add commands that need the same locks."""

    def load_campaign(self, command: CampaignCommand | HandOutCommand) -> PipelineSteps[WorkingSet]:
        """Lock the campaign of a command, and read it, and the hand-out that the command is about."""

    def save(
        self, working_set: WorkingSet, commands: Sequence[Command], results: Sequence[Result]
    ) -> PipelineSteps[None]:
        """Append the working set's new events and bring the read models along, in the same transaction."""


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


class CommandPreview(NamedTuple):
    """What a command would do: its result and events, and the codes before and after."""

    result: Result
    events: list[Recorded]
    before: dict[UUID, RedeemCode]
    after: dict[UUID, RedeemCode]


class _RollbackWithPreview(Exception):  # noqa: N818 - no fault: it leaves a transaction so that it is rolled back
    def __init__(self, preview: CommandPreview) -> None:
        super().__init__()
        self.preview = preview


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

    def execute(self, commands: Sequence[Command]) -> list[Result]:
        """Decide commands in order and commit their events in one transaction.

        Args:
            commands: The caller bounds how many. None need no transaction.

        Returns:
            One result per command, in order; a refusal is a result.

        Raises:
            StorageUnavailableError: The database is unavailable. Whether anything was committed is unknown; the same
                commands may be executed again.
        """
        results: list[Result] = []
        for attempt in self._ledger_recorder.attempts() if commands else ():
            with attempt as uow:
                results = run_to_completion(self.execute_steps(uow, list(commands)))
        return results

    def execute_on_campaign(self, command: CampaignCommand) -> CampaignResult | Refusal:
        """Decide one command about a campaign and commit its event.

        Raises:
            StorageUnavailableError: As for `execute`.
        """
        return self._execute_in_campaign(command, lambda working_set: handle_campaign(command, working_set))

    def execute_on_hand_out(self, command: HandOutCommand) -> HandOutResult | Refusal:
        """Decide one command about a hand-out of a campaign and commit its event.

        Raises:
            StorageUnavailableError: As for `execute`.
        """
        return self._execute_in_campaign(command, lambda working_set: handle_hand_out(command, working_set))

    def _execute_in_campaign(
        self, command: CampaignCommand | HandOutCommand, decide: Callable[[WorkingSet], T | Refusal]
    ) -> T | Refusal:
        result: T | Refusal | None = None
        for attempt in self._ledger_recorder.attempts():
            with attempt as uow:
                working_set = run_to_completion(uow.load_campaign(command))
                result = decide(working_set)
                run_to_completion(uow.save(working_set, (), ()))
        if result is None:
            raise AssertionError("a recorder gives at least one try, or raises")
        return result

    def preview(self, command: Command) -> "CommandPreview":
        """Decide a command against the present state and roll everything back.

        Raises:
            StorageUnavailableError: The database is unavailable.
        """
        for attempt in self._ledger_recorder.attempts():
            try:
                with attempt as uow:
                    self._preview_in(uow, command)
            except _RollbackWithPreview as error:
                return error.preview
        raise AssertionError("a recorder gives at least one try, or raises")

    def _preview_in(self, uow: UnitOfWork, command: Command) -> NoReturn:
        """Leave the transaction by an exception: it must not be committed, nor its states be kept."""
        working_set = run_to_completion(uow.load([command]))
        before = dict(working_set.codes)
        result = handle(command, working_set, self.policy)
        raise _RollbackWithPreview(
            CommandPreview(result, working_set.new_code_events(), before, dict(working_set.codes))
        )

    def execute_steps(self, uow: UnitOfWork, commands: list[Command]) -> PipelineSteps[list[Result]]:
        """Yield the steps of `execute` in one transaction, for callers that have other work between them."""
        working_set = yield from uow.load(commands)
        results = [handle(command, working_set, self.policy) for command in commands]
        yield from uow.save(working_set, commands, results)
        return results
