from urllib.parse import quote

import pytest

from projections.config import url_validation
from projections.config.url_validation import validate_database_url, validate_traces_url


@pytest.mark.parametrize(
    "url", ["collector:4318", "ftp://collector/v1/traces", "http://", "http://a b/", "http://c/?x=1"]
)
def test_malformed_url_of_a_collector_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="OTLP over HTTP, such as http"):
        validate_traces_url(url)


def test_url_of_a_collector_is_refused_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(url_validation, "find_spec", {}.get)

    with pytest.raises(ValueError, match="install the extra `tracing`"):
        validate_traces_url("http://collector:4318/v1/traces")


def test_url_of_a_collector_is_used_as_it_is() -> None:
    assert validate_traces_url("https://collector.example.com/v1/traces") == "https://collector.example.com/v1/traces"


@pytest.mark.parametrize("form", ["-c {}=0", "-c{}=0", "--{}=0", "-c search_path=shop -c {}=0"])
@pytest.mark.parametrize("name", ["statement_timeout", "TimeZone", "enable-seqscan"])
def test_session_setting_of_the_ledger_in_a_database_url_is_refused(form: str, name: str) -> None:
    """It would have no effect. The message names it, and no part of the URL."""
    with pytest.raises(
        ValueError, match=rf"^remove {name.lower().replace('-', '_')} from its options: the ledger sets"
    ):
        validate_database_url(f"postgresql://u:sekret@h/d?options={quote(form.format(name))}")


def test_application_name_in_a_database_url_is_refused() -> None:
    """The ledger would name its sessions otherwise."""
    with pytest.raises(ValueError, match=r"^remove application_name: the ledger finds its own sessions"):
        validate_database_url("postgresql://u:sekret@h/d?application_name=shop")


@pytest.mark.parametrize(
    "query",
    [
        "options=-csearch_path%3Dshop",
        "options=endpoint%3Dep-1",
        "options=-c%20a.statement_timeout%3D1",
        "connect_timeout=9",
    ],
)
def test_other_parameters_of_a_database_url_are_kept(query: str) -> None:
    url = f"postgresql://u:sekret@h/d?{query}"

    assert validate_database_url(url) == url
