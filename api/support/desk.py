"""What the support pages work with: the services, the readers, and how a password is checked."""

import asyncio
import hashlib
import time
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

from api.services import Services
from api.support.throttle import Throttle
from projections.randomness import POOL
from projections.staff import Account, StaffDesk
from projections.statements import Statements
from projections.support import SupportReader

HASHING_AT_ONCE: Final = 2
"""Passwords checked at the same time: each costs 64 MiB and a core for a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One process's support desk. `nobody` is a hash that no password has: unknown accounts take as long as known."""

    services: Services
    staff: StaffDesk
    find: SupportReader
    statements: Statements
    nobody: str
    throttle: Throttle = field(default_factory=lambda: Throttle(time.monotonic))
    hasher: PasswordHasher = field(default_factory=PasswordHasher)
    hashing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(HASHING_AT_ONCE))

    @classmethod
    def over(cls, services: Services) -> "Desk":
        """A desk over the services of a started application."""
        storage = services.storage
        return cls(
            services=services,
            staff=StaffDesk(storage),
            find=SupportReader(storage),
            statements=Statements(storage),
            nobody=nobodys_hash(PasswordHasher()),
        )

    @property
    def secret(self) -> bytes:
        """Key of the tokens in forms."""
        return hashlib.sha256(b"support\0" + self.services.settings.secret_key.get_secret_value().encode()).digest()

    @property
    def is_throttled(self) -> bool:
        """Whether failures are counted; load tests switch every limit off."""
        return self.services.settings.rate_limit == "on"

    async def password_is(self, password: str, account: Account | None) -> bool:
        """Check a password, in the same time whether there is an account or not."""
        async with self.hashing:
            return await asyncio.to_thread(self._verify, password, account)

    async def hash_of(self, password: str) -> str:
        """What is kept of a new password."""
        async with self.hashing:
            return await asyncio.to_thread(self.hasher.hash, password)

    def _verify(self, password: str, account: Account | None) -> bool:
        try:
            self.hasher.verify(account.password_hash if account else self.nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return account is not None


def nobodys_hash(hasher: PasswordHasher) -> str:
    """A hash that takes as long to check as any other of this hasher's; it is drawn, since making one takes as long."""
    salt, digest = (b64encode(POOL.draw(count)).rstrip(b"=").decode() for count in (hasher.salt_len, hasher.hash_len))
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2{hasher.type.name.lower()}$v={ARGON2_VERSION}${costs}${salt}${digest}"
