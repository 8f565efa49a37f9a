"""What the retention of addresses promises, told from the log alone: no one is erased before everything has ended."""

from collections import defaultdict
from collections.abc import Iterator
from uuid import UUID

from domain.events.event import Event
from domain.events.reservation import (
    CaseClosed,
    CaseOpened,
    InviteAccepted,
    InviteAttempted,
    InviteDeferred,
    InviteFailed,
    InviteOutcomeUnknown,
    InviteSent,
    LateSuccessRecorded,
    ReservationEvent,
    ReservationStarted,
    UseRefunded,
)
from tests.simulation.checks.run_result import RunResult

Facts = dict[UUID, set[str]]
"""What keeps the address of a recipient, by reservation."""


def find_wrong_erasures(run: RunResult) -> Iterator[str]:
    """Whose address is erased has nothing under way, no open case, and accepted nothing until then."""
    recipients: dict[UUID, UUID] = {}
    facts_by_recipient: defaultdict[UUID, Facts] = defaultdict(dict)
    erasures = iter(run.store.erased)
    erased = next(erasures, None)
    for position, fact in enumerate([*run.facts, None]):
        while erased is not None and erased.position == position:
            for reservation_id, words in facts_by_recipient[erased.recipient_id].items():
                if words:
                    yield f"the address of {reservation_id} is erased, and it is {' and '.join(sorted(words))}"
            erased = next(erasures, None)
        if fact is None or not isinstance(event := fact.event, ReservationEvent):
            continue
        if isinstance(event, ReservationStarted):
            recipients[event.reservation_id] = event.recipient_id
        words = facts_by_recipient[recipients[event.reservation_id]].setdefault(event.reservation_id, set())
        _change(words, event)


def _change(words: set[str], event: Event) -> None:
    match event:
        case ReservationStarted():
            words.add("pending")
        case InviteAttempted():
            words.add("being sent")
        case InviteSent() | UseRefunded():
            words -= {"pending", "being sent"}
        case InviteFailed() | InviteDeferred() | InviteOutcomeUnknown() | LateSuccessRecorded():
            words.discard("being sent")
        case CaseOpened():
            words.add("a case")
        case CaseClosed():
            words.discard("a case")
        case InviteAccepted():
            words.add("accepted")
        case _:
            pass
