"""What a configuration file would change, one object at a time."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, NamedTuple, Protocol, TypeVar
from uuid import UUID

from api.errors import ApplicationError
from api.i18n.messages import refusal_detail
from api.schemas.campaigns import LimitChoiceView
from api.use_cases.services import Caller, LedgerServices
from domain.errors import Refusal
from domain.events.campaign import Counting
from domain.ports import Language
from projections.config.settings import LedgerSettings
from projections.repositories.channel_form import ChannelForm

Kind = Literal["group", "webhook", "campaign", "key"]
Action = Literal["create", "change", "remove"]
ABSENT: Final = object()
"""The value of a field that one of two documents lacks."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanContext:
    """What planning works with.

    Attributes:
        services: What a use case needs.
        caller: Who asks.
        settings: Of the ledger.
        channel_kinds: The kinds of channels that groups can have, by name.
        language: Of the reasons why something is refused.
        counting: Which uses limits of campaigns count that change; None: as before, or all.
        note: The reason of the changes.
        prunes: Whether what the file does not name is removed, of the kinds that it has.
    """

    services: LedgerServices
    caller: Caller
    settings: LedgerSettings
    channel_kinds: Mapping[str, ChannelForm]
    language: Language
    counting: Counting | None = None
    note: str = ""
    prunes: bool = False

    def explain(self, error: ApplicationError | Refusal) -> str:
        """Return why something is refused."""
        return refusal_detail(error.code, self.language, **error.facts)


class Existing(NamedTuple, Generic[T]):
    """An object of the ledger, by what an entry can name it."""

    object_id: UUID
    name: str
    has_ended: bool
    value: T


class NamedEntry(Protocol):
    """An entry of an object with an id."""

    @property
    def id(self) -> UUID | None:
        """The object that it is about; None: the one with its name."""

    @property
    def entry_name(self) -> str:
        """The name of its object."""


E = TypeVar("E", bound=NamedEntry)


class FieldChange(NamedTuple):
    """A field of an object: its value now, and that of the file; None where there is none."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChange:
    """A change of one object.

    Attributes:
        kind: Of the object.
        name: By which the file names it.
        action: What happens to it.
        differences: Its fields that change.
        live: What is in use of it now, by name.
        then: What will be in use after the change, by name, as far as it changes that.
        choices: What changed limits of a campaign would mean for its uses.
        problem: Why it is not possible; then nothing of the file is applied.
        perform: Does it, and returns a new secret, to be shown once; raises `ApplicationError` if it is refused.
    """

    kind: Kind
    name: str
    action: Action
    differences: Sequence[FieldChange] = ()
    live: Mapping[str, object]
    then: Mapping[str, object] = field(default_factory=dict)
    choices: Sequence[LimitChoiceView] = ()
    problem: str | None = None
    perform: Callable[[], str | None]


def list_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[FieldChange]:
    """Return the fields in which two documents differ; a field of an inner table has a dotted name."""
    flat_before, flat_after = _flatten(before), _flatten(after)
    return [
        FieldChange(name, flat_before.get(name), flat_after.get(name))
        for name in sorted({*flat_before, *flat_after})
        if flat_before.get(name, ABSENT) != flat_after.get(name, ABSENT)
    ]


def pair_entries(entries: Iterable[E], objects: Sequence[Existing[T]]) -> list[tuple[E, Existing[T] | str | None]]:
    """Return each entry with the object that it is about, None if there is none, or why that is not clear.

    An entry with an id is about that object. One without is about the object with its name that no other entry names by
    its id: one that has not ended, else the newest that has.

    Args:
        entries: With `id` and `entry_name`.
        objects: Oldest first.
    """
    listed = list(entries)
    by_id = {one.object_id: one for one in objects}
    ids = {entry.id for entry in listed if entry.id is not None}
    unnamed = [one for one in objects if one.object_id not in ids]
    pairs: list[tuple[E, Existing[T] | str | None]] = []
    for entry in listed:
        if entry.id is None:
            pairs.append((entry, _find_by_name(entry.entry_name, unnamed)))
        else:
            missing = f"there is none with the id {entry.id}: leave the id out to create it"
            pairs.append((entry, by_id.get(entry.id, missing)))
    return pairs


def plan_entries(
    context: PlanContext,
    kind: Kind,
    entries: Iterable[E],
    objects: Sequence[Existing[T]],
    plan: Callable[[E, Existing[T] | None], PlannedChange | None],
    remove: Callable[[T], PlannedChange],
) -> Iterator[PlannedChange]:
    """Yield the change of each object that differs from its entry, then the removal of others if the context prunes.

    Args:
        context: What planning works with.
        kind: Of the objects.
        entries: As in `pair_entries`.
        objects: As in `pair_entries`.
        plan: Returns the change of the object that an entry is about, None for no change; the object is None if there
            is none.
        remove: Returns the removal of an object.
    """
    pairs = pair_entries(entries, objects)
    for entry, existing in pairs:
        change = refuse(kind, entry.entry_name, existing) if isinstance(existing, str) else plan(entry, existing)
        if change is not None:
            yield change
    if context.prunes:
        named = {one.object_id for _, one in pairs if isinstance(one, Existing)}
        yield from (remove(one.value) for one in objects if not one.has_ended and one.object_id not in named)


def _find_by_name(name: str, objects: Sequence[Existing[T]]) -> Existing[T] | str | None:
    same = [one for one in objects if one.name == name]
    live = [one for one in same if not one.has_ended]
    if len(live) > 1:
        ids = ", ".join(str(one.object_id) for one in live)
        return f"{len(live)} have this name: write the id of the one that is meant ({ids})"
    return next(reversed(live or same), None)


def refuse(kind: Kind, name: str, problem: str) -> PlannedChange:
    """Return a change that is not possible."""
    return PlannedChange(kind=kind, name=name, action="change", live={}, problem=problem, perform=_do_nothing)


def _do_nothing() -> None:
    return None


def _flatten(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
