"""The locks hold what the lists ask for, pinned and hashed, and name no place to fetch it from."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.locks import FOLDER, WHEELS, WITH_WHEELS, Pin, find_missing, read_digests, read_lock

IMAGE_KINDS = set(re.findall(r"requirements/(\w+)\.lock", (FOLDER.parent / "Dockerfile").read_text()))
"""Locks that an image can be built from."""
KINDS = ("runtime", "servers", "tracing", "kafka", "dev", "audit", "mutate")
PLACE = re.compile(r"://|^ *--?(i|index|extra-index|f|find-links|trusted-host|e|editable)\b", re.MULTILINE)


def asked(name: str) -> dict[str, Requirement]:
    requirements: dict[str, Requirement] = {}
    for line in (FOLDER / name).read_text().splitlines():
        if line.startswith("-r "):
            requirements |= asked(line.removeprefix("-r "))
        elif line and not line.startswith("#"):
            requirement = Requirement(line)
            requirements[canonicalize_name(requirement.name)] = requirement
    return requirements


def locked(name: str) -> dict[str, Pin]:
    return {pin.name: pin for pin in read_lock(name)}


@pytest.mark.parametrize("kind", KINDS)
def test_lock_holds_every_requirement_within_its_range(kind: str) -> None:
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


@pytest.mark.parametrize("kind", ["runtime", "servers", "tracing", "kafka"])
def test_every_runtime_pin_is_a_development_pin(kind: str) -> None:
    """Each pin of a lock of the ledger, its hashes included, is a pin of the development lock."""
    tested = {(pin.name, pin.version, pin.hashes) for pin in read_lock("dev.lock")}

    assert {(pin.name, pin.version, pin.hashes) for pin in read_lock(f"{kind}.lock")} <= tested, "run `make lock`"


def test_image_installs_no_private_servers() -> None:
    """No lock that the image can be built from has a package of the extra `local`."""
    assert {"runtime", "tracing", "kafka", "audit"} == IMAGE_KINDS
    for kind in IMAGE_KINDS:
        assert locked(f"{kind}.lock").keys() & asked("servers.in").keys() == set()


@pytest.mark.parametrize("kind", sorted({*WITH_WHEELS, *IMAGE_KINDS}))
def test_every_supported_machine_can_install_a_lock(kind: str) -> None:
    """Each pin has a wheel for each machine and Python, so that nothing is compiled."""
    assert find_missing(read_lock(f"{kind}.lock"), read_digests(WHEELS.read_text())) == []


def test_list_of_wheels_holds_files_of_the_locks_alone() -> None:
    digests = {digest for kind in WITH_WHEELS for pin in read_lock(f"{kind}.lock") for digest in pin.hashes}

    assert {f"sha256:{digest}" for digest in read_digests(WHEELS.read_text()).values()} <= digests, "run `make lock`"


def test_missing_wheel_is_named_with_its_machines() -> None:
    files = {f"server-1.0-cp{minor}-cp{minor}-manylinux_2_17_x86_64.whl": minor for minor in ("311", "312", "313")}
    files |= {"server-1.0-py3-none-macosx_11_0_arm64.whl": "mac", "server-0.9-py3-none-any.whl": "old"}
    pin = Pin(
        "server",
        "1.0",
        "sys_platform == 'darwin' or platform_machine == 'x86_64'",
        frozenset(f"sha256:{digest}" for digest in files.values()),
    )

    (sentence,) = find_missing([pin], files)
    assert sentence.startswith("server 1.0 has no wheel for linux x86_64 with Python 3.14: require another version")
    assert find_missing([pin._replace(marker="python_version < '3.14'")], files)[0].count("linux aarch64") == 3
    assert "Python 3.11" in find_missing([pin._replace(hashes=pin.hashes - {"sha256:311"})], files)[0]


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_no_list_names_a_place(path: Path) -> None:
    """Where packages come from is the machine's setting: lists and locks name no URL, index or path."""
    assert PLACE.findall(path.read_text()) == []
