"""Commands with a progress bar, at a terminal with stdout redirected to a file: the result is in the file."""

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType
from typing import Final
from uuid import UUID, uuid4

import pytest
import typer

from api.cli.app import app
from api.cli.codes.codes import PROGRESS_FROM
from projections.terminal.progress_bars import progress_bar
from tests.support.clients.terminal import Terminal, walk_commands
from tests.support.ledger import legacy_database as old
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.settings import settings_for
from tests.support.servers.databases import clone, database_of, drop

pytestmark = pytest.mark.night(of="stacks")

BAR: Final = "━"
"""The character of which rich draws a bar."""
COMMANDS: Final = dict(walk_commands(typer.main.get_command(app)))
ROOMS: Final = {"api", "projections"}
MASTER_KEY: Final = settings_for("").master_keys.get_secret_value()
Arguments = tuple[str, ...]


@dataclass
class Ledger:
    bench: LedgerBench
    terminal: Terminal
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    postgres_url: str
    copies: list[str] = field(default_factory=list)
    master_keys: str = MASTER_KEY

    def sent(self) -> UUID:
        reservation = done(self.bench.redeem(self.bench.issue(), f"{uuid4().hex}@example.com")).require_reservation()
        self.bench.attempt(reservation.reservation_id)
        return reservation.reservation_id

    def group(self) -> Arguments:
        self.bench.issue(group="VIP")
        return "pause", "group:VIP", "--apply"

    def outage(self) -> Arguments:
        whole_time = "--from", "2020-01-01", "--to", "2035-01-01", "--include-sent", "--apply"
        assert self.terminal.ledger("refund-outage", *whole_time).status == 0
        self.sent()
        return whole_time

    def codes(self) -> Arguments:
        path = self.folder / "codes.csv"
        path.write_text(f"code\n{uuid4().hex}\n", "utf-8")
        return (str(path),)

    def old_system(self) -> Arguments:
        return "--dsn", old.sqlite(self.folder / f"{uuid4().hex}.db", [old.code(1, "MOVED-1", used_count=0)], [])

    def new_key(self) -> Arguments:
        used = self.bench.rows("SELECT count(*) FROM audit WHERE act = 'rotated_keys'")[0][0]
        self.master_keys = f"{used + 2}:{'ABCD'[used] * 43}=,{self.master_keys}"
        self.monkeypatch.setenv("LEDGER_MASTER_KEYS", self.master_keys)
        return ()

    def exported(self, what: str) -> Arguments:
        path = self.folder / uuid4().hex
        assert self.terminal.ledger("export", what, "--output", str(path)).status == 0
        return (str(path),)

    def backup(self) -> Arguments:
        folder = self.folder / uuid4().hex
        assert self.terminal.ledger("backup", str(folder)).status == 0
        keys = self.folder / "keys.env"
        assert self.terminal.ledger("keys", "export", "--output", str(keys)).status == 0
        return str(folder), "--keys", str(keys), "--into", str(self.folder / uuid4().hex)

    def empty_database(self) -> None:
        self.copies.append(f"test_{uuid4().hex}")
        clone(self.postgres_url, self.copies[-1])
        self.monkeypatch.setenv("DATABASE_URL", database_of(self.postgres_url, self.copies[-1]))

    def events(self) -> Arguments:
        events = self.exported("events")
        self.empty_database()
        return events

    def vault(self) -> Arguments:
        vault, events = self.exported("vault"), self.exported("events")
        self.empty_database()
        assert self.terminal.ledger("import-events", *events).status == 0
        return vault


CASES: Final[dict[str, Callable[[Ledger], Arguments]]] = {
    "issue": lambda _: ("--count", str(PROGRESS_FROM)),
    "refund-outage": Ledger.outage,
    "change-codes": Ledger.group,
    "import-legacy": Ledger.old_system,
    "import-codes": Ledger.codes,
    "rebuild": lambda _: (),
    "verify": lambda _: (),
    "export codes": lambda _: (),
    "export reservations": lambda _: (),
    "export statements": lambda _: (),
    "export events": lambda _: (),
    "export vault": lambda _: (),
    "import-events": Ledger.events,
    "import-vault": Ledger.vault,
    "rotate-keys": Ledger.new_key,
    "backup": lambda ledger: (str(ledger.folder / uuid4().hex),),
    "restore": Ledger.backup,
}
"""By command with a bar: what it is given."""

RECORDS_ITSELF: Final = "export vault"
"""The audit log, in which each run of this command leaves a line, is in its output."""


@pytest.fixture
def ledger(
    bench: LedgerBench, terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> Iterator[Ledger]:
    monkeypatch.setenv("TERM", "xterm-256color")
    world = Ledger(bench, terminal, tmp_path, monkeypatch, postgres_url)
    world.sent()
    yield world
    for name in world.copies:
        drop(postgres_url, name)


def draws_bar(function: object, seen: set[object]) -> bool:
    """Whether a function reaches `progress_bar` through the functions and classes that it names."""
    if isinstance(function, type):
        return any(draws_bar(part, seen) for part in vars(function).values())
    inner = inspect.unwrap(function) if callable(function) else function
    if inner is progress_bar:
        return True
    if (
        not isinstance(inner, FunctionType)
        or inner in seen
        or not inner.__module__.startswith(("api.", "projections."))
    ):
        return False
    seen.add(inner)
    named = (inner.__globals__.get(name) for name in names_in(inner.__code__))
    return any(draws_bar(other, seen) for other in named if isinstance(other, (type, FunctionType)))


def names_in(code: CodeType) -> Iterator[str]:
    """Yield the names that a function's code looks up, and those of the functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def shapes(text: str) -> Counter[str]:
    """The lines of an output, without ids, codes and numbers, which differ from run to run."""
    return Counter(re.sub(r"[\w+/=-]{16,}|[\d.,]+", "#", line) for line in text.splitlines())


def test_every_command_with_a_bar_is_run() -> None:
    """Add a new command with a progress bar to CASES."""
    drawing = [name for name, command in COMMANDS.items() if draws_bar(command.callback, set())]

    assert sorted(drawing) == sorted(CASES)


@pytest.mark.parametrize("command", CASES)
def test_result_is_in_the_file_when_stdout_is_redirected_at_a_terminal(ledger: Ledger, command: str) -> None:
    """It is the result that a pipe gets; the bar is on the terminal."""
    piped = ledger.terminal.ledger(*command.split(), *CASES[command](ledger))
    ledger.monkeypatch.setenv("DATABASE_URL", ledger.bench.database_url)
    words = *command.split(), *CASES[command](ledger)
    redirected = ledger.terminal.ledger_into_a_file(*words, file=ledger.folder / "result")

    missing, surplus = shapes(piped.out) - shapes(redirected.out), shapes(redirected.out) - shapes(piped.out)
    assert missing == Counter()
    assert surplus == Counter() or command == RECORDS_ITSELF
    assert (piped.status, redirected.status, BAR in redirected.err) == (0, 0, True)


def test_no_bar_runs_into_a_result_that_is_printed_on_the_same_terminal(ledger: Ledger) -> None:
    issued = ledger.terminal.ledger_on_a_tty("issue", "--count", str(PROGRESS_FROM))
    exported = ledger.terminal.ledger_on_a_tty("export", "events")

    assert len(issued.out.splitlines()) == PROGRESS_FROM
    assert exported.out.splitlines()[-1].endswith("}")
    assert BAR not in issued.err + exported.err
