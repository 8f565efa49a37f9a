"""The library's infrastructure factory for our store: the class that PERSISTENCE_MODULE names."""

from typing import Any

from eventsourcing.persistence import BaseInfrastructureFactory, Mapper, Transcoder
from eventsourcing.postgres import PostgresFactory
from eventsourcing.utils import Environment, EnvType, strtobool

from projections.database.datastore import LedgerDatastore
from projections.event_store.mapper import LedgerMapper
from projections.event_store.recorder import PostgresLedgerRecorder


class UnsafeSettingError(ValueError):
    """A setting of the eventsourcing library that would lose events."""


class LedgerFactory(PostgresFactory):
    """Builds the library's parts from `DATABASE_URL`.

    Raises:
        UnsafeSettingError: POSTGRES_ENABLE_DB_FUNCTIONS is set: that insert takes no lock, so readers miss events.
    """

    application_recorder_class = PostgresLedgerRecorder

    def __init__(self, env: Environment | EnvType | None) -> None:
        BaseInfrastructureFactory.__init__(self, env)
        if strtobool(self.env.get(self.POSTGRES_ENABLE_DB_FUNCTIONS) or "no"):
            message = (
                "POSTGRES_ENABLE_DB_FUNCTIONS must not be set, because readers of the log would miss events: unset it"
            )
            raise UnsafeSettingError(message)
        self.datastore = LedgerDatastore(
            self.env.get("DATABASE_URL", ""),
            pool_size=int(self.env.get("LEDGER_POOL_SIZE", "4")),
            wait_s=float(self.env.get("LEDGER_POOL_WAIT_S", "3")),
            reads_only=strtobool(self.env.get("LEDGER_POOL_READS_ONLY", "no")),
        )

    def mapper(self, transcoder: Transcoder | None = None, mapper_class: object = None) -> Mapper[Any]:
        """Our own mapper; the library's transcoder is not used."""
        del mapper_class
        return LedgerMapper(transcoder=transcoder)  # type: ignore[arg-type]  # our mapper does without one
