"""What a configuration file would change, one object at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeVar
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
        counting: Which uses changed limits of campaigns count; None: as before, or all.
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
        choices: What changed limits of a campaign would mean for its uses.
        problem: Why it is not possible; then nothing of the file is applied.
        perform: Does it, and returns a new secret, to be shown once; raises `ApplicationError` if it is refused.
    """

    kind: Kind
    name: str
    action: Action
    differences: Sequence[FieldChange] = ()
    live: Mapping[str, object]
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


def find_object(entry_id: UUID | None, name: str, named: Sequence[tuple[UUID, str, T]]) -> T | None:
    """Return the object that an entry is about; None if there is none.

    Args:
        entry_id: The id that it names, if it does.
        name: Its name.
        named: Id and name of each object, with the object.

    Raises:
        LookupError: Several have the name, or none the id; the text says so.
    """
    if entry_id is not None:
        for object_id, _, one in named:
            if object_id == entry_id:
                return one
        raise LookupError(f"there is none with the id {entry_id}: leave the id out to create it")
    same = [(object_id, one) for object_id, other, one in named if other == name]
    if len(same) > 1:
        ids = ", ".join(str(object_id) for object_id, _ in same)
        raise LookupError(f"{len(same)} have this name: write the id of the one that is meant ({ids})")
    return same[0][1] if same else None


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
