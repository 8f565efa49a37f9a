"""A separate server with a ledger, and one backup of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from api.cli.backup.backup_folder import BackupFolder
from api.cli.backup.full_backup import BackupSummary, Source, take_backup
from api.cli.embedded.services.postgres import DATABASE, OWNER
from projections.config.settings import LedgerSettings
from projections.database.migrations import migrate
from tests.support.ledger.settings import settings_for
from tests.support.servers.postgres_clusters import PostgresCluster, server

PASSPHRASE = "only for these tests"
KEYS = ("LEDGER_PEPPERS", "LEDGER_MASTER_KEYS", "LEDGER_SECRET_KEY")


def keys_of(settings: LedgerSettings) -> dict[str, str]:
    secrets = (settings.peppers, settings.master_keys, settings.secret_key)
    return dict(zip(KEYS, (secret.get_secret_value() for secret in secrets), strict=True))


class BackedUp(NamedTuple):
    """A living ledger, its backups, and where a restore of it would be."""

    live: PostgresCluster
    folder: BackupFolder
    summary: BackupSummary
    source: Source

    @property
    def path(self) -> Path:
        return self.folder.path / self.summary.name


def source_of(url: str, folder: Path) -> Source:
    lists = {"checkpoint_file": folder / "checkpoints.jsonl", "forgotten_file": folder / "forgotten.jsonl"}
    settings = settings_for(url).model_copy(update=lists)
    return Source(settings, keys_of(settings), PASSPHRASE)


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory, servers_folder: Path) -> Iterator[BackedUp]:
    folder = tmp_path_factory.mktemp("backed_up")
    place = servers_folder / folder.name
    place.mkdir()
    place.chmod(0o711)
    with server(place / "live") as live:
        single = ("--single", "-D", str(live.postgres_files.data), "-c", "exit_on_error=on", DATABASE)
        live.run("postgres", *single, stdin=f"GRANT EXECUTE ON FUNCTION pg_switch_wal() TO {OWNER};\n")
        live.start()
        migrate(live.url)
        (folder / "forgotten.jsonl").write_text('{"recipient_id":"00000000-0000-4000-8000-000000000001"}\n')
        backups, source = BackupFolder(folder / "backups"), source_of(live.url, folder)
        yield BackedUp(live, backups, take_backup(backups, source), source)
