"""The guard before every look-up of a code that a person typed: who may try, and what a failure costs.

- Only codes that don't exist count. A thousand customers behind one address hurt nobody.
- A code made here has 95 random bits: no limit makes guessing it any less possible. So it is always looked up, and
  whoever presents a real one gets the true answer whatever others do; only the answer "no such code" is limited.
- Anything else may be an old code, and old ones can be short. Beyond a limit it is not looked up, so that the answer
  tells nothing. That strikes addresses which failed themselves lately; all others only while the breaker is open, and
  then only if everybody together has used up what is left for them.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from api.rate_limits.breaker import Breaker
from api.rate_limits.client_network import sites_of
from api.rate_limits.gcra import KEYS_MAX, Gcra, Limit
from api.rate_limits.invitations import Invitations, Invited
from api.rate_limits.recent_failures import TimedSet
from api.settings import RATES, Rates
from domain.events import ActorKind
from domain.values.code_strength import CodeStrength
from projections.repositories.rate_limit_reports import RateLimitCounts
from projections.telemetry.metrics import BREAKER_OPEN, LIMITED

log = logging.getLogger(__name__)

ADDRESS: Final = Limit("address", 10, 6.0)
SHORT: Final = Limit("short", 5, 30.0)
"""By address too, of short codes only."""
NETWORK: Final = Limit("network", 40, 1.5)
"""By IPv6 network of 48 bits."""
EMAIL: Final = Limit("email", 10, 30.0)
CODE: Final = Limit("code", 20, 3.0)
EVERYBODY: Final = Limit("everybody", 60, 1.0)
"""While the breaker is open: unknown old codes from all addresses together that have not failed lately."""
LIMITS: Final = (ADDRESS, SHORT, NETWORK, EMAIL, CODE, EVERYBODY)

FAILURE_MEMORY_S: Final = 600.0
"""How long an address is known as one that failed lately."""
CONCURRENT_MAX: Final = 100
"""Old codes from one address that may be under way at once; beyond it they would be guesses that nobody counted yet."""
CLIENTS_MAX: Final = 4_096
"""Addresses whose digests are remembered."""
SPENT_MAX: Final = 1_000
"""Lines of one report to other processes; what is more in one second stays known to this process alone."""
BREAKER: Final = "breaker"
_ALL = b""


class Tried(NamedTuple):
    """One request about a code: who asks and from where, digests of what was typed, and whether `again` was given."""

    client: str | None
    shape: CodeStrength
    email: bytes
    code: bytes
    actor: ActorKind = "person"
    is_again: bool = False


class RateLimitExceeded(NamedTuple):
    """A try goes no further."""

    limit: str
    retry_after_s: int

    @property
    def is_about_all(self) -> bool:
        """Whether all that is tried is the reason, more than what came from this address."""
        return self.limit in {BREAKER, EVERYBODY.name}


class Remaining(NamedTuple):
    """Units that conform at once, and the seconds until there is one more."""

    units: int
    more_in_s: int


class Guard:
    """The limits of one process. Not for use by several threads.

    Args:
        digest: A keyed digest of an address, the same in every process of this ledger.
        clock: Seconds, monotonic.
        rates: How many invitations redeems may bring about.

    Attributes:
        invitations: The limits on what codes that exist bring about.
    """

    def __init__(self, digest: Callable[[str], bytes], clock: Callable[[], float], rates: Rates = RATES) -> None:
        self._digest = digest
        self._clock = clock
        self._spent = {limit.name: Gcra(limit) for limit in LIMITS}
        self.invitations = Invitations(rates, clock)
        self._heard = {**self._spent, **self.invitations.tables}
        self._suspects = TimedSet(FAILURE_MEMORY_S, KEYS_MAX)
        self._breaker = Breaker()
        self._under_way: dict[bytes, int] = {}
        self._all_under_way = 0
        self._redeemed = self._weighed = self._reported = 0  # so far: in all, known to the breaker, to other processes
        self._unknown = 0
        self._told: dict[tuple[str, bytes], int] = {}
        self._keys = lru_cache(maxsize=CLIENTS_MAX)(self._keys_of)
        BREAKER_OPEN.set(0)

    def admit(self, tried: Tried) -> RateLimitExceeded | None:
        """Whether a code may be looked up; None if so, and then `ended` has to follow."""
        if tried.shape == "native":
            return None
        site, now = self._keys(tried.client)[0], self._clock()
        if limited := self._limited(tried, now):
            return self._refused(limited, now)
        self._under_way[site] = self._under_way.get(site, 0) + 1
        self._all_under_way += 1
        return None

    def ended(self, tried: Tried) -> None:
        """What was admitted has its answer."""
        if tried.shape == "native":
            return
        site = self._keys(tried.client)[0]
        self._all_under_way -= 1
        if (left := self._under_way[site] - 1) > 0:
            self._under_way[site] = left
        else:
            del self._under_way[site]

    def failed(self, tried: Tried) -> RateLimitExceeded | None:
        """Count a code that does not exist; not None if the answer must not say so any more."""
        now = self._clock()
        if tried.shape == "native" and (limited := self._limited(tried, now)):
            return self._refused(limited, now)
        site = self._keys(tried.client)[0]
        for name, key in list(self._counts_for(tried, now)):
            self._spent[name].spend(key, now)
            if (name, key) in self._told or len(self._told) < SPENT_MAX:
                self._told[name, key] = self._told.get((name, key), 0) + 1
        self._suspects.add(site, now)
        self._count(now, unknown=1)
        return None

    def invited(self, tried: Tried) -> Invited:
        """The invitation that a request may bring about."""
        return Invited(tried.actor, tried.email, tried.code, self._keys(tried.client)[0], tried.is_again)

    def redeemed(self) -> None:
        """Count a redeem that made a reservation."""
        self._redeemed += 1

    def left(self, client: str | None) -> tuple[Remaining, Remaining] | None:
        """What this address may still try of unknown codes, and of short ones; None if it has not failed lately."""
        if not len(self._suspects):
            return None
        site, *networks = self._keys(client)
        now = self._clock()
        if not self._suspects.has(site, now):
            return None
        if wait_s := self._breaker.wait_s(now):
            return (Remaining(0, math.ceil(wait_s)),) * 2
        whole = min([self._left(ADDRESS, site, now), *(self._left(NETWORK, network, now) for network in networks)])
        return whole, min(whole, self._left(SHORT, site, now))

    def report(self) -> RateLimitCounts | None:
        """What other processes should know of since the last call; None if there is nothing. Called each second."""
        now = self._clock()
        self._count(now)
        told = self._told | self.invitations.report()
        counted = RateLimitCounts(self._unknown, self._redeemed - self._reported, told)
        self._unknown, self._reported, self._told = 0, self._redeemed, {}
        BREAKER_OPEN.set(self._breaker.is_open(now))
        return counted if counted.unknown or counted.redeemed or counted.spent else None

    def hear(self, reports: Iterable[RateLimitCounts]) -> None:
        """Count what other processes did, oldest first."""
        for report in reports:
            at = self._clock() - report.age_s
            for (name, key), count in report.spent.items():
                if name in self._heard:  # a newer version may have more of them
                    self._heard[name].spend(key, at, count)
                if name == ADDRESS.name:
                    self._suspects.add(key, at)
            self._tell(self._breaker.add(at, unknown=report.unknown, redeemed=report.redeemed))

    def _left(self, limit: Limit, key: bytes, now: float) -> Remaining:
        spent = self._spent[limit.name]
        units = spent.left(key, now)
        return Remaining(units, math.ceil(spent.wait_s(key, now, units)))

    def _limited(self, tried: Tried, now: float) -> RateLimitExceeded | None:
        """The limit that keeps a try out for longest."""
        waits = [(wait_s, name) for name, wait_s in self._waits(tried, now) if wait_s > 0]
        if not waits:
            return None
        wait_s, name = max(waits)
        return RateLimitExceeded(name, math.ceil(wait_s))

    def _waits(self, tried: Tried, now: float) -> Iterator[tuple[str, float]]:
        """Seconds to wait by limit, 0 where it lets the try through."""
        site, *networks = self._keys(tried.client)
        under_way = 0 if tried.shape == "native" else self._under_way.get(site, 0)
        for network in networks:
            yield NETWORK.name, self._wait_s(NETWORK, network, now)
        if self._suspects.has(site, now):
            yield BREAKER, self._breaker.wait_s(now)
            yield ADDRESS.name, self._wait_s(ADDRESS, site, now, under_way)
            yield EMAIL.name, self._wait_s(EMAIL, tried.email, now)
            yield CODE.name, self._wait_s(CODE, tried.code, now)
            if tried.shape == "short":
                yield SHORT.name, self._wait_s(SHORT, site, now, under_way)
        elif tried.shape != "native":
            yield "volley", float(under_way >= CONCURRENT_MAX)
            if self._breaker.is_open(now):
                yield EVERYBODY.name, self._wait_s(EVERYBODY, _ALL, now, self._all_under_way)

    def _wait_s(self, limit: Limit, key: bytes, now: float, under_way: int = 0) -> float:
        """As the limit says; a second where only others that are under way stand before it."""
        spent = self._spent[limit.name]
        return max(spent.wait_s(key, now), 1.0) if spent.wait_s(key, now, under_way) else 0.0

    def _counts_for(self, tried: Tried, now: float) -> Iterator[tuple[str, bytes]]:
        site, *networks = self._keys(tried.client)
        yield ADDRESS.name, site
        yield EMAIL.name, tried.email
        yield CODE.name, tried.code
        for network in networks:
            yield NETWORK.name, network
        if tried.shape == "short":
            yield SHORT.name, site
        if tried.shape != "native" and self._breaker.is_open(now) and not self._suspects.has(site, now):
            yield EVERYBODY.name, _ALL

    def _refused(self, limited: RateLimitExceeded, now: float) -> RateLimitExceeded:
        LIMITED.labels(limited.limit).inc()
        if limited.is_about_all:
            self._count(now, unknown=1)  # it stays open while they come
        if limited.limit == BREAKER:
            return limited._replace(retry_after_s=math.ceil(self._breaker.wait_s(now)))
        return limited

    def _count(self, now: float, unknown: int = 0) -> None:
        self._unknown += unknown
        redeemed, self._weighed = self._redeemed - self._weighed, self._redeemed
        self._tell(self._breaker.add(now, unknown=unknown, redeemed=redeemed))

    def _tell(self, opened: bool) -> None:  # noqa: FBT001 - the answer of the breaker, as it comes
        if opened:
            log.warning("code guessing detected: most recent codes do not exist (docs/how-to/runbook.md#guessing)")

    def _keys_of(self, client: str | None) -> tuple[bytes, ...]:
        """Digests of an address's site and, for IPv6, of its network."""
        return tuple(self._digest(site) for site in sites_of(client or ""))
