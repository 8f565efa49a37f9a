"""The parts of the benchmarks that decide something: what is refused, what is said, and how numbers become ratios."""

import pytest
from rich.console import Console

from benchmarks.harness import docs_page, report
from benchmarks.harness.load_generators import BenchmarkError, find_tool, require_loopback, require_no_servers


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "postgresql://u:p@localhost:5432/x", "redis://[::1]:6379/0"])
def test_loopback_url_is_accepted(url: str) -> None:
    assert require_loopback(url) == url


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1:8000", "http://example.com", "postgresql:///x", "http://127.0.0.1.example.com"]
)
def test_url_of_another_machine_is_refused(url: str) -> None:
    """Load is never put on anybody else's."""
    with pytest.raises(BenchmarkError, match="this machine only"):
        require_loopback(url)


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
def test_servers_of_the_environment_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark uses no data of real recipients."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    require_no_servers()
    monkeypatch.setenv(name, "something")

    with pytest.raises(BenchmarkError, match=f"{name} is set"):
        require_no_servers()


def test_missing_tool_is_named_with_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)

    with pytest.raises(BenchmarkError, match=r"wrk is not installed \(.*apt install wrk"):
        find_tool("wrk")


def test_ratios_are_computed_from_medians() -> None:
    rounds = [{"hot_rps": 500.0, "empty_rps": 1000.0}, {"hot_rps": 600.0}, {"hot_rps": 10.0, "empty_rps": 1000.0}]

    summary = report.summarize(rounds)

    assert summary == {"hot_rps": 500.0, "empty_rps": 1000.0, "hot_over_empty": 0.5}


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("hot_over_empty", 1.1, "aim"),
        ("hot_over_empty", 1.09, "floor"),
        ("hot_over_empty", 0.89, "below"),
        ("big_over_small", 1.05, "aim"),
        ("big_over_small", 1.2, "floor"),
        ("big_over_small", 1.21, "below"),
        ("empty_rps", 1.0, ""),
    ],
)
def test_number_is_classified_by_its_target(key: str, value: float, word: str) -> None:
    assert report.classify(key, value) == word


def test_table_shows_every_number(capsys: pytest.CaptureFixture[str]) -> None:
    report.print_table({"hot_rps": 5000.0, "hot_over_empty": 0.61}, Console(width=100))

    assert "hot_over_empty" in (shown := capsys.readouterr().out)
    assert "5,000" in shown


def test_page_shows_the_rates_per_number_of_cores() -> None:
    numbers = dict.fromkeys(docs_page.REQUIRED_FOR_CAPACITY, 500.0) | {"redeem_cpu_us": 250.0, "life_cpu_us": 1_000.0}

    page = docs_page.render_capacity(numbers)

    assert "| 4 | 16,000 | 4,000 |" in page
    assert "| one worker process | 500 | 2,000 |" in page
    assert docs_page.render_capacity(numbers | {"pg_cpu_us_per_redeem": 0.0}) == ""
