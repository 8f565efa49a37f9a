"""The guard before every lookup of a code that a person typed: which requests are admitted, and what a failure costs.

- Only codes that do not exist count: a thousand customers behind one IP address are not limited.
- A native code has 95 random bits, so no limit makes guessing it harder. It is always looked up, and a request with a
  real one gets the true answer whatever others do; only the answer "no such code" is limited.
- Any other text may be a legacy code, which can be short. Beyond a limit it is not looked up, so the answer reveals
  nothing. The limits apply to clients that failed recently. They apply to all others only while the breaker is open,
  once the clients together have used up the shared limit.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from msgspec import Struct

from api.rate_limits.breaker import Breaker
from api.rate_limits.caller_limit import QUESTIONS, TEST_MESSAGES, CallerLimit
from api.rate_limits.client_network import client_networks
from api.rate_limits.expiring_keys import TimedSet
from api.rate_limits.gcra import KEYS_MAX, Gcra, Limit
from api.rate_limits.invitations import Invitation, Invitations
from domain.events.event import ActorKind
from domain.values.code_strength import CodeStrength
from projections.config.settings import RATES, Rates
from projections.repositories.rate_limit_reports import RateLimitCounts
from projections.telemetry.metrics import BREAKER_OPEN, LIMITED

log = logging.getLogger(__name__)

ADDRESS: Final = Limit("address", 10, 6.0)
SHORT: Final = Limit("short", 5, 30.0)
"""Limit by client address for short legacy codes only."""
NETWORK: Final = Limit("network", 40, 1.5)
"""Limit by IPv6 network of 48 bits."""
EMAIL: Final = Limit("email", 10, 30.0)
CODE: Final = Limit("code", 20, 3.0)
EVERYBODY: Final = Limit("everybody", 60, 1.0)
"""While the breaker is open: unknown legacy codes from all clients together that have not failed recently."""
LIMITS: Final = (ADDRESS, SHORT, NETWORK, EMAIL, CODE, EVERYBODY)

FAILURE_MEMORY_S: Final = 600.0
"""Seconds for which a client counts as one that failed recently."""
CONCURRENT_MAX: Final = 100
"""Legacy codes from one client that may be looked up concurrently; more would be guesses that are not counted yet."""
CLIENTS_MAX: Final = 4_096
"""Client addresses whose digests are cached."""
SPENT_MAX: Final = 1_000
"""Rows of one report to other processes; what exceeds it in one second counts in this process alone."""
BREAKER: Final = "breaker"
_ALL = b""


class CodeAttempt(Struct, frozen=True):
    """One request about a code: who asks and from where, digests of what was typed, and whether `again` was given."""

    client: str | None
    shape: CodeStrength
    email: bytes
    code: bytes
    actor: ActorKind = "person"
    is_again: bool = False


class RateLimitExceeded(NamedTuple):
    """The limit that rejects a request, and the seconds until it may be repeated."""

    limit: str
    retry_after_s: int

    @property
    def is_about_all(self) -> bool:
        """Whether the requests of all clients are the reason, more than those of this one."""
        return self.limit in {BREAKER, EVERYBODY.name}


class Remaining(NamedTuple):
    """Units that are admitted immediately, and the seconds until there is one more."""

    units: int
    more_in_s: int


class Guard:
    """The limits of one process. Not for use by several threads.

    Args:
        digest: A keyed digest of a client address, the same in every process of this ledger.
        clock: Seconds, monotonic.
        rates: How many invitations redeems may bring about.

    Attributes:
        invitations: The limits on what codes that exist bring about.
        message_tests: The limit on test messages of staff and API keys.
        questions: The limit on calls of tools by assistants.
        tool_lists: The same on lists of tools, counted apart: clients read the list before each session's first call.
    """

    def __init__(self, digest: Callable[[str], bytes], clock: Callable[[], float], rates: Rates = RATES) -> None:
        self._digest = digest
        self._clock = clock
        self._spent = {limit.name: Gcra(limit) for limit in LIMITS}
        self.invitations = Invitations(rates, clock)
        self.message_tests = CallerLimit(TEST_MESSAGES, clock)
        self.questions = CallerLimit(QUESTIONS, clock)
        self.tool_lists = CallerLimit(QUESTIONS, clock)
        self._tables = {**self._spent, **self.invitations.tables}
        self._recent_failures = TimedSet(FAILURE_MEMORY_S, KEYS_MAX)
        self._breaker = Breaker()
        self._concurrent: dict[bytes, int] = {}
        self._all_concurrent = 0
        # Redeems so far: in all, known to the breaker, known to other processes.
        self._redeemed = self._reported_to_breaker = self._reported = 0
        self._unknown = 0
        self._unreported: dict[tuple[str, bytes], int] = {}
        self._keys = lru_cache(maxsize=CLIENTS_MAX)(self._keys_of)
        BREAKER_OPEN.set(0)

    def acquire(self, attempt: CodeAttempt) -> RateLimitExceeded | None:
        """Admit a lookup, or return the limit that rejects it. After None, `release` must follow."""
        if attempt.shape == "native":
            return None
        site, now = self._keys(attempt.client)[0], self._clock()
        if exceeded := self._exceeded_limit(attempt, now):
            return self._reject(exceeded, now)
        self._concurrent[site] = self._concurrent.get(site, 0) + 1
        self._all_concurrent += 1
        return None

    def release(self, attempt: CodeAttempt) -> None:
        """End a lookup that was admitted."""
        if attempt.shape == "native":
            return
        site = self._keys(attempt.client)[0]
        self._all_concurrent -= 1
        if (remaining := self._concurrent[site] - 1) > 0:
            self._concurrent[site] = remaining
        else:
            del self._concurrent[site]

    def record_failure(self, attempt: CodeAttempt) -> RateLimitExceeded | None:
        """Count a code that does not exist; return a limit if the answer must no longer say so."""
        now = self._clock()
        if attempt.shape == "native" and (exceeded := self._exceeded_limit(attempt, now)):
            return self._reject(exceeded, now)
        site = self._keys(attempt.client)[0]
        for name, key in list(self._counts_for(attempt, now)):
            self._spent[name].spend(key, now)
            if (name, key) in self._unreported or len(self._unreported) < SPENT_MAX:
                self._unreported[name, key] = self._unreported.get((name, key), 0) + 1
        self._recent_failures.add(site, now)
        self._count(now, unknown=1)
        return None

    def invitation(self, attempt: CodeAttempt) -> Invitation:
        """Return the invitation that a request may bring about."""
        site = self._keys(attempt.client)[0]
        return self.invitations.invitation(attempt.actor, attempt.email, attempt.code, site, is_again=attempt.is_again)

    def record_successes(self, count: int) -> None:
        """Count redeems that made a reservation each."""
        self._redeemed += count

    def remaining(self, client: str | None) -> tuple[Remaining, Remaining] | None:
        """Return the unknown and short codes that a client may still send; None if it has not failed recently."""
        if not len(self._recent_failures):
            return None
        site, *networks = self._keys(client)
        now = self._clock()
        if not self._recent_failures.has(site, now):
            return None
        if wait_s := self._breaker.wait_s(now):
            return (Remaining(0, math.ceil(wait_s)),) * 2
        whole = min(
            [self._remaining(ADDRESS, site, now), *(self._remaining(NETWORK, network, now) for network in networks)]
        )
        return whole, min(whole, self._remaining(SHORT, site, now))

    def report(self) -> RateLimitCounts | None:
        """Return the counts since the last call, for other processes; None if there are none. Called each second."""
        now = self._clock()
        self._count(now)
        unreported = self._unreported | self.invitations.report()
        counted = RateLimitCounts(self._unknown, self._redeemed - self._reported, unreported)
        self._unknown, self._reported, self._unreported = 0, self._redeemed, {}
        BREAKER_OPEN.set(self._breaker.is_open(now))
        return counted if counted.unknown or counted.redeemed or counted.spent else None

    def merge(self, reports: Iterable[RateLimitCounts]) -> None:
        """Add the counts of other processes, oldest first."""
        for report in reports:
            at = self._clock() - report.age_s
            for (name, key), count in report.spent.items():
                if name in self._tables:  # a newer version may have more of them
                    self._tables[name].spend(key, at, count)
                if name == ADDRESS.name:
                    self._recent_failures.add(key, at)
            self._warn_if_opened(self._breaker.add(at, unknown=report.unknown, redeemed=report.redeemed))

    def _remaining(self, limit: Limit, key: bytes, now: float) -> Remaining:
        spent = self._spent[limit.name]
        units = spent.remaining(key, now)
        return Remaining(units, math.ceil(spent.wait_s(key, now, units)))

    def _exceeded_limit(self, attempt: CodeAttempt, now: float) -> RateLimitExceeded | None:
        """Return the limit that rejects a request for the longest time; None if all admit it."""
        waits = [(wait_s, name) for name, wait_s in self._waits(attempt, now) if wait_s > 0]
        if not waits:
            return None
        wait_s, name = max(waits)
        return RateLimitExceeded(name, math.ceil(wait_s))

    def _waits(self, attempt: CodeAttempt, now: float) -> Iterator[tuple[str, float]]:
        """Return the seconds to wait by limit; 0 for a limit that admits the request."""
        site, *networks = self._keys(attempt.client)
        concurrent = 0 if attempt.shape == "native" else self._concurrent.get(site, 0)
        for network in networks:
            yield NETWORK.name, self._wait_s(NETWORK, network, now)
        if self._recent_failures.has(site, now):
            yield BREAKER, self._breaker.wait_s(now)
            yield ADDRESS.name, self._wait_s(ADDRESS, site, now, concurrent)
            yield EMAIL.name, self._wait_s(EMAIL, attempt.email, now)
            yield CODE.name, self._wait_s(CODE, attempt.code, now)
            if attempt.shape == "short":
                yield SHORT.name, self._wait_s(SHORT, site, now, concurrent)
        elif attempt.shape != "native":
            yield "volley", float(concurrent >= CONCURRENT_MAX)
            if self._breaker.is_open(now):
                yield EVERYBODY.name, self._wait_s(EVERYBODY, _ALL, now, self._all_concurrent)

    def _wait_s(self, limit: Limit, key: bytes, now: float, concurrent: int = 0) -> float:
        """Return the seconds until a limit admits one more; at least 1 if only concurrent lookups use it up."""
        spent = self._spent[limit.name]
        return max(spent.wait_s(key, now), 1.0) if spent.wait_s(key, now, concurrent) else 0.0

    def _counts_for(self, attempt: CodeAttempt, now: float) -> Iterator[tuple[str, bytes]]:
        site, *networks = self._keys(attempt.client)
        yield ADDRESS.name, site
        yield EMAIL.name, attempt.email
        yield CODE.name, attempt.code
        for network in networks:
            yield NETWORK.name, network
        if attempt.shape == "short":
            yield SHORT.name, site
        if attempt.shape != "native" and self._breaker.is_open(now) and not self._recent_failures.has(site, now):
            yield EVERYBODY.name, _ALL

    def _reject(self, exceeded: RateLimitExceeded, now: float) -> RateLimitExceeded:
        LIMITED.labels(exceeded.limit).inc()
        if exceeded.is_about_all:
            self._count(now, unknown=1)  # it stays open while requests come
        if exceeded.limit == BREAKER:
            return exceeded._replace(retry_after_s=math.ceil(self._breaker.wait_s(now)))
        return exceeded

    def _count(self, now: float, unknown: int = 0) -> None:
        self._unknown += unknown
        redeemed, self._reported_to_breaker = self._redeemed - self._reported_to_breaker, self._redeemed
        self._warn_if_opened(self._breaker.add(now, unknown=unknown, redeemed=redeemed))

    def _warn_if_opened(self, has_opened: bool) -> None:  # noqa: FBT001 - the result of `Breaker.add`
        if has_opened:
            log.warning("code guessing detected")

    def _keys_of(self, client: str | None) -> tuple[bytes, ...]:
        """Return digests of an address's site and, for IPv6, of its network."""
        return tuple(self._digest(site) for site in client_networks(client or ""))
