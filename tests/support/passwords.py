"""A way to hash passwords that costs tests little."""

from typing import Final

from argon2 import PasswordHasher

CHEAP: Final = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Real hashes, quickly made."""
