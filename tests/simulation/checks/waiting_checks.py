"""Checks of waiting lists, told from the log alone: no one takes or is offered what is kept for those before them."""

from collections.abc import Iterator
from uuid import UUID

from msgspec import Struct, field

from domain.events.campaign import (
    CampaignEnded,
    CampaignTermsChanged,
    CampaignTermsEvent,
    CampaignUseReturned,
    CampaignUseTaken,
)
from domain.events.event import Event
from domain.events.waiting_list import WaitingListJoined, WaitingListLeft, WaitingOfferMade
from tests.simulation.checks.run_result import RunResult


class _Queue(Struct):
    """What the log says of one campaign by a position: free uses, who waits, and who of them has an offer."""

    limit: int | None = None
    uses: int = 0
    line: list[UUID] = field(default_factory=list)
    offered: set[UUID] = field(default_factory=set)

    def drop(self, recipient_id: UUID) -> None:
        """End the place of a person, if they have one."""
        if recipient_id in self.line:
            self.line.remove(recipient_id)
        self.offered.discard(recipient_id)


def find_overtaken(run: RunResult) -> Iterator[str]:
    """Replay each campaign and yield who was overtaken."""
    queues: dict[UUID, _Queue] = {}
    for fact in run.facts:
        queue = queues.setdefault(fact.code_id, _Queue())
        yield from (f"campaign {fact.code_id}: {problem}" for problem in _follow(queue, fact.event))


def _follow(queue: _Queue, event: Event) -> Iterator[str]:
    free = 0 if queue.limit is None else queue.limit - queue.uses
    if isinstance(event, WaitingListJoined):
        if event.recipient_id in queue.line or free > len(queue.line):
            yield f"{event.recipient_id} waits twice, or although a use is left"
        queue.line.append(event.recipient_id)
    elif isinstance(event, WaitingOfferMade):
        if event.recipient_id not in queue.offered and free <= len(queue.offered):
            yield f"{event.recipient_id} is offered a use that is offered to another person, or is not there"
        if {*queue.line[: queue.line.index(event.recipient_id)]} - queue.offered:
            yield f"{event.recipient_id} is offered a use before those who wait longer"
        queue.offered.add(event.recipient_id)
    elif isinstance(event, CampaignUseTaken):
        yield from _take(queue, event, free)
    else:
        _change(queue, event)


def _take(queue: _Queue, event: CampaignUseTaken, free: int) -> Iterator[str]:
    """Apply a use that is taken."""
    ahead = queue.line.index(event.recipient_id) if event.recipient_id in queue.line else len(queue.line)
    queue.uses += 1
    if event.reserved_at is None and queue.limit is not None:
        if ahead and event.corrects is None and free <= ahead:
            yield f"{event.recipient_id} takes a use ahead of {ahead} people who wait longer"
        queue.drop(event.recipient_id)


def _change(queue: _Queue, event: Event) -> None:
    """Apply what needs no check."""
    if isinstance(event, WaitingListLeft):
        queue.drop(event.recipient_id)
    elif isinstance(event, CampaignUseReturned):
        queue.uses -= 1
    elif isinstance(event, CampaignTermsEvent):
        queue.limit = event.max_uses
        if isinstance(event, CampaignTermsChanged) and event.counting is not None:
            queue.uses = 0
    if isinstance(event, CampaignEnded) or (isinstance(event, CampaignTermsEvent) and event.waiting_hours is None):
        queue.line, queue.offered = [], set()
