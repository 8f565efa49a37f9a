"""TLS by the URL alone: `sslmode=verify-full` holds for migrations, pool and single connections."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from projections.database.connection import connect
from projections.database.errors import StorageUnavailableError
from projections.database.migrations import migrate
from projections.storage.bootstrap import LedgerStore
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.settings import settings_for
from tests.support.servers.tls_front import make_authority, tls_front


def through(database_url: str, port: int, mode: str, authority: Path) -> str:
    """The URL by way of the front."""
    parts = urlsplit(database_url)
    place = f"{parts.username}:{parts.password}@127.0.0.1:{port}{parts.path}"
    return f"postgresql://{place}?sslmode={mode}&sslrootcert={authority}"


def test_verified_connection_carries_a_redeem(database_url: str, tmp_path: Path) -> None:
    """Migrate, open, redeem: every connection is encrypted and its certificate checked."""
    authority = make_authority(tmp_path, "right")
    with tls_front(urlsplit(database_url).port or 0, tmp_path / "right-server.pem") as port:
        url = through(database_url, port, "verify-full", authority)
        assert migrate(url) == []
        with LedgerStore.open(settings_for(url)) as storage:
            bench = LedgerBench(storage, url)
            done(bench.redeem(bench.issue(), "li.wei@example.com"))
            with storage.datastore.get_connection() as conn, connect(url) as other:
                assert [conn.pgconn.ssl_in_use, other.pgconn.ssl_in_use] == [True, True]


def test_stranger_s_certificate_is_refused(database_url: str, tmp_path: Path) -> None:
    """Signed by another authority: nothing is said to it. Without TLS the front doesn't answer."""
    make_authority(tmp_path, "wrong")
    authority = make_authority(tmp_path, "right")
    with tls_front(urlsplit(database_url).port or 0, tmp_path / "wrong-server.pem") as port:
        with pytest.raises(StorageUnavailableError, match="certificate verify failed"):
            LedgerStore.open(settings_for(through(database_url, port, "verify-full", authority)))
        with pytest.raises(StorageUnavailableError):
            LedgerStore.open(settings_for(through(database_url, port, "disable", authority)))
