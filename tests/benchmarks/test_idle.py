"""What an idle ledger costs is read from /proc by process and thread, as rates that can be compared."""

from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.idle import IdleCost, Use, count_statements, main, name_process, print_cost, read_process, subtract

LOG = """2026-12-02 01:00:00.000 UTC [12] LOG:  received SIGHUP, reloading configuration files
2026-12-02 01:00:01.000 UTC [13] LOG:  statement: SELECT 1
\tFROM two_lines
2026-12-02 01:00:01.000 UTC [13] LOG:  execute <unnamed>: SELECT ' LOG: '
2026-12-02 01:00:01.000 UTC [13] LOG:  execute _pg3_0: INSERT INTO x VALUES ($1)
2026-12-02 01:00:01.000 UTC [13] DETAIL:  Parameters: $1 = '1'
"""


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/v/bin/python -c from api.cli.entry import main; main() up --port 1", "up"),
        ("/v/bin/python -m api.cli.embedded.process.launch api.main x.json api.http api.main:create_app", "api"),
        ("/v/bin/python -m api.cli.embedded.process.launch a,b x.json workers.celery_process worker", "worker"),
        ("postgres: walwriter ", "postgres: walwriter"),
        ("postgres: ledger_run ledger 127.0.0.1(34) idle", "postgres: client"),
        ("/v/pginstall/bin/postgres -D /tmp/data -c port=1", "postgres"),
    ],
)
def test_process_is_named_by_its_command_line(command: str, name: str) -> None:
    """All clients of PostgreSQL have one name; its own processes have theirs."""
    assert name_process(command) == name


def _add_thread(folder: Path, number: int, switches: int, run_ns: int) -> None:
    thread = folder / "task" / str(number)
    thread.mkdir(parents=True)
    status = f"Name:\tpython\nvoluntary_ctxt_switches:\t{switches}\nnonvoluntary_ctxt_switches:\t999\n"
    (thread / "status").write_text(status)
    (thread / "schedstat").write_text(f"{run_ns} 5 6\n")


def test_main_thread_is_read_first_and_the_others_by_number(tmp_path: Path) -> None:
    """Numbers of threads begin again at the highest one; only what a thread waited for itself is a wake-up."""
    folder = tmp_path / "50"
    _add_thread(folder, 10, 7, 2_000_000_000)
    _add_thread(folder, 9, 40, 500_000_000)
    _add_thread(folder, 50, 1, 0)

    assert read_process(folder) == [Use(1, 0.0), Use(40, 0.5), Use(7, 2.0)]


def test_rates_are_those_between_two_readings() -> None:
    """A thread that was started in between counts from its start."""
    before = {("api", 0): Use(100, 1.0), ("gone", 0): Use(5, 5.0)}
    after = {("api", 0): Use(120, 1.5), ("api", 1): Use(10, 0.25)}

    rates = subtract(after, before, 10.0)

    assert rates == {("api", 0): Use(2.0, 0.05), ("api", 1): Use(1.0, 0.025)}
    assert IdleCost(rates, {}, 0.0).total == pytest.approx((3.0, 0.075))


def test_each_statement_is_counted_once() -> None:
    """Those of several lines and those with parameters too."""
    assert count_statements(LOG) == 3


def test_table_shows_threads_that_wake_up_and_the_sums(capsys: pytest.CaptureFixture[str]) -> None:
    """A main thread that sleeps has a row for the memory of its process."""
    threads = {("api", 0): Use(2.0, 0.05), ("api", 1): Use(0.0, 0.0), ("sink", 0): Use(0.0, 0.0)}
    print_cost("one ledger", IdleCost(threads, {"api": 90.0, "sink": 14.0}, 1.5), Console(width=100))

    shown = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in shown.splitlines() if "│" in line]
    assert rows == [
        ["api", "main", "2.0", "5.00", "90.0"],
        ["sink", "main", "0.0", "0.00", "14.0"],
        ["sum", "", "2.0", "5.00", "104"],
    ]
    assert "1.5 SQL statements per second" in shown


@pytest.mark.night(of="benchmarks")
def test_running_ledger_is_measured(
    servers_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = servers_folder / "idle"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)

    assert main(["--seconds", "3", "--settle", "1"]) == 0
    shown = capsys.readouterr().out
    for name in ("up", "api", "worker", "beat", "valkey", "postgres: walwriter"):
        assert f"│ {name} " in shown
    assert float(shown.split()[-5]) > 0
    assert list(folder.iterdir()) == []
