"""User input is shown as text wherever it is shown, and never makes a separate line in log or header."""

import json
import re

import pytest

from api.auth.session_cookies import COOKIE
from api.cli.embedded.bounded_wait import wait_until
from api.schemas.csv_cells import FORMULA, csv_line
from api.web.support.search_page import REMEMBERED_BYTES_MAX
from tests.support.clients.app_client import AppClient
from tests.support.clients.role_clients import RoleClients

MARK = "'\"><script>alert(1)</script>{{7*7}}"


def as_admin(role_clients: RoleClients, method: str, path: str, **form: str) -> str:
    cookie = role_clients.cookie(role_clients.staff["admin"])
    headers = {"accept": "text/html", "accept-language": "en", "cookie": f"{COOKIE}={cookie}"}
    more = {"data": {"token": role_clients.form_token(cookie), "nonce": "n1", **form}} if method == "POST" else {}
    return role_clients.ask(method, path, headers=headers, **more).text


def test_no_page_lets_a_word_become_markup(app: AppClient, role_clients: RoleClients) -> None:
    """Notes, reasons, groups, names of keys, searches, and what a form refunds."""
    code = app.issue()
    reservation_id = app.redeem(code, "li.wei@example.com").json()["reservation_id"]
    code_id = app.client.get("/api/v1/codes", headers=role_clients.keys["viewer"]).json()["codes"][-1]["id"]
    as_admin(role_clients, "POST", f"/support/reservations/{reservation_id}/notes", note=MARK)
    as_admin(role_clients, "POST", f"/support/codes/{code_id}/notes", note=MARK)
    as_admin(role_clients, "POST", f"/support/reservations/{reservation_id}/unmask", reason=MARK)
    as_admin(role_clients, "POST", "/admin/keys", name=MARK, role="viewer", ends="never")
    group = "name=%22%3E%3Cscript%3Ealert(1)%3C/script%3E"
    as_admin(role_clients, "POST", f"/admin/groups/one?{group}", subject_en=MARK, text_en=MARK)
    pages = [
        *(
            as_admin(role_clients, "GET", f"/support/{where}/{key}")
            for where, key in (("codes", code_id), ("reservations", reservation_id))
        ),
        *(as_admin(role_clients, "GET", path) for path in ("/support/audit", "/admin/keys", "/admin/groups")),
        *(as_admin(role_clients, "GET", f"/admin/groups/{page}?{group}&language=en") for page in ("one", "letter")),
        as_admin(role_clients, "POST", "/support/search", q=MARK + "x" * REMEMBERED_BYTES_MAX),
        as_admin(role_clients, "POST", "/admin/staff", email=MARK, role="viewer"),
        app.client.get("/invite", params={"code": MARK}).text,
        app.client.post("/invite", data={"email": MARK, "code": MARK}).text,
        app.client.post(f"/r/{reservation_id}/correct", data={"email": MARK, "code": MARK}).text,
        app.client.get(f"/{MARK}", headers={"accept": "text/html"}).text,
        as_admin(role_clients, "GET", f"/support/codes?ends={MARK[:4]}"),
    ]

    shown = [page for page in pages if "alert(1)" in page]
    assert len(shown) > 8
    assert [match[0] for page in pages if (match := re.search(r"<script>alert|7\*7\}\}<script|>49<", page))] == []
    assert [page for page in shown if f'="{MARK}' in page] == []


@pytest.mark.parametrize("name", ["X-Request-ID", "Accept-Language", "Idempotency-Key", "User-Agent"])
def test_header_makes_no_line_of_its_own(app: AppClient, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A log line is one JSON document; what a caller sent is in none of them but a request id of hex digits."""
    forged = '"}{"event":"forged \\n'
    redeem = {"email": "a@b.example", "code": "X"}
    answer = app.client.post("/api/v1/public/redeem", json=redeem, headers={name: forged})
    own, written = f'"request_id":"{answer.headers["X-Request-ID"]}"', ""  # lines of earlier requests may come late

    def is_written() -> bool:
        nonlocal written
        written += capfd.readouterr().err
        return own in written and written.endswith("\n")

    assert wait_until(is_written, 10)
    assert "forged" not in written
    assert [json.loads(line)["event"] for line in written.splitlines() if own in line] == ["request"]


@pytest.mark.parametrize("first", FORMULA)
def test_cell_is_not_a_formula(first: str) -> None:
    """Whatever a spreadsheet would run is marked as text."""
    assert csv_line([f"{first}1+1"]).lstrip('"').startswith("'")
