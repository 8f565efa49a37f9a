"""What the Merkle log and the reservation map cost redeems, with and without their consumer, and their lag."""

import statistics
import subprocess
import sys
import time
from typing import Any

from psycopg import Connection

from benchmarks.harness.load_generators import BenchmarkError, WrkGenerator
from benchmarks.harness.stack import BenchmarkStack
from projections.database.connection import connect
from projections.transparency_log.reservation_map import extend_map
from projections.transparency_log.tile_log import EVENTS_MAX, append_hashed

Numbers = dict[str, float]
EVERY_S = 2.0
"""Interval of beat's schedule."""
PAIRS = 4


def measure_merkle_overhead(stack: BenchmarkStack, wrk: WrkGenerator, seconds: int, code: str) -> Numbers:
    """Measure redeems per second on a hot code with the consumer, divided by those without it; medians of rounds."""
    rates: dict[bool, list[float]] = {True: [], False: []}
    lags: list[float] = []
    with stack.pause_workers():
        for number in range(PAIRS * 2):
            is_followed = number % 4 in {0, 3}  # with, without, without, with: growing data affect both equally
            _catch_up(stack)
            follower = _start_follower(stack) if is_followed else None
            load = wrk.run(stack.base, code, seconds=seconds)
            if load.refused:
                raise BenchmarkError("a redeem was refused")
            rates[is_followed].append(load.rps)
            if follower:
                lags.append(_count_unfollowed_events(stack) / load.rps)
                follower.terminate()
                follower.wait(20)
    cost = statistics.median(rates[True]) / statistics.median(rates[False])
    return {"redeems_beside_proof": cost, "proof_lag_s": max(lags)}


def _start_follower(stack: BenchmarkStack) -> "subprocess.Popen[bytes]":
    """Start the consumer and wait for its first run: a worker has loaded its modules long before."""
    command = [sys.executable, "-m", "benchmarks.scenarios.merkle_overhead", stack.database_url]
    follower = subprocess.Popen(command, stdout=subprocess.PIPE)
    if not follower.stdout or not follower.stdout.readline():
        raise BenchmarkError("the consumer of the log ended")
    return follower


def _count_unfollowed_events(stack: BenchmarkStack) -> float:
    """Count the events that are not in the reservation map yet, which follows the Merkle log."""
    query = "SELECT max(notification_id) - (SELECT position FROM reservation_map_progress) FROM ledger_events"
    return float(stack.query_rows(query)[0][0])


def _catch_up(stack: BenchmarkStack) -> None:
    with connect(stack.database_url) as conn:
        _extend_both(conn)


def _extend_both(conn: Connection[Any]) -> None:
    """Do what a run of the worker's task does."""
    is_more = True
    while is_more:
        appended = append_hashed(conn)
        is_more = len(appended.events) == EVENTS_MAX
        while extend_map(conn, appended=appended) == EVENTS_MAX:
            pass


def _follow_forever(database_url: str) -> None:
    with connect(database_url) as conn:
        while True:
            until = time.monotonic() + EVERY_S
            _extend_both(conn)
            sys.stdout.write("caught up\n")
            sys.stdout.flush()
            time.sleep(max(0.0, until - time.monotonic()))


if __name__ == "__main__":
    _follow_forever(sys.argv[1])
