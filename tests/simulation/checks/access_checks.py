"""What must hold of accesses, seen from outside: who was told, what ended when, and what was removed after what."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from uuid import UUID

from domain.events.access import (
    AccessCorrected,
    AccessExpired,
    AccessRemovalFailed,
    AccessRemoved,
    AccessReplaced,
    AccessRevoked,
    ExpiryAnnounced,
)
from domain.events.event import STAFF, Event
from domain.events.reservation import InviteSent, LateSuccessRecorded, RebindReserved
from projections.event_store.side_tables import EXPIRY_NOTICE_PREFIX
from tests.simulation.checks.run_result import RunResult

Violations = Iterator[str]
ENDS = (AccessExpired, AccessReplaced, AccessRevoked, AccessCorrected)


def find_broken_access_rules(run: RunResult) -> Violations:
    for rule in (_check_notices, _taken_away, _count_removals, _moved, _over):
        yield from rule(run)


def _check_notices(run: RunResult) -> Violations:
    """An email about the end only after it was announced, and no more often than it was tried."""
    announced = {
        (fact.event.reservation_id, fact.event.days): fact.at
        for fact in run.facts
        if isinstance(fact.event, ExpiryAnnounced)
    }
    count: Counter[tuple[UUID, int]] = Counter()
    for accepted in run.accepted_messages:
        message = accepted.message
        if message.template != "ends_soon":
            continue
        mark = (message.reservation_id, int(message.message_id.partition("@")[0].rpartition("-")[2]))
        count[mark] += 1
        if announced.get(mark, accepted.at) >= accepted.at:
            yield f"{mark} was told of an end that was not announced in the log"
        elif count[mark] > run.store.outbox[mark[0], f"{EXPIRY_NOTICE_PREFIX}{mark[1]}"].attempts:
            yield f"{mark} was told too often"


def _taken_away(run: RunResult) -> Violations:
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
        ended_at = ended.get(removal.reservation_id)
        if ended_at is None or ended_at[0] >= at:
            yield f"{removal.reservation_id} was taken away while its access stood"
        elif ended_at[1] != removal.cause:
            yield f"{removal.reservation_id} was taken away as {removal.cause} and is {ended_at[1]}"


def _count_removals(run: RunResult) -> Violations:
    """Each time that the channel was asked is in the log, also if no worker lived to record the answer.

    A system may report the end before the answer is recorded, which then says nothing new.
    """
    asked = Counter(removal.reservation_id for _, removal in run.removals)
    recorded = Counter(
        fact.event.reservation_id
        for fact in run.facts
        if isinstance(fact.event, AccessRemovalFailed | AccessRemoved)
        or (isinstance(fact.event, AccessRevoked) and fact.event.actor == "channel")
    )
    for reservation_id in sorted(asked.keys()):
        if asked[reservation_id] > recorded[reservation_id]:
            yield f"{reservation_id} was taken away {asked[reservation_id]} times, recorded {recorded[reservation_id]}"


def _moved(run: RunResult) -> Violations:
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


def _chains(run: RunResult, asked: dict[UUID, RebindReserved]) -> Violations:
    standing: dict[UUID, list[UUID]] = defaultdict(list)
    for key, event in asked.items():
        reservation, former = run.store.reservations[key], run.store.reservations[event.follows or key]
        if reservation.occupies_use:
            standing[former.reservation_id].append(key)
        if reservation.access_ends_at != former.access_ends_at:
            yield f"{key} ends at {reservation.access_ends_at}, and what it moved at {former.access_ends_at}"
        if reservation.status == "sent" and former.has_active_access:
            yield f"{key} was sent, and the access of {former.reservation_id} stands still"
    for former_id, keys in standing.items():
        if len(keys) > 1:
            yield f"{former_id} was moved more than once: {sorted(keys)}"


def _over(run: RunResult) -> Violations:
    """When days have passed, no access continues after its end."""
    if run.ended_at is None:
        return
    for reservation in run.store.reservations.values():
        if reservation.access_due_at is not None and reservation.access_due_at <= run.ended_at:
            due_at = reservation.access_due_at
            yield f"{reservation.reservation_id} has an access about which something is due since {due_at}"


def _is_sent(event: Event) -> bool:
    retaken = isinstance(event, LateSuccessRecorded) and event.effect == "retaken"
    return isinstance(event, InviteSent) or retaken
