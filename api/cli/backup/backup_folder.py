"""The folder of backups: what lies where, whose it is, and which backups are complete.

FOLDER/ledger.json            the database that the folder belongs to
FOLDER/2027-01-31T030500Z/    a base backup; `manifest.json` is written last, so a backup without it is none
FOLDER/wal/                   WAL as it was received, compressed; `wal.1`, ...: what was received before a gap
FOLDER/checkpoints.jsonl      copies of files that only grow
FOLDER/forgotten.jsonl
FOLDER/receiving.json         which copy of the ledger receives WAL here
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from api.cli.backup.backup_error import BackupError, refuse
from api.cli.embedded.private_file import write_private_file
from projections.vault.key_ring import KeyRing

FORMAT: Final = 1
"""Of the manifest. It changes only when an older `ledger restore` would restore something wrong."""
NAME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z")
MANIFEST, IDENTITY, SEALED_KEYS = "manifest.json", "ledger.json", "keys.sealed.json"
RECEIVING: Final = "receiving.json"
HELD_S: Final = 60.0
"""How long a heartbeat counts; it is renewed every 10 s."""
CHECKPOINTS, FORGOTTEN = "checkpoints.jsonl", "forgotten.jsonl"
PART: Final = ".part"
PIECE_BYTES: Final = 1 << 20


class FileDigest(msgspec.Struct, frozen=True):
    """Size and SHA-256 (hexadecimal) of a file, or of its first bytes if it has grown since."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a complete backup says about itself.

    Attributes:
        format: `FORMAT` of the program that wrote it.
        system: Identifier of the database system, as PostgreSQL prints it.
        postgres: Major version of PostgreSQL.
        schema: The newest migration.
        position: Log position of an event that the backup holds for certain.
        started_at: When it was begun; database time.
        ended_at: From which time on a restore may choose its moment; database time.
        timeline: Timeline of the backup's WAL.
        start_segment: First WAL segment that it needs.
        end_lsn: Where it is consistent.
        segment_bytes: Size of a WAL segment.
        is_of_standby: Whether a standby was asked; its last segment is not whole.
        run: The run of WAL that follows it. Segments of another run may have the same names and another content.
        key_checks: Check values of the keys, hexadecimal, by ring and key id.
        files: Digests of the files of the backup.
        lists: Digests of what the lists next to the backups held.
    """

    format: int
    system: str
    postgres: int
    schema: str
    position: int
    started_at: datetime
    ended_at: datetime
    timeline: int
    start_segment: str
    end_lsn: int
    segment_bytes: int
    is_of_standby: bool
    run: int
    key_checks: dict[str, dict[int, str]]
    files: dict[str, FileDigest]
    lists: dict[str, FileDigest]


class _Identity(msgspec.Struct, frozen=True):
    system: str


class _Holder(msgspec.Struct, frozen=True):
    timeline: int


class BackupFolder:
    """A folder of backups of one ledger."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @property
    def wal(self) -> Path:
        """Where WAL is received now."""
        return self.path / "wal"

    def list_wal_folders(self) -> list[Path]:
        """Return every folder with WAL: what was received before a gap too."""
        return sorted(path for path in self.path.glob("wal*") if path.is_dir())

    def find_run(self) -> int:
        """Return the number of the present run: WAL that was received without a gap. It never becomes less."""
        apart = [int(path.suffix[1:]) + 1 for path in self.list_wal_folders() if path.suffix[1:].isdecimal()]
        return max([1, *apart, *(manifest.run for manifest in self.backups().values())])

    def wal_of_run(self, run: int) -> Path:
        """Return the folder with the WAL of a run."""
        apart = self.path / f"wal.{run}"
        return apart if apart.is_dir() else self.wal

    def set_wal_apart(self) -> Path:
        """Begin another run; return where the WAL of the former one is kept."""
        former = self.path / f"wal.{self.find_run()}"
        self.wal.rename(former)
        self.wal.mkdir(mode=0o700)
        return former

    def claim(self, system: str, timeline: int) -> None:
        """Create the folder, or check that it belongs to this database.

        Args:
            system: Identifier of the database system; a copy has the same.
            timeline: Its timeline: a copy that was restored has another one.

        Raises:
            BackupError: It belongs to another database or copy, holds other files, or can't be written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            identity = self.path / IDENTITY
            if not identity.exists():
                if other := sorted(
                    entry.name for entry in self.path.iterdir() if entry.name not in {"lost+found", "wal"}
                ):
                    raise refuse(f"{self.path} holds {other[0]} and is no folder of backups: name an empty folder")
                write_private_file(identity, msgspec.json.encode(_Identity(system)).decode() + "\n")
            self._check_owner(system)
            self._refuse_copy(timeline)
            self.wal.mkdir(mode=0o700, exist_ok=True)
            for part in self.path.glob(f"*{PART}"):
                shutil.rmtree(part)
        except OSError as error:
            raise BackupError(f"{self.path} cannot be written: {error.strerror or error}") from error

    def _check_owner(self, system: str) -> None:
        try:
            owner = msgspec.json.decode((self.path / IDENTITY).read_bytes(), type=_Identity).system
        except msgspec.DecodeError as error:
            raise refuse(f"{self.path / IDENTITY} was altered: name another folder") from error
        if owner != system:
            raise refuse(
                f"{self.path} holds backups of another database (system {owner}, this one is {system}):"
                " name another folder; a folder belongs to one ledger"
            )

    def hold(self, timeline: int) -> None:
        """Show for `HELD_S` that the database of this timeline receives WAL here.

        Raises:
            OSError: The folder can't be written.
        """
        write_private_file(self.path / RECEIVING, msgspec.json.encode(_Holder(timeline)).decode() + "\n")

    def release(self) -> None:
        """Receive no WAL here any more."""
        (self.path / RECEIVING).unlink(missing_ok=True)

    def _refuse_copy(self, timeline: int) -> None:
        """Refuse a copy of a ledger that still receives WAL here: a restore could not tell them apart."""
        path = self.path / RECEIVING
        if not path.exists() or abs(time.time() - path.stat().st_mtime) > HELD_S:
            return
        with suppress(msgspec.DecodeError):
            if msgspec.json.decode(path.read_bytes(), type=_Holder).timeline != timeline:
                raise refuse(
                    f"{self.path} receives WAL of another copy of this ledger: name another folder for this one"
                )

    def backups(self) -> dict[str, Manifest]:
        """Return the complete backups by name, the oldest first.

        Raises:
            BackupError: The folder can't be read, or a manifest was altered.
        """
        try:
            names = sorted(entry.name for entry in self.path.iterdir() if NAME.fullmatch(entry.name))
            return {name: self._read_manifest(name) for name in names if (self.path / name / MANIFEST).exists()}
        except OSError as error:
            raise BackupError(f"{self.path} cannot be read: {error.strerror or error}") from error

    def _read_manifest(self, name: str) -> Manifest:
        path = self.path / name / MANIFEST
        try:
            return msgspec.json.decode(path.read_bytes(), type=Manifest)
        except msgspec.DecodeError as error:
            raise refuse(
                f"{path} was altered, or a newer version wrote it: use another copy, or that version"
            ) from error

    def copy_lists(self, sources: dict[str, Path | None]) -> None:
        """Add to the copies what the lists have grown by. What a copy holds never changes.

        Raises:
            OSError: A list can't be read, or its copy can't be written.
        """
        for name, source in sources.items():
            if source is None or not source.exists():
                continue
            copy = self.path / name
            size = copy.stat().st_size if copy.exists() else 0
            with source.open("rb") as file:
                file.seek(size)
                more = file.read()
            # A line without its end is still being written.
            if more := more[: more.rfind(b"\n") + 1]:
                with copy.open("ab") as target:
                    target.write(more)
                    target.flush()
                    os.fsync(target.fileno())

    def prune(self, backups_max: int) -> list[str]:
        """Delete all but the newest backups, and the WAL that none of them needs; return the names of the deleted."""
        backups = self.backups()
        deleted = list(backups)[:-backups_max]
        for name in deleted:
            (self.path / name / MANIFEST).unlink()  # first: what is half deleted is no backup
            shutil.rmtree(self.path / name)
        remaining = [manifest for name, manifest in backups.items() if name not in deleted]
        oldest = min((manifest.start_segment[8:] for manifest in remaining), default="")
        for folder in self.list_wal_folders():
            for segment in list_segments(folder):
                if segment.number < oldest:
                    segment.path.unlink()
            if folder != self.wal and not any(folder.iterdir()):
                folder.rmdir()
        return deleted


class Segment(msgspec.Struct, frozen=True):
    """A file of received WAL.

    Attributes:
        name: As PostgreSQL names it: timeline and number.
        is_whole: Whether PostgreSQL filled it.
    """

    name: str
    path: Path
    is_whole: bool

    @property
    def number(self) -> str:
        """Its place in the WAL, on whichever timeline: 16 hexadecimal digits that sort."""
        return self.name[8:]


def list_segments(folder: Path) -> Iterator[Segment]:
    """Yield the segments of a folder in no order: compressed or not, whole or being written."""
    for path in folder.iterdir():
        if match := re.fullmatch(r"([0-9A-F]{24})(?:\.gz)?(\.partial)?", path.name):
            yield Segment(match[1], path, match[2] is None)


def segment_after(name: str, segment_bytes: int) -> str:
    """Return the name of the next segment on the same timeline."""
    per_log = 2**32 // segment_bytes
    number = int(name[8:16], 16) * per_log + int(name[16:], 16) + 1
    return f"{name[:8]}{number // per_log:08X}{number % per_log:08X}"


def segment_of(lsn: int, timeline: int, segment_bytes: int) -> str:
    """Return the name of the segment that holds a place of the WAL."""
    return f"{timeline:08X}{lsn >> 32:08X}{(lsn & 0xFFFFFFFF) // segment_bytes:08X}"


def digest_file(path: Path, size: int | None = None) -> FileDigest:
    """Return size and digest of a file, or of its first bytes.

    Raises:
        OSError: It can't be read.
    """
    digest, left = hashlib.sha256(), path.stat().st_size if size is None else size
    read = 0
    with path.open("rb") as file:
        while piece := file.read(min(PIECE_BYTES, left - read)):
            digest.update(piece)
            read += len(piece)
    return FileDigest(read, digest.hexdigest())


def sync_folder(folder: Path) -> None:
    """Make the names of a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def key_checks_of(rings: dict[str, KeyRing]) -> dict[str, dict[int, str]]:
    """Return the check values of keyrings as a manifest holds them."""
    return {
        name: {key_id: value.hex() for key_id, value in ring.check_values().items()} for name, ring in rings.items()
    }
