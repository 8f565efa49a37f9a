"""A relay: every event once in order, again after a failure, and never one less."""

from collections.abc import Iterator, Sequence
from unittest.mock import patch

import jsonschema_rs
import orjson
import pytest

from api.schemas.events.asyncapi import describe_messages
from projections.database.errors import StorageUnavailableError
from tests.integration.workers.relay.relay_bench import (
    ScriptedSink,
    Stopping,
    log_positions,
    only_row,
    open_relay,
    relay_all,
)
from tests.support.ledger.ledger_bench import LedgerBench
from workers.relay import relay as module
from workers.relay.kafka_sink import write_headers
from workers.relay.relay import RelayStoppedError
from workers.relay.sink import RelayRecord, SinkRefusedError, SinkTooLargeError, SinkUnavailableError


@pytest.fixture
def sink() -> ScriptedSink:
    return ScriptedSink()


@pytest.fixture
def full(bench: LedgerBench) -> Iterator[LedgerBench]:
    """A ledger with a dozen events, of codes and of a campaign, and batches of three."""
    bench.create_campaign(name="spring")
    for _ in range(10):
        bench.issue()
    with patch.object(module, "EVENTS_MAX", 3):
        yield bench


def test_every_event_arrives_once_in_order(full: LedgerBench, sink: ScriptedSink) -> None:
    """In batches, each of which moves the position; a further run sends nothing."""
    relay_all(open_relay(full, sink))
    relay_all(open_relay(full, sink))

    assert sink.positions == log_positions(full)
    assert only_row(full).position == log_positions(full)[-1]


def test_record_has_what_the_feed_has(full: LedgerBench, sink: ScriptedSink) -> None:
    """The envelope is that of the feed, the key is the id of the history, and the data is in both."""
    relay_all(open_relay(full, sink))
    records = [record for batch in sink.received for record in batch]
    envelopes = [orjson.loads(record.envelope) for record in records]

    assert [envelope["subject"].partition("/")[2] for envelope in envelopes] == [str(one.key) for one in records]
    assert {envelope["subject"].partition("/")[0] for envelope in envelopes} == {"codes", "campaigns"}
    assert [orjson.loads(record.data) for record in records] == [envelope.pop("data") for envelope in envelopes]
    assert [record.attributes for record in records] == envelopes
    assert [int(envelope["id"]) for envelope in envelopes] == sink.positions


def test_records_and_batches_are_those_of_the_asyncapi_document(full: LedgerBench, sink: ScriptedSink) -> None:
    """Headers of a topic's records, and the array of a request; a record without one of its headers is none."""
    relay_all(open_relay(full, sink))
    components = describe_messages("https://codes.example.com", {})["components"]
    headers = jsonschema_rs.Draft202012Validator(components["schemas"]["recordHeaders"], validate_formats=True)
    batches = jsonschema_rs.Draft202012Validator(
        components["messages"]["batch.cloudEvents"]["payload"], validate_formats=True
    )

    for batch in sink.received:
        batches.validate([orjson.loads(record.envelope) for record in batch])
        for record in batch:
            written = {name: value.decode() for name, value in write_headers(record) if isinstance(value, bytes)}
            headers.validate(written)
            assert written.keys() == components["schemas"]["recordHeaders"]["properties"].keys()
    assert not batches.is_valid([])


def test_batch_is_repeated_until_it_is_acknowledged(full: LedgerBench, sink: ScriptedSink) -> None:
    """What a failing target kept of it is there twice; the order of first arrivals is that of the log."""
    sink.keeps = 2
    sink.failures.extend([None, SinkUnavailableError("down"), SinkUnavailableError("down")])
    relay = open_relay(full, sink)
    relay.run(Stopping(after=10))

    assert list(dict.fromkeys(sink.positions)) == log_positions(full)
    assert len(sink.positions) == len(log_positions(full)) + 3, "two of the first batch, and one of a smaller one"


def test_next_process_continues_where_the_target_acknowledged(full: LedgerBench, sink: ScriptedSink) -> None:
    """One that died after a batch was accepted and before its position was stored: the batch comes again."""
    relay = open_relay(full, sink)
    relay.relay_batch()
    with (
        patch.object(relay.lease, "advance", side_effect=StorageUnavailableError("restart")),
        pytest.raises(StorageUnavailableError),
    ):
        relay.relay_batch()
    relay.lease.release()
    relay_all(open_relay(full, sink))

    assert list(dict.fromkeys(sink.positions)) == log_positions(full)
    assert len(sink.positions) == len(log_positions(full)) + 3


def test_waits_grow_to_a_ceiling_and_the_list_says_why(full: LedgerBench, sink: ScriptedSink) -> None:
    """Then a success ends them."""
    sink.failures.extend([SinkUnavailableError("it answered 500")] * 9)
    stopping = Stopping(after=9)
    open_relay(full, sink).run(stopping)
    assert stopping.waits == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0, 10.0]
    assert (only_row(full).failures, only_row(full).last_error) == (9, "it answered 500")

    open_relay(full, sink).run(Stopping(after=1))

    assert (only_row(full).failures, only_row(full).last_error) == (0, None)


@pytest.mark.parametrize("is_empty", [False, True], ids=["batch", "nothing to send"])
def test_success_ends_failures(bench: LedgerBench, sink: ScriptedSink, is_empty: bool) -> None:
    """The next failure waits as the first one did, also if there was nothing to send."""
    if not is_empty:
        bench.issue()
    relay, down = open_relay(bench, sink), StorageUnavailableError("restart")
    with patch.object(relay.lease, "hold", side_effect=[down, down, 0, down]):
        relay._position = None
        stopping = Stopping(after=4)
        relay.clock = iter(range(0, 1_000, 100)).__next__
        relay.run(stopping)

    assert stopping.waits == [0.5, 1.0, module.POLL_S if is_empty else 0.0, 0.5]


def test_lease_outlives_the_longest_wait() -> None:
    """Otherwise a relay that waits would be listed without a process, and a second one would send too."""
    assert module.WAIT.after(99, 1.0).total_seconds() < module.LEASE_MARGIN_S


def test_second_process_stands_by(full: LedgerBench, sink: ScriptedSink) -> None:
    """It sends nothing, and takes over once the first one has stopped."""
    first, second = open_relay(full, sink), ScriptedSink()
    first.relay_batch()
    standby = Stopping(after=2)
    open_relay(full, second).run(standby)
    assert (second.positions, second.is_closed, standby.waits) == ([], True, [0.5, 0.5])

    first.run(Stopping(after=1))
    relay_all(open_relay(full, second))

    assert sink.positions + second.positions == log_positions(full)


def test_start_replaces_the_position_once(full: LedgerBench, sink: ScriptedSink) -> None:
    """A replay, which continues at the end of the log."""
    relay_all(open_relay(full, sink))
    sink.received.clear()
    start = log_positions(full)[4]
    relay_all(open_relay_after(full, sink, start))

    assert sink.positions == log_positions(full)[5:]


def open_relay_after(bench: LedgerBench, sink: ScriptedSink, start: int) -> module.Relay:
    """A relay of `--from`, after the lease of the last one."""
    bench.rows("UPDATE relays SET leased_until = clock_timestamp() RETURNING 1")
    return open_relay(bench, sink, start=start)


def test_batch_that_is_too_large_is_halved(full: LedgerBench, sink: ScriptedSink) -> None:
    """Down to one event; batches grow again afterwards."""
    sink.failures.extend([SinkTooLargeError("413")])
    relay_all(open_relay(full, sink))

    assert [len(batch) for batch in sink.received[:3]] == [1, 2, 3]
    assert sink.positions == log_positions(full)


def test_event_that_is_too_large_stops_the_relay(full: LedgerBench, sink: ScriptedSink) -> None:
    """It is not left out: the message names position and size, and what to change."""
    sink.failures.extend([SinkTooLargeError("it answered 413")] * 2)
    first = log_positions(full)[0]
    with pytest.raises(RelayStoppedError, match=rf"position {first} has \d+ bytes.*it answered 413.*raise its limit"):
        relay_all(open_relay(full, sink))

    assert (sink.positions, only_row(full).position) == ([], 0)
    assert "raise its limit" in str(only_row(full).last_error)


def test_batch_has_at_most_so_many_bytes(full: LedgerBench, sink: ScriptedSink) -> None:
    """An event that is larger alone is sent alone."""
    with patch.object(module, "BYTES_MAX", 10):
        relay_all(open_relay(full, sink))

    assert {len(batch) for batch in sink.received} == {1}
    assert sink.positions == log_positions(full)


def test_refusal_stops_the_relay(full: LedgerBench, sink: ScriptedSink) -> None:
    """With a line that says why, also in the list; the lease is free."""
    sink.failures.append(SinkRefusedError("there is no topic"))
    with pytest.raises(RelayStoppedError, match="relay r: there is no topic"):
        open_relay(full, sink).run(Stopping(after=9))

    assert (only_row(full).last_error, only_row(full).holder) == ("relay r: there is no topic", None)
    assert sink.is_closed


def test_database_that_restarts_delays_the_relay(full: LedgerBench, sink: ScriptedSink) -> None:
    """It asks again after a wait, and loses nothing."""
    relay = open_relay(full, sink)
    hold = relay.lease.hold
    answers = iter([StorageUnavailableError("restart"), StorageUnavailableError("restart")])

    def hold_later() -> int | None:
        if (error := next(answers, None)) is not None:
            raise error
        return hold()

    stopping = Stopping(after=10)
    with patch.object(relay.lease, "hold", hold_later):
        relay.run(stopping)

    assert stopping.waits[:3] == [0.5, 1.0, 0.0]
    assert sink.positions == log_positions(full)


def test_idle_relay_writes_nothing_until_its_lease_needs_it(full: LedgerBench, sink: ScriptedSink) -> None:
    """It reads the log; a new event, or a third of the lease, makes it write."""
    relay, now = open_relay(full, sink), [0.0]
    relay.clock = lambda: now[0]
    relay_all(relay)
    with patch.object(relay.lease, "hold", wraps=relay.lease.hold) as hold:
        assert (relay.relay_batch(), relay.relay_batch(), hold.call_count) == (0, 0, 0)
        now[0] = relay.lease.lease_s / 3
        assert (relay.relay_batch(), hold.call_count) == (0, 1)
        full.issue()
        assert (relay.relay_batch(), hold.call_count) == (1, 2)


def test_events_of_a_batch_are_read_once(full: LedgerBench, sink: ScriptedSink) -> None:
    """Unless the lease was due, the read that notices them is the one that they are sent from."""
    relay = open_relay(full, sink)
    with patch.object(relay.feed, "read_page", wraps=relay.feed.read_page) as read_page:
        relay_all(relay)

    assert sink.positions == log_positions(full)
    assert read_page.call_count == len(sink.received) + 1, "one that gave nothing"


def test_position_that_went_back_stops_the_relay(full: LedgerBench, sink: ScriptedSink) -> None:
    """The database was restored: positions are used again for other events, which consumers would ignore."""
    relay = open_relay(full, sink)
    relay_all(relay)
    full.rows("UPDATE relays SET position = 2 RETURNING 1")
    full.issue()

    with pytest.raises(RelayStoppedError, match=r"went back from \d+ to 2.*after-a-restore"):
        relay.relay_batch()


def test_standby_that_takes_over_after_a_restore_stops(full: LedgerBench, sink: ScriptedSink) -> None:
    """The position is after the end of the restored log: it would leave out the events up to there."""
    first, standby = open_relay(full, sink), open_relay(full, sink)
    first.relay_batch()
    assert standby.relay_batch() == 0
    first.lease.release()
    full.rows("UPDATE relays SET position = 99 RETURNING 1")

    with pytest.raises(RelayStoppedError, match=r"position 99 of relay r is after the end of the log, \d+: .*restore"):
        standby.run(Stopping(after=2))

    assert "after the end of the log" in str(only_row(full).last_error)
    assert only_row(full).holder is None


def test_removed_relay_ends_its_processes(full: LedgerBench, sink: ScriptedSink) -> None:
    """Otherwise it would begin again at the start of the log."""
    relay = open_relay(full, sink)
    full.rows("DELETE FROM relays RETURNING 1")

    with pytest.raises(RelayStoppedError, match="relay r was removed"):
        relay.run(Stopping(after=9))


def test_target_that_does_not_answer_in_time_gets_fewer_events(full: LedgerBench, sink: ScriptedSink) -> None:
    """Down to one; batches grow again."""
    sink.failures.extend([SinkUnavailableError("no answer in time")] * 3)
    open_relay(full, sink).run(Stopping(after=6))

    assert [len(batch) for batch in sink.received] == [1, 2, 3]


def test_position_that_goes_back_during_a_batch_stops_the_relay(full: LedgerBench, sink: ScriptedSink) -> None:
    """The database failed over while the target took the events."""
    relay = open_relay(full, sink)
    relay.relay_batch()
    send = sink.send

    def send_during_failover(records: Sequence[RelayRecord]) -> None:
        send(records)
        full.rows("UPDATE relays SET position = 2 RETURNING 1")

    with patch.object(sink, "send", send_during_failover):
        relay.relay_batch()

    with pytest.raises(RelayStoppedError, match="went back from 3 to 2"):
        relay.relay_batch()
