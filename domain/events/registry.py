"""All types of events by name: the leaves among the classes of the modules of `domain.events`."""

from collections.abc import Iterable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Final, get_args

from domain import events
from domain.events.event import Event, Importance

LEVELS: Final[tuple[Importance, ...]] = get_args(Importance)
SAID_BY_TYPES: Final = ("IMPORTANCE", "LANDMARK", "CHANGES_STATE", "MEANING")
"""What each type says of itself, and inherits from no other."""


def collect_event_types(modules: Iterable[ModuleType]) -> Mapping[str, type[Event]]:
    """Return the types of events that some modules define, by name. A class that others extend is none.

    Raises:
        TypeError: A type does not say what each type says, or one that others extend does.
    """
    members = [(module, kind) for module in modules for kind in vars(module).values() if isinstance(kind, type)]
    kinds = [kind for module, kind in members if kind.__module__ == module.__name__ and issubclass(kind, Event)]
    extended = {base for kind in kinds for base in kind.__mro__[1:]}
    for kind in kinds:
        wrong = [name for name in SAID_BY_TYPES if (name in vars(kind)) == (kind in extended)]
        if wrong:
            problem = "is extended, so it is not stored: remove" if kind in extended else "does not say"
            raise TypeError(f"{kind.__module__}.{kind.__name__} {problem} {', '.join(wrong)}")
    return {kind.__name__: kind for kind in sorted(set(kinds) - extended, key=lambda kind: kind.__name__)}


EVENT_TYPES: Final = collect_event_types(
    import_module(module.name) for module in iter_modules(events.__path__, f"{events.__name__}.")
)
"""Every type of event by name, in the order of names."""


def topic_of(event_type: type[Event]) -> str:
    """Return the name under which a type is stored permanently, such as `UseReserved:1`; never a module path."""
    return f"{event_type.__name__}:{event_type.TOPIC_VERSION}"


def types_up_to(level: Importance) -> list[type[Event]]:
    """Return the types that are shown at a level: its own, and those of more importance."""
    shown = LEVELS[: LEVELS.index(level) + 1]
    return [kind for kind in EVENT_TYPES.values() if kind.IMPORTANCE in shown]
