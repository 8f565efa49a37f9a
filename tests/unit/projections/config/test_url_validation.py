"""URLs in settings that cannot work are refused at start, with what to write instead."""

import pytest

from projections.config import url_validation
from projections.config.url_validation import validate_traces_url


@pytest.mark.parametrize(
    "url", ["collector:4318", "ftp://collector/v1/traces", "http://", "http://a b/", "http://c/?x=1"]
)
def test_malformed_url_of_a_collector_is_refused(url: str) -> None:
    """The message shows the form."""
    with pytest.raises(ValueError, match="OTLP over HTTP, such as http"):
        validate_traces_url(url)


def test_url_of_a_collector_is_refused_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra."""
    monkeypatch.setattr(url_validation, "find_spec", {}.get)

    with pytest.raises(ValueError, match="install the extra `tracing`"):
        validate_traces_url("http://collector:4318/v1/traces")


def test_url_of_a_collector_is_used_as_it_is() -> None:
    """Nothing is added to it."""
    assert validate_traces_url("https://collector.example.com/v1/traces") == "https://collector.example.com/v1/traces"
