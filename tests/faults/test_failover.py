"""A small slice of `make failover` with a fixed seed: a real cluster fails over under load, and nothing is lost."""

import subprocess
import sys

import pytest

S_MAX = 240
SLICE = ("--seed", "1", "--rounds", "2", "--only", "planned switchover", "--only", "postgres and Patroni killed")


@pytest.mark.timeout(S_MAX + 20)
def test_acknowledged_redeems_survive_a_failover() -> None:
    """Three nodes, a planned switchover and a killed primary: the checker finds nothing."""
    # `unshare` takes the place of the process that is killed at the bound, and the kernel ends all else with it.
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.failover", *SLICE, "--slice"],
        capture_output=True,
        text=True,
        timeout=S_MAX,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "| planned switchover | 1 |" in done.stdout
    assert "| postgres and Patroni killed | 1 |" in done.stdout
    assert "0 guarantees broken" in done.stdout
