"""What the night runs: each target is a command, with how long it takes, how much it weighs, and what it needs.

A test with the mark `night(of=...)` belongs to the target of that name. The seed that a night draws reaches every
command that has a choice, so that the same seed repeats it.
"""

import os
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from tests.support.optional_packages import DEBIAN_POSTGRES, IMAP_SERVER, RABBITMQ, find_browser, find_program

PYTEST: Final = ".venv/bin/python -m pytest -n0 --hypothesis-profile=night --hypothesis-seed={seed} --order={seed}"
Needs = Callable[[], object]


class NightTarget(NamedTuple):
    """A part of the night.

    Attributes:
        command: For a shell, from the root; `{seed}` is the night's.
        minutes: How long it takes on two cores (measured 2026-12-07); until there is a result, which then says it.
        weight: How many times as often as a target of weight 1 it is due.
        needs: Whether the machine has the programs; None for nothing but `make setup`.
    """

    command: str
    minutes: float
    weight: float = 1.0
    needs: Needs | None = None


def _of(name: str, paths: str = "tests") -> str:
    """The command that runs the tests of a target."""
    return f"{PYTEST} -m 'night(of=\"{name}\")' {paths}"


def _is_root_with(*programs: str) -> Needs:
    return lambda: os.geteuid() == 0 and all(map(find_program, programs))


TARGETS: Final[Mapping[str, NightTarget]] = {
    "canary": NightTarget(".venv/bin/python -m tests.night.canary {seed}", 1),
    "chaos": NightTarget(f"make chaos FAULTS=40 SEED={{seed}} && {_of('chaos')}", 9, weight=3),
    "simulation": NightTarget(f"make simulate SEEDS=6000 SEED={{seed}} && {_of('simulation')}", 10, weight=3),
    "small": NightTarget("make small SEED={seed} ARGS=", 9, weight=2),
    "small-faults": NightTarget(
        f"SMALL_WORLD=1 {PYTEST} -m '' tests/faults/test_long_life.py tests/faults/test_chaos.py "
        "tests/faults/test_standby_reads.py",
        5,
    ),
    "usual": NightTarget("make usual", 8, weight=2),
    "order": NightTarget("make test ARGS=--order={seed}", 9),
    "stacks": NightTarget(_of("stacks"), 8),
    "deaths": NightTarget(_of("deaths"), 5),
    "outages": NightTarget(_of("outages"), 9),
    "races": NightTarget(_of("races"), 4),
    "restore": NightTarget(_of("restore"), 5),
    "browser": NightTarget(_of("browser", "tests/browser"), 8, needs=find_browser),
    "extremes": NightTarget(_of("extremes"), 5),
    "soak": NightTarget("make soak INPUTS=200000 CASES=2000 SEED={seed}", 8),
    "mutants": NightTarget("make mutate SEED={seed}", 6),
    "long-life": NightTarget("make long-life SEED={seed} ARGS='--codes 20000 --redeems 30000'", 4),
    "benchmarks": NightTarget(_of("benchmarks"), 3),
    "packages": NightTarget(_of("packages"), 5, needs=lambda: find_program("node") and find_program("npm")),
    "servers": NightTarget(
        _of("servers"),
        4,
        needs=lambda: (
            RABBITMQ.is_dir()
            and IMAP_SERVER.exists()
            and DEBIAN_POSTGRES.is_dir()
            and _is_root_with("postfix", "dovecot", "ip", "tc", "pgbouncer", "haproxy")()
        ),
    ),
    "relay": NightTarget(f"make relay-kills KILLS=12 SEED={{seed}} && {_of('relay')}", 6),
    "failover": NightTarget(
        f"make failover ROUNDS=3 SEED={{seed}} && {_of('failover')}",
        9,
        needs=_is_root_with("patroni", "etcd", "haproxy", "ip"),
    ),
    "one-core": NightTarget("make flaky RUNS=1 ARGS='--only one-core tests/integration/cli/embedded'", 4),
}
