"""A small slice of `make failover` with a fixed seed: a real cluster fails over under load, and nothing is lost."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from api.cli.embedded.bounded_wait import wait_until
from tests.support.waiting import WAIT_S_MAX

pytestmark = pytest.mark.night(of="failover")

S_MAX = 240
FAULTS = ("planned switchover", "postgres and Patroni killed", "etcd leader killed")
SLICE = ("--seed", "1", "--rounds", str(len(FAULTS)), *(part for fault in FAULTS for part in ("--only", fault)))


def test_acknowledged_redeems_survive_a_failover() -> None:
    """Three nodes, a planned switchover, a killed primary and a killed leader of etcd: the checker finds nothing."""
    # `unshare` takes the place of the process that is killed at the bound, and the kernel ends all else with it.
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.failover", *SLICE, "--slice"],
        capture_output=True,
        text=True,
        timeout=S_MAX,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert [fault for fault in FAULTS if f"| {fault} | 1 |" not in done.stdout] == []
    assert "0 guarantees broken" in done.stdout


def test_killed_run_leaves_nothing_behind() -> None:
    """Its processes end with it, although none of them was asked to; and with them its networks and mounts."""
    mark = f"failover-{os.getpid()}"
    run = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.failover", "--seed", "1"],
        env={**os.environ, "FAILOVER_TEST_RUN": mark},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert wait_until(lambda: "etcd" in _names_of(mark), 60)
    finally:
        run.kill()
        run.wait(WAIT_S_MAX)

    assert wait_until(lambda: list(_names_of(mark)) == [], 60)


def _names_of(mark: str) -> Iterator[str]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("FAILOVER_TEST_RUN") == mark:
                yield process.name()
