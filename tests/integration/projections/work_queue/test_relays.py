"""Relays: one process holds each, the position moves only for it, and no clock keeps another process out."""

from uuid import UUID

import pytest

from projections.work_queue.relays import RelayLease, RelayRow, delete_relay, list_relays
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.servers.databases import execute


def lease_of(bench: LedgerBench, number: int, *, name: str = "orders") -> RelayLease:
    """The lease as a process has it."""
    return RelayLease(
        bench.storage,
        name=name,
        target="https://example.com",
        holder=f"host:{number}",
        holder_id=UUID(int=number),
        lease_s=20.0,
    )


def test_lease_is_held_by_one_process_until_it_expires(bench: LedgerBench) -> None:
    """The second one stands by, and continues at the position of the first."""
    first, second = lease_of(bench, 1), lease_of(bench, 2)
    assert (first.hold(), second.hold(), first.advance(0, 7)) == (0, None, True)

    execute(bench.database_url, "UPDATE relays SET leased_until = clock_timestamp() - interval '1 ms'")

    assert (second.hold(), first.hold(), first.advance(7, 9)) == (7, None, False)
    assert second.hold() == 7


def test_released_lease_is_free_immediately(bench: LedgerBench) -> None:
    """As a process that is stopped does."""
    first = lease_of(bench, 1)
    first.hold()
    first.release()

    assert lease_of(bench, 2).hold() == 0


def test_lease_that_is_longer_than_leases_are_keeps_none_out(bench: LedgerBench) -> None:
    """It was taken before the clock of the database went back."""
    lease_of(bench, 1).hold()
    execute(bench.database_url, "UPDATE relays SET leased_until = clock_timestamp() + interval '2 days'")

    assert lease_of(bench, 2).hold() == 0


def test_position_does_not_move_from_elsewhere(bench: LedgerBench) -> None:
    """As of a batch that was sent before an operator set the position back."""
    lease = lease_of(bench, 1)
    assert (lease.hold(start=5), lease.advance(4, 6), lease.advance(5, 6), lease.hold()) == (5, False, True, 6)


def test_failures_are_listed_until_the_next_success(bench: LedgerBench) -> None:
    """With the holder and what is behind; without one, no process relays."""
    bench.issue()
    lease = lease_of(bench, 1)
    lease.hold()
    lease.record_failure("it answered 500" + "x" * 1_000)
    lease.record_failure("it answered 500")
    assert list_relays(bench.storage) == [
        RelayRow("orders", "https://example.com", 0, None, 2, "it answered 500", "host:1", 1)
    ]

    lease.advance(0, 1_000)
    lease.release()

    (row,) = list_relays(bench.storage)
    assert (row.position, row.failures, row.last_error, row.holder, row.behind) == (1_000, 0, None, None, 0)
    assert row.relayed_at is not None


@pytest.mark.parametrize("is_held", [True, False], ids=["held", "free"])
def test_relay_is_deleted_unless_a_process_relays(bench: LedgerBench, is_held: bool) -> None:
    """One that runs would begin again at the start of the log."""
    lease = lease_of(bench, 1)
    lease.hold()
    if not is_held:
        lease.release()

    assert delete_relay(bench.storage, "orders") is not is_held
    assert [row.name for row in list_relays(bench.storage)] == (["orders"] if is_held else [])
    assert not delete_relay(bench.storage, "other")
