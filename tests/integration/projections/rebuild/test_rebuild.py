"""`rebuild`: what it finds, what it changes, and that nothing else is touched."""

from uuid import UUID, uuid4

import psycopg
import pytest

from domain.ports import OutcomeUnknown
from projections.database.errors import SchemaMismatchError
from projections.definitions.tables.code_balances import PROJECTION as CODE_BALANCES
from projections.replay.log_fold import MemoryLimits
from projections.replay.observer import UndecodableEventError
from tests.support.ledger.ledger_bench import LedgerBench, check_code, done
from tests.support.ledger.random_history import RandomHistory
from tests.support.ledger.rebuilds import commanded, leftovers, read_models, rebuilt, shapes


def sent(bench: LedgerBench, code: str, email: str = "li.wei@example.com") -> UUID:
    reservation_id = done(bench.redeem(code, email)).require_reservation().reservation_id
    bench.attempt(reservation_id)
    return reservation_id


def damage(bench: LedgerBench, statement: str, *params: object) -> None:
    with psycopg.connect(bench.database_url) as conn:
        conn.execute(statement.encode(), params)


def id_of(bench: LedgerBench, code: str) -> UUID:
    code_id = bench.reader.find_code(code)
    assert code_id is not None
    return code_id


def test_intact_read_models_differ_in_nothing(bench: LedgerBench) -> None:
    sent(bench, bench.issue(3))
    before, shape = read_models(bench), shapes(bench)

    code, document, _ = commanded(bench)

    assert (code, document["differing"], document["applied"]) == (0, 0, False)
    assert (before, shape, []) == (read_models(bench), shapes(bench), leftovers(bench))


@pytest.mark.usual_world("a diff that lists every row")
def test_dry_run_names_rows_values_and_the_event_that_explains_each(bench: LedgerBench) -> None:
    """A changed row, a lost one and one too many: old and new values, the last event, exit code 1, nothing changed."""
    code = bench.issue(3, bound=False)
    changed, lost = sent(bench, code, "a@example.com"), sent(bench, code, "b@example.com")
    damage(bench, "UPDATE code_balances SET used = 9")
    damage(bench, "UPDATE reservations SET status = 'live' WHERE reservation_id = %s", changed)
    damage(
        bench,
        "INSERT INTO cases VALUES (%s, %s, %s, 1, 'bounced', now(), NULL, NULL)",
        *(ghost := (uuid4(), id_of(bench, code), changed)),
    )
    damage(bench, "DELETE FROM reservations WHERE reservation_id = %s", lost)
    before = read_models(bench)

    exit_code, document, _ = commanded(bench)
    by_row_id = {entry["row_id"]: entry for entry in document["differences"]}

    assert exit_code == 1
    assert document["counts"] == {
        "code_balances": {"change": 1},
        "reservations": {"appear": 1, "change": 1},
        "cases": {"vanish": 1},
    }
    balance = by_row_id[str(id_of(bench, code))]
    assert (balance["old"], balance["new"]) == ({"used": 9}, {"used": 2})
    assert tuple(balance["event"][name] for name in ("type", "version", "position")) == ("InviteSent", 7, 7)
    assert (by_row_id[str(changed)]["old"], by_row_id[str(changed)]["new"]) == ({"status": "live"}, {"status": "sent"})
    assert (by_row_id[str(changed)]["event"]["type"], by_row_id[str(changed)]["event"]["version"]) == ("InviteSent", 4)
    assert (by_row_id[str(lost)]["old"], by_row_id[str(lost)]["change"]) == (None, "appear")
    assert by_row_id[str(ghost[0])]["change"] == "vanish"
    assert before == read_models(bench)
    assert leftovers(bench) == []


def test_apply_puts_the_log_s_rows_in_place(bench: LedgerBench) -> None:
    code = bench.issue(3, bound=False)
    sent(bench, code)
    expected, shape = read_models(bench), shapes(bench)
    damage(bench, "UPDATE code_balances SET used = 0")
    damage(bench, "DELETE FROM reservations")

    exit_code, document, _ = commanded(bench, apply=True)

    assert (exit_code, document["differing"], document["applied"]) == (0, 2, True)
    assert (expected, shape, []) == (read_models(bench), shapes(bench), leftovers(bench))
    assert done(bench.redeem(code, "b@example.com")).changed
    assert check_code(bench.storage, id_of(bench, code)) == []


def test_grants_survive_the_swap(bench: LedgerBench) -> None:
    damage(bench, "GRANT SELECT ON reservations TO pg_monitor")
    damage(bench, "GRANT SELECT ON code_balances TO PUBLIC")
    shape = shapes(bench)

    rebuilt(bench, apply=True)

    assert shape == shapes(bench)


def test_one_projection_leaves_the_others_alone(bench: LedgerBench) -> None:
    sent(bench, bench.issue(3))
    damage(bench, "UPDATE code_balances SET used = 0")
    damage(bench, "DELETE FROM reservations")

    report = rebuilt(bench, projections=frozenset({"reservations"}), apply=True)

    assert report.counts == {"reservations": {"appear": 1}}
    assert bench.rows("SELECT used FROM code_balances") == [(0,)]
    assert bench.rows("SELECT status FROM reservations") == [("sent",)]


def test_one_code_leaves_the_others_alone(bench: LedgerBench) -> None:
    """--code rebuilds the rows of one code, in place."""
    mine, other = bench.issue(3), bench.issue(3)
    sent(bench, mine)
    sent(bench, other)
    damage(bench, "UPDATE code_balances SET used = 2")
    damage(bench, "DELETE FROM reservations")
    oids = bench.rows("SELECT 'reservations'::regclass::oid")

    report = rebuilt(bench, only=id_of(bench, mine), apply=True)

    assert report.counts == {"code_balances": {"change": 1}, "reservations": {"appear": 1}}
    assert check_code(bench.storage, id_of(bench, mine)) == []
    assert [difference.table for difference in check_code(bench.storage, id_of(bench, other))] == [
        "code_balances",
        "reservations",
    ]
    assert oids == bench.rows("SELECT 'reservations'::regclass::oid")


def test_row_that_no_event_made_vanishes(bench: LedgerBench) -> None:
    """A balance without a stream is found, explained by nothing, and gone after --apply."""
    damage(
        bench,
        "INSERT INTO code_balances (code_id, version, issued_at, last_at, used, reserved, bound, sent_binding)"
        " VALUES (%s, 1, now(), now(), 0, 0, true, 0)",
        uuid4(),
    )

    report = rebuilt(bench, apply=True)

    assert [(difference.change, difference.event) for difference in report.listed] == [("vanish", None)]
    assert bench.rows("SELECT * FROM code_balances") == []


def test_differences_are_listed_up_to_a_limit_and_counted_all(bench: LedgerBench) -> None:
    """A table that is wrong everywhere doesn't fill the memory."""
    for _ in range(5):
        bench.issue()
    damage(bench, "UPDATE code_balances SET used = 1")

    report = rebuilt(bench, listed_max=2)

    assert (report.differing, len(report.listed)) == (5, 2)


@pytest.mark.parametrize(
    ("topic", "state", "version", "why"),
    [
        ("UseTeleported:7", b"{}", 2, "no event type for topic"),
        ("UseReserved:1", b"{}", 2, "does not have the expected fields"),
        ("UseReserved:1", b"{}", 4, "version 2 is missing"),
    ],
)
def test_undecodable_event_stops_and_changes_nothing(
    bench: LedgerBench, topic: str, state: bytes, version: int, why: str
) -> None:
    """An event that can't be read or does not follow is named by stream, version and topic; exit code 1."""
    code_id = id_of(bench, bench.issue())
    damage(bench, "UPDATE code_balances SET used = 1")
    damage(
        bench,
        "INSERT INTO ledger_events (originator_id, originator_version, topic, state) VALUES (%s, %s, %s, %s)",
        *(code_id, version, topic, state),
    )
    before = read_models(bench)

    exit_code, document, said = commanded(bench, apply=True)

    assert (exit_code, document) == (1, {})
    assert f"stream {code_id} version {version} (position 2, topic {topic})" in said
    assert why in said
    assert (before, []) == (read_models(bench), leftovers(bench))


def test_event_of_a_reservation_that_never_began_is_undecodable(bench: LedgerBench) -> None:
    """A lost UseReserved shows at the first event that builds on it."""
    code_id = id_of(bench, bench.issue())
    state = b'{"at":"2026-11-24T12:00:00Z","actor":"person","reservation_id":"%s","via":"link"}' % str(uuid4()).encode()
    damage(
        bench,
        "INSERT INTO ledger_events (originator_id, originator_version, topic, state) VALUES (%s, 2, %s, %s)",
        *(code_id, "InviteAccepted:1", state),
    )

    with pytest.raises(UndecodableEventError, match="no event before it opens reservation"):
        rebuilt(bench)


def test_balance_row_can_be_read_back(bench: LedgerBench) -> None:
    """The tail continues from a row: every field of a code is in it, as it is."""
    code = done(bench.redeem(bench.issue(2), "li.wei@example.com")).code

    assert code == CODE_BALANCES.read_back(CODE_BALANCES.row(code))
    assert len(CODE_BALANCES.table.columns) == len(CODE_BALANCES.row(code))


def test_rebuild_fills_columns_by_name(bench: LedgerBench) -> None:
    """A migration appends a column, which may be declared anywhere."""
    done(bench.redeem(bench.issue(4), "li.wei@example.com"))
    before = read_models(bench)
    damage(bench, "ALTER TABLE code_balances DROP COLUMN max_uses, ADD COLUMN max_uses bigint")
    assert read_models(bench) != before

    assert [each.table for each in rebuilt(bench, apply=True).listed] == ["code_balances"]
    assert read_models(bench) == before


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("ALTER TABLE code_balances DROP COLUMN bound_to", r"lacks bound_to: add them by a migration in projections/"),
        ("ALTER TABLE code_balances ADD COLUMN hue text", r"knows no hue of the table code_balances: declare them in"),
        ("DELETE FROM _yoyo_migration WHERE migration_id LIKE '0048%%'", r"older than this version \(it lacks 0048"),
    ],
    ids=["unmigrated", "undeclared", "older"],
)
def test_mismatch_of_columns_names_the_side_that_is_behind(bench: LedgerBench, change: str, error: str) -> None:
    """If every migration is applied, `ledger migrate` does not help."""
    damage(bench, change)
    if "DELETE" in change:
        damage(bench, "ALTER TABLE code_balances DROP COLUMN bound_to")

    with pytest.raises(SchemaMismatchError, match=error):
        rebuilt(bench)


@pytest.mark.parametrize("seed", range(6))
def test_live_rows_equal_a_rebuild_for_random_histories(bench: LedgerBench, seed: int) -> None:
    """Invariant 7, with all sizes so small that every bound is reached: pages, held reservations, tails."""
    history = RandomHistory(bench, seed)
    history.go_on(90)
    doubtful = done(bench.redeem(bench.issue(), "z@example.com")).require_reservation().reservation_id
    bench.attempt(doubtful, OutcomeUnknown(server="mx:25", cause="connection_lost"))

    report = rebuilt(bench, limits=MemoryLimits(page_events=7, open_reservations_max=2, catch_up_events=3))

    assert (report.counts, report.listed) == ({}, [])
    assert report.events == bench.rows("SELECT count(*) FROM ledger_events")[0][0] > 20
