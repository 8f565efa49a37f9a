"""Types of events register themselves: each says what types say, and a type that omits one stops the import."""

from pathlib import Path
from runpy import run_path
from types import ModuleType

import pytest

from domain.events.registry import EVENT_TYPES, LEVELS, SAID_BY_TYPES, collect_event_types, types_up_to
from domain.events.reservation import InviteAttempted, InviteFailed, ReservationEvent, UseReserved

BODY = {"IMPORTANCE": "'step'", "LANDMARK": "False", "CHANGES_STATE": "True", "MEANING": "'use'"}


def run_module(folder: Path, source: str) -> ModuleType:
    file, module = folder / "made_up.py", ModuleType("domain.events.made_up")
    file.write_text(source, "utf-8")
    vars(module).update(run_path(str(file), run_name=module.__name__))
    return module


def write_type(*names: str, base: str = "Event") -> str:
    """Return the source of a type that says these, and inherits the others at most."""
    lines = [f"{name} = {BODY[name]}" for name in names] or ["pass"]
    imports = "from domain.events.event import Event\nfrom domain.events.reservation import UseReserved\n"
    return f"{imports}class NewFact({base}, frozen=True, kw_only=True):\n    " + "\n    ".join(lines)


def test_registry_holds_the_leaves_by_name(tmp_path: Path) -> None:
    """A class that others extend is not stored, and a class outside of the package is not one of its types."""

    class Extended(UseReserved, frozen=True, kw_only=True):
        """A type of a test."""

    assert EVENT_TYPES["UseReserved"] is UseReserved
    assert ReservationEvent not in EVENT_TYPES.values()
    assert Extended not in EVENT_TYPES.values()
    assert list(EVENT_TYPES) == sorted(EVENT_TYPES)
    assert list(collect_event_types([run_module(tmp_path, write_type(*BODY))])) == ["NewFact"]


@pytest.mark.parametrize("base", ["Event", "UseReserved"])
@pytest.mark.parametrize("omitted", SAID_BY_TYPES)
def test_registry_rejects_a_type_without_required_attributes(omitted: str, base: str, tmp_path: Path) -> None:
    said = [name for name in SAID_BY_TYPES if name != omitted]

    with pytest.raises(TypeError, match=rf"^domain\.events\.made_up\.NewFact does not say {omitted}$"):
        collect_event_types([run_module(tmp_path, write_type(*said, base=base))])


def test_registry_rejects_a_type_that_is_extended(tmp_path: Path) -> None:
    """A type with a subtype would silently be no type any more."""
    source = write_type(*BODY) + "\nclass Newer(NewFact, frozen=True, kw_only=True):\n    IMPORTANCE = 'noise'"

    with pytest.raises(TypeError, match=r"NewFact is extended, so it is not stored: remove IMPORTANCE, LANDMARK"):
        collect_event_types([run_module(tmp_path, source)])


def test_values_of_types_are_not_fields() -> None:
    """Stored events hold nothing that their type says."""
    assert not {*SAID_BY_TYPES} & {name for kind in EVENT_TYPES.values() for name in kind.__struct_fields__}


def test_each_level_includes_the_one_before() -> None:
    shown = [set(types_up_to(level)) for level in LEVELS]

    assert shown[0] < shown[1] < shown[2] == set(EVENT_TYPES.values())
    assert UseReserved in shown[0]
    assert InviteFailed in shown[1] - shown[0]
    assert InviteAttempted in shown[2] - shown[1]
