"""Persons and codes as the vault would draft them; nothing is sealed, as nothing is hidden from a simulation."""

from functools import cache
from hashlib import sha256
from typing import Final
from uuid import UUID

from projections.vault.vault import EncryptedText, SearchableDraft

RECIPIENTS: Final = 5
DOMAINS: Final = ("example.com", "mail.example.org")


def recipient_draft(person: int, new_id: UUID) -> SearchableDraft:
    """A person by number; persons have the addresses of two domains in turn."""
    domain = DOMAINS[person % len(DOMAINS)]
    return _draft(f"person{person}@{domain}".encode(), new_id, domain)


def code_draft(number: int, new_id: UUID) -> SearchableDraft:
    """A code by number."""
    return _draft(b"CODE%d" % number, new_id)


def domain_of(digest: bytes) -> str:
    """The domain of a recipient with this digest."""
    return _domains[digest]


_domains: Final[dict[bytes, str]] = {}


def _draft(text: bytes, new_id: UUID, domain: str = "") -> SearchableDraft:
    digest = _digest(text)
    _domains[digest] = domain
    return SearchableDraft(
        new_id=new_id, digests=(digest,), pepper_id=1, seal=lambda: EncryptedText(text, 1), domain=domain
    )


@cache
def _digest(text: bytes) -> bytes:
    return sha256(text).digest()
