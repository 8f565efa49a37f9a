"""A worker's connections to the simulated mail server: the ledger's own window over connections that are numbers."""

from typing import Protocol

from domain.ports import OutboundMessage, Outcome, Rejected, Removal, RemovalOutcome
from tests.simulation.scheduler import Scheduler
from workers.channels.smtp.connection_pool import IDLE_S_LIMITED, IDLE_S_MAX
from workers.channels.smtp.connection_window import ConnectionWindow

WAIT_S = 7.5
"""How long a message waits for an open connection, with the defaults."""
LOOK_S = 0.1


class ConnectionTarget(Protocol):
    lines: list["SimulatedConnections"]

    def connect(self, message: OutboundMessage) -> Rejected | None:
        """Let a worker in, or say why not."""

    def send(self, message: OutboundMessage) -> Outcome:
        """Take an email over an open connection, or not."""

    def revoke(self, removal: Removal) -> RemovalOutcome:
        """Take an access away, or not."""


class SimulatedConnections:
    """`domain.ports.Channel` of one worker process."""

    name = "smtp"

    def __init__(self, server: ConnectionTarget, scheduler: Scheduler, most: int) -> None:
        self._server, self._kernel = server, scheduler
        self._window = ConnectionWindow(most)
        self._busy = 0
        self._idle_since: list[float] = []
        self._refused: Rejected | None = None
        server.lines.append(self)

    @property
    def open(self) -> int:
        keeps_s = IDLE_S_LIMITED if self._window.is_limited else IDLE_S_MAX
        self._idle_since = [at for at in self._idle_since if self._kernel.now - at < keeps_s]
        return self._busy + len(self._idle_since)

    def capacity(self) -> int:
        """As `ConnectionPool.capacity`."""
        self._window.grow(self._kernel.now)
        return 0 if self._window.is_resting(self._kernel.now) and not self.open else self._window.allowed

    def send(self, message: OutboundMessage) -> Outcome:
        """Send over an open connection or a new one, as `ConnectionPool.take` has it."""
        if (refused := self._take(message)) is not None:
            return refused
        outcome = self._server.send(message)
        self._busy -= 1
        if self.open < self._window.allowed:
            self._idle_since.append(self._kernel.now)
        return outcome

    def revoke(self, removal: Removal) -> RemovalOutcome:
        """Over a connection that is not counted."""
        return self._server.revoke(removal)

    def end(self) -> None:
        """End all connections, as the death of their process does."""
        self._busy, self._idle_since = 0, []
        self._server.lines.remove(self)

    def close(self) -> None:
        """Nothing more to do."""

    def _take(self, message: OutboundMessage) -> Rejected | None:
        scheduler, window, ends = self._kernel, self._window, self._kernel.now + WAIT_S
        waited = Rejected(server="mx.example:25", reason="temporary", final=False, about_connection=True)
        while scheduler.now < ends:
            if self.open > self._busy:
                self._idle_since.pop()
                self._busy += 1
                return None
            window.grow(scheduler.now)
            if window.is_resting(scheduler.now) and not self.open:
                return self._refused
            if self.open < window.allowed:
                if self._is_let_in(message):
                    return None
                continue
            scheduler.pass_time(LOOK_S)
        return waited

    def _is_let_in(self, message: OutboundMessage) -> bool:
        begun_at = self._kernel.now
        self._busy += 1
        refused = self._server.connect(message)
        if refused is None:
            self._window.record_success()
            return True
        self._busy -= 1
        self._refused = refused
        chance = self._kernel.random.random()
        self._window.record_refusal(self._kernel.now, begun_at=begun_at, established=self.open, chance=chance)
        return False
