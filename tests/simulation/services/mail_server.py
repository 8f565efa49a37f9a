"""A mail server that takes emails, refuses them, is slow, and drops connections with or without having taken one.

It may limit connections too: what it says to one too many, or in any greeting, is about the connection alone.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from domain.ports import (
    Accepted,
    NotifiedOnly,
    OutboundMessage,
    Outcome,
    OutcomeUnknown,
    Rejected,
    Removal,
    RemovalOutcome,
    RetryLater,
)
from tests.simulation.fault_schedule import TOO_MANY, FaultSchedule
from tests.simulation.scheduler import Scheduler
from tests.simulation.services.connections import SimulatedConnections

SERVER = "mx.example:25"
SMTP_TIMEOUT_S = 20.0
"""The default of LEDGER_SMTP_TIMEOUT_S: no answer takes longer, however slow the server is."""


class AcceptedMessage(Struct, frozen=True):
    at: float
    message: OutboundMessage


class SimulatedMailServer:
    """What connections of workers lead to.

    Attributes:
        lines: The workers' connections.
        busy: How often it refused emails of each reservation for the moment after it had heard of them.
        on_taken: Receives each email that it took, whatever it answered.
        on_removed: Receives each access whose removal a group's external system did not confirm.
    """

    def __init__(self, scheduler: Scheduler, faults: FaultSchedule, now: Callable[[], datetime]) -> None:
        self._kernel, self._faults, self._now = scheduler, faults, now
        self._connections_max = scheduler.random.choice([None, None, 1, 2])
        self.lines: list[SimulatedConnections] = []
        self.busy: Counter[UUID] = Counter()
        self.accepted_messages: list[AcceptedMessage] = []
        self.removals: list[tuple[float, Removal]] = []
        self.on_taken: Callable[[OutboundMessage], None] = lambda _: None
        self.on_removed: Callable[[UUID], None] = lambda _: None

    def connect(self, message: OutboundMessage) -> Rejected | None:
        """Let a worker in, or say why not."""
        scheduler, happens = self._kernel, self._faults.happens
        scheduler.pass_time(scheduler.random.uniform(0.001, 0.05))
        if happens("mail: unreachable"):
            return Rejected(server=SERVER, reason="unreachable", final=False, about_connection=True)
        is_full = self._connections_max is not None and sum(line.open for line in self.lines) > self._connections_max
        if is_full or happens("mail: closed at the greeting"):
            scheduler.counts[TOO_MANY] += is_full
            scheduler.note("no connection", message.template, message.reservation_id)
            return Rejected(
                server=SERVER, reason="temporary", final=False, about_connection=True, reply_code=421, reply="too many"
            )
        return None

    def send(self, message: OutboundMessage) -> Outcome:
        """Take an email over an open connection, or not; then answer, or not."""
        scheduler, happens = self._kernel, self._faults.happens
        scheduler.pass_time(scheduler.random.uniform(0.01, 0.5))
        if (refused := self._refusal(message)) is not None:
            return refused
        if happens("mail: slow"):
            scheduler.pass_time(scheduler.random.uniform(1, SMTP_TIMEOUT_S))
        if happens("mail: dropped before it was taken"):
            return OutcomeUnknown(server=SERVER, cause="connection_lost")
        if not self.take(message):
            return Rejected(server=SERVER, reason="message_refused", final=True, reply_code=410, reply="ended")
        if happens("mail: dropped after it was taken"):
            scheduler.pass_time(scheduler.random.choice([0.0, SMTP_TIMEOUT_S]))
            return OutcomeUnknown(server=SERVER, cause="timeout")
        scheduler.pass_time(0.01)
        return Accepted(server=SERVER, reply_code=250)

    def take(self, message: OutboundMessage) -> bool:
        self.accepted_messages.append(AcceptedMessage(self._kernel.now, message))
        self._kernel.note("mail taken", message.template, message.reservation_id)
        self.on_taken(message)
        return True

    def revoke(self, removal: Removal) -> RemovalOutcome:
        scheduler, happens = self._kernel, self._faults.happens
        scheduler.pass_time(scheduler.random.uniform(0.01, 0.5))
        self.removals.append((scheduler.now, removal))
        scheduler.note("is asked to take away", removal.cause, removal.reservation_id)
        if happens("removal: busy"):
            return Rejected(server=SERVER, reason="temporary", final=False, reply="try later")
        if happens("removal: refused"):
            return Rejected(server=SERVER, reason="unknown_person", final=True)
        if happens("removal: later"):
            return RetryLater(server=SERVER, reason="full", wait=timedelta(seconds=30))
        scheduler.pass_time(0.01)
        if happens("removal: dropped"):
            return OutcomeUnknown(server=SERVER, cause="timeout")
        return self.remove(removal)

    def remove(self, _: Removal) -> RemovalOutcome:
        """A mail server can remove nothing."""
        return NotifiedOnly(server=SERVER)

    def _refusal(self, message: OutboundMessage) -> Outcome | None:
        happens = self._faults.happens
        if happens("mail: busy"):
            self.busy[message.reservation_id] += 1
            return Rejected(server=SERVER, reason="temporary", final=False, reply_code=451, reply="try later")
        if happens("mail: later"):
            wait = timedelta(seconds=self._kernel.random.uniform(5, 120))
            return RetryLater(server=SERVER, reason="full", wait=wait)
        if happens("mail: message refused"):
            return Rejected(server=SERVER, reason="message_refused", final=True, reply_code=552, reply="no")
        if happens("mail: address refused"):
            return Rejected(
                server=SERVER, reason="address_refused", final=True, about_address=True, reply_code=550, reply="nobody"
            )
        return None
