"""Free disk space as metrics: a full disk stops PostgreSQL, and with it every redemption."""

import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily


class DiskCollector:
    """Collects the size and free space of a path's file system; both are 0 if there is no such path.

    Args:
        path: Folder of the database's files, or another path on the same disk.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> Iterator[Metric]:
        """Yield the free space (for users without special rights) and the size."""
        try:
            stats = os.statvfs(self._path)
        except OSError:
            free = size = 0
        else:
            free, size = stats.f_bavail * stats.f_frsize, stats.f_blocks * stats.f_frsize
        yield GaugeMetricFamily("ledger_disk_free_bytes", "Free space on the disk of LEDGER_DISK_PATH.", free)
        yield GaugeMetricFamily("ledger_disk_size_bytes", "Size of the disk of LEDGER_DISK_PATH.", size)
