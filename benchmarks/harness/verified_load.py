"""A load on the ledger whose answers are compared with the rows of the log."""

import time
from collections.abc import Sequence

from benchmarks.harness.cpu_time import subtract
from benchmarks.harness.load_generators import BenchmarkError, LoadGenerator, LoadResult
from benchmarks.harness.stack import BenchmarkStack

CONNECTIONS = 64
"""Connections of the main load, as for every baseline over HTTP."""
SETTLE_S = 0.2
SETTLE_POLLS_MAX = 100
_RESERVED = "SELECT count(*) FROM ledger_events WHERE topic = 'UseReserved:1'"


class VerifiedLoad:
    """Posts to a stack and checks that every answer has its event in the log.

    Args:
        stack: The stack under load.
        loader: Sends the requests.
    """

    def __init__(self, stack: BenchmarkStack, loader: LoadGenerator) -> None:
        self._stack = stack
        self._loader = loader

    def run(
        self,
        codes: Sequence[str],
        *,
        seconds: float,
        connections: int = CONNECTIONS,
        bases: Sequence[str] = (),
        pause_ms: int = 0,
    ) -> LoadResult:
        """Post to one or several API processes, then compare answers and reservations.

        Raises:
            BenchmarkError: A redeem was refused, or the numbers differ by more than the requests in flight at the
                end.
        """
        bases = bases or [self._stack.base]
        before, cpu_before = self._wait_until_settled(), self._stack.read_cpu_s()
        runs = [
            self._loader.start(
                base, codes, seconds=seconds, connections=max(1, connections // len(bases)), pause_ms=pause_ms
            )
            for base in bases
        ]
        loads = [run.read() for run in runs]
        cpu_s = subtract(self._stack.read_cpu_s(), cpu_before)
        reservations = self._count_reservations() - before
        refused_count, answers = sum(load.refused for load in loads), sum(load.answers for load in loads)
        if refused_count or not answers <= reservations <= answers + connections:
            raise BenchmarkError(
                f"{answers} answers, {refused_count} of them refused, {reservations} reservations in the log"
            )
        rps, p50_ms = sum(load.rps for load in loads), max(load.p50_ms for load in loads)
        return LoadResult(rps, answers, refused_count, p50_ms, cpu_s)

    def run_refused(self, code: str, *, seconds: float) -> LoadResult:
        """Post on a code that is used up.

        Raises:
            BenchmarkError: A redeem was not refused.
        """
        before = self._wait_until_settled()
        load = self._loader.start(self._stack.base, [code], seconds=seconds, connections=CONNECTIONS).read()
        if load.refused != load.answers or self._count_reservations() != before:
            raise BenchmarkError("a code that is used up was redeemed")
        return load

    def run_repeated(self, code: str, *, seconds: float) -> LoadResult:
        """Post the same request repeatedly.

        Raises:
            BenchmarkError: It led to more than one reservation, or was refused.
        """
        before = self._wait_until_settled()
        load = self._loader.start(
            self._stack.base, [code], seconds=seconds, connections=CONNECTIONS, repeats=True
        ).read()
        if load.refused or self._count_reservations() - before > 1:
            raise BenchmarkError("a repeat was refused or took a further use")
        return load

    def _wait_until_settled(self) -> int:
        """Wait until the last requests of the former load have ended, and count the reservations.

        Raises:
            BenchmarkError: Another process continues to redeem.
        """
        count = self._count_reservations()
        for _ in range(SETTLE_POLLS_MAX):
            time.sleep(SETTLE_S)
            before, count = count, self._count_reservations()
            if count == before:
                return count
        raise BenchmarkError("another process redeems at the same time")

    def _count_reservations(self) -> int:
        return int(self._stack.query_rows(_RESERVED)[0][0])
