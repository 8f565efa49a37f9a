"""Commands of development: what `make run` installs in a fresh clone, and the lists that test runs and mutants read."""

import ast
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.architecture.locks import MACHINES
from tests.architecture.sources import ROOT, find, parse, read
from tests.support import optional_packages
from tests.support.long_files import LONG_FILES, order_of
from tests.support.optional_packages import OPTIONAL, describe_missing, may_run
from tests.support.waiting import WAIT_S_MAX

PYTHON = """#!/bin/sh
# Stands for Python: records its arguments, and creates environments that hold copies of it.
here=$(dirname "$0")
echo "$(basename "$here") $*" >>"$RECORD"
case "$*" in
    *"-m pip --python"*" --version") exit "$BASE_PIP_STATUS" ;;
    "-m venv "*) mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp "$0" .venv/bin/ledger ;;
    "-m ensurepip") touch "$here/pip" ;;
    "-c import pip") [ -e "$here/pip" ] ;;
    *"platform.machine()"*) echo "$MACHINE" ;;
    *_base_executable*) echo "$PWD/base/python3" ;;
    *) : ;;
esac
"""
LOCKED = "install --quiet --require-hashes --only-binary :all: --no-deps --no-compile -r requirements"
EDITABLE = "install --quiet --no-deps --no-build-isolation --no-index --editable ."


def make_in_clone(
    clone: Path, target: str, base_pip_status: int, machine: str = "linux aarch64"
) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "Makefile", clone)
    (clone / "requirements").mkdir()
    for name in (
        "requirements/servers.lock",
        "requirements/dev.lock",
        "requirements/runtime.in",
        "requirements/servers.in",
        "pyproject.toml",
    ):
        (clone / name).touch()
    (clone / "base").mkdir()
    (clone / "base/python3").write_text(PYTHON)
    (clone / "base/python3").chmod(0o755)
    # Under `make test ARGS=...`, a make inside would take over those arguments.
    outside = {
        name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES"}
    }
    env = {**outside, "RECORD": str(clone / "record"), "BASE_PIP_STATUS": str(base_pip_status), "MACHINE": machine}
    make = shutil.which("make") or "make"
    command = [make, target, f"PYTHON={clone}/base/python3"]
    return subprocess.run(
        command, cwd=clone, env=env, check=False, timeout=WAIT_S_MAX, stderr=subprocess.PIPE, text=True
    )


def read_commands(clone: Path) -> list[str]:
    """Return what was run there: program's folder, arguments."""
    lines = (clone / "record").read_text().splitlines()
    return [line for line in lines if not line.split()[1].startswith("-c")]


@pytest.mark.parametrize(("base_pip_status", "pip"), [(0, "base -m pip --python .venv/bin/python"), (1, "bin -m pip")])
def test_first_run_installs_the_lock_with_servers_alone(tmp_path: Path, base_pip_status: int, pip: str) -> None:
    """The pip that Python has installs all, without bytecode; where it has none, the environment gets one first."""
    assert make_in_clone(tmp_path, "run", base_pip_status).returncode == 0

    commands = read_commands(tmp_path)
    installed = [line for line in commands if "install" in line]
    assert installed == [f"{pip} {LOCKED}/servers.lock", f"{pip} {EDITABLE}"]
    assert commands.count("bin -m ensurepip") == base_pip_status
    assert commands[-1] == "bin up"


def test_setup_adds_the_lock_of_tests_and_checks(tmp_path: Path) -> None:
    assert make_in_clone(tmp_path, "setup", 0).returncode == 0

    commands = read_commands(tmp_path)
    pip = "base -m pip --python .venv/bin/python"
    assert sorted(line for line in commands if "install" in line) == sorted(
        [f"{pip} {LOCKED}/servers.lock", f"{pip} {LOCKED}/dev.lock", f"{pip} {EDITABLE}"]
    )


@pytest.mark.parametrize("machine", ["darwin x86_64", "linux riscv64"])
def test_machine_without_wheels_is_pointed_to_docker(tmp_path: Path, machine: str) -> None:
    """Nothing is created there. An Intel Mac is one."""
    done = make_in_clone(tmp_path, "run", 0, machine)

    assert done.returncode != 0
    assert f"no wheels for {machine}, only for linux-x86_64 linux-aarch64 darwin-arm64: use Docker" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_machines_of_the_makefile_are_those_of_the_locks() -> None:
    machines = re.search(r"^MACHINES := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert machines is not None
    assert machines[1].split() == [f"{machine.system}-{machine.processor}" for machine in MACHINES]


def test_long_files_exist_once() -> None:
    """A file that was renamed would take its place among the others in silence."""
    assert [name for name in LONG_FILES if not (ROOT / name).is_file()] == []
    assert len({*LONG_FILES}) == len(LONG_FILES)


def test_long_files_come_first_in_their_order() -> None:
    paths = [ROOT / name for name in ("tests/acceptance/test_logs.py", *reversed(LONG_FILES), "tests/unit/test_x.py")]

    assert sorted(paths, key=order_of) == [*(ROOT / name for name in LONG_FILES), paths[0], paths[-1]]


def test_optional_tests_exist_and_the_night_installs_their_packages() -> None:
    """A package that it lacks would make its tests fail there."""
    installed = read(".github/workflows/night.yml").split()
    needed = {word for optional in OPTIONAL.values() for word in optional.packages.split()}

    assert [optional.tests for optional in OPTIONAL.values() if not (ROOT / optional.tests).exists()] == []
    assert needed - {*installed} == set()


def test_missing_package_is_named_with_its_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = {"RabbitMQ": OPTIONAL["RabbitMQ"]._replace(are_installed=lambda: False)}
    monkeypatch.setattr(optional_packages, "OPTIONAL", lacking)
    monkeypatch.delenv("CI", raising=False)
    sentences = list(describe_missing())
    monkeypatch.setenv("CI", "true")

    assert sentences == [
        "Tests of tests/contracts/test_brokers.py did not run: no RabbitMQ (apt install rabbitmq-server)"
    ]
    assert may_run("RabbitMQ")
    assert list(describe_missing()) == []


def find_functions(module: str) -> set[str]:
    """Find the functions of a module by the names that mutmut gives them: `x_name`, of a class `xǁClassǁname`."""
    tree = parse(read(f"{module.replace('.', '/')}.py"))
    methods = [
        f"xǁ{owner.name}ǁ{node.name}"
        for owner in find(tree, ast.ClassDef)
        for node in owner.body
        if isinstance(node, ast.FunctionDef)
    ]
    return {*methods, *(f"x_{node.name}" for node in tree.body if isinstance(node, ast.FunctionDef))}


def test_each_explained_mutant_is_of_a_function_that_exists() -> None:
    """An explanation goes with its function. `make mutate ARGS=--all` names those that no mutant needs any more."""
    explained = json.loads(read("tests/mutation/explained.json"))
    functions = [entry["function"].rpartition(".") for entry in explained]

    assert [f"{module}.{name}" for module, _, name in functions if name not in find_functions(module)] == []
    assert all(len(entry["reason"]) > 20 and entry["reason"].endswith(".") for entry in explained)
    assert len({(entry["function"], entry["becomes"]) for entry in explained}) == len(explained)
