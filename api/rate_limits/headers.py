"""RateLimit-Policy and RateLimit on answers to redeems, as draft-ietf-httpapi-ratelimit-headers-11 has them.

What is limited are codes that don't exist, so a client that sends none may send as many requests as it likes.
"""

import math
from functools import lru_cache
from typing import Final

from api.rate_limits.gcra import Limit
from api.rate_limits.guard import ADDRESS, SHORT, Guard, Remaining

Headers = tuple[tuple[bytes, bytes], ...]

_NAMES: Final = {ADDRESS: "unknown-codes", SHORT: "unknown-short-codes"}


def limit_headers(guard: Guard | None, client: str | None) -> Headers:
    """Headers for one client's answer; none where nothing is limited."""
    if guard is None:
        return ()
    remaining = guard.remaining(client)
    return _WHOLE if remaining is None else _headers(*remaining)


@lru_cache(maxsize=4096)
def _headers(codes: Remaining, short: Remaining) -> Headers:
    """Yield what is left, and the time in which no more than that may be used."""
    limits = ", ".join(
        f'"{_NAMES[limit]}";r={remaining.units};t={remaining.more_in_s}'
        for limit, remaining in ((ADDRESS, codes), (SHORT, short))
    )
    return ((b"ratelimit-policy", _POLICY), (b"ratelimit", limits.encode()))


def _policy(limit: Limit) -> str:
    return f'"{_NAMES[limit]}";q={limit.burst};w={limit.window_s}'


def _whole(limit: Limit) -> Remaining:
    return Remaining(limit.burst, math.ceil(limit.period_s))


_POLICY: Final = ", ".join(_policy(limit) for limit in _NAMES).encode()
_WHOLE: Final = _headers(_whole(ADDRESS), _whole(SHORT))
