"""Our recorder under the library's own test cases, on a real server."""

import os
from collections.abc import Iterator

import pytest
from eventsourcing.tests.persistence import ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase

from domain.application import RedemptionLedger
from domain.policy import Policy
from projections.database.datastore import LedgerDatastore
from projections.event_store.factory import UnsafeSettingError
from projections.event_store.recorder import PostgresLedgerRecorder
from projections.storage.bootstrap import PERSISTENCE_MODULE


class _OnFreshDatabase:
    """A migrated database of its own for each test, without the fixture's connections left open."""

    @pytest.fixture(autouse=True)
    def _datastore(self, database_url: str) -> Iterator[None]:
        self.datastore = LedgerDatastore(database_url, pool_size=16, wait_s=10)
        yield
        self.datastore.close()

    def create_recorder(self) -> PostgresLedgerRecorder:
        return PostgresLedgerRecorder(self.datastore)


class TestApplicationRecorder(_OnFreshDatabase, ApplicationRecorderTestCase[PostgresLedgerRecorder]):
    """Insert, select, page, and refuse a version that is taken."""

    EXPECT_CONTIGUOUS_NOTIFICATION_IDS = False


class TestNonInterleavingPositions(_OnFreshDatabase, NonInterleavingNotificationIDsBaseCase):
    """Positions of one batch are not mixed with those of another."""

    insert_num = 500


def test_service_refuses_the_librarys_unlocked_insert(monkeypatch: pytest.MonkeyPatch) -> None:
    """POSTGRES_ENABLE_DB_FUNCTIONS lets readers miss events, so it is refused."""
    monkeypatch.setitem(os.environ, "POSTGRES_ENABLE_DB_FUNCTIONS", "y")
    env = {"PERSISTENCE_MODULE": PERSISTENCE_MODULE, "DATABASE_URL": "postgresql:///none"}

    with pytest.raises(UnsafeSettingError, match="unset it"):
        RedemptionLedger(env, Policy())
