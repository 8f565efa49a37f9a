"""One base backup: taken by pg_basebackup, read back and compared, and complete only with its manifest."""

import hashlib
import re
import shutil
import tarfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from api.cli.backup.backup_error import BackupError
from api.cli.backup.backup_folder import (
    CHECKPOINTS,
    FORGOTTEN,
    FORMAT,
    MANIFEST,
    PART,
    PIECE_BYTES,
    SEALED_KEYS,
    BackupFolder,
    Manifest,
    digest_file,
    key_checks_of,
    segment_of,
    sync_folder,
)
from api.cli.backup.postgres_programs import connect_by, find_client_program, run_client_program
from api.cli.backup.sealed_keys import check_passphrase, seal_keys
from api.cli.embedded.private_file import write_private_file
from projections.config.settings import LedgerSettings
from projections.database.migrations import list_migrations
from projections.monitoring.backups import DatabaseFacts, read_database_facts

BASE, WAL, POSTGRES_MANIFEST = "base.tar.gz", "pg_wal.tar.gz", "backup_manifest"
PROGRESS: Final = re.compile(r"\s*(\d+)/(\d+) kB")
Progress = Callable[[int, int], None]
"""Gets kilobytes done and in total."""


class Source(NamedTuple):
    """What is backed up.

    Attributes:
        settings: Of the ledger; its owner must have REPLICATION.
        keys: The variables to seal.
        passphrase: Of the sealed keys; None to leave the keys out.
    """

    settings: LedgerSettings
    keys: dict[str, str]
    passphrase: str | None

    @property
    def lists(self) -> dict[str, Path | None]:
        """Files outside the database that only grow."""
        return {CHECKPOINTS: self.settings.checkpoint_file, FORGOTTEN: self.settings.erased_ids_path}


class BackupSummary(NamedTuple):
    """A complete backup."""

    name: str
    ended_at: datetime
    position: int
    bytes: int
    are_keys_sealed: bool


def take_backup(folder: BackupFolder, source: Source, progress: Progress = lambda *_: None) -> BackupSummary:
    """Take a base backup that starts on its own, with the WAL that was written in the meantime.

    Raises:
        BackupError: It could not be taken, or what was written is not what was read; nothing remains of it.
    """
    if source.passphrase is not None:
        check_passphrase(source.passphrase)
    url = source.settings.owner_url
    before = read_database_facts(url)
    folder.claim(before.system, before.timeline)
    name = f"{before.now:%Y-%m-%dT%H%M%SZ}"
    part = folder.path / f"{name}{PART}"
    try:
        part.mkdir(mode=0o700)
        _run_base_backup(url, part, progress)
        verify_base(part)
        folder.copy_lists(source.lists)
        manifest = _complete(folder, part, source, before)
        part.rename(folder.path / name)
        sync_folder(folder.path)
    except OSError as error:
        raise BackupError(f"{folder.path} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    size = sum(file.bytes for file in manifest.files.values())
    return BackupSummary(name, manifest.ended_at, manifest.position, size, SEALED_KEYS in manifest.files)


def _run_base_backup(url: str, part: Path, progress: Progress) -> None:
    def show(line: str) -> None:
        if match := PROGRESS.match(line):
            progress(int(match[1]), int(match[2]))

    connection, environment = connect_by(url)
    command = [
        str(find_client_program("pg_basebackup")),
        *connection,
        *("--pgdata", str(part)),
        *("--format=tar", "--compress=client-gzip:1", "--wal-method=stream", "--checkpoint=fast"),
        *("--manifest-checksums=SHA256", "--progress"),
    ]
    run_client_program(command, environment, show)


def verify_base(backup: Path) -> None:
    """Compare each file of a base backup with PostgreSQL's own manifest.

    Raises:
        BackupError: A file is missing or differs.
        OSError: The backup can't be read.
    """
    listed = msgspec.json.decode((backup / POSTGRES_MANIFEST).read_bytes())["Files"]
    expected = {file["Path"]: (file["Size"], file["Checksum"]) for file in listed}
    try:
        with tarfile.open(backup / BASE, "r|gz") as archive:
            for member in archive:
                if not member.isfile() or member.name not in expected:
                    continue
                size, checksum = expected.pop(member.name)
                if (member.size, _digest_member(archive, member)) != (size, checksum):
                    raise BackupError(f"{member.name} was not stored as it was sent: check the disk and try again")
    except (tarfile.TarError, EOFError) as error:
        raise BackupError(f"{backup / BASE} cannot be read back: {error}") from error
    if expected:
        raise BackupError(f"{next(iter(expected))} is missing in the backup: check the disk and try again")


def _digest_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file, digest = archive.extractfile(member), hashlib.sha256()
    if file is None:  # it is a file
        raise AssertionError
    while piece := file.read(PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()


def _complete(folder: BackupFolder, part: Path, source: Source, before: DatabaseFacts) -> Manifest:
    """Seal the keys, and write the manifest."""
    if source.passphrase is not None:
        write_private_file(part / SEALED_KEYS, seal_keys(source.keys, source.passphrase).decode())
    written = msgspec.json.decode((part / POSTGRES_MANIFEST).read_bytes())["WAL-Ranges"][-1]
    files = sorted(path for path in part.iterdir() if path.is_file())
    manifest = Manifest(
        format=FORMAT,
        system=before.system,
        postgres=before.major,
        schema=list_migrations()[-1],
        position=before.position,
        started_at=before.now,
        ended_at=read_database_facts(source.settings.owner_url).now,
        timeline=written["Timeline"],
        start_segment=segment_of(_parse_lsn(written["Start-LSN"]), written["Timeline"], before.segment_bytes),
        end_lsn=_parse_lsn(written["End-LSN"]),
        segment_bytes=before.segment_bytes,
        is_of_standby=before.is_standby,
        run=folder.find_run(),
        key_checks=key_checks_of(source.settings.open_vault().rings),
        files={path.name: digest_file(path) for path in files},
        lists={name: digest_file(path) for name in source.lists if (path := folder.path / name).exists()},
    )
    write_private_file(part / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)).decode() + "\n")
    return manifest


def _parse_lsn(text: str) -> int:
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)
