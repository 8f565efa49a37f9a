"""What `/metrics` shows: the counts of all processes that share a folder, and what collectors find out at a scrape."""

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
        finders: Each gives metrics when asked; asked at every scrape, so it keeps what is dear for some seconds.
        before: Called first, to set gauges of this process.
    """

    def __init__(self, finders: Sequence[Collect], before: Callable[[], None] = lambda: None) -> None:
        self._before = before
        self._registry = CollectorRegistry()
        for find in finders:
            self._registry.register(_FunctionCollector(find))

    def __call__(self) -> bytes:
        """The whole text, in Prometheus' own form."""
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
    """A function as the library's collector; it is not asked when it is registered."""

    def __init__(self, find: Collect) -> None:
        self._find = find

    def collect(self) -> Iterable[Metric]:
        return self._find()

    def describe(self) -> Iterable[Metric]:
        return ()
