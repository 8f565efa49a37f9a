"""Commands with a progress bar, at a terminal with stdout redirected to a file: the result is in the file."""

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Final
from uuid import uuid4

import pytest
import typer

from api.cli.app import app
from api.cli.codes.codes import PROGRESS_FROM
from projections.terminal.progress_bars import progress_bar
from tests.integration.cli.prepared_ledger import WHOLE_TIME, Arguments, PreparedLedger
from tests.support.clients.terminal import walk_commands

pytestmark = [pytest.mark.night(of="stacks"), pytest.mark.usefixtures("database_url")]

BAR: Final = "━"
"""The character of which rich draws a bar."""
COMMANDS: Final = dict(walk_commands(typer.main.get_command(app)))
ROOMS: Final = {"api", "projections"}


def outage(ledger: PreparedLedger) -> Arguments:
    """A time with one invitation to refund."""
    command = *WHOLE_TIME, "--include-sent", "--apply"
    assert ledger.terminal.ledger("refund-outage", *command).status == 0
    ledger.sent()
    return command


CASES: Final[dict[str, Callable[[PreparedLedger], Arguments]]] = {
    "issue": lambda _: ("--count", str(PROGRESS_FROM)),
    "refund-outage": outage,
    "change-codes": lambda ledger: ("pause", ledger.group_of_code(), "--apply"),
    "import-legacy": lambda ledger: ("--dsn", ledger.old_system()),
    "import-codes": lambda ledger: (ledger.file(f"code\n{uuid4().hex}\n"),),
    "rebuild": lambda _: (),
    "verify": lambda _: (),
    "export codes": lambda _: (),
    "export reservations": lambda _: (),
    "export statements": lambda _: (),
    "export events": lambda _: (),
    "export vault": lambda _: (),
    "import-events": PreparedLedger.moved_events,
    "import-vault": PreparedLedger.moved_vault,
    "rotate-keys": PreparedLedger.new_key,
    "backup": lambda ledger: (str(ledger.folder / uuid4().hex),),
    "restore": PreparedLedger.backup,
}
"""By command with a bar: what it is given."""

RECORDS_ITSELF: Final = "export vault"
"""The audit log, in which each run of this command leaves a line, is in its output."""


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
def test_result_is_in_the_file_when_stdout_is_redirected_at_a_terminal(ledger: PreparedLedger, command: str) -> None:
    """It is the result that a pipe gets; the bar is on the terminal."""
    ledger.monkeypatch.setenv("TERM", "xterm-256color")
    ledger.sent()
    piped = ledger.terminal.ledger(*command.split(), *CASES[command](ledger))
    ledger.monkeypatch.setenv("DATABASE_URL", ledger.bench.database_url)
    words = *command.split(), *CASES[command](ledger)
    redirected = ledger.terminal.ledger_into_a_file(*words, file=ledger.folder / "result")

    missing, surplus = shapes(piped.out) - shapes(redirected.out), shapes(redirected.out) - shapes(piped.out)
    assert missing == Counter()
    assert surplus == Counter() or command == RECORDS_ITSELF
    assert (piped.status, redirected.status, BAR in redirected.err) == (0, 0, True)


def test_no_bar_runs_into_a_result_that_is_printed_on_the_same_terminal(ledger: PreparedLedger) -> None:
    ledger.monkeypatch.setenv("TERM", "xterm-256color")
    ledger.sent()
    issued = ledger.terminal.ledger_on_a_tty("issue", "--count", str(PROGRESS_FROM))
    exported = ledger.terminal.ledger_on_a_tty("export", "events")

    assert len(issued.out.splitlines()) == PROGRESS_FROM
    assert exported.out.splitlines()[-1].endswith("}")
    assert BAR not in issued.err + exported.err
