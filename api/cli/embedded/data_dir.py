"""The data folder: its layout, its version, and the lock that keeps a second `ledger up` out of it."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from api.cli.embedded.process.orphans import end_orphaned_components
from api.cli.embedded.process.watchdog import is_running
from api.cli.embedded.secrets_file import FILE as SECRETS
from api.cli.embedded.util import StackError, wait_until, write_private_file
from projections.terminal.exit_codes import ExitCode

CHECKPOINTS = "checkpoints.jsonl"
LAYOUT = "1"
"""Version of what lies where in the folder. It changes only when an older `ledger` could not read it any more."""

PREVIOUS_RUN_S_MAX = 20.0
"""How long the guardian of a killed run may take to end what was left."""


@dataclass(frozen=True, slots=True)
class DataDir:
    """A data folder, ready to be used.

    Attributes:
        path: Absolute.
        lock_fd: The open lock. Whoever holds a copy of the descriptor holds the lock.
    """

    path: Path
    lock_fd: int

    @property
    def logs(self) -> Path:
        """Logs of the children."""
        return self.path / "logs"

    @property
    def mailbox(self) -> Path:
        """Maildir of the sink."""
        return self.path / "mailbox"

    @property
    def checkpoints(self) -> Path:
        """What was signed of the log, beside the database and not in it."""
        return self.path / CHECKPOINTS

    @property
    def metrics(self) -> Path:
        """Counters of the processes of this run."""
        return self.path / "metrics"

    @property
    def redis(self) -> Path:
        """What the private broker keeps, and where it works."""
        return self.path / "redis"

    @property
    def run(self) -> Path:
        """Files of this run only."""
        return self.path / "run"


@contextmanager
def open_data_dir(path: Path) -> Iterator[DataDir]:
    """Make the folder if need be, take its lock, check its version, and clear what a run leaves.

    Raises:
        StackError: It can't be used, is used by another `ledger up`, or belongs to another version.
    """
    path = path.absolute()
    try:
        _refuse_strangers(path)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as refused:
        raise StackError(
            f"{path} can't be used as data folder ({refused.strerror}): choose another --data-dir", ExitCode.USAGE
        ) from refused
    try:
        _lock(descriptor, path)
        try:
            _check_layout(path)
            folder = DataDir(path, descriptor)
            end_orphaned_components(folder.run, folder.redis)
            for fresh in (folder.metrics, folder.run):
                shutil.rmtree(fresh, ignore_errors=True)
                fresh.mkdir(mode=0o700)
            folder.logs.mkdir(mode=0o700, exist_ok=True)
        except OSError as refused:
            raise StackError(
                f"{refused.filename or path} can't be written ({refused.strerror}): run `ledger up` as its owner"
            ) from refused
        yield folder
    finally:
        os.close(descriptor)


def _refuse_strangers(path: Path) -> None:
    """Leave a folder alone that isn't ours: before anything is made, changed or cleared in it."""
    if not path.exists() or (path / "version").exists():
        return
    ours = ("lock", "version.", "lost+found", SECRETS)  # saved keys are put there before the first start
    if strangers := sorted(entry.name for entry in path.iterdir() if not entry.name.startswith(ours)):
        raise StackError(
            f"{path} is not empty (it holds {strangers[0]}) and no data folder of this version: "
            "choose another --data-dir",
            ExitCode.USAGE,
        )


def _lock(descriptor: int, path: Path) -> None:
    def is_ours_or_another_runs() -> bool:
        holder = _holder(path)
        return _try_lock(descriptor) or (holder > 0 and is_running(holder))

    # Held, and its holder gone: a guardian is still ending what was left.
    wait_until(is_ours_or_another_runs, PREVIOUS_RUN_S_MAX)
    if not _try_lock(descriptor):
        raise StackError(
            f"another `ledger up` (pid {_holder(path)}) runs on {path}: end it first, or choose another --data-dir",
            ExitCode.USAGE,
        )
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _try_lock(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _holder(path: Path) -> int:
    try:
        return int((path / "lock").read_text())
    except (OSError, ValueError):
        return 0


def _check_layout(path: Path) -> None:
    marker = path / "version"
    if marker.exists():
        found = marker.read_text(errors="replace").strip()
        if found != LAYOUT:
            raise StackError(
                f"{path} was made by another version (layout {found[:20]!r}, this one uses {LAYOUT!r}): "
                "run the version that made it, or choose another --data-dir",
                ExitCode.USAGE,
            )
        return
    write_private_file(marker, f"{LAYOUT}\n")
