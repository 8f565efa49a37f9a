"""`/metrics` of one process: the counts of all processes that share a folder, and what collectors read at a scrape."""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from projections.telemetry import multiprocess

MEDIA_TYPE = CONTENT_TYPE_LATEST
Collect = Callable[[], Iterable[Metric]]


class Exposition:
    """One process's `/metrics`.

    Args:
        finders: Functions that yield metrics at every scrape; each caches what is expensive for some seconds.
        before: Called first, to set gauges of this process.
    """

    def __init__(self, finders: Sequence[Collect], before: Callable[[], None] = lambda: None) -> None:
        self._before = before
        self._registry = CollectorRegistry()
        for find in finders:
            self._registry.register(_FunctionCollector(find))

    def __call__(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        self._before()
        path = multiprocess.find_folder()
        if path is None:
            return generate_latest(REGISTRY) + generate_latest(self._registry)
        counted = CollectorRegistry()
        MultiProcessCollector(counted, str(path))  # type: ignore[no-untyped-call]  # prometheus_client ships this one without types
        with multiprocess.lock_and_merge(path):
            text = generate_latest(counted)
        return text + generate_latest(self._registry)


class _FunctionCollector(Collector):
    """Adapts a function to the library's collector; registering it does not call the function."""

    def __init__(self, find: Collect) -> None:
        self._find = find

    def collect(self) -> Iterable[Metric]:
        return self._find()

    def describe(self) -> Iterable[Metric]:
        return ()
