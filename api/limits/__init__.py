"""Limits on guessing codes: decided in this process's memory, counts exchanged with the others (docs/guessing.md).

Only failures count. Nothing here waits for Redis or for a table.
"""

from api.limits.exchange import telling
from api.limits.guard import Guard, Tried
from api.limits.within import within_limits

__all__ = ["Guard", "Tried", "telling", "within_limits"]
