"""Files that come in, and the options of every command: what they name is bounded as in the API."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
import pytest
import typer

from api.cli.app import app as cli_app
from api.code_import.row_parser import COLUMNS
from domain.values.number_bounds import USES
from tests.extremes.asking import LedgerAsker, looked
from tests.extremes.extreme_values import BEYOND, FILE_CELLS, FIRST_EAST, LAST_WEST, NO_TIMES, NO_WRITTEN_NUMBERS
from tests.support.clients.admin_client import TERMS, ended
from tests.support.clients.staff_browser import StaffBrowser, add_staff
from tests.support.clients.terminal import CommandResult, Terminal

pytestmark = pytest.mark.night(of="extremes")

OF_TIME: Final = ("expires_at", "issued_at")
OF_NUMBERS: Final = ("max_uses", "used", "validity_days", "rebinds_max", "reserved")
SERVERS: Final = frozenset({"up", "run", "healthy", "secrets", "exec", "doctor", "import-legacy"})
"""Commands that start processes or need other services; their numbers are read by the same parser."""
TYPED: Final = (LAST_WEST, FIRST_EAST, "9" * 4400)
PASSWORD: Final = "correct horse battery staple"


def wrong_cells() -> Iterator[tuple[str, str]]:
    """Columns, each with every cell that it must refuse."""
    for column in OF_TIME:
        yield from ((column, cell) for cell in (*BEYOND, *NO_TIMES[1:-1]))
    for column in OF_NUMBERS:
        yield from (
            (column, cell) for cell in (*NO_WRITTEN_NUMBERS[:-1], str(USES.most + 1)) if cell == cell.strip() != ""
        )


def as_csv(rows: list[dict[str, str]], columns: list[str]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def test_file_refuses_each_cell_outside_the_bounds_and_takes_the_others(
    asker: LedgerAsker, terminal: Terminal, tmp_path: Path
) -> None:
    """CSV and JSON Lines, over HTTP and by command: each bad line is reported, and none is a bug."""
    wrong = list(wrong_cells())
    rows = [{"code": f"BAD{nth}", column: cell} for nth, (column, cell) in enumerate(wrong)]
    columns = ["code", *OF_TIME, *OF_NUMBERS]
    lines = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    for name, data, kind in (("a.csv", as_csv(rows, columns), "text/csv"), ("a.jsonl", lines, "application/jsonl")):
        answer = asker.role_clients.ask(
            "POST",
            "/api/v1/codes/import",
            headers={**asker.role_clients.keys["admin"], "content-type": kind},
            params={"dry_run": "true"},
            content=data,
        )
        (tmp_path / name).write_bytes(data)
        command_result = terminal.ledger("import-codes", str(tmp_path / name), "--dry-run", "--json")
        assert (200, len(wrong)) == (answer.status_code, answer.json()["rejected"])
        assert (1, len(wrong)) == (command_result.status, command_result.json["rejected"])


def test_no_cell_of_a_file_breaks_later_reads(asker: LedgerAsker, terminal: Terminal, tmp_path: Path) -> None:
    """Every column with everything that looks like a time or a number, by each way in; then everything is asked."""
    columns = [column for column in COLUMNS if column != "code"]
    rows = [
        {"code": f"C{nth}X{turn}", column: cell}
        for nth, column in enumerate(columns)
        for turn, cell in enumerate(FILE_CELLS)
    ]
    data = as_csv(rows, ["code", *columns])
    headers = {**asker.role_clients.keys["admin"], "content-type": "text/csv"}
    answer = asker.role_clients.ask(
        "POST", "/api/v1/codes/import", headers=headers, params={"skip_bad": "true", "new_groups": "true"}, content=data
    )
    (tmp_path / "again.csv").write_bytes(data)
    again = terminal.ledger("import-codes", str(tmp_path / "again.csv"), "--skip-bad", "--new-groups", "--json")

    assert (answer.status_code, answer.json()["applied"]) == (200, True)
    assert (again.status, again.json["imported"]) == (1, 0)
    assert asker.broken_reads() == []
    assert [one.err for one in looked(terminal, asker.codes()[:20], tmp_path) if one.status != 0] == []


def test_import_of_the_admin_pages_refuses_the_same_cells(asker: LedgerAsker) -> None:
    app = asker.app
    add_staff(app, "boss@staff.example.com", "admin", PASSWORD)
    browser = StaffBrowser(app)
    assert browser.sign_in("boss@staff.example.com", PASSWORD).status_code == 303
    rows = [{"code": f"BAD{nth}", column: cell} for nth, (column, cell) in enumerate(wrong_cells())]
    columns = ["code", *OF_TIME, *OF_NUMBERS]
    good = {"code": "GOODX1", "expires_at": "8999-12-31T23:59:59Z", "max_uses": str(USES.most)}
    form = {**TERMS, "nonce": uuid4().hex}
    sent = browser.post_file("/admin/import", "codes.csv", as_csv([*rows, good], columns), form)
    assert sent.status_code == 303, sent.text

    batch = ended(app, UUID(sent.headers["location"].rpartition("/")[2]))
    assert (1 + len(rows), len(rows)) == (batch.done, batch.refused)


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401 - classes of typer's own
    for name, inner in getattr(command, "commands", {}).items():
        if name in SERVERS:
            continue
        if getattr(inner, "commands", None):
            yield from commands(inner, (*path, name))
        else:
            yield (*path, name), inner


def test_no_option_of_a_command_makes_it_fail_without_a_sentence(
    asker: LedgerAsker, terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every option and argument of every command, with everything that looks like a time or a number."""
    monkeypatch.chdir(tmp_path)  # some options name files that are written
    app = asker.app
    code = app.issue()
    reservation_id = app.redeem(code).json()["reservation_id"]
    values = {"code": code, "reservation": reservation_id, "subject": code, "email": "li.wei@example.com"}
    call_count, broken = 0, []
    for words, command in commands(typer.main.get_command(cli_app)):
        needed = [one for one in command.params if one.param_type_name == "argument" and one.required]
        options = [one for one in command.params if one.param_type_name == "option" and not one.is_flag]
        required_options = [one for one in options if one.required]
        for about in (*options, *needed):
            for typed in TYPED:
                call_count += 1
                arguments = [typed if one is about else values.get(one.name, str(tmp_path / "none")) for one in needed]
                others = [(one.opts[-1], "2027-01-31") for one in required_options if one is not about]
                own = [(about.opts[-1], typed)] if about in options else []
                flat = [part for pair in (*own, *others) for part in pair]
                ended_as = _run(terminal, [*words, *flat, "--", *arguments])
                if isinstance(ended_as, str):
                    broken.append(f"{' '.join(words)} {about.name} {typed:.40}: {ended_as}")

    assert call_count > 150
    assert broken == []
    assert asker.broken_reads() == []
    assert [one.err for one in looked(terminal, asker.codes(), tmp_path) if one.status != 0] == []


def _run(terminal: Terminal, words: list[str]) -> CommandResult | str:
    try:
        return terminal.ledger(*words)
    except Exception as error:  # noqa: BLE001 - it is what the test looks for
        return repr(error)
