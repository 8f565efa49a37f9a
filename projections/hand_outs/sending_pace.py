"""The rate of a hand-out: at most so many emails are claimed in any 60 s, and they are spread over that time."""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

WINDOW: Final = timedelta(seconds=60)
CATCH_UP: Final = timedelta(seconds=10)
"""How much of the rate that was not used is made up for: workers look for due rows every few seconds."""
STEP: Final = timedelta(milliseconds=250)
"""Claims within one step are stored as one, with the time of the last: 241 numbers at most, whatever the rate."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Claim(NamedTuple):
    """Rows that workers leased at one time."""

    at: datetime
    rows: int


class SendingPace(NamedTuple):
    """When the next rows of a hand-out may be claimed, and those that were claimed in the last 60 s, oldest first."""

    next_at: datetime
    claims: tuple[Claim, ...] = ()

    def count_allowed(self, per_minute: int, now: datetime) -> int:
        """Return how many rows may be claimed now: no more than are left of the last 60 s.

        None if the clock of another process was ahead: claims that this one would count have been dropped since.
        """
        if self.claims and now < self.claims[-1].at:
            return 0
        in_window = sum(claim.rows for claim in self._claims_since(now))
        by_interval = int((now - self._find_start(now)).total_seconds() * per_minute / 60) + 1
        return max(0, min(by_interval, per_minute - in_window))

    def add_claim(self, per_minute: int, now: datetime, rows: int) -> "SendingPace":
        """Return the pace after rows were claimed, none if no more are allowed now."""
        claims = self._claims_since(now)
        if rows:
            claim = Claim(now, rows)
            if claims and _step_of(claims[-1].at) == _step_of(claim.at):
                claim = Claim(claim.at, claims.pop().rows + rows)
            claims.append(claim)
        next_at = self._find_start(now) + timedelta(seconds=rows * 60 / per_minute)
        if claims and sum(claim.rows for claim in claims) >= per_minute:
            next_at = max(next_at, claims[0].at + WINDOW)
        if not rows and claims:
            next_at = max(next_at, claims[-1].at)
        return SendingPace(next_at, tuple(claims))

    def _claims_since(self, now: datetime) -> list[Claim]:
        return [claim for claim in self.claims if claim.at > now - WINDOW]

    def _find_start(self, now: datetime) -> datetime:
        return max(self.next_at, now - CATCH_UP)


def _step_of(at: datetime) -> int:
    return (at - _EPOCH) // STEP
