"""What a run left behind, as plain facts. Knows neither the domain nor how they were gathered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.servers.mail_server import MailServer


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A reservation that was promised for an intent: one code for one address, under one Idempotency-Key."""

    intent: str
    reservation_id: str
    at: float = 0.0
    email: str = ""


@dataclass(frozen=True, slots=True)
class LogFact:
    code_id: str
    version: int
    kind: str
    data: Mapping[str, Any]

    @property
    def reservation_id(self) -> str:
        """The reservation it is about; empty for a code's own events."""
        return str(self.data.get("reservation_id", ""))


@dataclass(frozen=True, slots=True)
class ReservationFacts:
    reservation_id: str
    code_id: str
    status: str
    has_case: bool


@dataclass(frozen=True, slots=True)
class BalanceFacts:
    code_id: str
    max_uses: int | None
    used: int
    reserved: int


@dataclass(slots=True)
class Observations:
    """Everything that the checker looks at.

    Attributes:
        acks: Every acknowledgement, doubles included, in order.
        states: What the public API says of each acknowledged reservation; empty if it knows none.
        message_ids: Of each email that the mail server took, doubles included.
        defects: What clients saw that must not be: 500s, bodies that are no JSON.
    """

    acks: Sequence[Acknowledgement] = ()
    states: Mapping[str, str] = field(default_factory=dict)
    facts: Sequence[LogFact] = ()
    rows: Sequence[ReservationFacts] = ()
    balances: Sequence[BalanceFacts] = ()
    message_ids: Sequence[str] = ()
    defects: Sequence[str] = ()


def gathered_mails(server: MailServer) -> list[str]:
    """Message-IDs of the invitations that the mail server accepted, without refund notices and emails of hand-outs."""
    others = (".refund@", ".code-")
    return [message_id for message_id in server.message_ids() if not any(word in message_id for word in others)]
