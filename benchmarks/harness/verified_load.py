"""A load on the ledger whose answers are counted against the rows of the log."""

import time
from collections.abc import Sequence

from benchmarks.harness.load_generators import BenchmarkError, Load, Loader
from benchmarks.harness.stack import Machine

CONNECTIONS = 64
"""Of the main load, as for every yardstick over HTTP."""
SETTLE_S = 0.2
SETTLE_TRIES_MAX = 100
_RESERVED = "SELECT count(*) FROM ledger_events WHERE topic = 'UseReserved:1'"


class Counted:
    """Puts load on a machine, every answer of which must be found in the log.

    Args:
        machine: Whose API is asked.
        loader: Asks it.
    """

    def __init__(self, machine: Machine, loader: Loader) -> None:
        self._machine = machine
        self._loader = loader

    def run(
        self,
        codes: Sequence[str],
        *,
        seconds: float,
        connections: int = CONNECTIONS,
        bases: Sequence[str] = (),
        pause_ms: int = 0,
    ) -> Load:
        """Post to one API process or several, then compare.

        Raises:
            BenchmarkError: Something was refused, or answers and reservations are not the same but for requests that
                were under way at the end.
        """
        bases = bases or [self._machine.base]
        before = self._settled()
        runs = [
            self._loader.start(
                base, codes, seconds=seconds, connections=max(1, connections // len(bases)), pause_ms=pause_ms
            )
            for base in bases
        ]
        loads = [run.read() for run in runs]
        kept = self._kept() - before
        refused, answers = sum(load.refused for load in loads), sum(load.answers for load in loads)
        if refused or not answers <= kept <= answers + connections:
            raise BenchmarkError(f"{answers} answers, {refused} of them refused, {kept} reservations in the log")
        return Load(sum(load.rps for load in loads), answers, refused, max(load.p50_ms for load in loads))

    def refused(self, code: str, *, seconds: float) -> Load:
        """Post on a code that refuses.

        Raises:
            BenchmarkError: It did not, every time.
        """
        before = self._settled()
        load = self._loader.start(self._machine.base, [code], seconds=seconds, connections=CONNECTIONS).read()
        if load.refused != load.answers or self._kept() != before:
            raise BenchmarkError("a code that is used up was redeemed")
        return load

    def repeated(self, code: str, *, seconds: float) -> Load:
        """Post the same request again and again.

        Raises:
            BenchmarkError: It led to more than one reservation, or was refused.
        """
        before = self._settled()
        load = self._loader.start(
            self._machine.base, [code], seconds=seconds, connections=CONNECTIONS, repeats=True
        ).read()
        if load.refused or self._kept() - before > 1:
            raise BenchmarkError("a repeat was refused or took a further use")
        return load

    def _settled(self) -> int:
        """What is kept once the last requests of the load before, whose answers nobody waited for, are through.

        Raises:
            BenchmarkError: Somebody else keeps redeeming.
        """
        kept = self._kept()
        for _ in range(SETTLE_TRIES_MAX):
            time.sleep(SETTLE_S)
            before, kept = kept, self._kept()
            if kept == before:
                return kept
        raise BenchmarkError("somebody else redeems meanwhile")

    def _kept(self) -> int:
        return int(self._machine.ask(_RESERVED)[0][0])
