"""The night: what comes first, what is kept, what makes it red; every test of the night is in one of its targets."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from tests.night import __main__ as night
from tests.night.__main__ import NightResult, Outcome, put_in_order, read_results, run_night, write_table
from tests.night.targets import TARGETS, NightTarget

NOW: Final = datetime(2026, 12, 7, tzinfo=UTC)
MARK: Final = re.compile(r'mark\.night\(of="([\w-]+)"\)')


def ran(target: str, hours_ago: float, outcome: Outcome = "passed") -> NightResult:
    return NightResult(target, 7, "abc", 60, outcome, NOW - timedelta(hours=hours_ago))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(night, "RECORD", tmp_path / "night.jsonl")
    monkeypatch.setattr(night, "OUTPUT", tmp_path)
    return tmp_path


def run(minutes: float, **targets: NightTarget) -> Mapping[str, NightResult]:
    return {result.target: result for result in run_night(minutes, 7, targets)}


def test_oldest_result_is_first_by_weight_after_the_canary() -> None:
    targets = {
        name: NightTarget("true", 1, weight) for name, weight in {"new": 3, "old": 1, "never": 1, "canary": 1}.items()
    }
    last = {"new": ran("new", 2), "old": ran("old", 5), "canary": ran("canary", 1)}

    assert put_in_order(last, targets, NOW) == ["canary", "never", "new", "old"]


def test_results_are_kept_and_failures_are_red(folder: Path) -> None:
    results = run(
        60,
        good=NightTarget("echo {seed}", 1),
        bad=NightTarget("false", 1),
        lacking=NightTarget("true", 1, needs=lambda: False),
        long=NightTarget("true", 61),
    )

    outcomes = {name: result.outcome for name, result in results.items()}
    assert outcomes == {"good": "passed", "bad": "failed", "lacking": "not installed", "long": "no time"}
    assert (folder / "good.log").read_text() == "7\n"
    assert {name: result.outcome for name, result in read_results(night.RECORD).items()} == {
        "good": "passed",
        "bad": "failed",
    }
    assert [name for name, result in results.items() if night.is_bad(result)] == ["bad"]
    table = write_table(list(results.values()))
    assert 'make night SEED=7 ARGS="--only bad"' in table
    assert "--only good" not in table


@pytest.mark.usefixtures("folder")
def test_target_that_hangs_is_stopped() -> None:
    """The canary runs even if there is no time for it."""
    results = run(0, canary=NightTarget("exec tail -f /dev/null", 0.0001))

    assert results["canary"].outcome == "stopped"


def test_every_test_of_the_night_is_in_a_target_and_every_target_has_one() -> None:
    texts = [path.read_text("utf-8") for path in Path(__file__).parents[1].rglob("test_*.py")]
    marked = {name for text in texts for name in MARK.findall(text)}
    selected = {name for target in TARGETS.values() for name in re.findall(r'night\(of="([\w-]+)"\)', target.command)}

    assert marked == selected
