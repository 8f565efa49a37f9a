"""What caused an event and what it caused, across the reservations of a code: corrections, further uses and rebinds.

An event names its cause by version. A further use (`again`) names the reservation that it follows instead.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple
from uuid import UUID

from domain.events.access import AccessCorrected, AccessReplaced
from domain.events.event import Event
from domain.events.reservation import NoteAdded, ReservationEvent, ReservationStarted, UseRefunded
from projections.read_models.past_states import PastStateReader
from projections.read_models.support_queries import SupportReader

EFFECTS_MAX: Final = 25
"""Most effects of the event itself that are shown."""
CAUSES_MAX: Final = 10
"""Most events before it that are shown, the nearest."""
EVENTS_MAX: Final = 40
RESERVATIONS_MAX: Final = 12
"""Most reservations whose events are read."""
ROUNDS_MAX: Final = 4
"""How many reservations away a linked one may be: a corrected one that was used again and moved is three."""
EVENTS_BETWEEN_MAX: Final = 4
"""Events after a correction's refund in its append: CaseClosed, AccessCorrected, AccessRemoved and UseReserved."""
COMPANIONS_MAX: Final = 10

Relation = Literal["causes", "followed_by"]


class CauseLink(NamedTuple):
    """One event leads to another: it caused it, or its reservation is the one that the other follows."""

    cause: int
    effect: int
    relation: Relation


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseGraph:
    """An event between what led to it and what followed from it.

    Attributes:
        events: By version, in order.
        links: Between these events.
        is_more: Whether events that led to it or followed from it are left out.
        companions: Events on other codes with the same correlation id that are close in the log: code and version.
        has_more_companions: Whether there are more of them than are listed.
    """

    focus: int
    events: dict[int, Event]
    links: list[CauseLink]
    is_more: bool
    companions: list[tuple[UUID, int]]
    has_more_companions: bool


def find_causes(reader: SupportReader, statements: PastStateReader, code_id: UUID, version: int) -> CauseGraph | None:
    """Return the graph around one event; None if there is no such event."""
    entries = statements.read_entries(code_id, [version])
    if not entries:
        return None
    position, focus = entries[0].position, entries[0].event
    events: dict[int, Event] = {version: focus}
    effects = reader.list_effects(code_id, version, EFFECTS_MAX + 1)
    near_versions = [*effects[:EFFECTS_MAX], *([focus.caused_by] if focus.caused_by else [])]
    events |= _read(statements, code_id, near_versions)
    family, is_family_cut = _read_family(reader, statements, code_id, events)
    events |= family
    _add_causes(statements, code_id, version, events)
    links = _link(events)
    nearest = _select(version, links)
    shown = sorted(nearest)
    companions = (
        []
        if focus.correlation_id is None
        else reader.list_companions(focus.correlation_id, code_id, position, COMPANIONS_MAX + 1)
    )
    return CauseGraph(
        focus=version,
        events={each: events[each] for each in shown},
        links=[link for link in links if link.cause in nearest and link.effect in nearest],
        is_more=is_family_cut or len(effects) > EFFECTS_MAX or len(nearest) < len(_select(version, links, len(events))),
        companions=companions[:COMPANIONS_MAX],
        has_more_companions=len(companions) > COMPANIONS_MAX,
    )


def _read(statements: PastStateReader, code_id: UUID, versions: Sequence[int]) -> dict[int, Event]:
    return {entry.version: entry.event for entry in statements.read_entries(code_id, versions)}


def _read_family(
    reader: SupportReader, statements: PastStateReader, code_id: UUID, events: Mapping[int, Event]
) -> tuple[dict[int, Event], bool]:
    """Return the events of the reservations that these are about or link to, and whether there are more."""
    family: dict[int, Event] = {}
    read_ids: set[UUID] = set()
    linked_ids = list(_list_linked(events.values()))
    new_ids = linked_ids[:RESERVATIONS_MAX]
    is_cut = len(new_ids) < len(linked_ids)
    for _ in range(ROUNDS_MAX):
        if not new_ids:
            break
        read_ids.update(new_ids)
        members: dict[int, Event] = {
            version: event
            for history in reader.read_reservation_events(new_ids).values()
            if history.code_id == code_id
            for version, event in history.events
        }
        corrected = [
            version
            for version, event in members.items()
            if isinstance(event, UseRefunded) and event.cause == "corrected"
        ]
        after = [version + step for version in corrected for step in range(1, EVENTS_BETWEEN_MAX + 1)]
        linked = [*_list_linked(members.values()), *_list_linked(_read(statements, code_id, after).values())]
        family |= members
        linked_ids = [
            each for each in dict.fromkeys([*linked, *reader.list_followers(new_ids)]) if each not in read_ids
        ]
        new_ids = linked_ids[: RESERVATIONS_MAX - len(read_ids)]
        is_cut = is_cut or len(new_ids) < len(linked_ids)
    return family, is_cut or bool(new_ids)


def _list_linked(events: Iterable[Event]) -> dict[UUID, None]:
    """Return the reservations that events are about or name, in order."""
    linked: dict[UUID, None] = {}
    for event in events:
        if isinstance(event, ReservationEvent):
            linked[event.reservation_id] = None
        if isinstance(event, ReservationStarted):
            linked |= dict.fromkeys(
                each for each in (event.follows, event.corrects, event.waits_for) if each is not None
            )
        if isinstance(event, AccessReplaced | AccessCorrected):
            linked[event.by] = None
    return linked


def _add_causes(statements: PastStateReader, code_id: UUID, version: int, events: dict[int, Event]) -> None:
    """Read causes that are about no reservation that was read, such as the end of a code."""
    for _ in range(CAUSES_MAX):
        cause = events[version].caused_by
        if cause is None:
            return
        if cause not in events:
            events |= _read(statements, code_id, [cause])
        if cause not in events:
            return
        version = cause


def _link(events: Mapping[int, Event]) -> list[CauseLink]:
    """Return the links between events, by effect."""
    links = []
    newest: dict[UUID, int] = {}
    for version in sorted(events):
        event = events[version]
        if event.caused_by is not None:
            if event.caused_by in events and event.caused_by < version:
                links.append(CauseLink(event.caused_by, version, "causes"))
        elif isinstance(event, ReservationStarted) and event.follows in newest:
            links.append(CauseLink(newest[event.follows], version, "followed_by"))
        if isinstance(event, ReservationEvent) and not isinstance(event, NoteAdded):
            newest[event.reservation_id] = version
    return links


def _select(focus: int, links: Sequence[CauseLink], most: int | None = None) -> set[int]:
    """Return the event, the nearest that led to it and that followed from it; `most` replaces both bounds."""
    causes: dict[int, list[int]] = {}
    effects: dict[int, list[int]] = {}
    for link in links:
        causes.setdefault(link.effect, []).append(link.cause)
        effects.setdefault(link.cause, []).append(link.effect)
    before = _walk(focus, causes, CAUSES_MAX if most is None else most)
    return before | _walk(focus, effects, EVENTS_MAX - len(before) if most is None else most)


def _walk(start: int, neighbors: Mapping[int, Sequence[int]], most: int) -> set[int]:
    """Return what can be reached, the nearest first, with the start."""
    seen, queue = {start: None}, [start]
    for version in queue:
        for each in neighbors.get(version, ()):
            if each not in seen and len(seen) <= most:
                seen[each] = None
                queue.append(each)
    return set(seen)
