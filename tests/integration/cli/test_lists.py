"""Commands that list records list every one, however many pages they read."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench, done

pytestmark = pytest.mark.usefixtures("database_url")

ROWS: Final = 5
"""More than two pages of two."""


def add_staff(_: LedgerBench, terminal: Terminal, _folder: Path) -> list[str]:
    for number in range(ROWS):
        terminal.ledger("staff", "add", f"li{number}@example.com", "--role", "viewer")
    return ["staff", "list"]


def create_keys(_: LedgerBench, terminal: Terminal, _folder: Path) -> list[str]:
    for number in range(ROWS):
        terminal.ledger("key", "create", f"shop {number}", "--role", "viewer")
    return ["key", "list"]


def create_campaigns(bench: LedgerBench, _: Terminal, _folder: Path) -> list[str]:
    for _number in range(ROWS):
        bench.create_campaign(max_uses=2)
    return ["campaign", "list"]


def create_hand_outs(bench: LedgerBench, terminal: Terminal, _folder: Path) -> list[str]:
    campaign = str(bench.create_campaign())
    for number in range(ROWS):
        terminal.ledger("hand-out", "create", campaign, f"Newsletter {number}")
    return ["hand-out", "list", campaign]


def list_recipients(bench: LedgerBench, terminal: Terminal, folder: Path) -> list[str]:
    hand_out = terminal.ledger("hand-out", "create", str(bench.create_campaign()), "Newsletter").out.strip()
    path = folder / "list.csv"
    path.write_text("".join(["email\n", *(f"li{number}@example.com\n" for number in range(ROWS))]), "utf-8")
    terminal.ledger("hand-out", "add", hand_out, str(path), "--apply")
    return ["hand-out", "recipients", hand_out]


def open_cases(bench: LedgerBench, _: Terminal, _folder: Path) -> list[str]:
    for number in range(ROWS):
        redeemed = done(bench.redeem(bench.issue(), f"li{number}@example.com"))
        reservation_id = redeemed.require_reservation().reservation_id
        bench.attempt(reservation_id)
        bench.bounce(reservation_id)
    return ["cases"]


LISTS: Final[Mapping[str, Callable[[LedgerBench, Terminal, Path], list[str]]]] = {
    "staff": add_staff,
    "keys": create_keys,
    "campaigns": create_campaigns,
    "hand-outs": create_hand_outs,
    "recipients": list_recipients,
    "cases": open_cases,
}


@pytest.mark.parametrize("records", LISTS)
def test_command_lists_every_row_whatever_one_read_takes(
    bench: LedgerBench, terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records: str
) -> None:
    """Each row once, in the table and in the JSON document, when one statement reads two of them."""
    command = LISTS[records](bench, terminal, tmp_path)
    whole = terminal.ledger(*command, "--json").json
    monkeypatch.setattr("projections.read_models.pagination.ROWS_PER_READ", 2)
    monkeypatch.setattr("api.cli.codes.hand_outs.HAND_OUTS_PAGE", 2)
    monkeypatch.setattr("api.cli.codes.hand_outs.PEOPLE_PAGE", 2)

    assert terminal.ledger(*command, "--json").json == whole
    assert len(whole) == ROWS
    assert len(terminal.ledger(*command).out.splitlines()) == 1 + ROWS + 2 * (records == "cases")
