"""Reading metrics in tests: samples by name and labels, as Prometheus writes them."""

from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families


def samples(metrics: Iterable[Metric]) -> dict[str, float]:
    """Every sample's value by `name` or `name{label="value",...}`, labels sorted."""
    return {_name(sample.name, sample.labels): sample.value for metric in metrics for sample in metric.samples}


def scraped(text: str | bytes) -> dict[str, float]:
    decoded = text.decode() if isinstance(text, bytes) else text
    return samples(text_string_to_metric_families(decoded))


def _name(name: str, labels: dict[str, str]) -> str:
    inner = ",".join(f'{label}="{labels[label]}"' for label in sorted(labels))
    return f"{name}{{{inner}}}" if inner else name
