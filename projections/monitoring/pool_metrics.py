"""The connection pool of this process, as gauges that add up over processes."""

from projections.storage.bootstrap import LedgerStore
from projections.telemetry.metrics import POOL_SIZE, POOL_WAITING


def show_pool(storage: LedgerStore) -> None:
    """Set the gauges to the present state of the pool."""
    stats = storage.datastore.pool.get_stats()
    idle = stats.get("pool_available", 0)
    POOL_SIZE.labels("used").set(stats.get("pool_size", 0) - idle)
    POOL_SIZE.labels("idle").set(idle)
    POOL_WAITING.set(stats.get("requests_waiting", 0))
