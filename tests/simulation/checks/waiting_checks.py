"""Checks of waiting lists, told from the log alone: no one takes or is offered what is kept for those before them.

And it is kept until the deadline of the offer, which has all its hours from when it can be taken.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct, field

from domain.events.campaign import (
    CampaignEnded,
    CampaignEvent,
    CampaignPaused,
    CampaignResumed,
    CampaignTermsChanged,
    CampaignTermsEvent,
    CampaignUseReturned,
    CampaignUseTaken,
)
from domain.events.code import CodeIssued, CodeTermsChanged
from domain.events.event import Event
from domain.events.waiting_list import (
    WaitingListJoined,
    WaitingListLeft,
    WaitingOfferMade,
    WaitingOfferMailed,
    WaitingPlaceRespelled,
)
from tests.simulation.checks.run_result import RunResult
from tests.simulation.checks.threshold_checks import change_of_uses

LAST: Final = datetime.max.replace(tzinfo=UTC)
"""The end of an offer that was not made."""


class _Queue(Struct):
    """What the log says of one campaign by a position: free uses, who waits, and until when uses are kept."""

    limit: int | None = None
    uses: int = 0
    line: list[UUID] = field(default_factory=list)
    joined_by: dict[UUID, UUID] = field(default_factory=dict)
    offered: dict[UUID, datetime] = field(default_factory=dict)
    is_paused: bool = False
    hours: timedelta = timedelta()
    takable_since: dict[UUID, datetime] = field(default_factory=dict)

    def find_short(self) -> Iterator[str]:
        """Yield the offers that end before a person had all the hours in which they can be taken."""
        for person, since in self.takable_since.items():
            if self.offered[person] < since + self.hours:
                yield f"the offer to {person} ends {self.offered[person]} and can be taken since {since}"

    def follow_takable(self, at: datetime) -> None:
        """Note since when each offer can be taken: not during a pause, nor behind as many others as there are uses.

        A time after that of a later event was read off a clock that was ahead.
        """
        free = 0 if self.is_paused else len(self.line) if self.limit is None else max(0, self.limit - self.uses)
        takable = [person for person in self.line if person in self.offered][:free]
        self.takable_since = {person: min(at, self.takable_since.get(person, at)) for person in takable}

    def drop(self, recipient_id: UUID) -> None:
        """End the places of a person, if they have some: several, if they joined before a rule made them one."""
        self.line = [each for each in self.line if each != recipient_id]
        self.offered.pop(recipient_id, None)


class _Code(Struct):
    """The limit of a code, and its uses that are reserved or counted."""

    limit: int | None = None
    uses: int = 0

    def change(self, event: Event) -> None:
        self.uses += change_of_uses(event)
        if isinstance(event, CodeIssued | CodeTermsChanged):
            self.limit = event.max_uses


def find_overtaken(run: RunResult) -> Iterator[str]:
    queues: dict[UUID, _Queue] = {}
    codes: dict[UUID, _Code] = {}
    committed: dict[UUID, float] = {}
    for fact in run.facts:
        event, queue = fact.event, queues.setdefault(fact.code_id, _Queue())
        if committed.setdefault(fact.code_id, fact.at) != fact.at:  # offers are made again by the same commit
            committed[fact.code_id] = fact.at
            yield from queue.find_short()
        if isinstance(event, CampaignUseTaken):
            yield from _take_of_code(queue, event, codes[event.code_id])
        elif not isinstance(event, CampaignEvent):
            codes.setdefault(fact.code_id, _Code()).change(event)
        yield from (f"campaign {fact.code_id}: {problem}" for problem in _follow(queue, event))


def _follow(queue: _Queue, event: Event) -> Iterator[str]:
    free = 0 if queue.limit is None else queue.limit - queue.uses
    if isinstance(event, WaitingListJoined):
        if event.recipient_id in queue.line or free > len(queue.line):
            yield f"{event.recipient_id} waits twice, or although a use is left"
        queue.line.append(event.recipient_id)
        queue.joined_by[event.recipient_id] = event.code_id
    elif isinstance(event, WaitingPlaceRespelled):
        queue.line = [event.recipient_id if each == event.former_id else each for each in queue.line]
        queue.joined_by[event.recipient_id] = queue.joined_by[event.former_id]
        if event.former_id in queue.offered:
            queue.offered[event.recipient_id] = queue.offered.pop(event.former_id)
    elif isinstance(event, WaitingOfferMade):
        if event.recipient_id not in queue.offered and free <= len(queue.offered):
            yield f"{event.recipient_id} is offered a use that is offered to another person, or is not there"
        if {*queue.line[: queue.line.index(event.recipient_id)]} - queue.offered.keys():
            yield f"{event.recipient_id} is offered a use before those who wait longer"
        queue.offered[event.recipient_id] = event.until
    elif isinstance(event, WaitingOfferMailed | WaitingListLeft):
        yield from _settle(queue, event)
    elif isinstance(event, CampaignUseTaken):
        yield from _take(queue, event, free)
    else:
        _change(queue, event)
    queue.follow_takable(event.recorded_at or event.at)


def _settle(queue: _Queue, event: WaitingOfferMailed | WaitingListLeft) -> Iterator[str]:
    until = queue.offered.get(event.recipient_id)
    if isinstance(event, WaitingOfferMailed):
        if until is None:
            yield f"{event.recipient_id} got a deadline without an offer"
        queue.offered[event.recipient_id] = event.until
        return
    if event.cause == "expired" and (until is None or until > event.waits_from):
        yield f"the offer to {event.recipient_id} ended before its deadline"
    queue.drop(event.recipient_id)


def _take(queue: _Queue, event: CampaignUseTaken, free: int) -> Iterator[str]:
    ahead = queue.line.index(event.recipient_id) if event.recipient_id in queue.line else len(queue.line)
    queue.uses += 1
    if event.reserved_at is None and queue.limit is not None:
        if ahead and event.corrects is None and free <= ahead:
            yield f"{event.recipient_id} takes a use ahead of {ahead} people who wait longer"
        queue.drop(event.recipient_id)


def _take_of_code(queue: _Queue, event: CampaignUseTaken, code: _Code) -> Iterator[str]:
    """Look at the code whose use is taken, which is among its uses already."""
    if code.limit is None or event.reserved_at is not None or event.corrects is not None:
        return
    ahead = queue.line[: queue.line.index(event.recipient_id)] if event.recipient_id in queue.line else queue.line
    by_code = sum(
        queue.joined_by[person] == event.code_id and queue.offered.get(person, LAST) > event.at for person in ahead
    )
    if by_code and code.limit - code.uses < by_code:
        yield f"{event.recipient_id} takes a use of {event.code_id}, which is kept for those who wait by it"


def _change(queue: _Queue, event: Event) -> None:
    if isinstance(event, CampaignUseReturned):
        queue.uses -= 1
    elif isinstance(event, CampaignPaused | CampaignResumed):
        queue.is_paused = isinstance(event, CampaignPaused)
    elif isinstance(event, CampaignTermsEvent):
        queue.limit, queue.hours = event.max_uses, timedelta(hours=event.waiting_hours or 0)
        if isinstance(event, CampaignTermsChanged) and event.counting is not None:
            queue.uses = 0
    if isinstance(event, CampaignEnded) or (isinstance(event, CampaignTermsEvent) and event.waiting_hours is None):
        queue.line, queue.offered = [], {}
