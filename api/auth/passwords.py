"""Hashing of staff passwords, for the API and the command line."""

from typing import Final, Literal

from argon2 import PasswordHasher

PASSWORD_LENGTH_MIN: Final = 12
"""Only the length counts (NIST SP 800-63B 5.1.1); there is no rule about kinds of characters."""
PASSWORD_LENGTH_MAX: Final = 1024
"""Longest password that is read, because hashing longer ones would cost too much."""


def find_length_fault(password: str) -> Literal["short", "long"] | None:
    """Return what is wrong with the length of a new password; None if nothing is."""
    if len(password) < PASSWORD_LENGTH_MIN:
        return "short"
    return "long" if len(password) > PASSWORD_LENGTH_MAX else None


def password_hasher() -> PasswordHasher:
    """Return the hasher of new passwords: argon2id with the costs of RFC 9106's second choice, in one thread.

    Its memory and passes are the library's defaults. One lane uses one core, so that a sign-in leaves the other cores
    to redeems. Hashes with other costs still verify and are replaced at the next sign-in.
    """
    return PasswordHasher(parallelism=1)
