"""Persons and codes as the vault would draft them; nothing is sealed, as nothing is hidden from a simulation."""

from functools import cache
from hashlib import sha256
from typing import Final
from uuid import UUID

from projections.vault.vault import EncryptedText, SearchableDraft

RECIPIENTS: Final = 5


def recipient_draft(person: int, new_id: UUID) -> SearchableDraft:
    """A person by number."""
    return _draft(f"person{person}@example.com".encode(), new_id)


def code_draft(number: int, new_id: UUID) -> SearchableDraft:
    """A code by number."""
    return _draft(b"CODE%d" % number, new_id)


def _draft(text: bytes, new_id: UUID) -> SearchableDraft:
    return SearchableDraft(new_id=new_id, digests=(_digest(text),), pepper_id=1, seal=lambda: EncryptedText(text, 1))


@cache
def _digest(text: bytes) -> bytes:
    return sha256(text).digest()
