"""Whose address the retention keeps for codes that were handed out, told from the log alone.

A code keeps it while it can be redeemed, unless the only email with it definitely did not arrive.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from domain.events.campaign import CampaignEnded, CampaignEvent, CampaignTermsEvent
from domain.events.code import CodeRevoked
from domain.events.code_terms import TermsEvent
from domain.events.event import Event
from domain.events.hand_out import CodeHandedOut, HandOutBounced, HandOutFailed, HandOutMailEvent, HandOutSkipped
from domain.events.reservation import ReservationStarted
from domain.events.waiting_list import WaitingListEvent
from tests.simulation.checks.run_result import RunResult
from tests.simulation.checks.threshold_checks import change_of_uses
from tests.simulation.services.retention import RETENTION

SLACK: Final = timedelta(seconds=60)
"""How long after its time an address is erased at the latest, at the end of a run."""


class _Code(Struct):
    """A code by a position of the log. Where it has an end, `may_end`: the check does not work out which one."""

    line_id: UUID | None = None
    campaign_id: UUID | None = None
    uses: int = 0
    may_end: bool = False
    was_sent_again: bool = False
    is_lost: bool = False
    last_at: datetime | None = None

    def change(self, event: Event) -> None:
        self.last_at = event.at
        self.uses += change_of_uses(event)
        if isinstance(event, CodeRevoked) or (isinstance(event, TermsEvent) and event.expires_at is not None):
            self.may_end = True
        if isinstance(event, HandOutMailEvent):
            self.was_sent_again |= event.mail > 1
            self.is_lost |= isinstance(event, HandOutFailed | HandOutBounced | HandOutSkipped)


class _Handed:
    """The codes that were handed out by a position of the log, by recipient."""

    def __init__(self, run: RunResult) -> None:
        self._run = run
        self._codes = defaultdict[UUID, _Code](_Code)
        self._of_recipient = defaultdict[UUID, list[UUID]](list)
        self._ends, self._others = set[UUID](), set[UUID]()

    def follow(self, stream_id: UUID, event: Event) -> None:
        if isinstance(event, ReservationStarted | WaitingListEvent):
            self._others.add(event.recipient_id)
        if isinstance(event, CampaignEnded) or (isinstance(event, CampaignTermsEvent) and event.ends_at is not None):
            self._ends.add(stream_id)
        if isinstance(event, CampaignEvent):
            return
        self._codes[stream_id].change(event)
        if isinstance(event, CodeHandedOut):
            self._codes[stream_id].line_id = event.line_id or stream_id
            self._codes[stream_id].campaign_id = self._run.store.hand_outs[event.hand_out_id].campaign_id
            self._of_recipient[event.recipient_id].append(stream_id)

    def find_redeemable(self, recipient_id: UUID) -> Iterator[UUID]:
        """Yield codes that a person may have, and that have no end, and no use."""
        for code_id in self._of_recipient[recipient_id]:
            code = self._codes[code_id]
            has_end = code.may_end or code.campaign_id in self._ends
            if self._may_have_arrived(code) and not has_end and not code.uses:
                yield code_id

    def find_lost(self, before: datetime) -> Iterator[UUID]:
        """Yield recipients with nothing but codes of which no email arrived, all of them older than a time."""
        rows = self._run.store.lists.rows
        waits = {row.recipient_id for code_id, row in rows.items() if code_id not in self._run.store.handed_out}
        waits |= {recipient_id for recipient_id, _ in self._run.store.suppressed} | self._others
        for recipient_id in self._of_recipient.keys() - waits:
            codes = [self._codes[code_id] for code_id in self._of_recipient[recipient_id]]
            if all(not self._may_have_arrived(each) and each.last_at and each.last_at < before for each in codes):
                yield recipient_id

    def _may_have_arrived(self, code: _Code) -> bool:
        """Return whether an email may have arrived; the emails of a line are those of its first code."""
        first = None if code.line_id is None else self._codes[code.line_id]
        return first is not None and first.line_id is not None and (first.was_sent_again or not first.is_lost)


def find_wrong_erasures_of_hand_outs(run: RunResult) -> Iterator[str]:
    """No address is erased while a code waits for the person, and none is kept for codes that never arrived."""
    handed = _Handed(run)
    erasures = iter(run.store.erased)
    erased = next(erasures, None)
    for position, fact in enumerate([*run.facts, None]):
        while erased is not None and erased.position == position:
            for code_id in handed.find_redeemable(erased.recipient_id):
                yield f"the address of {erased.recipient_id} is erased, and they may have code {code_id}"
            erased = next(erasures, None)
        if fact is not None:
            handed.follow(fact.code_id, fact.event)
    for recipient_id in () if run.ended_at is None else handed.find_lost(run.ended_at - RETENTION - SLACK):
        if recipient_id in run.store.addresses:
            yield f"the address of {recipient_id} is kept, and no email with their codes arrived"
