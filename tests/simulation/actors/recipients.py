"""Persons and codes as the vault would draft them; nothing is encrypted, as nothing is hidden from a simulation."""

from functools import cache
from hashlib import sha256
from typing import Final
from uuid import UUID

from projections.vault.vault import EncryptedText, SearchableDraft

RECIPIENTS: Final = 5
TAGGED: Final = {3: "person1+gift"}
"""Persons whose addresses reach the mailbox of another one, who has the same domain."""
SPELLINGS: Final = {1: 3, 3: 1}
"""The other address of persons who have two for one mailbox."""
DOMAINS: Final = ("example.com", "mail.example.org")


def recipient_draft(person: int, new_id: UUID) -> SearchableDraft:
    """A person by number; persons have the addresses of two domains in turn, and two of them have one mailbox."""
    domain = DOMAINS[person % len(DOMAINS)]
    name = TAGGED.get(person, f"person{person}")
    return _draft(f"{name}@{domain}", new_id)


def code_draft(number: int, new_id: UUID) -> SearchableDraft:
    return _draft(f"CODE{number}", new_id)


def domain_of(digest: bytes) -> str:
    return _domains[digest]


_domains: Final[dict[bytes, str]] = {}


def _draft(text: str, new_id: UUID) -> SearchableDraft:
    digest = _digest(text.encode())
    _domains[digest] = text.rpartition("@")[2]
    return SearchableDraft(
        new_id=new_id,
        digests=(digest,),
        pepper_id=1,
        seal=lambda: EncryptedText(text.encode(), 1),
        normal=text,
    )


@cache
def _digest(text: bytes) -> bytes:
    return sha256(text).digest()
