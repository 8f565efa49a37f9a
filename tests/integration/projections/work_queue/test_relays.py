"""Relays: one process holds each, the position moves only for it, and no clock keeps another process out."""

from uuid import UUID

import pytest

from projections.work_queue.relays import (
    OtherTargetError,
    RelayLease,
    RelayRow,
    RemovedRelayError,
    delete_relay,
    list_relays,
)
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.servers.databases import execute


def lease_of(bench: LedgerBench, number: int, *, target_id: str = "t") -> RelayLease:
    """The lease as a process has it."""
    return RelayLease(
        bench.storage,
        name="orders",
        target="https://example.com",
        target_id=target_id,
        holder=f"host:{number}",
        holder_id=UUID(int=number),
        lease_s=20.0,
    )


def test_lease_is_held_by_one_process_until_it_expires(bench: LedgerBench) -> None:
    """The second one stands by, and continues at the position of the first."""
    first, second = lease_of(bench, 1), lease_of(bench, 2)
    assert (first.begin(), second.begin(), second.hold(), first.advance(0, 7)) == (0, None, None, True)

    execute(bench.database_url, "UPDATE relays SET leased_until = clock_timestamp() - interval '1 ms'")

    assert (second.hold(), first.hold(), first.advance(7, 9)) == (7, None, False)
    assert second.hold() == 7


def test_released_lease_is_free_immediately(bench: LedgerBench) -> None:
    """As a process that is stopped does."""
    first = lease_of(bench, 1)
    first.begin()
    first.release()

    assert lease_of(bench, 2).begin() == 0


def test_lease_that_is_longer_than_leases_are_keeps_none_out(bench: LedgerBench) -> None:
    """It was taken before the clock of the database went back."""
    lease_of(bench, 1).begin()
    execute(bench.database_url, "UPDATE relays SET leased_until = clock_timestamp() + interval '2 days'")

    assert lease_of(bench, 2).hold() == 0


def test_position_of_one_target_is_none_of_another(bench: LedgerBench) -> None:
    """What one got, the other lacks: an operator says where it continues, and the former process ends."""
    first, other = lease_of(bench, 1), lease_of(bench, 2, target_id="other")
    first.begin()
    first.advance(0, 7)
    first.release()
    with pytest.raises(OtherTargetError) as refused:
        other.begin()
    assert (refused.value.target, refused.value.position) == ("https://example.com", 7)

    assert (first.is_new(), other.is_new(), other.begin(start=3)) == (False, True, 3)
    with pytest.raises(OtherTargetError):
        first.hold()


def test_removed_relay_does_not_come_back(bench: LedgerBench) -> None:
    """By a process that stood by: the whole log would be sent again."""
    first, standby = lease_of(bench, 1), lease_of(bench, 2)
    first.begin()
    standby.begin()
    first.release()
    assert delete_relay(bench.storage, "orders")

    with pytest.raises(RemovedRelayError):
        standby.hold()
    assert list_relays(bench.storage) == []


def test_position_does_not_move_from_elsewhere(bench: LedgerBench) -> None:
    """As of a batch that was sent before an operator set the position back."""
    lease = lease_of(bench, 1)
    assert (lease.begin(start=5), lease.advance(4, 6), lease.advance(5, 6), lease.hold()) == (5, False, True, 6)


def test_failures_are_listed_until_the_next_success(bench: LedgerBench) -> None:
    """With the holder and what is behind; without one, no process relays."""
    bench.issue()
    lease = lease_of(bench, 1)
    lease.begin()
    lease.record_failure("it answered 500" + "x" * 1_000)
    lease.record_failure("it answered 500")
    assert list_relays(bench.storage) == [
        RelayRow("orders", "https://example.com", 0, None, 2, "it answered 500", "host:1", 1, False)
    ]

    lease.advance(0, 1_000)
    lease.release()

    (row,) = list_relays(bench.storage)
    assert (row.position, row.failures, row.last_error, row.holder, row.behind) == (1_000, 0, None, None, 0)
    assert row.is_beyond
    assert row.relayed_at is not None


@pytest.mark.parametrize("is_held", [True, False], ids=["held", "free"])
def test_relay_is_deleted_unless_a_process_relays(bench: LedgerBench, is_held: bool) -> None:
    """One that runs would begin again at the start of the log."""
    lease = lease_of(bench, 1)
    lease.begin()
    if not is_held:
        lease.release()

    assert delete_relay(bench.storage, "orders") is not is_held
    assert [row.name for row in list_relays(bench.storage)] == (["orders"] if is_held else [])
    assert not delete_relay(bench.storage, "other")
