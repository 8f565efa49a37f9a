"""What a run left behind: the log with its times, what clients were promised, and what the mail server accepted."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from domain.events.event import Event
from domain.model.suppression import ReportKind
from domain.policy import Policy
from domain.ports import Removal
from domain.values.mail.mail_token import MailRef
from projections.event_store.codec import decode
from tests.simulation.actors.clients import PromisedReservation
from tests.simulation.actors.hand_outs import SentHandOut
from tests.simulation.services.mail_server import AcceptedMessage
from tests.simulation.services.store import MemoryStore


class CommittedEvent(NamedTuple):
    """An event of the log, and when it was committed in simulated time."""

    at: float
    code_id: UUID
    event: Event


class RunResult(NamedTuple):
    store: MemoryStore
    facts: Sequence[CommittedEvent]
    acks: Sequence[PromisedReservation]
    accepted_messages: Sequence[AcceptedMessage]
    published: Sequence[Sequence[str]]
    code_ids: Sequence[UUID]
    in_time: Sequence[UUID]
    removals: Sequence[tuple[float, Removal]]
    busy: Mapping[UUID, int]
    policy: Policy
    ended_at: datetime | None
    sent_hand_outs: Sequence[SentHandOut]
    reported: Collection[tuple[MailRef, ReportKind]]
    acknowledged: Collection[tuple[MailRef, ReportKind]]


def facts_of(store: MemoryStore, committed_at: Sequence[float]) -> list[CommittedEvent]:
    return [
        CommittedEvent(at, UUID(str(stored_event.originator_id)), decode(stored_event.topic, stored_event.state))
        for at, stored_event in zip(committed_at, store.log, strict=True)
    ]
