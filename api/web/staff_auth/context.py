"""The context of the support pages: the services, the readers, and the password check."""

import asyncio
import hashlib
import hmac
import math
import time
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

from api.auth.oidc.identity_provider import IdentityProvider
from api.auth.passkeys import RelyingParty
from api.auth.passwords import password_hasher
from api.auth.session_cookies import form_secret
from api.errors import ApplicationError
from api.rate_limits.gcra import Gcra, Limit
from api.use_cases.administration.staff_mail import MailSender
from api.use_cases.services import Caller, Services
from api.web.staff_auth.hashing_queue import HashingQueue, HashingSlot
from api.web.staff_auth.known_browsers import KnownBrowsers
from api.web.staff_auth.login_throttle import ALL, FailureCount, LoginThrottle
from api.web.staff_auth.staff_mailer import StaffMailer
from domain.values.identifiers import EmailAddress
from projections.read_models.past_states import PastStateReader
from projections.read_models.support_queries import SupportReader
from projections.repositories.audit_log import AuditAction
from projections.repositories.staff_accounts import StaffAccountRepository
from projections.repositories.staff_sessions import StaffCredentials, StaffSessionRepository
from projections.vault.random_source import RANDOM

PART_SEARCHES: Final = Limit("part_searches", 60, 60.0)
"""Searches for a part of a code that one member of staff may send: 60 at once, and one more each minute.

A group of four characters of one code takes half a million tries on average: a year at this rate.
"""

PROVIDER_REQUESTS_MAX: Final = 4
"""Sign-ins that may wait for the identity provider at once, each in a thread; further ones are refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportContext:
    """What the pages of the support console use in one process.

    Attributes:
        dummy_hash: Hash that no password has: a sign-in to an unknown account then takes as long as to a known one.
    """

    services: Services
    sessions: StaffSessionRepository
    reader: SupportReader
    statements: PastStateReader
    dummy_hash: str
    login_throttle: LoginThrottle = field(default_factory=lambda: LoginThrottle(time.monotonic))
    browsers: KnownBrowsers
    hasher: PasswordHasher
    mailer: StaffMailer
    hashing_queue: HashingQueue = field(default_factory=HashingQueue)
    part_searches: Gcra = field(default_factory=lambda: Gcra(PART_SEARCHES))
    provider: IdentityProvider | None = None
    provider_slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PROVIDER_REQUESTS_MAX))

    @classmethod
    def from_services(
        cls, services: Services, sender: MailSender, provider: IdentityProvider | None = None
    ) -> "SupportContext":
        """Build the context of a started application: its services, what sends single emails, and the provider."""
        storage, hasher = services.storage, password_hasher()
        return cls(
            services=services,
            sessions=StaffSessionRepository(storage),
            reader=SupportReader(storage),
            statements=services.states,
            dummy_hash=make_dummy_hash(hasher),
            hasher=hasher,
            mailer=StaffMailer(services, sender),
            browsers=KnownBrowsers(services.settings.secret_key.get_secret_value().encode()),
            provider=provider,
        )

    @property
    def relying_party(self) -> RelyingParty | None:
        """What passkeys are bound to; None if there can be none under the public URL."""
        return RelyingParty.from_url(self.services.settings.public_url)

    @property
    def secret(self) -> bytes:
        """Key of the tokens in forms."""
        return form_secret(self.services.settings.secret_key)

    def count_key(self, *parts: str) -> bytes:
        """Return the key of a failure count: a keyed digest of what the count is about."""
        return hmac.digest(self.secret, "\0".join(("count", *parts)).encode(errors="replace"), hashlib.sha256)

    def audit(self, caller: Caller, action: AuditAction, subject_id: UUID | None, reason: str) -> None:
        """Record an action of a member of staff in the audit log."""
        self.services.open_audit_log(caller).record(action, subject_id, reason)

    @property
    def is_throttled(self) -> bool:
        """Whether failures are counted; load tests switch every limit off."""
        return self.services.settings.rate_limit == "on"

    def refuse_unknown_browser(self) -> ApplicationError | None:
        """Return why no unknown browser can sign in now; None if one may."""
        if self.hashing_queue.is_full:
            return self.hashing_queue.reject("full")
        if self.is_throttled and self.login_throttle.is_used_up(FailureCount(ALL, b"")):
            wait_s = math.ceil(ALL.period_s)
            return ApplicationError("RATE_LIMITED", retry_after_s=wait_s)
        return None

    async def authenticate(
        self, email: EmailAddress | None, password: str, *, is_known: bool
    ) -> StaffCredentials | None:
        """Return the account whose password this is. It takes the same time whether or not there is an account.

        Args:
            email: The account's address; None if what was typed is not one.
            password: As typed.
            is_known: Whether the browser signed in to the account before, or a session is open.

        Raises:
            ApplicationError: OVERLOADED, too many requests wait to hash; or the database is unavailable.
        """
        async with self.hashing_queue.acquire(is_known=is_known) as slot:
            account = None if email is None else await self.services.run_blocking(self.sessions.find_credentials, email)
            if not await slot.run(lambda: self._verify(password, account)):
                return None
            if account is not None and self.hasher.check_needs_rehash(account.password_hash):
                await self._rehash(account, password, slot)
            return account

    async def hash_password(self, password: str) -> str:
        """Hash a new password that a signed-in member of staff or the holder of a valid link sets.

        Raises:
            ApplicationError: OVERLOADED, too many requests wait to hash.
        """
        async with self.hashing_queue.acquire(is_known=True) as slot:
            return await slot.run(lambda: self.hasher.hash(password))

    async def _rehash(self, account: StaffCredentials, password: str, slot: HashingSlot) -> None:
        """Replace a hash that was made with other costs; its sessions stay."""
        new_hash = await slot.run(lambda: self.hasher.hash(password))
        replace = StaffAccountRepository(self.services.storage).replace_password_hash
        await self.services.run_blocking(replace, account.staff_id, account.password_hash, new_hash)

    def _verify(self, password: str, account: StaffCredentials | None) -> bool:
        try:
            # An account may have no password yet. It must not be told from others by the time of the answer.
            self.hasher.verify((account.password_hash if account else "") or self.dummy_hash, password)
        except (VerificationError, InvalidHashError):
            return False
        return account is not None


def make_dummy_hash(hasher: PasswordHasher) -> str:
    """Return a hash that takes as long to check as any other; it is random text, because hashing takes as long."""
    salt, digest = (
        b64encode(RANDOM.draw_bytes(count)).rstrip(b"=").decode() for count in (hasher.salt_len, hasher.hash_len)
    )
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2{hasher.type.name.lower()}$v={ARGON2_VERSION}${cost}${salt}${digest}"
