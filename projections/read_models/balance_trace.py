"""The balance of a code or campaign over its whole history, as a bounded number of samples."""

from datetime import datetime
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from domain.model.campaign import Campaign
from domain.model.redeem_code import RedeemCode

SAMPLES_MAX: Final = 512
"""Most samples that a long history keeps; a trace has at most twice as many."""


class BalanceSample(NamedTuple):
    """The balance after one event; `available` and `limit` are None without a limit.

    The stream of a campaign does not tell reserved uses from counted ones: both are `used` there.
    """

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


class BalanceTrace(Struct):
    """Samples of the events that changed the balance.

    While they are few, every one is kept. Of a longer history each run of as many changes is represented by the one
    with the most uses counted or reserved, so no peak is hidden; the runs double in length when they become too many.

    Attributes:
        changes: How often the balance changed.
        samples: One of each complete run.
        run_length: Changes of one run.
        fullest: The sample of the run that is not complete; `in_run` is how many changes that run has so far.
        newest: The newest balance.
    """

    changes: int = 0
    samples: list[BalanceSample] = []
    run_length: int = 1
    fullest: BalanceSample | None = None
    in_run: int = 0
    newest: BalanceSample | None = None

    def copy(self) -> "BalanceTrace":
        """Return a trace that continues independently."""
        return replace(self, samples=list(self.samples))

    def add(self, sample: BalanceSample) -> None:
        """Add the balance after the next event."""
        newest, self.newest = self.newest, sample
        if newest is not None and sample.has_balance_of(newest):
            self.newest = newest
            return
        self.changes += 1
        if self.fullest is None or sample.occupied >= self.fullest.occupied:
            self.fullest = sample
        self.in_run += 1
        if self.in_run == self.run_length:
            self.samples.append(self.fullest)
            self.fullest, self.in_run = None, 0
            if len(self.samples) == 2 * SAMPLES_MAX:
                self._double_runs()

    def list_samples(self) -> list[BalanceSample]:
        """Return the samples in order, the newest balance last."""
        rest = [] if self.fullest is None else [self.fullest]
        samples = [*self.samples, *rest]
        if self.newest is not None and samples[-1].version != self.newest.version:
            samples.append(self.newest)
        return samples

    def _double_runs(self) -> None:
        pairs = zip(self.samples[::2], self.samples[1::2], strict=True)
        self.samples = [second if second.occupied >= first.occupied else first for first, second in pairs]
        self.run_length *= 2


def sample_code(code: RedeemCode) -> BalanceSample:
    """Return the balance of a code."""
    return BalanceSample(code.version, code.last_at, code.used, code.reserved, code.available, code.terms.max_uses)


def sample_campaign(campaign: Campaign) -> BalanceSample:
    """Return the balance of a campaign."""
    limit = campaign.terms.max_uses
    return BalanceSample(campaign.version, campaign.last_at, campaign.occupied, 0, campaign.available, limit)
