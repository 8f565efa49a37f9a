"""Every event that the tests of the domain record is approved with all of its fields; so is every result and refusal.

A test asserts what it is about. That no other field changed is asserted here for all of them.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest

from domain.command_bus import Command
from domain.errors import Refusal
from domain.events.event import Event
from domain.results import Result
from domain.working_set import WorkingSet
from tests.support.approving import IS_APPROVING
from tests.support.ledger.scenario import Scenario

APPROVED: Final = Path(__file__).with_name("approved_results.txt")
ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
RECORDED: Final[set[str]] = set()


def shorten_ids(text: str) -> str:
    """Keep of each id the parts that tell it from others."""
    return ID.sub(lambda match: match[0][:4] + match[0][-2:], text)


def write_event(version: int, event: Event) -> str:
    """Write an event in one line, with its version."""
    fields = json.dumps(msgspec.to_builtins(event), ensure_ascii=False, sort_keys=True)
    return f"{type(event).__name__} {version} {ID.sub(lambda match: match[0][:4] + match[0][-2:], fields)}"


def write_refusal(refusal: Refusal) -> str:
    """Write a refusal in one line, with what it tells the caller."""
    facts = " ".join(f"{name}={value}" for name, value in sorted(refusal.facts.items()))
    return f"{type(refusal).__name__} {refusal.retry_after_s} {facts}".rstrip()


def write_result(command: Command, result: Result) -> str:
    """Write what a command came to in one line: the code's version, the reservation, whether anything changed."""
    if isinstance(result, Refusal):
        return f"{type(command).__name__}: {type(result).__name__}"
    reservation = result.reservation and f"{result.reservation.reservation_id} {result.reservation.status}"
    change = "changed" if result.changed else "unchanged"
    return f"{type(command).__name__}: {change} {result.code.code_id} {result.code.version} {reservation}"


@pytest.fixture(scope="session")
def approved_lines() -> frozenset[str]:
    return frozenset(APPROVED.read_text("utf-8").splitlines()) if APPROVED.exists() else frozenset()


@pytest.fixture(autouse=True)
def event_check(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, approved_lines: frozenset[str]
) -> Iterator[None]:
    """Fail a test that records an event or a refusal which is not approved; random histories have properties."""
    if getattr(request.function, "is_hypothesis_test", False):
        yield
        return
    record, recorded = WorkingSet.record, set[str]()

    def record_and_keep(working_set: WorkingSet, code_id: UUID, events: Sequence[Event]) -> None:
        before = len(working_set.new_events)
        record(working_set, code_id, events)
        recorded.update(write_event(new.originator_version, new.event) for new in working_set.new_events[before:])

    initialize = Refusal.__init__

    def initialize_and_keep(refusal: Refusal, **fields: Any) -> None:
        initialize(refusal, **fields)
        recorded.add(ID.sub("ID", write_refusal(refusal)))

    run = Scenario.run

    def run_and_keep(scenario: Scenario, command: Command) -> Result:
        result = run(scenario, command)
        recorded.add(shorten_ids(write_result(command, result)))
        return result

    monkeypatch.setattr(Scenario, "run", run_and_keep)
    monkeypatch.setattr(WorkingSet, "record", record_and_keep)
    monkeypatch.setattr(Refusal, "__init__", initialize_and_keep)
    yield
    RECORDED.update(recorded)
    unknown = sorted(recorded - approved_lines)
    assert IS_APPROVING or not unknown, "\n".join(["read these lines, then run `make approve`:", *unknown])


def pytest_sessionfinish() -> None:
    if IS_APPROVING:
        APPROVED.write_text("".join(f"{line}\n" for line in sorted(RECORDED)), "utf-8")
