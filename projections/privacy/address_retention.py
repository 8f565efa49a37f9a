"""Erasure of addresses that are past their retention: of people who never accepted what they were sent or asked for.

A walk over all recipients in the order of their ids, some in each run, so that a run stays short. What a person
accepted keeps their address, and so do a case, a code that they can redeem, and an opt-out.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from psycopg.rows import tuple_row

from domain.values.batched import batched
from projections.database.errors import translate_database_errors
from projections.database.store_queries import Database
from projections.privacy.erasure import PersonEraser, WhyKept, WritersBusyError, find_why_kept
from projections.repositories.audit_log import OPERATOR, AuditLog, AuditRecorder, describe_values
from projections.sql.privacy import PrivacySql
from projections.storage.bootstrap import LedgerStore

PAGE_SIZE: Final = 1000
"""Recipients looked at in a run; the next one follows in a minute."""
CHUNK_SIZE: Final = 5
"""People erased in one transaction, during which no command is decided and no address is read for sending.

It took 56 to 110 ms while other work kept two cores busy, measured 2026-12-03.
"""
RUN_MAX_S: Final = 10.0
"""How long a run may erase, in seconds; the next one continues."""
START: Final = UUID(int=0)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AddressRetention:
    """Erases the addresses of one ledger whose retention has ended.

    Attributes:
        storage: The ledger.
        days: Days after the end of everything about a person.
        new_id: Random ids.
    """

    storage: LedgerStore
    days: int
    new_id: Callable[[], UUID]

    def erase_due(self, now: datetime, is_over: Callable[[], bool]) -> int:
        """Erase what is due among the next recipients of the walk; return how many people.

        Each transaction has an entry in the audit log with the number of people. The run ends early while commands or
        senders are busy, so that none waits long behind it.

        Args:
            now: Database time.
            is_over: Whether the run should end; the next one continues.

        Raises:
            StorageUnavailableError: The database is unavailable.
        """
        erased, after = 0, self._read_progress()
        page = self._read_page(after)
        due = [key for key, why in self._find_why_kept(page, now).items() if why is None]
        try:
            for chunk in batched(sorted(due), CHUNK_SIZE):
                if is_over():
                    break
                erased += self._erase(chunk, now)
                after = chunk[-1]
            else:
                after = page[-1] if len(page) == PAGE_SIZE else START
        except WritersBusyError:
            log.info("addresses wait for busy senders", extra={"action": "cleanup"})
        self._write_progress(after)
        return erased

    def count(self, now: datetime) -> Counter[WhyKept | None]:
        """Return how many addresses are kept for each reason, and under None how many are due; erase nothing."""
        counts: Counter[WhyKept | None] = Counter()
        page = self._read_page(START)
        while page:
            counts.update(self._find_why_kept(page, now).values())
            page = self._read_page(page[-1])
        return counts

    def _erase(self, recipient_ids: list[UUID], now: datetime) -> int:
        eraser = PersonEraser(self.storage)

        def change(record: AuditRecorder) -> int:
            erased = sum(eraser.erase_unaccepted(key, now, self._before(now)) for key in recipient_ids)
            if erased:
                record("erased_unaccepted", None, describe_values(people=erased, after_days=self.days))
            return erased

        return AuditLog(self.storage, OPERATOR, now, self.new_id).perform(change)

    def _before(self, now: datetime) -> datetime:
        return now - timedelta(days=self.days)

    def _find_why_kept(self, page: list[UUID], now: datetime) -> dict[UUID, WhyKept | None]:
        with translate_database_errors(), self.storage.datastore.get_connection() as conn:
            return find_why_kept(conn.cursor(row_factory=tuple_row), page, now, self._before(now))

    def _read_page(self, after: UUID) -> list[UUID]:
        rows = Database(self.storage).fetch_all(PrivacySql.recipients_after, after, PAGE_SIZE)
        return [row[0] for row in rows]

    def _read_progress(self) -> UUID:
        after: UUID = Database(self.storage).fetch_all(PrivacySql.address_retention_progress)[0][0]
        return after

    def _write_progress(self, after: UUID) -> None:
        Database(self.storage).execute(PrivacySql.set_address_retention_progress, (after,))
