"""The runner finds the tests that have processes, and the condition under which one fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = """
import os, subprocess, sys
import pytest

@pytest.fixture(scope="module")
def program():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.communicate()

def test_first(program): pass

def test_second(program): assert "PINNED" not in os.environ

def test_own_program(): subprocess.run([sys.executable, "-c", ""])

def test_without_a_process(): assert {passes}
"""


def run_flaky(folder: Path, *arguments: str, passes: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run it on a file of four tests, one of which fails on one core: a machine may have no other one."""
    (folder / "pytest.ini").touch()
    (folder / "test_sample.py").write_text(SAMPLE.format(passes=passes))
    (folder / "bin").mkdir()
    (folder / "bin/taskset").write_text(f'#!/bin/sh\nPINNED=1 exec {shutil.which("taskset")} "$@"\n')
    (folder / "bin/taskset").chmod(0o755)
    command = [sys.executable, "-m", "tests.flaky", "--log", str(folder / "log"), *arguments, "test_sample.py"]
    plugins = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p xdist.plugin"}
    env = {**os.environ, **plugins, "PYTHONPATH": str(ROOT)}
    env["PATH"] = f"{folder / 'bin'}:{env['PATH']}"
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.night(of="stacks")
def test_flaky_names_the_condition_of_a_failure_and_how_to_repeat_it(tmp_path: Path) -> None:
    """A test that shares a process with another one is repeated as well; one without a process is not."""
    ended = run_flaky(tmp_path, "--runs", "1")

    lines = ended.stdout.splitlines()
    assert [line.partition(", exit")[0] for line in lines[:3]] == [
        "alone 1 of 1: 3 tests with processes, 0 failed",
        "busy 1 of 1: 3 tests with processes, 0 failed",
        "one-core 1 of 1: 3 tests with processes, 1 failed",
    ]
    assert lines[3:] == [
        "one-core   1 of 1   test_sample.py::test_second",
        "         make flaky RUNS=1 ARGS=\"--only one-core 'test_sample.py::test_second'\"",
        "1 failures, 0 unfinished runs of 3",
    ]
    assert ended.returncode == 1
    assert (tmp_path / "log" / "tests.txt").read_text().splitlines() == [
        *("test_sample.py::test_first", "test_sample.py::test_second", "test_sample.py::test_own_program"),
    ]


def test_failure_of_a_test_without_a_process_is_not_counted(tmp_path: Path) -> None:
    """It does not depend on the machine: `make test` finds it."""
    ended = run_flaky(tmp_path, "--runs", "1", "--only", "alone", passes=False)

    assert ended.stdout.splitlines()[-1] == "0 failures, 0 unfinished runs of 1"
    assert ended.returncode == 0
