"""`make run` in a fresh clone: what it installs, and with which pip."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.waiting import WAIT_S_MAX

ROOT = Path(__file__).parents[2]
PYTHON = """#!/bin/sh
# Stands for Python: records its arguments, and creates environments that hold copies of it.
here=$(dirname "$0")
echo "$(basename "$here") $*" >>"$RECORD"
case "$*" in
    *"-m pip --python"*" --version") exit "$BASE_PIP_STATUS" ;;
    "-m venv "*) mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp "$0" .venv/bin/ledger ;;
    "-m ensurepip") touch "$here/pip" ;;
    "-c import pip") [ -e "$here/pip" ] ;;
    *_base_executable*) echo "$PWD/base/python3" ;;
    *) : ;;
esac
"""
LOCKED = "install --quiet --require-hashes --only-binary :all: --no-deps --no-compile -r requirements"
EDITABLE = "install --quiet --no-deps --no-build-isolation --no-index --editable ."


def make_in_clone(clone: Path, target: str, base_pip_status: int) -> list[str]:
    """Run a target of the Makefile with the stand-in for Python; return what was run: program's folder, arguments."""
    shutil.copy(ROOT / "Makefile", clone)
    (clone / "requirements").mkdir()
    for name in ("requirements/runtime.lock", "requirements/dev.lock", "requirements/runtime.in", "pyproject.toml"):
        (clone / name).touch()
    (clone / "base").mkdir()
    (clone / "base/python3").write_text(PYTHON)
    (clone / "base/python3").chmod(0o755)
    record = clone / "record"
    # Under `make test ARGS=...`, a make inside would take over those arguments.
    outside = {
        name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES"}
    }
    env = {**outside, "RECORD": str(record), "BASE_PIP_STATUS": str(base_pip_status)}
    make = shutil.which("make") or "make"
    subprocess.run([make, target, f"PYTHON={clone}/base/python3"], cwd=clone, env=env, check=True, timeout=WAIT_S_MAX)
    return [line for line in record.read_text().splitlines() if not line.split()[1].startswith("-c")]


@pytest.mark.parametrize(("base_pip_status", "pip"), [(0, "base -m pip --python .venv/bin/python"), (1, "bin -m pip")])
def test_first_run_installs_the_runtime_lock_alone(tmp_path: Path, base_pip_status: int, pip: str) -> None:
    """The pip that Python has installs all, without bytecode; where it has none, the environment gets one first."""
    commands = make_in_clone(tmp_path, "run", base_pip_status)

    installed = [line for line in commands if "install" in line]
    assert installed == [f"{pip} {LOCKED}/runtime.lock", f"{pip} {EDITABLE}"]
    assert commands.count("bin -m ensurepip") == base_pip_status
    assert commands[-1] == "bin up"


def test_setup_adds_the_lock_of_tests_and_checks(tmp_path: Path) -> None:
    """The same pip installs both locks."""
    commands = make_in_clone(tmp_path, "setup", 0)

    pip = "base -m pip --python .venv/bin/python"
    assert sorted(line for line in commands if "install" in line) == sorted(
        [f"{pip} {LOCKED}/runtime.lock", f"{pip} {LOCKED}/dev.lock", f"{pip} {EDITABLE}"]
    )
