"""The library's infrastructure factory for the store in memory: what PERSISTENCE_MODULE names in simulations."""

from collections.abc import Sequence
from typing import Any, cast

from eventsourcing.persistence import ApplicationRecorder, Mapper, Transcoder
from eventsourcing.popo import POPOFactory

from domain.application import RedemptionLedger
from domain.command_bus import AnyCommand
from domain.policy import Policy
from domain.results import AnyResult
from domain.working_set import WorkingSet
from projections.event_store.mapper import LedgerMapper
from tests.simulation.services.store import MemoryStore
from tests.simulation.services.transaction_faults import TransactionFaults


class MemoryFactory(POPOFactory):
    """Builds the library's parts around a `MemoryStore`."""

    def application_recorder(self) -> ApplicationRecorder:
        return MemoryStore()

    def mapper(self, transcoder: Transcoder | None = None, mapper_class: object = None) -> Mapper[Any]:
        """The ledger's own mapper, as with PostgreSQL."""
        del mapper_class
        return LedgerMapper(transcoder=transcoder)  # type: ignore[arg-type]  # our mapper does without one


class ObservedLedger(RedemptionLedger):
    """Shows its store the commands and the results: it works out what they leave, and compares no decision."""

    def decide(self, commands: Sequence[AnyCommand], working_set: WorkingSet) -> Sequence[AnyResult]:
        results = super().decide(commands, working_set)
        cast("MemoryStore", self.recorder).decided = commands, results
        return results


def open_memory(
    policy: Policy, faults_of_transactions: TransactionFaults | None = None
) -> tuple[RedemptionLedger, MemoryStore]:
    ledger = ObservedLedger({"PERSISTENCE_MODULE": "tests.simulation.services.persistence:MemoryFactory"}, policy)
    store = cast("MemoryStore", ledger.recorder)
    if faults_of_transactions is not None:
        store.faults_of_transactions = faults_of_transactions
    return ledger, store
