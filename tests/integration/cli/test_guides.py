"""How-to guides: their commands run, one after the other, and print the lines that the guides show."""

import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from projections.storage.bootstrap import LedgerStore
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.ledger.settings import settings_for

pytestmark = pytest.mark.usefixtures("database_url")

GUIDES = Path(__file__).parents[3] / "docs" / "how-to"
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CODE = re.compile(r"(?:[0-9A-Z]{4}-){4}[0-9A-Z]{4}")
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")
EMAIL = "li.wei@example.com"
COUNTER = """
CREATE TABLE vouchers (id INTEGER PRIMARY KEY, voucher TEXT, allowed INTEGER, uses INTEGER);
CREATE TABLE mailings (id INTEGER PRIMARY KEY, voucher TEXT, email TEXT, delivered INTEGER, sent_at TEXT);
INSERT INTO vouchers VALUES (1, 'SHOP-1', 2, 2);
INSERT INTO mailings VALUES (1, 'SHOP-1', 'li.wei@example.com', 1, '2026-11-01 10:00:00'),
                            (2, 'SHOP-1', 'li.wei@example.com', 0, '2026-11-02 10:00:00');
"""
"""A system whose counter was raised twice, although one invitation was sent."""


def commands_and_outputs(page: str) -> list[tuple[list[str], list[str]]]:
    """Each command of the guide's blocks of commands with the lines that it prints."""
    blocks = re.findall(r"```console\n(.*?)```", (GUIDES / page).read_text("utf-8"), re.DOTALL)
    pairs: list[tuple[list[str], list[str]]] = []
    for line in "".join(block for block in blocks if "$ ledger " in block).splitlines():
        text = line.strip()
        if text.startswith("$ "):
            pairs.append((shlex.split(text.removeprefix("$ ")), []))
        else:
            pairs[-1][1].append(text)
    return pairs


def settled(line: str) -> str:
    line = ID.sub("ID", re.sub(r"\d+ rows", "N rows", " ".join(line.split())))
    return CODE.sub("CODE", TIME.sub("TIME", line))


def put_new_keys_in_front(bench: LedgerBench, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for(bench.database_url)
    monkeypatch.setenv("LEDGER_MASTER_KEYS", f"2:{'B' * 43}=,{settings.master_keys.get_secret_value()}")
    monkeypatch.setenv("LEDGER_PEPPERS", f"2:{'C' * 43}=,{settings.peppers.get_secret_value()}")
    LedgerStore.open(settings_for(bench.database_url)).close()


@pytest.mark.parametrize(
    ("page", "commands"),
    [("import-codes.md", 3), ("privacy-requests.md", 2), ("rotate-keys.md", 3), ("run-a-campaign.md", 9)],
)
def test_every_command_of_a_guide_prints_what_it_shows(
    bench: LedgerBench, terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, commands: int
) -> None:
    """In the order of the page. `cat FILE` writes the file that it shows; an id stands for the one that was printed."""
    monkeypatch.chdir(tmp_path)
    bench.redeem(bench.issue(), EMAIL)
    run, ids = 0, dict[str, str]()
    for (program, *arguments), shown in commands_and_outputs(page):
        if program == "cat":
            Path(arguments[0]).write_text("\n".join(shown) + "\n", encoding="utf-8")
            continue
        if arguments[0] == "doctor":
            put_new_keys_in_front(bench, monkeypatch)
        done = terminal.ledger(*(ids.get(argument, argument) for argument in arguments))
        if shown and ID.fullmatch(shown[0]):
            ids[shown[0]] = done.out.strip()
        # A guide may leave out the end of a long line.
        printed = [settled(line) for line in (done.out + done.err).splitlines()]
        absent = [line for line in map(settled, shown) if not any(text.startswith(line) for text in printed)]
        assert absent == [], (arguments, done)
        run += 1

    assert run == commands


def test_views_of_the_migration_guide_are_read_as_the_tables(
    bench: LedgerBench, terminal: Terminal, tmp_path: Path
) -> None:
    """A counter that was raised for an invitation that was never sent is corrected."""
    views = re.findall(r"```sql\n(.*?)```", (GUIDES / "migrate-from-a-counter.md").read_text("utf-8"), re.DOTALL)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        database.executescript(COUNTER + views[0])
    done = terminal.ledger("import-legacy", "--dsn", f"sqlite:///{tmp_path}/shop.db", "--apply")

    assert done.status == 0, done.err
    assert bench.rows("SELECT used, reserved, max_uses FROM code_balances") == [(1, 0, 2)]
