"""The data folder: its layout, its version, and the lock that keeps a second `ledger up` out of it."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from api.cli.embedded.bounded_wait import wait_until
from api.cli.embedded.private_file import write_private_file
from api.cli.embedded.process.orphans import end_orphaned_components
from api.cli.embedded.process.watchdog import is_running
from api.cli.embedded.secrets_file import FILE as SECRETS
from api.cli.embedded.stack_error import StackError
from api.cli.embedded.state_file import CHECKPOINTS
from projections.terminal.exit_codes import ExitCode

LAYOUT = "1"
"""Version of the folder's layout. It changes only when an older `ledger` could no longer read the folder."""

PREVIOUS_RUN_S_MAX = 20.0
"""How long the watchdog of a killed run may take to end the remaining processes."""


@dataclass(frozen=True, slots=True)
class DataDir:
    """A data folder that this process has locked.

    Attributes:
        path: Absolute.
        lock_fd: The open lock. Each process with a copy of the descriptor holds the lock.
    """

    path: Path
    lock_fd: int

    @property
    def logs(self) -> Path:
        """Logs of all programs."""
        return self.path / "logs"

    @property
    def mailbox(self) -> Path:
        """Maildir of the mail sink."""
        return self.path / "mailbox"

    @property
    def checkpoints(self) -> Path:
        """Signed checkpoints of the log, kept outside of the database."""
        return self.path / CHECKPOINTS

    @property
    def metrics(self) -> Path:
        """Metric files of the processes of this run."""
        return self.path / "metrics"

    @property
    def redis(self) -> Path:
        """Data and working directory of the private broker."""
        return self.path / "redis"

    @property
    def run(self) -> Path:
        """Working directory of the ledger's own processes, emptied at each start."""
        return self.path / "run"


@contextmanager
def open_data_dir(path: Path) -> Iterator[DataDir]:
    """Create or open the folder, lock it, check its version, and end and delete what a former run left.

    Raises:
        StackError: It can't be used, another `ledger up` uses it, or it belongs to another version.
    """
    path = path.absolute()
    try:
        _refuse_foreign_folder(path)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StackError(
            f"{path} cannot be used as data folder ({error.strerror}): choose another --data-dir", ExitCode.USAGE
        ) from error
    try:
        _lock(descriptor, path)
        try:
            _check_layout(path)
            folder = DataDir(path, descriptor)
            end_orphaned_components(folder.run, folder.redis)
            for emptied in (folder.metrics, folder.run):
                shutil.rmtree(emptied, ignore_errors=True)
                emptied.mkdir(mode=0o700)
            folder.logs.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StackError(
                f"{error.filename or path} cannot be written ({error.strerror}): run `ledger up` as its owner"
            ) from error
        yield folder
    finally:
        os.close(descriptor)


def _refuse_foreign_folder(path: Path) -> None:
    """Refuse a folder that is not a data folder, before anything is created, changed or deleted in it."""
    if not path.exists() or (path / "version").exists():
        return
    own_names = ("lock", "version.", "lost+found", SECRETS)  # operators put saved keys there before the first start
    if foreign_names := sorted(entry.name for entry in path.iterdir() if not entry.name.startswith(own_names)):
        raise StackError(
            f"{path} is not empty (it holds {foreign_names[0]}) and not a data folder of the ledger: "
            "choose another --data-dir",
            ExitCode.USAGE,
        )


def _lock(descriptor: int, path: Path) -> None:
    def is_locked_or_holder_runs() -> bool:
        holder = _read_holder(path)
        return _try_lock(descriptor) or (holder > 0 and is_running(holder))

    # If it is locked and its holder is gone, a watchdog is still ending the remaining processes.
    wait_until(is_locked_or_holder_runs, PREVIOUS_RUN_S_MAX)
    if not _try_lock(descriptor):
        holder = _read_holder(path)
        raise StackError(
            f"another `ledger up` (pid {holder}) is running on {path}: stop it first, or choose another --data-dir",
            ExitCode.USAGE,
        )
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _try_lock(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _read_holder(path: Path) -> int:
    try:
        return int((path / "lock").read_text())
    except (OSError, ValueError):
        return 0


def _check_layout(path: Path) -> None:
    marker = path / "version"
    if marker.exists():
        layout = marker.read_text(errors="replace").strip()
        if layout != LAYOUT:
            raise StackError(
                f"{path} was created by another version (layout {layout[:20]!r}, this one uses {LAYOUT!r}): "
                "run the version that created it, or choose another --data-dir",
                ExitCode.USAGE,
            )
        return
    write_private_file(marker, f"{LAYOUT}\n")
