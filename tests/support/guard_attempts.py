"""A guard with a clock that tests turn, and tries for it."""

import hashlib
import random
from dataclasses import dataclass, field

from api.rate_limits.guard import CodeAttempt, Guard, RateLimitExceeded
from domain.values.code_strength import CodeStrength


@dataclass
class TimedGuard:
    now: float = 10_000.0
    guard: Guard = field(init=False)

    def __post_init__(self) -> None:
        self.guard = Guard(digest, lambda: self.now)

    def guess(self, attempt: CodeAttempt) -> RateLimitExceeded | None:
        """Try a code that does not exist; why it went no further."""
        if exceeded := self.guard.acquire(attempt):
            return exceeded
        try:
            return self.guard.record_failure(attempt)
        finally:
            self.guard.release(attempt)

    def redeem(self, attempt: CodeAttempt) -> RateLimitExceeded | None:
        if exceeded := self.guard.acquire(attempt):
            return exceeded
        self.guard.record_successes(1)
        self.guard.release(attempt)
        return None


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]


def attempt(
    client: str | None = "192.0.2.1", shape: CodeStrength = "long", email: object = None, code: object = None
) -> CodeAttempt:
    """A try; with email and code of its own unless they are named."""
    own = random.randbytes(8).hex()
    return CodeAttempt(client, shape, digest(f"mail {email or own}"), digest(f"code {code or own}"))
