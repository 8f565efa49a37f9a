"""What metrics ask of the ledger: right, the same after a restart, and no errors while the database is unavailable."""

import math
from collections import Counter
from datetime import timedelta
from importlib.resources import files
from unittest.mock import patch
from uuid import uuid4

import psycopg
import pytest

from domain.commands.add_note import NoteOnReservation
from domain.ports import OutcomeUnknown, Rejected, RetryLater
from projections.event_store.codec import UnreadableEventError
from projections.monitoring import event_counters, relay_lag
from projections.monitoring.ledger_collector import LedgerCollector
from projections.sql.monitoring import MonitoringSql
from tests.support.ledger.ledger_bench import LedgerBench, assert_no_drift, done
from tests.support.metric_samples import samples


def history(bench: LedgerBench) -> None:
    """Two uses sent, one refunded for its address, one unknown, one pending."""
    for email in ("a@example.com", "b@example.com"):
        bench.attempt(done(bench.redeem(bench.issue(), email)).require_reservation().reservation_id)
    refused = Rejected(server="mx:25", reason="address_refused", final=True, about_address=True)
    bench.attempt(done(bench.redeem(bench.issue(), "c@example.com")).require_reservation().reservation_id, refused)
    lost = OutcomeUnknown(server="mx:25", cause="connection_lost")
    bench.attempt(done(bench.redeem(bench.issue(), "d@example.com")).require_reservation().reservation_id, lost)
    done(bench.redeem(bench.issue(), "e@example.com"))


def test_counters_are_sums_over_the_log(bench: LedgerBench) -> None:
    """Events by type, attempts by outcome, refunds by cause, and the time from click to mail."""
    history(bench)
    stored = Counter(topic.split(":")[0] for (topic,) in bench.rows("SELECT topic FROM ledger_events"))

    shown = samples(LedgerCollector(bench.database_url)())

    for kind, count in stored.items():
        assert shown[f'ledger_events_total{{type="{kind}"}}'] == count
    assert shown['ledger_attempts_total{outcome="sent"}'] == 2
    assert shown['ledger_attempts_total{outcome="failed"}'] == 1
    assert shown['ledger_attempts_total{outcome="unknown"}'] == 1
    assert shown['ledger_refunds_total{cause="address_refused"}'] == 1
    assert shown["ledger_click_to_sent_seconds_count"] == 2
    assert shown['ledger_click_to_sent_seconds_bucket{le="1800"}'] == 2
    assert 0 < shown["ledger_click_to_sent_seconds_sum"] < 120


def test_gauges_show_the_state(bench: LedgerBench) -> None:
    """What waits, what is overdue, where the log ends."""
    history(bench)

    shown = samples(LedgerCollector(bench.database_url)())

    assert shown["ledger_pending_reservations"] == 2  # the pending one and the unknown one
    assert shown["ledger_oldest_pending_seconds"] > 0
    assert shown["ledger_sweep_lag_seconds"] > 0
    assert -1800 <= shown["ledger_overdue_seconds"] < 0
    assert shown["ledger_log_position"] == shown["ledger_tallied_position"] == 19
    assert (shown["ledger_open_cases"], shown["ledger_projection_drift"], shown["ledger_database_up"]) == (0, 0, 1)
    assert shown["ledger_database_connections_max"] > shown["ledger_database_connections"] > 0


def test_oldest_pending_leaves_out_invitations_that_a_channel_deferred(bench: LedgerBench) -> None:
    """A full team is no delay of ours while the time that it named is ahead; they stay among the pending ones."""
    reservation = done(bench.redeem(bench.issue(), "a@example.com")).require_reservation().reservation_id
    bench.attempt(reservation, RetryLater(server="team", reason="full", wait=timedelta(days=1)))

    shown = samples(LedgerCollector(bench.database_url)())
    assert (shown["ledger_pending_reservations"], shown["ledger_oldest_pending_seconds"]) == (1, 0)

    with psycopg.connect(bench.database_url) as conn:
        conn.execute("UPDATE reservations SET due_at = now() - interval '1 second'")
    assert samples(LedgerCollector(bench.database_url)())["ledger_oldest_pending_seconds"] > 0


def test_migration_marks_reservations_that_were_deferred_before_it(bench: LedgerBench) -> None:
    """Those alone: one that was attempted since then, or that merely failed, waits for us."""
    reservation_ids = [
        done(bench.redeem(bench.issue(), f"{name}@example.com")).require_reservation().reservation_id for name in "abc"
    ]
    for reservation_id in reservation_ids[:2]:
        bench.attempt(reservation_id, RetryLater(server="team", reason="full", wait=timedelta(days=1)))
    bench.attempt(reservation_ids[2], Rejected(server="mx:25", reason="temporary", final=False))
    note = bench.storage.vault.seal_text("a full team", uuid4(), reservation_ids[0])
    bench.run(NoteOnReservation(context=bench.context("staff"), reservation_id=reservation_ids[0], note=note))
    before = bench.rows("SELECT reservation_id, is_deferred FROM reservations ORDER BY 1")
    text = (files("projections.sql.migrations") / "0026_deferred_reservations.sql").read_text("utf-8")
    with psycopg.connect(bench.database_url) as conn:
        conn.execute("ALTER TABLE reservations DROP COLUMN is_deferred")
        conn.execute(text)

    assert bench.rows("SELECT reservation_id, is_deferred FROM reservations ORDER BY 1") == before
    assert sum(is_deferred for _, is_deferred in before) == 2
    assert_no_drift(bench)


def test_restart_resets_nothing_and_counts_nothing_twice(bench: LedgerBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretch by stretch, by several processes, or all again: the same sums."""
    history(bench)
    monkeypatch.setattr(event_counters, "EVENTS_PER_TRANSACTION", 3)
    first = samples(LedgerCollector(bench.database_url)())
    second = samples(LedgerCollector(bench.database_url)())
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        conn.execute("DELETE FROM tallies")
        conn.execute("UPDATE tally_progress SET position = 0")
        monkeypatch.setattr(event_counters, "EVENTS_PER_TRANSACTION", 20_000)
        event_counters.update_counters(conn)
    restarted = samples(LedgerCollector(bench.database_url)())

    assert counters(first) == counters(second) == counters(restarted)
    assert first['ledger_events_total{type="UseReserved"}'] == 5


def test_counting_events_blocks_no_other_process(bench: LedgerBench) -> None:
    """A second process finds them taken and shows what is there."""
    history(bench)
    with psycopg.connect(bench.database_url) as busy:
        busy.execute(MonitoringSql.lock_counter_progress)
        shown = samples(LedgerCollector(bench.database_url)())

    assert shown["ledger_tallied_position"] == 0
    assert shown["ledger_log_position"] == 19


def test_unavailable_database_is_reported_and_the_last_values_stay(bench: LedgerBench) -> None:
    """Every sample is still there, so that no alert loses its series."""
    history(bench)
    clock = iter([0.0, 100.0, 100.0])
    numbers = LedgerCollector(bench.database_url, lambda: next(clock))
    before = samples(numbers())
    numbers._database_url = "postgresql://nobody@127.0.0.1:1/none"

    after = samples(numbers())

    assert (before.pop("ledger_database_up"), after.pop("ledger_database_up")) == (1, 0)
    assert before == after


def test_one_look_serves_all_scrapes_of_some_seconds(bench: LedgerBench) -> None:
    """Two scrapes within the bound ask the database once."""
    clock = iter([0.0, 4.9])
    numbers = LedgerCollector(bench.database_url, lambda: next(clock))
    list(numbers())
    history(bench)

    assert samples(numbers())["ledger_log_position"] == 0


def counters(shown: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in shown.items() if "_total" in name or "click_to_sent" in name}


def test_relays_show_how_far_the_slowest_is_behind(bench: LedgerBench) -> None:
    """In positions, and in seconds since the oldest event that it has not passed on; zeros without relays."""
    history(bench)
    names = ("ledger_relay_behind", "ledger_relay_oldest_seconds", "ledger_relay_failures")
    shown = samples(LedgerCollector(bench.database_url)())
    assert [shown[name] for name in names] == [0, 0, 0]

    query = """
        INSERT INTO relays (name, target, target_id, position, failures, holder_id, holder, leased_until)
        VALUES ('a', '', '', 19, 0, gen_random_uuid(), '', now()), ('b', '', '', 17, 3, gen_random_uuid(), '', now())
        RETURNING 1
    """
    bench.rows(query)
    shown = samples(LedgerCollector(bench.database_url)())
    assert (shown["ledger_relay_behind"], shown["ledger_relay_failures"]) == (2, 3)
    assert 0 < shown["ledger_relay_oldest_seconds"] < 60

    bench.rows("UPDATE relays SET position = 19 RETURNING 1")
    shown = samples(LedgerCollector(bench.database_url)())
    assert [shown[name] for name in names] == [0, 0, 3]


def test_relay_whose_position_is_after_the_log_is_counted(bench: LedgerBench) -> None:
    """It is not behind, and hides none that is."""
    history(bench)
    query = """
        INSERT INTO relays (name, target, target_id, position, holder_id, holder, leased_until)
        VALUES ('a', '', '', 20, gen_random_uuid(), '', now()), ('b', '', '', 17, gen_random_uuid(), '', now())
        RETURNING 1
    """
    bench.rows(query)

    shown = samples(LedgerCollector(bench.database_url)())
    assert (shown["ledger_relay_behind"], shown["ledger_relay_beyond"]) == (2, 1)


def test_event_of_a_newer_version_has_no_age(bench: LedgerBench) -> None:
    """The other metrics do not end with it."""
    bench.issue()
    bench.rows("INSERT INTO relays VALUES ('a', '', '', 0, NULL, 2, NULL, gen_random_uuid(), '', now()) RETURNING 1")
    with patch.object(relay_lag, "decode", side_effect=UnreadableEventError("CodeMadeLater:1")):
        shown = samples(LedgerCollector(bench.database_url)())

    assert math.isnan(shown["ledger_relay_oldest_seconds"])
    assert (shown["ledger_relay_behind"], shown["ledger_relay_failures"]) == (1, 2)
