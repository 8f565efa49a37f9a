"""Imports point inward only: the contracts of pyproject.toml hold, and each of them is able to fail."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("domain", "projections", "api", "workers")

LAYERS = "Imports point inward: api and workers, projections, domain"
WORKERS = "Workers never import the API"
COMPOSITION = "The API meets the workers only in its composition root, api.main and api.cli"
DOMAIN = "The domain knows the standard library, msgspec, idna and eventsourcing"
CELERY = "Celery only in workers"
WEB = "FastAPI only in api"
DRIVER = "The PostgreSQL driver only in projections"

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
    ("workers", "import api.main", [WORKERS]),
    ("workers", "import starlette", [WEB]),
    ("workers", "import psycopg_pool", [DRIVER]),
    ("api", "import workers.tasks", [COMPOSITION]),
    ("api", "import kombu", [CELERY]),
    ("api", "import psycopg", [DRIVER]),
]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter with this repository's contracts on the packages in a folder."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"]
    return subprocess.run(
        [*command, str(ROOT / "pyproject.toml")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def lay_out(folder: Path) -> None:
    """Make the smallest tree that keeps every contract."""
    for package in PACKAGES:
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()
        (folder / package / "resource.py").touch()
    (folder / "api" / "cli").mkdir()
    (folder / "api" / "cli" / "__init__.py").write_text("import workers.tasks\n")
    (folder / "api" / "main.py").write_text("import workers\nimport workers.tasks\nimport fastapi\n")
    (folder / "workers" / "tasks.py").write_text("import celery\nimport projections.store\nimport domain\n")
    (folder / "projections" / "store.py").write_text("import psycopg\nimport eventsourcing.postgres\nimport domain\n")
    (folder / "domain" / "values.py").write_text(
        "import re\nimport msgspec\nimport idna\nimport eventsourcing.domain\n"
    )


def broken(output: str) -> list[str]:
    """Names of the contracts that a run reports as broken, in its order."""
    return re.findall(r"^(.+) BROKEN\b", output, re.MULTILINE)


def test_our_imports_keep_every_contract() -> None:
    """All contracts hold for the code as it is."""
    run = lint_imports(ROOT)

    assert (0, []) == (run.returncode, broken(run.stdout)), run.stdout + run.stderr


def test_what_the_contracts_allow_is_not_reported(tmp_path: Path) -> None:
    """The sample tree, which uses every allowed direction and the composition root, breaks nothing."""
    lay_out(tmp_path)

    run = lint_imports(tmp_path)

    assert (0, []) == (run.returncode, broken(run.stdout)), run.stdout + run.stderr


@pytest.mark.parametrize(("package", "statement", "contracts"), BREACHES)
def test_a_forbidden_import_is_reported(tmp_path: Path, package: str, statement: str, contracts: list[str]) -> None:
    """One forbidden import in one module breaks exactly the contracts that forbid it."""
    lay_out(tmp_path)
    (tmp_path / package / "resource.py").write_text(f"{statement}\n")

    run = lint_imports(tmp_path)

    assert (1, contracts) == (run.returncode, broken(run.stdout)), run.stdout + run.stderr


def test_loading_the_domain_loads_no_driver() -> None:
    """Importing all of the domain brings neither our outer packages nor a driver, web or task library in."""
    source = (
        "import importlib, pkgutil, sys, domain\n"
        "for found in pkgutil.walk_packages(domain.__path__, 'domain.'):\n"
        "    importlib.import_module(found.name)\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, timeout=50, check=True
    )
    loaded = set(run.stdout.split())

    assert "domain" in loaded
    assert set() == loaded & {
        *("projections", "api", "workers", "psycopg", "psycopg_pool", "redis", "celery", "kombu"),
        *("fastapi", "starlette", "pydantic", "sqlite3"),
    }
