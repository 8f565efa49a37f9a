"""Receives WAL without a pause, and takes base backups by a timer, so that a restore may choose any moment.

pg_receivewal streams over a replication slot: the server keeps what was not received yet, up to max_slot_wal_keep_size.
After a longer outage there is a gap: what was received before it is kept apart, and a new base backup begins after it.
"""

import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Final

from pydantic import ValidationError

from api.cli.backup.backup_error import BackupError
from api.cli.backup.backup_folder import BackupFolder, key_checks_of
from api.cli.backup.full_backup import BackupSummary, Source, take_backup
from api.cli.backup.postgres_programs import (
    connect_by,
    describe_failure,
    find_client_program,
    run_client_program,
)
from api.cli.embedded.up import StopRequest, handle_signals
from projections.database.errors import StorageUnavailableError
from projections.monitoring.backups import SLOT, is_slot_lost, read_database_facts

TICK_S: Final = 0.2
LOOK_EVERY_S: Final = 10.0
"""How often the lists are copied and the keyrings compared."""
RESTART_AFTER_S: Final = 5.0
RETRY_AFTER_S: Final = 300.0
"""Pause after a base backup that failed."""
STOP_S_MAX: Final = 10.0
GAP: Final = re.compile(
    "has already been removed|not in this server's history|can no longer (?:get|access)"
    "|is ahead of the WAL flush position"
)
"""What the server answers if it has no WAL that follows what was received; the last one if it came back older."""

PASSING_ERRORS: Final = (BackupError, StorageUnavailableError, ValidationError, OSError)
"""What may pass while the ledger is stopped, started or changed: the service goes on."""

Report = Callable[[dict[str, object]], None]


class _StoppedError(Exception):
    """The end was requested while a base backup was being taken."""


@dataclass(slots=True)
class WalReceiver:
    """A pg_receivewal, started again whenever it ends.

    Attributes:
        read_url: Reads the database's URL again: a stack that was started again has another port.
        has_gap: Whether a new base backup is needed, because WAL is missing after the last one.
    """

    folder: BackupFolder
    read_url: Callable[[], str]
    report: Report
    has_gap: bool = False
    _must_begin_again: bool = False
    _process: subprocess.Popen[bytes] | None = None
    _errors: IO[bytes] | None = None
    _next_start_at: float = 0.0
    _last_error: str = ""

    @property
    def is_running(self) -> bool:
        """Whether it receives, or is about to."""
        return self._process is not None and self._process.poll() is None

    def tick(self) -> None:
        """Start it if it does not run and its pause is over."""
        if self.is_running or time.monotonic() < self._next_start_at:
            return
        self._next_start_at = time.monotonic() + RESTART_AFTER_S
        if self._process is not None:
            self._review_end()
        try:
            self._start()
        except PASSING_ERRORS as error:
            self._complain(str(error))

    def stop(self) -> None:
        """End it; what it received is on the disk."""
        if self._process is not None and self.is_running:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._errors is not None:
            self._errors.close()
        self._process = self._errors = None

    def _start(self) -> None:
        url = self.read_url()
        connection, environment = connect_by(url)
        program = [str(find_client_program("pg_receivewal")), *connection, "--slot", SLOT]
        run_client_program([*program, "--create-slot", "--if-not-exists"], environment)
        if self._must_begin_again or is_slot_lost(url):
            self._begin_after_gap(program, environment)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process runs
        receive = ("--directory", str(self.folder.wal), "--compress=gzip:1", "--synchronous", "--no-loop")
        self._process = subprocess.Popen(
            [*program, *receive],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
        )

    def _review_end(self) -> None:
        text = ""
        if self._errors is not None:
            self._errors.seek(0)
            text = self._errors.read().decode(errors="replace").strip()
            self._errors.close()
        self._process = self._errors = None
        # Its last line is "disconnected", whatever the server said before that.
        lines = text.splitlines() or [""]
        reasons = [line for line in lines if "error:" in line and not line.endswith(": disconnected")]
        self._complain(describe_failure("pg_receivewal", (reasons or lines)[-1]))
        self._must_begin_again = self._must_begin_again or GAP.search(text) is not None

    def _begin_after_gap(self, program: list[str], environment: dict[str, str]) -> None:
        """Keep what was received apart, and begin with what the server has now."""
        former = self.folder.set_wal_apart()
        self.has_gap = True
        self.report({"event": "gap in the received WAL", "former": former.name})
        run_client_program([*program, "--drop-slot"], environment)
        run_client_program([*program, "--create-slot"], environment)
        self._must_begin_again = False

    def _complain(self, why: str) -> None:
        """Report an error once, not at each try."""
        if why != self._last_error:
            self.report({"event": "WAL is not received", "why": why})
        self._last_error = why


@dataclass(slots=True)
class BackupService:
    """`ledger backup --every`: receives WAL and takes base backups until a signal ends it.

    Attributes:
        read_source: Reads the settings again: a rotated key needs another backup.
        record: Records a backup in the ledger.
        every_s: Seconds from one base backup to the next.
        backups_max: How many of them are kept.
    """

    folder: BackupFolder
    read_source: Callable[[], Source]
    record: Callable[[], None]
    report: Report
    every_s: float
    backups_max: int
    _due_at: float = field(default=0.0, init=False)
    _look_at: float = field(default=0.0, init=False)
    _timeline: int = field(default=0, init=False)

    def run(self) -> None:
        """Run until SIGINT, SIGTERM or SIGHUP.

        Raises:
            BackupError: The folder can't be used, or belongs to another ledger.
            StorageUnavailableError: The database can't be reached at the start.
        """
        receiver = self.prepare()
        with handle_signals() as stop:
            try:
                while not stop.is_requested:
                    self.tick(receiver, stop)
                    time.sleep(TICK_S)
            except _StoppedError:
                return
            finally:
                receiver.stop()
                self.folder.release()

    def prepare(self) -> WalReceiver:
        """Claim the folder, and return what will receive WAL.

        Raises:
            BackupError, StorageUnavailableError: As `run`.
        """
        facts = read_database_facts(self._read_url())
        self.folder.claim(facts.system, facts.timeline)
        self._timeline = facts.timeline
        self._due_at = time.monotonic() + self._wait_s()
        return WalReceiver(self.folder, self._read_url, self.report)

    def tick(self, receiver: WalReceiver, stop: StopRequest) -> None:
        """Do what is due now."""
        receiver.tick()
        if receiver.is_running and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_EVERY_S
            try:
                source = self.read_source()
                self.folder.copy_lists(source.lists)
                self.folder.hold(self._timeline)
                if self._has_other_keys(source):
                    self._due_at = 0.0
            except PASSING_ERRORS as error:
                self.report({"event": "lists are not copied", "why": str(error)})
        if time.monotonic() >= self._due_at or receiver.has_gap:
            self._take(receiver, stop)

    def _take(self, receiver: WalReceiver, stop: StopRequest) -> None:
        def go_on(*_: int) -> None:
            receiver.tick()
            if stop.is_requested:
                raise _StoppedError

        self._due_at = time.monotonic() + min(RETRY_AFTER_S, self.every_s)
        receiver.has_gap = False
        try:
            summary = take_backup(self.folder, self.read_source(), go_on)
            self._due_at = time.monotonic() + self.every_s
            self.report(
                {"event": "backup complete", **describe_backup(summary), "deleted": self.folder.prune(self.backups_max)}
            )
            self.record()
        except PASSING_ERRORS as error:
            self.report({"event": "backup failed", "why": str(error)})

    def _read_url(self) -> str:
        return self.read_source().settings.owner_url

    def _wait_s(self) -> float:
        """Return in how many seconds the next base backup is due; now if the newest one has a time in the future."""
        newest = max((manifest.ended_at for manifest in self.folder.backups().values()), default=None)
        age_s = self.every_s if newest is None else (datetime.now(UTC) - newest).total_seconds()
        return max(self.every_s - age_s, 0.0) if age_s >= 0 else 0.0

    def _has_other_keys(self, source: Source) -> bool:
        newest = list(self.folder.backups().values())[-1:]
        return bool(newest) and newest[0].key_checks != key_checks_of(source.settings.open_vault().rings)


def describe_backup(summary: BackupSummary) -> dict[str, object]:
    """Return a backup as one JSON object."""
    return {**summary._asdict(), "keys": "sealed" if summary.are_keys_sealed else "left out"}
