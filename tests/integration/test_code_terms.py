"""Every term of a code through every door: written, changed and read back by loops that know no term by its name."""

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from msgspec import structs

from api.http.etags import tag_of
from api.i18n.catalogs import translator
from api.schemas.code_terms import TERMS, Term, TermFormat, TermKind, document_of_terms
from domain.events.code_terms import TERM_NAMES, CodeTerms
from domain.model.redeem_code import RedeemCode
from domain.values.email_domains import parse_domains
from domain.values.timestamps import text_of
from projections.definitions.tables.code_balances import code_from_named_row
from tests.schema.event_examples import TERMS as EXAMPLES
from tests.support.clients.admin_client import ask_for, ended, upload
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff
from tests.support.clients.terminal import Terminal
from tests.support.ledger.code_template import make_template
from tests.support.ledger.settings import NO_STREAM, environment, settings_for


def make_values(number: int, group: str) -> CodeTerms:
    """Terms with a value for each, by its kind and place: later times for later terms, and no domain twice."""
    values: list[Any] = []
    for place, term in enumerate(TERMS):
        by_kind: dict[TermKind, Any] = {
            "number": number,
            "timestamp": datetime(2031 + place, number, 2, 3, 4, 5, tzinfo=UTC),
            "group": group,
            "domains": parse_domains(f"{group}{place}.example, *.{group}{place}.example"),
        }
        values.append(by_kind.get(term.kind, EXAMPLES[term.name]))
    return CodeTerms(*values)


ISSUED: Final = make_values(5, "blue")
CHANGED: Final = make_values(7, "green")
ANOTHER: Final = {
    name: None if (value := getattr(CHANGED, name)) == getattr(ISSUED, name) else value for name in TERM_NAMES
}
"""A value by term that differs from that of `ISSUED`; None where a kind has no second one, as a flag."""
UNBOUNDED: Final = structs.replace(ISSUED, **dict.fromkeys(TERM_NAMES))


class Doors:
    """All ways in and out of one ledger."""

    def __init__(self, app: AppClient, terminal: Terminal, browser: StaffBrowser, folder: Path) -> None:
        self.app, self.terminal, self.browser, self.folder = app, terminal, browser, folder
        self.key = app.key("admin")
        self.text = f"FILE{uuid4().hex}".upper()

    def code(self, code_id: UUID) -> RedeemCode:
        row = self.app.services.reader.find_balance(code_id)
        assert row is not None
        code = code_from_named_row(row)
        assert code == list(self.app.services.reader.read_history(code_id))[-1].state
        return code

    def find(self, text: str) -> UUID:
        code_id = self.app.services.reader.find_code(text)
        assert code_id is not None
        return code_id

    def issue(self, terms: CodeTerms = ISSUED) -> UUID:
        return self.find(self.app.issue(make_template(bound=False, **structs.asdict(terms))))

    def options(self, terms: CodeTerms) -> list[str]:
        return [part for term in TERMS for part in (term.option, text_for(term, terms))]

    def csv(self, text: str, terms: CodeTerms, **more: str) -> bytes:
        file = io.StringIO()
        cells = {"code": text, **{term.name: text_for(term, terms) for term in TERMS}, **more}
        writer = csv.DictWriter(file, cells)
        writer.writeheader()
        writer.writerow(cells)
        return file.getvalue().encode()

    def import_file(self, name: str, data: bytes) -> Any:  # noqa: ANN401 - the report as JSON
        path = self.folder / name
        path.write_bytes(data)
        return self.terminal.ledger("import-codes", str(path), "--new-groups", "--json").json


def text_for(term: TermFormat, terms: CodeTerms) -> str:
    """The value of a term as commands and files write it."""
    value: Term = getattr(terms, term.name)
    if isinstance(value, datetime):
        return value.isoformat()
    return term.none_word if value is None else term.text(value)


def form_of(terms: CodeTerms) -> dict[str, str]:
    return {term.name: term.text(getattr(terms, term.name)) for term in TERMS}


def inputs_of(page: str) -> dict[str, str]:
    """What a browser would send of a page's last form that has something to send."""
    form = next(form for form in reversed(read_page(page).find_all("form")) if form.find_all(name="seen"))
    return {field.attributes["name"]: field.attributes.get("value", "") for field in form.find_all("input")}


@pytest.fixture(scope="module")
def browser(shared_app: AppClient) -> StaffBrowser:
    add_staff(shared_app, "admin@staff.example.com", "admin", PASSWORD)
    signed_in = StaffBrowser(shared_app)
    signed_in.sign_in("admin@staff.example.com", PASSWORD)
    return signed_in


@pytest.fixture
def doors(
    shared_app: AppClient,
    browser: StaffBrowser,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Doors:
    """A ledger with an admin who is signed in, and a shell."""
    url = shared_app.services.settings.database_url.get_secret_value()
    for name, value in environment(settings_for(url), tmp_path, NO_STREAM).items():
        monkeypatch.setenv(name, value)
    return Doors(shared_app, Terminal(capsys), browser, tmp_path)


def by_cli(doors: Doors) -> UUID:
    return UUID(doors.terminal.ledger("issue", "--json", *doors.options(ISSUED)).json[0]["id"])


def by_api(doors: Doors) -> UUID:
    body = json_values(ISSUED)
    answer = doors.app.client.post("/api/v1/codes", json=body, headers=doors.key)
    return UUID(answer.json()[0]["id"])


def by_form(doors: Doors) -> UUID:
    return ended(doors.app, ask_for(doors.browser, **form_of(ISSUED))).derive_code_ids(0, 1)[0][1]


def by_csv(doors: Doors) -> UUID:
    doors.import_file("codes.csv", doors.csv(doors.text, ISSUED))
    return doors.find(doors.text)


def by_csv_with_uses(doors: Doors) -> UUID:
    doors.import_file("codes.csv", doors.csv(doors.text, ISSUED, used="1", state="paused", note="from before"))
    return doors.find(doors.text)


def by_json_lines(doors: Doors) -> UUID:
    line = {"code": doors.text, **json_values(ISSUED)}
    doors.import_file("codes.jsonl", json.dumps(line).encode())
    return doors.find(doors.text)


def by_usual_terms(doors: Doors) -> UUID:
    """A file that names no term, with options that do."""
    path = doors.folder / "codes.csv"
    path.write_text(f"code\n{doors.text}\n")
    doors.terminal.ledger("import-codes", str(path), "--new-groups", *doors.options(ISSUED))
    return doors.find(doors.text)


def by_upload(doors: Doors) -> UUID:
    """A file at /admin."""
    ended(doors.app, upload(doors.browser, doors.csv(doors.text, ISSUED)))
    return doors.find(doors.text)


def by_upload_defaults(doors: Doors) -> UUID:
    """A file at /admin that names no term, with a form that does."""
    ended(doors.app, upload(doors.browser, f"code\n{doors.text}\n".encode(), **form_of(ISSUED)))
    return doors.find(doors.text)


def by_api_file(doors: Doors) -> UUID:
    headers = {**doors.key, "content-type": "text/csv"}
    doors.app.client.post(
        "/api/v1/codes/import?new_groups=true", content=doors.csv(doors.text, ISSUED), headers=headers
    )
    return doors.find(doors.text)


@pytest.mark.parametrize(
    "issue",
    [
        by_cli,
        by_api,
        by_form,
        by_csv,
        by_csv_with_uses,
        by_json_lines,
        by_usual_terms,
        by_upload,
        by_upload_defaults,
        by_api_file,
    ],
)
def test_every_channel_of_issue_keeps_every_term(doors: Doors, issue: Callable[[Doors], UUID]) -> None:
    """A term that a door left out would be as on a code for which nothing is said."""
    assert doors.code(issue(doors)).terms == ISSUED


def by_patch(doors: Doors, code_id: UUID) -> None:
    body = json_values(CHANGED)
    assert doors.app.client.patch(f"/api/v1/codes/{code_id}", json=body, headers=doors.key).status_code == 200


def by_put(doors: Doors, code_id: UUID) -> None:
    body = json_values(CHANGED)
    headers = {**doors.key, "If-Match": "*"}
    assert doors.app.client.put(f"/api/v1/codes/{code_id}/terms", json=body, headers=headers).status_code == 200


def by_terms_command(doors: Doors, code_id: UUID) -> None:
    assert doors.terminal.ledger("terms", str(code_id), *doors.options(CHANGED)).status == 0


def by_support_form(doors: Doors, code_id: UUID) -> None:
    """The form of the support console: filled in, looked at and confirmed as the pages hold it."""
    path = f"/support/codes/{code_id}/acts/terms"
    filled = inputs_of(doors.browser.get(path).text)
    changes = form_of(CHANGED)
    assert {*changes} <= {*filled}
    looked = doors.browser.post(path, {**filled, **changes})
    confirmed = doors.browser.post(path, {**inputs_of(looked.text), "note": "sold more"})
    assert confirmed.status_code == 303, confirmed.text


@pytest.mark.parametrize("change", [by_patch, by_put, by_terms_command, by_support_form])
def test_every_channel_of_terms_changes_every_term(doors: Doors, change: Callable[[Doors, UUID], None]) -> None:
    """A term that a door left out would stay as it is."""
    code_id = doors.issue(UNBOUNDED)

    change(doors, code_id)

    assert doors.code(code_id).terms == CHANGED


@pytest.mark.parametrize("name", TERM_NAMES)
def test_change_of_one_term_leaves_the_others(doors: Doors, name: str) -> None:
    """By PATCH, by the command and by the form, which is sent back as the page holds it."""
    term = next(term for term in TERMS if term.name == name)
    after = structs.replace(ISSUED, **{name: ANOTHER[name]})
    patched, commanded, formed = (doors.issue() for _ in range(3))

    body = {name: json_values(after)[name]}
    doors.app.client.patch(f"/api/v1/codes/{patched}", json=body, headers=doors.key)
    doors.terminal.ledger("terms", str(commanded), term.option, text_for(term, after))
    path = f"/support/codes/{formed}/acts/terms"
    filled = inputs_of(doors.browser.get(path).text)
    looked = doors.browser.post(path, {**filled, name: term.text(ANOTHER[name])})
    doors.browser.post(path, {**inputs_of(looked.text), "note": "sold more"})

    assert [after] * 3 == [doors.code(code_id).terms for code_id in (patched, commanded, formed)]
    assert tag_of(ISSUED) != tag_of(after)


def test_words_for_none_bound_nothing(doors: Doors) -> None:
    """By the command, and by PATCH with null."""
    commanded, patched = doors.issue(), doors.issue()

    doors.terminal.ledger("terms", str(commanded), *doors.options(UNBOUNDED))
    doors.app.client.patch(f"/api/v1/codes/{patched}", json=dict.fromkeys(TERM_NAMES), headers=doors.key)

    assert [doors.code(code_id).terms for code_id in (commanded, patched)] == [UNBOUNDED] * 2


@pytest.mark.parametrize("name", TERM_NAMES)
def test_file_with_another_value_of_one_term_is_not_there_already(doors: Doors, name: str) -> None:
    """The same file again is; so each term is compared."""
    doors.import_file("codes.csv", doors.csv(doors.text, ISSUED))
    other = structs.replace(ISSUED, **{name: ANOTHER[name]})

    same = doors.import_file("codes.csv", doors.csv(doors.text, ISSUED))
    differs = doors.import_file("codes.csv", doors.csv(doors.text, other))

    assert (same["already"], same["rejected"]) == (1, 0)
    assert (differs["already"], differs["rejected"]) == (0, 1)


def test_every_term_is_read_from_the_api_and_exports(doors: Doors) -> None:
    code_id = doors.issue()
    client, expected = doors.app.client, json_values(ISSUED)

    one = client.get(f"/api/v1/codes/{code_id}", headers=doors.key).json()
    terms = client.get(f"/api/v1/codes/{code_id}/terms", headers=doors.key).json()
    listed = client.get("/api/v1/codes", params={"limit": 200}, headers=doors.key).json()["codes"][-1]
    lines = json.loads(doors.terminal.ledger("export", "codes", "--format", "jsonl").out.splitlines()[-1])
    cells = list(csv.DictReader(io.StringIO(doors.terminal.ledger("export", "codes", "--format", "csv").out)))[-1]

    for document in (one, terms, listed, lines):
        assert expected == {name: _same_time(document[name]) for name in TERM_NAMES}
    assert {term.name: text_for(term, ISSUED) for term in TERMS} == {name: cells[name] for name in TERM_NAMES}


def test_every_term_is_shown_in_the_history_and_on_pages(doors: Doors) -> None:
    """Sentences of both events, the support page, both batch pages, and the table of what a change will do."""
    code_id, batch_id = doors.issue(), ask_for(doors.browser, **form_of(ISSUED))
    upload_id = upload(doors.browser, f"code\n{doors.text}\n".encode(), **form_of(ISSUED))
    by_terms_command(doors, code_id)
    say = translator("en")

    history = doors.terminal.ledger("history", str(code_id), "--json").json["events"]
    unchanged = doors.issue(UNBOUNDED)
    path = f"/support/codes/{unchanged}/acts/terms"
    filled = inputs_of(doors.browser.get(path).text)
    changes = form_of(CHANGED)
    pages = {
        "support": (doors.browser.get(f"/support/codes/{code_id}").text, CHANGED),
        "batch": (doors.browser.get(f"/admin/batches/{batch_id}").text, ISSUED),
        "batch of an upload": (doors.browser.get(f"/admin/batches/{upload_id}").text, ISSUED),
        "before and after": (doors.browser.post(path, {**filled, **changes}).text, CHANGED),
    }

    for sentence, terms in zip([line["sentence"] for line in history], (ISSUED, CHANGED), strict=True):
        for term in TERMS:
            value = getattr(terms, term.name)
            shown = text_of(value) if isinstance(value, datetime) else value
            if term.kind == "domains":
                shown = value.replace(" ", ", ")
            assert say(f"event.CodeIssued.{term.name}", value=shown) in sentence, term.name
    for name, (page, terms) in pages.items():
        for term in TERMS:
            label = say(f"page.support.term.{term.name}")
            assert re.search(rf">{re.escape(label)}</(dt|th)>.*?{shown_on_pages(term, terms)}", page, re.DOTALL), (
                name,
                term.name,
            )


def shown_on_pages(term: TermFormat, terms: CodeTerms) -> str:
    """A pattern of a value on pages."""
    value = getattr(terms, term.name)
    if isinstance(value, datetime):
        return f'datetime="{value:%Y-%m-%dT%H:%M:%SZ}"'
    if term.kind == "number":
        return re.escape(">" + translator("en")(f"page.support.term.{term.name}.value", value=value) + "<")
    shown = term.text(value)
    return re.escape(f">{shown.replace(' ', ', ') if term.kind == 'domains' else shown}<")


def json_values(terms: CodeTerms) -> dict[str, Any]:
    """Terms as requests and responses have them."""
    return {
        name: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for name, value in document_of_terms(terms).items()
    }


def _same_time(value: Any) -> Any:  # noqa: ANN401 - as JSON holds it
    """Times that are written with `Z` or with an offset of zero are one."""
    return value.replace("+00:00", "Z") if isinstance(value, str) else value
