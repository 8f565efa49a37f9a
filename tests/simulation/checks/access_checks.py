"""What must hold of accesses, seen from outside: who was told, what ended when, and what was taken away after what."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from domain.events import (
    STAFF,
    AccessCorrected,
    AccessExpired,
    AccessReplaced,
    AccessRevoked,
    Event,
    ExpiryAnnounced,
    InviteSent,
    LateSuccessRecorded,
    RebindReserved,
)
from projections.event_store.side_tables import EXPIRY_NOTICE_PREFIX

if TYPE_CHECKING:
    from tests.simulation.checks.run_checks import RunResult

Violations = Iterator[str]
ENDS = (AccessExpired, AccessReplaced, AccessRevoked, AccessCorrected)


def find_broken_access_rules(run: "RunResult") -> Violations:
    """Every promise about accesses that was broken."""
    for rule in (_told, _taken_away, _moved, _over):
        yield from rule(run)


def _told(run: "RunResult") -> Violations:
    """A letter about the end only after it was announced, and no more often than it was tried."""
    announced = {
        (fact.event.reservation_id, fact.event.days): fact.at
        for fact in run.facts
        if isinstance(fact.event, ExpiryAnnounced)
    }
    count: Counter[tuple[UUID, int]] = Counter()
    for taken in run.taken:
        letter = taken.letter
        if letter.template != "ends_soon":
            continue
        mark = (letter.reservation_id, int(letter.message_id.partition("@")[0].rpartition("-")[2]))
        count[mark] += 1
        if announced.get(mark, taken.at) >= taken.at:
            yield f"{mark} was told of an end that was not announced in the log"
        elif count[mark] > run.store.outbox[mark[0], f"{EXPIRY_NOTICE_PREFIX}{mark[1]}"].attempts:
            yield f"{mark} was told too often"


def _taken_away(run: "RunResult") -> Violations:
    """The channel is asked only for what has ended, and by the word for how it ended."""
    words = {
        AccessExpired: "expired",
        AccessReplaced: "moved",
        AccessRevoked: "withdrawn",
        AccessCorrected: "corrected",
    }
    ended: dict[UUID, tuple[float, str]] = {}
    for fact in run.facts:
        if isinstance(fact.event, ENDS):
            ended.setdefault(fact.event.reservation_id, (fact.at, words[type(fact.event)]))
    for at, removal in run.removals:
        known = ended.get(removal.reservation_id)
        if known is None or known[0] >= at:
            yield f"{removal.reservation_id} was taken away while its access stood"
        elif known[1] != removal.cause:
            yield f"{removal.reservation_id} was taken away as {removal.cause} and is {known[1]}"


def _moved(run: "RunResult") -> Violations:
    """A former access ends only after the new invitation was sent; persons move one as often as they may, no more."""
    sent: set[UUID] = set()
    asked: dict[UUID, RebindReserved] = {}
    for fact in run.facts:
        event = fact.event
        if _is_sent(event):
            sent.add(event.reservation_id)  # type: ignore[attr-defined]  # both kinds are about a reservation
        if isinstance(event, AccessReplaced) and event.by not in sent:
            yield f"{event.reservation_id} lost its access to {event.by}, which was not sent"
        if isinstance(event, RebindReserved):
            asked[event.reservation_id] = event
            limit = run.store.codes[fact.code_id].terms.rebinds_max
            most = run.policy.rebinds_max if limit is None else limit
            if event.actor not in STAFF and event.moves > most:
                yield f"{event.reservation_id} is move {event.moves} of at most {most}"
    yield from _chains(run, asked)


def _chains(run: "RunResult", asked: dict[UUID, RebindReserved]) -> Violations:
    standing: dict[UUID, list[UUID]] = defaultdict(list)
    for key, event in asked.items():
        item, former = run.store.reservations[key], run.store.reservations[event.follows or key]
        if item.occupies_use:
            standing[former.reservation_id].append(key)
        if item.access_ends_at != former.access_ends_at:
            yield f"{key} ends at {item.access_ends_at}, and what it moved at {former.access_ends_at}"
        if item.status == "sent" and former.has_active_access:
            yield f"{key} was sent, and the access of {former.reservation_id} stands still"
    for former_id, keys in standing.items():
        if len(keys) > 1:
            yield f"{former_id} was moved more than once: {sorted(keys)}"


def _over(run: "RunResult") -> Violations:
    """When days have passed, nobody keeps what is over."""
    if run.ended_at is None:
        return
    for item in run.store.reservations.values():
        if item.access_due_at is not None and item.access_due_at <= run.ended_at:
            yield f"{item.reservation_id} has an access about which something is due since {item.access_due_at}"


def _is_sent(event: Event) -> bool:
    retaken = isinstance(event, LateSuccessRecorded) and event.effect == "retaken"
    return isinstance(event, InviteSent) or retaken
