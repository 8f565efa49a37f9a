"""What each kind of sending does after each outcome, as one table, and with which numbers.

`judgments.txt` says what holds today, also where two kinds differ without a reason. A changed rule changes its cell.
A cell is the word that is stored, or when it is sent again; `free`: the attempt is none of the few that a kind has.
The last columns are the outcomes by which metrics count the attempt.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client import Counter

from domain.judgment import HAND_OUT, NOTICE
from domain.policy import LONGEST_WAIT, Policy
from domain.ports import NotifiedOnly, OutcomeUnknown, RetryLater
from domain.webhooks import retry_schedule
from projections.hand_outs import hand_out_queue, sending_pace
from projections.telemetry.metrics import HAND_OUT_MAILS, REMINDERS
from projections.work_queue import due_access, due_reservations, outbox
from tests.support.ledger.scenario import BUSY, LOST, NO_CONNECTION, REFUSED, SENT
from tests.support.metric_samples import samples
from tests.unit.workers.sending.judges import JUDGES, LAST, TOO_BIG, Case
from tests.unit.workers.test_settings import settings
from workers.channels import group_router
from workers.sending import (
    hand_outs,
    invitations,
    late_acceptance,
    loop,
    notices,
    removals,
)
from workers.webhooks import deliverer

TABLE: Final = Path(__file__).with_name("judgments.txt")
CANNOT_BE: Final = "none"
"""First word of a cell that no attempt leads to; the letter after it leads to the reason below the table."""
SOON, HOUR, MONTH = (
    RetryLater(server="team", reason="team_full", wait=wait)
    for wait in (timedelta(0), timedelta(hours=1), timedelta(days=30))
)
SLOW: Final = OutcomeUnknown(server="mx:25", cause="timeout", retry_after_s=600)
CASES: Final[Mapping[str, Case]] = {
    "accepted": Case(SENT),
    "notified only": Case(NotifiedOnly(server="mx:25")),
    "address refused": Case(REFUSED),
    "message refused": Case(TOO_BIG),
    "refused for now": Case(BUSY),
    "refused for now, 3rd attempt": Case(BUSY, 3),
    "refused for now, last attempt": Case(BUSY, LAST),
    "later, without a wait": Case(SOON),
    "later, in 1 hour": Case(HOUR),
    "later, in 30 days": Case(MONTH),
    "later, last attempt": Case(HOUR, LAST),
    "no connection": Case(NO_CONNECTION),
    "no connection, 3rd time": Case(NO_CONNECTION, 3, before=NO_CONNECTION),
    "no connection, last attempt": Case(NO_CONNECTION, LAST),
    "unknown": Case(LOST),
    "unknown for 10 minutes": Case(SLOW),
    "unknown, last attempt": Case(LOST, LAST),
    "unknown, then address refused": Case(REFUSED, 2, before=LOST),
    "unknown, then refused for now": Case(BUSY, 2, before=LOST),
    "unknown, then refused, last": Case(BUSY, LAST, before=LOST),
    "unknown, then later, last": Case(HOUR, LAST, before=LOST),
    "lease lost": Case(SENT, but="lost lease"),
    "lease lost, last attempt": Case(SENT, LAST, but="lost lease"),
    "lease ends too soon": Case(SENT, but="short lease"),
    "over before it is sent": Case(SENT, but="over"),
    "late, refused for now": Case(BUSY, but="old"),
    "late, no connection": Case(NO_CONNECTION, but="old"),
    "late, unknown": Case(LOST, but="old"),
    "recipient erased": Case(SENT, but="erased"),
    "address altered": Case(SENT, but="altered"),
    "recipient opted out": Case(SENT, but="opted out"),
    "quiet hours": Case(SENT, but="quiet"),
    "group's system in backoff": Case(SENT, but="rests"),
}


COUNTED: Final[Mapping[str, Counter]] = {
    "hand-out": HAND_OUT_MAILS,
    "its reminder": HAND_OUT_MAILS,
    "reminder": REMINDERS,
}
"""The metrics of the kinds that count outcomes; those of the others are read from the log."""


def find_counted(counter: Counter, call: Callable[[], object]) -> str:
    """The outcome by which a call counts one attempt; `nothing` if it counts none."""
    before = samples(counter.collect())
    call()
    after = samples(counter.collect())
    (counted,) = {name for name in after if after[name] != before.get(name, 0) and "_total" in name} or {"nothing"}
    return counted.partition('"')[2].partition('"')[0] or counted


def read_table() -> tuple[list[str], dict[str, list[str]], list[str]]:
    table, _, reasons = TABLE.read_text("utf-8").partition("\n\n")
    head, *rows = ([cell.strip() for cell in line.split("|")] for line in table.splitlines())
    return head[1:], {name: cells for name, *cells in rows}, [line.split()[0] for line in reasons.splitlines()]


KINDS, ROWS, REASONS = read_table()


def list_cells(columns: Iterable[str], suffix: str = "") -> list[tuple[str, str, str]]:
    return [
        (name, kind, cell)
        for name, cells in ROWS.items()
        for kind in columns
        if not (cell := cells[KINDS.index(f"{kind}{suffix}")]).startswith(CANNOT_BE)
    ]


@pytest.mark.parametrize(("name", "kind", "cell"), list_cells(JUDGES))
def test_attempt_leads_to_the_result_in_the_table(name: str, kind: str, cell: str) -> None:
    assert JUDGES[kind](CASES[name]) == cell


@pytest.mark.parametrize(("name", "kind", "cell"), list_cells(COUNTED, ", counted"))
def test_attempt_is_counted_as_the_table_says(name: str, kind: str, cell: str) -> None:
    """Alerts and dashboards show these outcomes."""
    assert find_counted(COUNTED[kind], lambda: JUDGES[kind](CASES[name])) == cell


def test_table_has_each_kind_and_each_case() -> None:
    assert [*JUDGES, *(f"{kind}, counted" for kind in COUNTED)] == KINDS
    assert [*ROWS] == [*CASES]
    cells = {cell for cells in ROWS.values() for cell in cells}
    unreachable = {cell.removeprefix(CANNOT_BE).strip() for cell in cells if cell.startswith(CANNOT_BE)}
    assert unreachable == set(REASONS)


SECONDS: Final[Mapping[str, Mapping[str, tuple[Any, Any]]]] = {
    "invitation": {
        "attempts": (Policy().attempts_max, 8),
        "first wait": (Policy().retry_first_s, 5),
        "longest wait": (Policy().retry_longest_s, 300),
        "longest wait for a connection": (Policy().reconnect_longest_s, 60),
        "latest deferral": (Policy().deferrals_s_max, 7 * 86_400),
        "deadline": (Policy().reservation_ttl_s, 1800),
        "lease": (Policy().lease_s, 60),
        "share of a group": (invitations.GROUP_SHARE, 4),
        "records of an outcome": (loop.RECORD_ATTEMPTS_MAX, 5),
        "records of a late reply": (late_acceptance.RECORD_ATTEMPTS_MAX, 5),
        "wait for other outcomes": (loop.LINGER_S, 0.05),
        "backoff of a group's system": (group_router.COOLDOWN_S, 20),
        "before the first wake-up message of a sweep": (due_reservations.GRACE_S, 2),
        "between its wake-up messages": (due_reservations.REPEAT_S, 2),
        "overdue for so long, others wait": (outbox.BUSY_S, 10),
        "wait that no clock made": (LONGEST_WAIT.total_seconds(), 1200),
    },
    "hand-out": {
        "attempts": (HAND_OUT.attempts_max, 5),
        "wait, times the attempts": (HAND_OUT.wait.first_s, 60),
        "longest deferral": (HAND_OUT.later_max, timedelta(days=1)),
        "longest wait for a connection": (HAND_OUT.connection_max, timedelta(days=7)),
        "lease": (hand_out_queue.LEASE_S, 90),
        "lease in a worker": (settings().row_lease_s, 90),
        "run": (hand_outs.RUN_MAX_S, 10),
        "window of the rate": (sending_pace.WINDOW.total_seconds(), 60),
        "part of the rate that is made up for": (sending_pace.CATCH_UP.total_seconds(), 10),
        "between searches for reminders": (hand_out_queue.SEARCH_INTERVAL.total_seconds(), 60),
        "reminders of a search": (hand_outs.REMINDERS_MAX, 500),
    },
    "notice": {
        "attempts": (NOTICE.attempts_max, 5),
        "wait, times the attempts": (NOTICE.wait.first_s, 60),
        "longest deferral": (NOTICE.later_max, timedelta(days=1)),
        "longest wait for a connection": (NOTICE.connection_max, timedelta(days=1)),
        "lease": (outbox.LEASE_S, 90),
        "lease in a worker": (settings().row_lease_s, 90),
        "run": (notices.RUN_MAX_S, 2),
        "notices of a run": (notices.TAKEN_MAX, 20),
        "notices of a recipient in an hour": (settings().notices_hourly_max, 5),
    },
    "removal": {
        "attempts": (Policy().removal_attempts_max, 5),
        "first wait": (Policy().removal_retry_s, 60),
        "factor of the wait": (Policy().removal_retry_factor, 5),
        "longest deferral": (Policy().removal_wait_s_max, 86_400),
        "lease": (due_access.BUSY_S, 120),
        "run": (removals.RUN_MAX_S, 40),
        "removals of a lease": (due_access.TAKEN_MAX, 50),
    },
    "webhook": {
        "window of the attempts": (retry_schedule.RETRY_WINDOW.total_seconds(), 3 * 86_400),
        "first wait": (retry_schedule.FIRST_S, 5),
        "factor of the wait": (retry_schedule.FACTOR, 4),
        "longest wait": (retry_schedule.LONGEST_S, 8 * 3600),
        "jitter": (retry_schedule.JITTER, 0.25),
        "longest deferral": (retry_schedule.RETRY_AFTER_MAX_S, 86_400),
        "first backoff of an endpoint": (retry_schedule.REST_FIRST_S, 1),
        "longest backoff of an endpoint": (retry_schedule.REST_LONGEST_S, 300),
        "lease": (deliverer.LEASE_S, 120),
        "run": (deliverer.RUN_MAX_S, 10),
        "endpoints of a process": (deliverer.ENDPOINTS_AT_ONCE, 8),
    },
}
"""The numbers of each kind: what the code has, and what it is. Times are in seconds."""


@pytest.mark.usual_world("it is about the usual numbers")
@pytest.mark.parametrize("kind", SECONDS)
def test_numbers_of_each_kind_are_the_usual_ones(kind: str) -> None:
    """Kinds keep different ones on purpose, until a change says why."""
    numbers = SECONDS[kind]
    usual = {name: expected for name, (_, expected) in numbers.items()}

    assert {name: value for name, (value, _) in numbers.items()} == usual
