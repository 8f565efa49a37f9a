"""Types of events and their terms: what a declaration lacks stops the import; former topics lead to those of today."""

from datetime import datetime
from pathlib import Path
from runpy import run_path
from types import ModuleType
from typing import Any

import pytest
from msgspec import defstruct

from domain.events.code_terms import find_invalid_term, list_checks
from domain.events.registry import EVENT_TYPES, LEVELS, SAID_BY_TYPES, collect_event_types, types_up_to
from domain.events.reservation import InviteAttempted, InviteFailed, ReservationEvent, UseReserved
from domain.events.upcasters import Upcast, upcast_chain
from domain.values.email_domains import DomainNames
from domain.values.number_bounds import Bounds

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


@pytest.mark.parametrize(
    ("name", "kind", "is_checked"),
    [
        ("seats", int | None, True),
        ("invented_time", datetime | None, True),
        ("invented_domains", DomainNames | None, True),
        ("hours", str | None, True),
        ("group", str | None, True),
        ("invented_number", int | None, False),
        ("invented_text", str | None, False),
        ("invented_flag", bool, False),
    ],
)
def test_term_needs_a_check_of_its_values(name: str, kind: type, *, is_checked: bool) -> None:
    """A text of any form could hold an email address, which no event may hold."""
    terms = defstruct("Terms", [(name, kind)])
    try:
        list_checks(terms, {"seats": Bounds(1, 9)}, {"hours": str.isdigit})
        refused = ""
    except TypeError as error:
        refused = str(error)

    assert refused.partition(":")[0] == ("" if is_checked else f"the values of Terms.{name} are not checked")


@pytest.mark.parametrize(
    ("terms", "invalid"),
    [
        ({"seats": 9, "hours": "8", "group": "anything"}, None),
        ({"seats": None, "hours": None}, None),
        ({"seats": 10}, "seats"),
        ({"seats": 1, "hours": "eight"}, "hours"),
    ],
)
def test_term_out_of_bounds_is_named(terms: dict[str, object], invalid: str | None) -> None:
    kinds: list[tuple[str, Any]] = [("seats", int | None), ("hours", str | None), ("group", str | None)]
    checks = list_checks(defstruct("Terms", kinds), {"seats": Bounds(1, 9)}, {"hours": str.isdigit})

    assert find_invalid_term(terms, checks) == invalid


TODAY = frozenset({"Sent:3"})
STEPS = {"Sent:1": Upcast("Sent:2", dict), "Sent:2": Upcast("Sent:3", dict)}


@pytest.mark.parametrize(("topic", "steps"), [("Sent:3", []), ("Sent:2", ["Sent:2"]), ("Sent:1", ["Sent:1", "Sent:2"])])
def test_chain_leads_to_a_topic_of_today(topic: str, steps: list[str]) -> None:
    assert upcast_chain(topic, TODAY, STEPS) == ("Sent:3", [STEPS[name] for name in steps])


def test_chain_without_a_next_step_is_refused() -> None:
    with pytest.raises(LookupError, match=r"no way from 'Sent:1' to an event of today: it ends at 'Sent:2'"):
        upcast_chain("Sent:1", TODAY, {"Sent:1": STEPS["Sent:1"]})


def test_chain_in_a_ring_is_refused() -> None:
    """It would never end."""
    with pytest.raises(LookupError, match="no way from 'a'"):
        upcast_chain("a", TODAY, {"a": Upcast("b", dict), "b": Upcast("a", dict)})
