"""Files through every door, codes and lists: checked without a change, bad lines as a file, whatever Excel writes."""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

import pytest

from tests.integration.api.v1.test_hand_outs import create
from tests.integration.web.admin.hand_outs.lists import send_list
from tests.support.clients.admin_client import TERMS, ended
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff
from tests.support.clients.terminal import Terminal
from tests.support.ledger.settings import NO_STREAM, environment, settings_for


class Result(NamedTuple):
    """What a door says: whether the file was imported, and its whole answer as one text."""

    is_applied: bool
    text: str


@dataclass
class World:
    """A ledger with a hand-out, an admin who is signed in, and a shell."""

    app: AppClient
    terminal: Terminal
    browser: StaffBrowser
    folder: Path
    hand_out: str

    def file(self, data: bytes, name: str = "file.csv") -> str:
        (self.folder / name).write_bytes(data)
        return str(self.folder / name)

    def call(self, path: str, data: bytes, **query: Any) -> dict[str, Any]:
        headers = {**self.app.key("admin"), "content-type": "text/csv", "accept-language": "en"}
        answer: dict[str, Any] = self.app.client.post(path, params=query, content=data, headers=headers).json()
        return answer

    def send_codes(self, data: bytes, **form: str) -> AppResponse:
        return self.browser.post_file("/admin/import", "codes.csv", data, {**TERMS, "nonce": uuid4().hex, **form})

    def send_list(self, data: bytes, **form: str) -> AppResponse:
        return send_list(self.browser, f"/admin/hand-outs/{self.hand_out}", data, **form)


CODES_API: Final = "/api/v1/codes/import"
LIST_API: Final = "/api/v1/hand-outs/recipients"
Import = Callable[..., Result]


def codes_by_api(world: World, data: bytes, *, dry_run: bool, confirmed: bool = False) -> Result:
    answer = world.call(CODES_API, data, dry_run=dry_run, new_groups=confirmed)
    return Result(answer.get("applied", False), str(answer))


def codes_by_command(world: World, data: bytes, *, dry_run: bool, confirmed: bool = False) -> Result:
    options = [*(["--dry-run"] if dry_run else []), *(["--new-groups"] if confirmed else [])]
    done = world.terminal.ledger("import-codes", world.file(data), *options)
    return Result("imported in" in done.out, done.out + done.err)


def codes_by_page(world: World, data: bytes, *, dry_run: bool, confirmed: bool = False) -> Result:
    form = {"intent": "check" if dry_run else "import", **({"new_groups": "yes"} if confirmed else {})}
    answer = world.send_codes(data, **form)
    if answer.status_code != 303:
        return Result(is_applied=False, text=read_page(answer.text).text)
    return Result(ended(world.app, UUID(answer.headers["location"].rpartition("/")[2])).refused == 0, "")


def list_by_api(world: World, data: bytes, *, dry_run: bool) -> Result:
    answer = world.call(LIST_API, data, hand_out=world.hand_out, dry_run=dry_run)
    return Result(answer.get("applied", False), str(answer))


def list_by_command(world: World, data: bytes, *, dry_run: bool) -> Result:
    done = world.terminal.ledger("hand-out", "add", world.hand_out, world.file(data), *([] if dry_run else ["--apply"]))
    return Result(" added," in done.out and done.status == 0, done.out + done.err)


def list_by_page(world: World, data: bytes, *, dry_run: bool) -> Result:
    answer = world.send_list(data, intent="check" if dry_run else "add")
    is_stored = answer.status_code == 303
    page = read_page((world.browser.get(str(answer.headers["location"])) if is_stored else answer).text)
    return Result("Recipients added:" in page.text, page.text)


CODE_DOORS: Final = [codes_by_api, codes_by_command, codes_by_page]
LIST_DOORS: Final = [list_by_api, list_by_command, list_by_page]


def rejects_by_command(world: World, data: bytes, *command: str) -> bytes:
    """The file that an option names."""
    world.terminal.ledger(*command, world.file(data), "--rejects", str(world.folder / "rejects.csv"))
    return (world.folder / "rejects.csv").read_bytes()


@pytest.mark.parametrize("door", CODE_DOORS, ids=[door.__name__ for door in CODE_DOORS])
def test_check_counts_codes_that_are_short_enough_to_be_guessed(world: World, door: Import) -> None:
    """Of the codes that would be imported; the check of long ones says nothing."""
    short = door(world, b"code\nA\nSPRING-2027\n,\n7Q3ZK9P2M5XW8R4T6V\n", dry_run=True)
    long = door(world, b"code\n7Q3ZK9P2M5XW8R4T6V\n", dry_run=True)

    assert re.search(r"'guessable': 2\b|warning: 2 of the codes|short enough to be guessed: 2\b", short.text)
    assert not re.search(r"'guessable': [1-9]|warning|short enough", long.text)


REJECTS: Final[dict[str, Callable[[World, bytes], bytes]]] = {
    "codes by API": lambda world, data: world.call(CODES_API, data, rejects=True)["rejects"].encode(),
    "codes by command": lambda world, data: rejects_by_command(world, data, "import-codes"),
    "codes by page": lambda world, data: world.send_codes(data, intent="rejects").text.encode(),
    "list by API": lambda world, data: world.call(LIST_API, data, hand_out=world.hand_out, rejects=True)[
        "rejects"
    ].encode(),
    "list by command": lambda world, data: rejects_by_command(world, data, "hand-out", "add", world.hand_out),
    "list by page": lambda world, data: world.send_list(data, intent="rejects").text.encode(),
}
BAD_CODES: Final = b"code,max_uses,note\nGOOD-1,1,\nBAD-1,five,a\nBAD-2,1,b,c\n"
BAD_LIST: Final = b"email,language,name\nli@example.com,zh,Li\nno-at,en,x\nann@example.com,fr,Ann\n"


@pytest.fixture(scope="module")
def browser(shared_app: AppClient) -> StaffBrowser:
    add_staff(shared_app, "admin@staff.example.com", "admin", PASSWORD)
    signed_in = StaffBrowser(shared_app)
    signed_in.sign_in("admin@staff.example.com", PASSWORD)
    return signed_in


@pytest.fixture
def world(
    shared_app: AppClient,
    browser: StaffBrowser,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> World:
    """A ledger with an empty hand-out."""
    url = shared_app.services.settings.database_url.get_secret_value()
    for name, value in environment(settings_for(url), tmp_path, NO_STREAM).items():
        monkeypatch.setenv(name, value)
    return World(shared_app, Terminal(capsys), browser, tmp_path, create(shared_app)["id"])


def counts(world: World) -> tuple[int, ...]:
    """What an import would change."""
    return tuple(
        world.app.count(table) for table in ("code_balances", "hand_out_recipients", "batches", "ledger_events")
    )


@pytest.mark.parametrize("door", [*CODE_DOORS, *LIST_DOORS])
def test_dry_run_counts_and_changes_nothing(world: World, door: Import) -> None:
    """Also with invalid lines, which every door names by line."""
    before = counts(world)
    is_code = door in CODE_DOORS
    good = door(
        world,
        f"code,max_uses\nDRY-{door.__name__},1\n".encode() if is_code else b"email\na@example.com\n",
        dry_run=True,
    )
    invalid = door(world, BAD_CODES if is_code else BAD_LIST, dry_run=True)

    assert (good.is_applied, invalid.is_applied, counts(world)) == (False, False, before)
    assert any(words in good.text for words in ("1 to import", "1 to add", "To import: 1", "to add: 1", "'lines': 1"))
    assert any(words in invalid.text for words in ("2 invalid", "Invalid: 2", "not valid: 2", "'rejected': 2"))


@pytest.mark.parametrize("name", REJECTS)
def test_rejected_lines_are_a_file_with_line_column_value_and_reason(world: World, name: str) -> None:
    """It can be imported once its cells are right, as it is: its last four columns are ignored."""
    before, is_code = counts(world), name.startswith("codes")

    header, *rows = csv.reader(io.StringIO(REJECTS[name](world, BAD_CODES if is_code else BAD_LIST).decode()))

    assert header[-4:] == ["line", "column", "value", "why"]
    assert [row[-4:-1] for row in rows] == (
        [["3", "max_uses", "five"], ["4", "", ""]] if is_code else [["3", "email", "no-at"], ["4", "language", "fr"]]
    )
    assert all(row[-1] for row in rows)
    assert counts(world) == before


@pytest.mark.parametrize("door", LIST_DOORS)
def test_corrected_rejects_of_a_list_can_be_added(world: World, door: Import) -> None:
    """The columns that describe what was wrong are no variables, whatever they hold."""
    tail = "line,column,value,why\nann@example.com,en,Ann,4,language,fr," + "a long reason " * 20

    assert door(world, f"email,language,name,{tail}\n".encode(), dry_run=False).is_applied
    (sealed,) = world.app.client.get(
        f"/api/v1/hand-outs/{world.hand_out}/recipients", headers=world.app.key("admin")
    ).json()["recipients"]
    assert sealed["language"] == "en"


@pytest.mark.parametrize(
    ("encoding", "separator"),
    [("utf-8-sig", ","), ("utf-16", "\t"), ("utf-16-be", "\t"), ("cp1252", ";"), ("gbk", ","), ("gbk", ";")],
)
@pytest.mark.parametrize("door", [*CODE_DOORS, *LIST_DOORS])
def test_files_are_read_as_excel_writes_them(world: World, door: Import, encoding: str, separator: str) -> None:
    """With each separator and encoding; other encodings than UTF-8 are named."""
    note = {"gbk": "上海的客户，第一批", "cp1252": "Für Zoë aus Málaga"}.get(encoding, "上 Zoë")
    code = f"{door.__name__}-{encoding}-{ord(separator)}".replace("_", "-")
    header, row = (("code", "max_uses", "note"), (code, "1", note))
    if door in LIST_DOORS:
        header, row = ("email", "language", "name"), ("li@example.com", "zh", note)
    text = f"{separator.join(header)}\r\n{separator.join(row)}\r\n"
    data = (b"\xfe\xff" if encoding == "utf-16-be" else b"") + text.encode(encoding)

    checked = door(world, data, dry_run=True)
    done = door(world, data, dry_run=False)

    named = {"utf-8-sig": "", "cp1252": "Windows-1252", "gbk": "GBK"}.get(encoding, "UTF-16")
    assert named in checked.text
    assert done.is_applied
    if door in CODE_DOORS:
        code_id = world.app.services.reader.find_code(code)
        assert code_id is not None
        noted = [entry.event for entry in world.app.services.reader.read_history(code_id)][-1]
        assert world.app.services.reader.find_private_text(noted.text_id) == note  # type: ignore[attr-defined]  # the last one is CodeNoted


@pytest.mark.parametrize("door", CODE_DOORS)
def test_unknown_column_is_named_with_the_nearest_and_all_columns(world: World, door: Import) -> None:
    """So a misspelled one is corrected without the documentation."""
    answer = door(world, b"code;max_use\nA-1;5\n", dry_run=False)

    assert not answer.is_applied
    for words in ("max_use", "nearest", "max_uses", "validity_days"):
        assert words in answer.text


@pytest.mark.parametrize("door", LIST_DOORS)
def test_missing_column_of_a_list_is_named_with_those_that_the_file_has(world: World, door: Import) -> None:
    """A list has any columns but needs one."""
    answer = door(world, b"e-mail;name\nli@example.com;Li\n", dry_run=True)

    assert "email" in answer.text
    assert "e-mail, name" in answer.text


@pytest.mark.parametrize("door", CODE_DOORS)
def test_unreadable_first_line_is_named_by_its_byte(world: World, door: Import) -> None:
    """A file that no encoding fits."""
    answer = door(world, b"code,\xff\x81name\nA-1,x\n", dry_run=False)

    assert not answer.is_applied
    assert "0xFF" in answer.text


@pytest.mark.parametrize("door", CODE_DOORS)
def test_new_group_must_be_confirmed(world: World, door: Import) -> None:
    """It is named with the group that it resembles; without a confirmation nothing is imported."""
    existing, code = f"Design {door.__name__}", f"NEWGROUP-{door.__name__}".replace("_", "-")
    codes_by_api(world, f"code,group\n{code}-0,{existing}\n".encode(), dry_run=False, confirmed=True)
    before, data = counts(world), f"code,group\n{code}-1,Designs {door.__name__}\n".encode()

    checked = door(world, data, dry_run=True)
    refused = door(world, data, dry_run=False)
    unchanged = counts(world)
    confirmed = door(world, data, dry_run=False, confirmed=True)
    again = door(world, data.replace(b"-1,", b"-2,"), dry_run=False)

    for answer in (checked, refused):
        assert f"Designs {door.__name__}" in answer.text
        assert existing in answer.text
    assert (refused.is_applied, unchanged, confirmed.is_applied, again.is_applied) == (False, before, True, True)
