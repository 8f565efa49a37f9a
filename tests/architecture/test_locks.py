"""The locks hold what the lists ask for, pinned and hashed, and name no place to fetch it from."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FOLDER = Path(__file__).parents[2] / "requirements"
KINDS = ("runtime", "tracing", "dev", "audit", "mutate")
PLACE = re.compile(r"://|^ *--?(i|index|extra-index|f|find-links|trusted-host|e|editable)\b", re.MULTILINE)


class Pin(NamedTuple):
    """One locked release: the exact version, and the digests of the files that may be installed."""

    version: str
    hashes: frozenset[str]


def asked(name: str) -> dict[str, Requirement]:
    """Requirements of a list, by canonical name, with those of the lists that it includes."""
    requirements: dict[str, Requirement] = {}
    for line in (FOLDER / name).read_text().splitlines():
        if line.startswith("-r "):
            requirements |= asked(line.removeprefix("-r "))
        elif line and not line.startswith("#"):
            requirement = Requirement(line)
            requirements[canonicalize_name(requirement.name)] = requirement
    return requirements


def locked(name: str) -> dict[str, Pin]:
    """Pins of a lock, by canonical name.

    Raises:
        ValueError: A line that is neither a pin with `==` nor a hash nor a comment.
    """
    text = re.sub(r"^\s*#.*\n", "", (FOLDER / name).read_text(), flags=re.MULTILINE)
    pins: dict[str, Pin] = {}
    for entry in text.replace("\\\n", " ").splitlines():
        package, *hashes = re.split(r"\s+--hash=", entry.strip())
        pin = re.fullmatch(r"([\w.-]+)(\[[\w,-]+\])?==([\w.+!]+)( ; .+)?", package)
        if pin is None:
            message = f"{name}: not a pin: {package!r}"
            raise ValueError(message)
        pins[canonicalize_name(pin[1])] = Pin(pin[3], frozenset(hashes))
    return pins


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_holds_every_requirement_within_its_range(kind: str) -> None:
    """Each requirement of the list is pinned in the lock to a version that the list allows."""
    pins = locked(f"{kind}.lock")
    missing = [
        str(requirement)
        for name, requirement in asked(f"{kind}.in").items()
        if name not in pins or not requirement.specifier.contains(pins[name].version)
    ]

    assert missing == [], "run `make lock`"


@pytest.mark.parametrize("kind", KINDS)
def test_every_pin_has_hashes(kind: str) -> None:
    """Nothing can be installed whose content is not known."""
    bare = [
        name
        for name, pin in locked(f"{kind}.lock").items()
        if not pin.hashes or not all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in pin.hashes)
    ]

    assert bare == []


def test_the_image_runs_what_was_tested() -> None:
    """Each pin of the runtime lock, its hashes included, is the pin of the development lock."""
    runtime, dev = locked("runtime.lock"), locked("dev.lock")

    assert runtime == {name: dev.get(name) for name in runtime}, "run `make lock`"


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_no_list_names_a_place(path: Path) -> None:
    """Where packages come from is the machine's setting: lists and locks name no URL, index or path."""
    assert PLACE.findall(path.read_text()) == []
