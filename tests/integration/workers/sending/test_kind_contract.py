"""What holds for each kind of what workers send, over a real ledger: leases, outcomes, repeats, and privacy."""

import ast
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Final

import psycopg
import pytest
from psycopg import sql

from domain.ports import OutboundMessage, OutcomeUnknown, Rejected, RetryLater
from domain.values.identifiers import EmailAddress
from projections.privacy.erasure import PersonEraser
from tests.integration.workers.sending.message_kinds import KINDS, PEOPLE, SECOND, MessageKind
from tests.support.ledger.ledger_bench import LedgerBench, assert_no_drift
from tests.support.secret_search import found_in
from workers.sending.delivery_steps import DeliverySteps

WORKERS: Final = Path(__file__).parents[4] / "workers"
BUSY = Rejected(server="mx:25", reason="temporary", final=False)
REFUSED = Rejected(server="mx:25", reason="message_refused", final=True)
UNREACHABLE = Rejected(server="mx:25", reason="unreachable", final=False, about_connection=True)
LOST = OutcomeUnknown(server="mx:25", cause="connection_lost")
"""The connection died after DATA."""
ASKED_WAIT = timedelta(minutes=20)


class WorkerEndedError(BaseException):
    """The worker ends here."""


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest, bench: LedgerBench, steps: DeliverySteps) -> MessageKind:
    kind_under_test: MessageKind = request.param(bench, steps)
    kind_under_test.prepare(PEOPLE[:1])
    return kind_under_test


def end_worker() -> None:
    raise WorkerEndedError


def run_after_waits(kind: MessageKind, count: int = 3) -> None:
    for _ in range(count):
        kind.passes(kind.wait)
        kind.run()


def assert_same(kind: MessageKind) -> None:
    """A second message has been sent that mail programs and systems show as the first one."""
    messages = kind.asked()
    assert len({each.message_id if isinstance(each, OutboundMessage) else each for each in messages}) == 1
    first, second = kind.contents()
    assert first == second or not kind.repeats_bytes


def test_each_kind_is_in_this_contract() -> None:
    """`send_due` takes what has these two methods."""
    classes = [
        each
        for path in WORKERS.rglob("*.py")
        for each in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(each, ast.ClassDef) and each.name != "SendingKind"
    ]
    senders = {
        each.name
        for each in classes
        if {"turn", "start"} <= {inner.name for inner in each.body if isinstance(inner, ast.FunctionDef)}
    }

    assert senders == {kind.sender for kind in KINDS}


def test_message_is_sent_once(kind: MessageKind) -> None:
    kind.run()
    run_after_waits(kind)

    assert (len(kind.asked()), kind.count_states()) == (1, {kind.sent: 1})
    assert_no_drift(kind.bench)


def test_message_of_a_worker_that_ended_while_it_sent_is_left_alone_until_its_lease_ends(kind: MessageKind) -> None:
    kind.channel.during = end_worker
    with pytest.raises(WorkerEndedError):
        kind.run()
    kind.passes(kind.lease - SECOND)
    kind.run()
    during_lease = len(kind.asked())
    kind.passes(SECOND)
    kind.run()
    run_after_waits(kind)

    assert during_lease == 1
    assert len(kind.asked()) == 1 + kind.repeats_lost_lease
    assert kind.count_states() == {kind.sent if kind.repeats_lost_lease else kind.unknown: 1}
    assert_no_drift(kind.bench)


def test_message_with_an_unknown_outcome_is_repeated_where_that_is_harmless(kind: MessageKind) -> None:
    kind.channel.answer(LOST)
    kind.run()
    run_after_waits(kind)

    first, *repeats = kind.contents()
    assert repeats == ([first] if kind.repeats_unknown else [])
    assert kind.count_states() == {kind.sent if kind.repeats_unknown else kind.unknown: 1}
    assert_no_drift(kind.bench)


def test_failure_without_a_connection_spends_no_attempt(kind: MessageKind) -> None:
    failures = kind.attempts_max + 1
    kind.channel.answer(*[UNREACHABLE] * failures)
    kind.run()
    run_after_waits(kind, failures - 1)
    waiting = kind.count_states()
    run_after_waits(kind)

    assert (waiting, len(kind.asked()), kind.count_states()) == ({"waiting": 1}, failures + 1, {kind.sent: 1})
    assert_no_drift(kind.bench)


def test_temporary_failure_is_followed_by_the_same_message(kind: MessageKind) -> None:
    kind.channel.answer(BUSY)
    kind.run()
    kind.run()
    at_once = len(kind.asked())
    run_after_waits(kind)

    assert (at_once, kind.count_states()) == (1, {kind.sent: 1})
    assert_same(kind)


def test_channel_that_asks_for_time_is_asked_then(kind: MessageKind) -> None:
    kind.channel.answer(RetryLater(server="team", reason="full", wait=ASKED_WAIT))
    kind.run()
    kind.passes(ASKED_WAIT - SECOND)
    kind.run()
    early = len(kind.asked())
    kind.passes(SECOND)
    kind.run()

    assert (early, kind.count_states()) == (1, {kind.sent: 1})
    assert_same(kind)


def test_message_that_could_not_end_within_its_lease_is_not_begun(kind: MessageKind) -> None:
    """Nor does it spend an attempt."""
    kind.longest_send = kind.lease
    kind.run()
    run_after_waits(kind, kind.attempts_max)
    begun = len(kind.asked())
    kind.longest_send = timedelta(0)
    run_after_waits(kind)

    assert (begun, len(kind.asked()), kind.count_states()) == (0, 1, {kind.sent: 1})


@pytest.mark.parametrize("kind_under_test", KINDS, ids=lambda kind: kind.__name__)
def test_stop_while_sending_records_what_is_sent_and_leases_nothing_more(
    kind_under_test: type[MessageKind], bench: LedgerBench, steps: DeliverySteps
) -> None:
    kind = kind_under_test(bench, steps)
    kind.prepare(PEOPLE[: kind.people_max])
    kind.run(lambda: True)
    before = len(kind.asked())
    kind.run(lambda: len(kind.asked()) == 1)
    at_stop = len(kind.asked()), kind.count_states()[kind.sent]
    kind.run()

    assert (before, at_stop, len(kind.asked())) == (0, (1, 1), kind.people_max)
    assert kind.count_states() == {kind.sent: kind.people_max}


@pytest.mark.parametrize("stale", [REFUSED, BUSY, UNREACHABLE], ids=["refused", "busy", "no-connection"])
def test_failure_that_comes_after_the_lease_is_dropped(kind: MessageKind, stale: Rejected) -> None:
    """Another worker has sent or ended the message by then."""

    def stand_still() -> None:
        kind.passes(kind.lease)
        kind.run()
        run_after_waits(kind)
        states.append(kind.count_states())

    states: list[Counter[str]] = []
    kind.channel.answer(stale)
    kind.channel.during = stand_still
    kind.run()
    states.append(kind.count_states())
    run_after_waits(kind)

    assert states == [{kind.sent if kind.repeats_lost_lease else kind.unknown: 1}] * 2
    assert len(kind.asked()) == 1 + kind.repeats_lost_lease
    assert_no_drift(kind.bench)


def read_all_rows(bench: LedgerBench) -> bytes:
    with psycopg.connect(bench.database_url) as conn:
        tables = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        statements = [sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table)) for (table,) in tables]
        return "\n".join(row for statement in statements for (row,) in conn.execute(statement)).encode()


def test_no_address_is_stored_in_plain_text(kind: MessageKind) -> None:
    rows = [read_all_rows(kind.bench)]
    kind.channel.during = lambda: rows.append(read_all_rows(kind.bench))
    kind.run()
    rows.append(read_all_rows(kind.bench))

    assert [found_in(each, {"address": PEOPLE[0]}) for each in rows] == [set()] * 3


def test_no_message_names_a_person_who_was_erased_while_it_waited(kind: MessageKind) -> None:
    eraser = PersonEraser(kind.bench.storage)
    for recipient_id in eraser.find_recipient_ids(EmailAddress.parse(PEOPLE[0])):
        eraser.erase(recipient_id)
    kind.run()
    run_after_waits(kind)

    assert found_in(repr(kind.contents()).encode(), {"address": PEOPLE[0]}) == set()
    assert not {"waiting"} & {*kind.states()}
