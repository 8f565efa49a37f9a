"""Restores a ledger from a folder of backups: database, keyrings, and the lists outside the database.

Everything is checked before anything is written, and nothing that exists is overwritten. `global/pg_control` is written
last: PostgreSQL refuses to start without it, so a restore that was interrupted never runs.
"""

import gzip
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from api.cli.backup.backup_error import BackupError, refuse
from api.cli.backup.backup_folder import (
    CHECKPOINTS,
    FORGOTTEN,
    FORMAT,
    PIECE_BYTES,
    SEALED_KEYS,
    BackupFolder,
    Manifest,
    Segment,
    digest_file,
    list_segments,
    segment_after,
    segment_of,
)
from api.cli.backup.full_backup import BASE, WAL
from api.cli.backup.sealed_keys import open_keys
from api.cli.embedded.private_file import write_private_file
from projections.config.variables import parse_variables
from projections.database.errors import WrongKeysError
from projections.database.migrations import list_migrations
from projections.storage.key_check import compare_key_ring
from projections.vault.key_ring import KeyRing

UNFINISHED, RESTORED, CONTROL = "restore.unfinished", "restored.json", "global/pg_control"
RINGS: Final = {"pepper": "LEDGER_PEPPERS", "master": "LEDGER_MASTER_KEYS"}
GIVEN_UP: Final = "checkpoints-given-up.jsonl"
RECOVERY: Final = """
# Written by `ledger restore`. PostgreSQL takes the WAL from pg_wal and then goes on as a primary.
restore_command = 'false'
recovery_target_timeline = '{timeline}'
recovery_target_action = 'promote'
recovery_target_time = '{until}'
hot_standby = off
primary_conninfo = ''
primary_slot_name = ''
synchronous_standby_names = ''
"""
Progress = Callable[[int, int], None]


class RestoreChoice(NamedTuple):
    """Which backup, and which moment.

    Attributes:
        name: Of a backup; None for the newest one that fits.
        until: Moment to restore; None for everything that was received.
        keys: Variables with the keyrings; None for the sealed ones of the backup.
        passphrase: Opens the sealed keys.
    """

    name: str | None
    until: datetime | None
    keys: Mapping[str, str] | None
    passphrase: str | None


class RestoreTarget(NamedTuple):
    """Where a ledger is restored.

    Attributes:
        database: Data directory of PostgreSQL: missing, or empty.
        owner: User and group that get it; None for those of this process.
        secrets: File of the keyrings.
        checkpoints: File of published checkpoints; None without one.
        forgotten: File of erased people's ids.
    """

    database: Path
    owner: tuple[int, int] | None
    secrets: Path
    checkpoints: Path | None
    forgotten: Path


class RestoreSummary(NamedTuple):
    """What was restored.

    Attributes:
        name: Of the backup.
        postgres: Major version of PostgreSQL that must run it.
        until: Up to which time: the chosen moment, or when the last WAL was received.
        segments: WAL segments in addition to those of the backup.
        gap: First WAL segment that is missing although later ones exist.
        given_up: File of published checkpoints that the chosen moment may lack.
    """

    name: str
    postgres: int
    until: datetime
    segments: int
    gap: str | None
    given_up: Path | None


def restore(
    folder: BackupFolder, choice: RestoreChoice, target: RestoreTarget, progress: Progress = lambda *_: None
) -> RestoreSummary:
    """Restore a ledger, for PostgreSQL to recover at its next start.

    Raises:
        BackupError: The backup, the keys or the target don't fit. Nothing was written, or the disk failed: then the
            target is unfinished, and a repeated restore begins again.
    """
    name, manifest = _choose_backup(folder, choice)
    try:
        keys = _read_keys(folder.path / name, manifest, choice, target)
        _verify_files(folder, name, manifest)
        wal = _plan_wal(folder, manifest, choice.until)
        _refuse_living_database(target.database)
        lists = _plan_lists(folder, target, choice.until)
        _write_database(folder.path / name, manifest, wal, target, choice.until, progress)
        for path, content in (*lists.items(), (target.secrets, keys)):
            if content is not None:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_private_file(path, content)
                _give(path, _owner_of(path.parent))
        _finish(target.database, name, target.owner)
    except OSError as error:
        raise BackupError(
            f"{error.filename or target.database}: {error.strerror or error}; run the command again"
        ) from error
    given_up = next((path for path in lists if path.name == GIVEN_UP), None)
    return RestoreSummary(
        name, manifest.postgres, choice.until or wal.received_at, len(wal.segments), wal.gap, given_up
    )


def _choose_backup(folder: BackupFolder, choice: RestoreChoice) -> tuple[str, Manifest]:
    backups = folder.backups()
    if not backups:
        raise refuse(f"{folder.path} holds no complete backup: name a folder that `ledger backup` wrote")
    if choice.name is not None and choice.name not in backups:
        raise refuse(f"{folder.path} holds no backup {choice.name}: choose one of {', '.join(backups)}")
    fitting = [
        name
        for name, manifest in backups.items()
        if choice.name in (None, name) and (choice.until is None or manifest.ended_at <= choice.until)
    ]
    if not fitting:
        earliest = (backups[choice.name] if choice.name else next(iter(backups.values()))).ended_at
        raise refuse(f"no backup is old enough for that moment: the earliest is {earliest:%Y-%m-%dT%H:%M:%SZ}")
    manifest = backups[fitting[-1]]
    if manifest.format > FORMAT or manifest.schema not in list_migrations():
        raise refuse(
            f"{fitting[-1]} was taken by a newer version of the ledger (schema {manifest.schema}):"
            " restore it with that version"
        )
    return fitting[-1], manifest


def _read_keys(backup: Path, manifest: Manifest, choice: RestoreChoice, target: RestoreTarget) -> str | None:
    """Return the content of the secrets file; None if it exists and has the right keys."""
    if target.secrets.exists():
        _compare_keys(parse_variables(target.secrets.read_text("utf-8")), manifest, str(target.secrets))
        return None
    keys = choice.keys
    if keys is None:
        if SEALED_KEYS not in manifest.files:
            raise refuse(f"{backup.name} holds no keys: name the file that `ledger keys export` wrote with --keys")
        if choice.passphrase is None:
            raise refuse("the keys of this backup are sealed: set LEDGER_BACKUP_PASSPHRASE, or name a file with --keys")
        keys = open_keys((backup / SEALED_KEYS).read_bytes(), choice.passphrase)
    _compare_keys(keys, manifest, "--keys" if choice.keys is not None else SEALED_KEYS)
    return "".join(f"{name}={value}\n" for name, value in keys.items())


def _compare_keys(keys: Mapping[str, str], manifest: Manifest, origin: str) -> None:
    for ring, variable in RINGS.items():
        checks = {key_id: bytes.fromhex(value) for key_id, value in manifest.key_checks[ring].items()}
        try:
            compare_key_ring(ring, KeyRing.parse(keys.get(variable, "")), checks, "this backup")
        except (WrongKeysError, ValueError) as error:
            raise refuse(
                f"{origin} has other keys than this backup ({variable}): name the keys of this ledger"
            ) from error


def _verify_files(folder: BackupFolder, name: str, manifest: Manifest) -> None:
    paths = {folder.path / name / file: digest for file, digest in manifest.files.items()}
    paths |= {folder.path / file: digest for file, digest in manifest.lists.items()}
    for path, digest in paths.items():
        if not path.exists() or digest_file(path, digest.bytes) != digest:
            raise refuse(
                f"{path} is not what the backup wrote (its SHA-256 differs): use another copy of it,"
                " or an older backup with --backup NAME"
            )


class _Wal(NamedTuple):
    """The WAL to recover after a base backup.

    Attributes:
        timeline: The timeline to end on.
        histories: Files that describe timelines.
        segments: In order; the last one may not be whole.
        received_at: When the last byte was received.
        gap: The first missing segment, if later ones exist.
    """

    timeline: int
    histories: list[Path]
    segments: list[Segment]
    received_at: datetime
    gap: str | None


def _plan_wal(folder: BackupFolder, manifest: Manifest, until: datetime | None) -> _Wal:
    wal = folder.wal_of_run(manifest.run)
    histories = sorted(wal.glob("*.history*"))
    timeline, timelines = _follow_timelines(histories, manifest)
    by_number: dict[str, Segment] = {}
    for segment in list_segments(wal) if wal.is_dir() else ():
        former = by_number.get(segment.number)
        # Of a switch of timelines, the later timeline holds both; of one segment, the whole one.
        is_better = former is None or (segment.name[:8], segment.is_whole) > (former.name[:8], former.is_whole)
        if int(segment.name[:8], 16) in timelines and is_better:
            by_number[segment.number] = segment
    # The backup has every segment up to its end. A primary switches to the next one there, so the last one is whole.
    segments, next_name = [], segment_of(manifest.end_lsn - 1, timeline, manifest.segment_bytes)
    if next_name[8:] not in by_number and not manifest.is_of_standby:
        next_name = segment_after(next_name, manifest.segment_bytes)
    while next_name[8:] in by_number:
        segments.append(by_number.pop(next_name[8:]))
        if not segments[-1].is_whole:
            break
        next_name = segment_after(next_name, manifest.segment_bytes)
    gap = next_name if any(number > next_name[8:] for number in by_number) else None
    received_at = manifest.ended_at
    if segments:
        received_at = max(received_at, datetime.fromtimestamp(segments[-1].path.stat().st_mtime, UTC))
    if until is not None and until >= received_at:
        raise refuse(
            f"WAL was received until {received_at:%Y-%m-%dT%H:%M:%SZ} only"
            f"{f' (segment {gap} is missing)' if gap else ''}: choose an earlier moment, or leave out --until"
        )
    return _Wal(timeline, histories, segments, received_at, gap)


def _follow_timelines(histories: list[Path], manifest: Manifest) -> tuple[int, set[int]]:
    """Return the newest timeline that continues a backup, and all timelines on the way there."""
    best, way = manifest.timeline, {manifest.timeline}
    for path in histories:
        number = int(path.name[:8], 16)
        switches = {}
        for line in _read(path).decode(errors="replace").splitlines():
            if match := re.match(r"\s*(\d+)\s+([0-9A-F]+)/([0-9A-F]+)", line):
                switches[int(match[1])] = (int(match[2], 16) << 32) + int(match[3], 16)
        if number > best and switches.get(manifest.timeline, -1) >= manifest.end_lsn:
            best, way = number, {number, *switches}
    return best, way


def _refuse_living_database(database: Path) -> None:
    """Refuse a folder with a database, unless a restore wrote it and PostgreSQL has not recovered it yet."""
    if not database.exists():
        return
    names = {entry.name for entry in database.iterdir()} - {"lost+found"}
    is_unused = UNFINISHED in names or {RESTORED, "recovery.signal"} <= names
    if "postmaster.pid" in names or (names and not is_unused):
        raise refuse(f"{database} holds a database: restore into an empty folder, or move that one away")


def _plan_lists(folder: BackupFolder, target: RestoreTarget, until: datetime | None) -> dict[Path, str | None]:
    """Return the content of the lists: both where one exists, since a list only grows."""
    places = {FORGOTTEN: target.forgotten}
    if target.checkpoints is not None:
        # With a chosen moment, later checkpoints are given up: the ledger would refuse to start on an older state.
        places[CHECKPOINTS] = target.checkpoints.with_name(GIVEN_UP) if until else target.checkpoints
    contents: dict[Path, str | None] = {}
    for name, place in places.items():
        copy = (folder.path / name).read_text("utf-8") if (folder.path / name).exists() else ""
        existing = place.read_text("utf-8") if place.exists() else ""
        lines = dict.fromkeys([*copy.splitlines(), *existing.splitlines()])
        contents[place] = "".join(f"{line}\n" for line in lines) if lines else None
    if until and target.checkpoints is not None and target.checkpoints.exists():
        raise refuse(f"{target.checkpoints} exists: to restore an earlier moment, move it away first")
    return contents


def _write_database(
    backup: Path, manifest: Manifest, wal: _Wal, target: RestoreTarget, until: datetime | None, progress: Progress
) -> None:
    database = target.database
    database.mkdir(mode=0o700, parents=True, exist_ok=True)
    (database / UNFINISHED).touch(mode=0o600)
    for entry in database.iterdir():
        if entry.name not in {UNFINISHED, "lost+found"}:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    archives = [(backup / BASE, database), (backup / WAL, database / "pg_wal")]
    total, done = sum(archive.stat().st_size for archive, _ in archives), 0
    control = b""
    for archive, folder in archives:
        for member, tar in _members(archive):
            if member.name == CONTROL:
                control = stored.read() if (stored := tar.extractfile(member)) else b""
            else:
                tar.extract(member, folder, filter="data")
            progress(done + tar.offset, max(total, done + tar.offset))
        done += archive.stat().st_size
    for path in wal.histories:
        (database / "pg_wal" / path.name.removesuffix(".gz")).write_bytes(_read(path))
    for segment in wal.segments:
        (database / "pg_wal" / segment.name).write_bytes(_read(segment.path).ljust(manifest.segment_bytes, b"\0"))
    settings = RECOVERY.format(timeline=wal.timeline, until="" if until is None else until.isoformat())
    with (database / "postgresql.auto.conf").open("a") as file:
        file.write(settings)
    (database / "standby.signal").unlink(missing_ok=True)
    (database / "recovery.signal").touch(mode=0o600)
    (database / CONTROL).write_bytes(control)


def _finish(database: Path, name: str, owner: tuple[int, int] | None) -> None:
    """Make everything durable, and let PostgreSQL have it."""
    write_private_file(database / RESTORED, msgspec.json.encode({"backup": name}).decode() + "\n")
    for entry in (database, *database.rglob("*")):
        _give(entry, owner)
    database.chmod(0o700)
    os.sync()
    (database / UNFINISHED).unlink()


def _members(archive: Path) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    # pg_basebackup writes gzip of several members, which the stream mode of tarfile does not read.
    with gzip.open(archive) as file, tarfile.open(fileobj=file, mode="r|") as tar:
        for member in tar:
            yield member, tar


def _read(path: Path) -> bytes:
    """Return the content of a file, decompressed; of one that was still being written, what is there."""
    if path.name.removesuffix(".partial").endswith(".gz"):
        decompress = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        with path.open("rb") as file:
            return b"".join(decompress.decompress(piece) for piece in iter(lambda: file.read(PIECE_BYTES), b""))
    return path.read_bytes()


def _owner_of(folder: Path) -> tuple[int, int] | None:
    """Return the owner of a folder, to give it a file, if this process may do that."""
    return (folder.stat().st_uid, folder.stat().st_gid) if os.geteuid() == 0 else None


def _give(path: Path, owner: tuple[int, int] | None) -> None:
    if owner is not None:
        os.chown(path, *owner, follow_symlinks=False)
