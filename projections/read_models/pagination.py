"""Where lists that are ordered by a time and an id begin."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

BEGINNING: Final = (datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))
"""Before every row."""
