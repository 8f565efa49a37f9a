"""Systems of groups that have their own: they take invitations, remove accesses, and remember which have ended.

They follow docs/how-to/external-system.md: an invitation that is requested again is the same one, and one
whose end came first is refused. So what they have is what was asked for, less what they were told has ended.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

from domain.ports import Accepted, OutboundMessage, OutcomeUnknown, Removal, RemovalOutcome
from tests.simulation.fault_schedule import FaultSchedule
from tests.simulation.scheduler import Scheduler
from tests.simulation.services.mail_server import SERVER, SimulatedMailServer

OWN_SYSTEMS: Final = ("red", "blue")
"""Groups whose invitations go to a system of their own; all others get mail."""
BY_GROUP: Final[Mapping[str, str]] = MappingProxyType(dict.fromkeys(OWN_SYSTEMS, "webhook"))


class ExternalSystem(SimulatedMailServer):
    """`domain.ports.Channel`: one group's system.

    Attributes:
        has: Reservations whose invitation it took and was not told the end of.
        ended: Reservations of whose end it was told.
        on_asked: Receives each reservation that it was asked for and has.
    """

    name = "webhook"

    def __init__(
        self, scheduler: Scheduler, faults: FaultSchedule, now: Callable[[], datetime], mail: SimulatedMailServer
    ) -> None:
        super().__init__(scheduler, faults, now)
        self._mail = mail
        self.removals, self.busy = mail.removals, mail.busy
        self.has: set[UUID] = set()
        self.ended: set[UUID] = set()
        self.on_asked: Callable[[UUID], None] = lambda _: None

    def take(self, message: OutboundMessage) -> bool:
        """Invite, unless the end came first; whether it did."""
        if message.template == "invite":
            if message.reservation_id in self.ended:
                self._kernel.note("refuses what has ended", message.reservation_id)
                return False
            self.has.add(message.reservation_id)
            self.on_asked(message.reservation_id)
        return self._mail.take(message)

    def remove(self, removal: Removal) -> RemovalOutcome:
        """Remove it; the answer may be lost."""
        self.ended.add(removal.reservation_id)
        self.has.discard(removal.reservation_id)
        self._kernel.note("removed", removal.reservation_id)
        if self._faults.happens("removal: answer lost"):
            self._mail.on_removed(removal.reservation_id)
            return OutcomeUnknown(server=SERVER, cause="timeout")
        return Accepted(server=SERVER)

    def close(self) -> None:
        """Nothing is open."""
