"""The balance of a code over its whole history, as a bounded number of samples."""

from datetime import datetime
from typing import Final, NamedTuple

from domain.model.redeem_code import RedeemCode

SAMPLES_MAX: Final = 512
"""Most samples that a long history keeps; a trace has at most twice as many."""


class BalanceSample(NamedTuple):
    """The balance after one event; `available` and `limit` are None without a limit."""

    version: int
    at: datetime
    used: int
    reserved: int
    available: int | None
    limit: int | None

    @property
    def occupied(self) -> int:
        """Uses that are counted or reserved."""
        return self.used + self.reserved

    def has_balance_of(self, other: "BalanceSample") -> bool:
        """Return whether nothing of the balance differs."""
        return self[2:] == other[2:]


class BalanceTrace:
    """Samples of the events that changed the balance.

    While they are few, every one is kept. Of a longer history each run of as many changes is represented by the one
    with the most uses counted or reserved, so no peak is hidden; the runs double in length when they become too many.
    """

    def __init__(self) -> None:
        self.changes = 0
        self._samples: list[BalanceSample] = []
        self._run_length = 1
        self._fullest: BalanceSample | None = None
        self._in_run = 0
        self._newest: BalanceSample | None = None

    def copy(self) -> "BalanceTrace":
        """Return a trace that continues independently."""
        other = BalanceTrace()
        other.__dict__.update({**self.__dict__, "_samples": list(self._samples)})
        return other

    def add(self, code: RedeemCode) -> None:
        """Add the state of the code after its next event."""
        sample = BalanceSample(
            code.version, code.last_at, code.used, code.reserved, code.available, code.terms.max_uses
        )
        newest, self._newest = self._newest, sample
        if newest is not None and sample.has_balance_of(newest):
            self._newest = newest
            return
        self.changes += 1
        if self._fullest is None or sample.occupied >= self._fullest.occupied:
            self._fullest = sample
        self._in_run += 1
        if self._in_run == self._run_length:
            self._samples.append(self._fullest)
            self._fullest, self._in_run = None, 0
            if len(self._samples) == 2 * SAMPLES_MAX:
                self._double_runs()

    def list_samples(self) -> list[BalanceSample]:
        """Return the samples in order, the newest balance last."""
        rest = [] if self._fullest is None else [self._fullest]
        samples = [*self._samples, *rest]
        if self._newest is not None and samples[-1].version != self._newest.version:
            samples.append(self._newest)
        return samples

    def _double_runs(self) -> None:
        pairs = zip(self._samples[::2], self._samples[1::2], strict=True)
        self._samples = [second if second.occupied >= first.occupied else first for first, second in pairs]
        self._run_length *= 2
