"""What code over the store may see of a database that is away, slow or restarting."""

from typing import Final

import eventsourcing.persistence as library
import psycopg

from projections.errors import StorageUnavailableError

DATABASE_AWAY: Final = (
    StorageUnavailableError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    library.OperationalError,
    library.InterfaceError,
)
"""The store's own error, and those of driver and library where a statement runs without it."""
