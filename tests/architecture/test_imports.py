"""Imports point inward only: the contracts of pyproject.toml hold, and each of them is able to fail."""

import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest
from importlinter.application import use_cases
from importlinter.application.output import console
from importlinter.configuration import configure

from tests.support.waiting import WAIT_S_MAX

ROOT = Path(__file__).parents[2]
PACKAGES = ("domain", "projections", "api", "workers")

LAYERS = "Imports point inward: api and workers, projections, domain"
WORKERS = "Workers never import the API"
COMPOSITION = "The API meets the workers only in its composition root, api.main and api.cli"
DOMAIN = "The domain knows the standard library, msgspec, idna and eventsourcing"
CELERY = "Celery only in workers"
WEB = "FastAPI only in api"
DRIVER = "The PostgreSQL driver only in projections"
SQL = "Only projections run SQL"
COMMANDS = "Projections store what decisions say, and know no command"

BREACHES = [
    ("domain", "import projections", [LAYERS, DOMAIN]),
    ("domain", "import api", [LAYERS, DOMAIN]),
    ("domain", "import pydantic", [DOMAIN]),
    ("domain", "import redis", [DOMAIN]),
    ("domain", "from psycopg import Connection", [DOMAIN, DRIVER]),
    ("projections", "import api", [LAYERS]),
    ("projections", "import workers", [LAYERS]),
    ("projections", "from celery import Celery", [CELERY]),
    ("projections", "import fastapi", [WEB]),
    ("workers", "import api.settings", [WORKERS]),
    ("workers", "import starlette", [WEB]),
    ("projections", "from domain.command_bus import Command", [COMMANDS]),
    ("projections", "import domain.commands.access", [COMMANDS]),
    ("workers", "import psycopg_pool", [DRIVER]),
    ("api", "import workers.tasks", [COMPOSITION]),
    ("api", "import kombu", [CELERY]),
    ("api", "import psycopg", [DRIVER]),
    ("api", "import projections.sql", [SQL]),
    ("workers", "import projections.sql", [SQL]),
]

configure()


@dataclass(frozen=True)
class Sample:
    """A tree of packages with our names; while a test has it, imports find its packages instead of ours."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    def lint(self) -> tuple[bool, list[str]]:
        """Run import-linter with this repository's contracts; whether all are kept, and which it reports as broken."""
        are_kept = use_cases.lint_imports(
            str(ROOT / "pyproject.toml"), cache_dir=None, is_debug_mode=True, no_logo=True
        )
        return are_kept, broken(self.capture.readouterr().out)


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sample:
    """The smallest tree that keeps every contract."""
    lay_out(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    for package in PACKAGES:
        monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr(console, "width", 200)
    return Sample(tmp_path, capsys)


@cache
def rooms() -> dict[str, list[list[str]]]:
    """Layers of each package from the outermost to the innermost, as the contracts declare them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    return {
        container: [re.split(r"\s*\|\s*", layer) for layer in contract["layers"]]
        for contract in contracts
        for container in contract.get("containers", ())
    }


def lay_out(folder: Path) -> None:
    for package in PACKAGES:
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()
        for name in (name for layer in rooms()[package] for name in layer):
            (folder / package / name).mkdir()
            (folder / package / name / "__init__.py").touch()
    for module, statements in {
        "api/cli": ["workers.tasks"],
        "api/main": ["workers", "workers.tasks", "fastapi"],
        "workers/tasks": ["celery", "projections.database.connection", "domain"],
        "projections/database": ["psycopg", "eventsourcing.postgres", "domain"],
        "domain/values": ["re", "msgspec", "idna", "eventsourcing.domain"],
    }.items():
        write(folder, module, *(f"import {name}" for name in statements))


def write(folder: Path, module: str, *statements: str) -> None:
    (folder / module).mkdir(exist_ok=True)
    (folder / module / "__init__.py").write_text("".join(f"{statement}\n" for statement in statements))


def broken(output: str) -> list[str]:
    return re.findall(r"^(.+) BROKEN\b", output, re.MULTILINE)


def test_our_imports_keep_every_contract() -> None:
    """All contracts hold for the code as it is, by the command that `make check` runs."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S_MAX, check=False)

    assert (run.returncode, broken(run.stdout)) == (0, []), run.stdout + run.stderr


@pytest.mark.parametrize("package", [*PACKAGES, "benchmarks", "tests"])
def test_no_modules_import_each_other(package: str) -> None:
    """Not even for types alone: two modules that need each other are one decision, or a third one is missing."""
    graph = grimp.build_graph(package, cache_dir=None)
    importers = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}

    TopologicalSorter(importers).prepare()


def test_allowed_imports_are_not_reported(sample: Sample) -> None:
    assert sample.lint() == (True, [])


@pytest.mark.parametrize(("package", "statement", "contracts"), BREACHES)
def test_forbidden_import_is_reported(sample: Sample, package: str, statement: str, contracts: list[str]) -> None:
    write(sample.folder, f"{package}/{rooms()[package][-1][-1]}", statement)

    assert sample.lint() == (False, contracts)


@pytest.mark.parametrize("statement", ["import fastapi", "import api.http", "import api.cli"])
def test_http_in_a_use_case_is_reported(sample: Sample, statement: str) -> None:
    """Routes, pages and commands call use cases, never the other way round."""
    write(sample.folder, "api/use_cases", statement)

    are_kept, breaches = sample.lint()

    assert not are_kept
    assert "Use cases know no HTTP" in breaches


@pytest.mark.parametrize("package", PACKAGES)
def test_import_from_an_outer_room_is_reported(sample: Sample, package: str) -> None:
    outermost, innermost = rooms()[package][0][0], rooms()[package][-1][-1]
    write(sample.folder, f"{package}/{innermost}", f"import {package}.{outermost}")

    are_kept, breaches = sample.lint()

    assert not are_kept
    assert f"Inside {package}" in breaches


@pytest.mark.parametrize("package", PACKAGES)
def test_room_without_a_place_is_reported(sample: Sample, package: str) -> None:
    """A new package must be placed in the layers before anything can import it."""
    (sample.folder / package / "attic.py").touch()

    assert sample.lint() == (False, [f"Inside {package}"])


def test_loading_the_domain_loads_no_driver() -> None:
    source = (
        "import importlib, pkgutil, sys, domain\n"
        "for found in pkgutil.walk_packages(domain.__path__, 'domain.'):\n"
        "    importlib.import_module(found.name)\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S_MAX, check=True
    )
    loaded = set(run.stdout.split())

    assert "domain" in loaded
    assert set() == loaded & {
        *("projections", "api", "workers", "psycopg", "psycopg_pool", "redis", "celery", "kombu"),
        *("fastapi", "starlette", "pydantic", "sqlite3"),
    }
