"""Signing in and out: who gets in, what is refused, how a session ends, and what is written down."""

from collections.abc import Callable

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError
from eventsourcing.persistence import ProgrammingError

from api.rate_limits.client_network import client_networks
from api.web.staff_auth.context import make_dummy_hash
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff, heading

EMAIL = "mei@staff.example.com"


def acts(app: AppClient) -> list[str]:
    with app.services.storage.datastore.get_connection() as conn:
        return [row["act"] for row in conn.execute("SELECT act FROM audit ORDER BY audit_id").fetchall()]


def test_email_has_the_focus_unless_a_notice_has_it(app: AppClient) -> None:
    """Staff type at once; after a wrong password the notice is read first."""
    browser = StaffBrowser(app)

    pages = [read_page(answer.text) for answer in (browser.get("/support/sign-in"), browser.sign_in(EMAIL, "wrong"))]

    assert ["autofocus" in page.find("input", id="email").attributes for page in pages] == [True, False]
    assert [len(page.find_all(id="notice")) for page in pages] == [0, 1]


def test_support_page_leads_to_the_sign_in_and_back(app: AppClient) -> None:
    add_staff(app, EMAIL, "viewer", PASSWORD)
    browser = StaffBrowser(app)

    asked = browser.get("/support/work")
    signed_in = browser.sign_in(EMAIL, PASSWORD, asked.headers["location"])

    assert (asked.status_code, asked.headers["location"]) == (303, "/support/sign-in?next=/support/work")
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/support/work")
    assert browser.get("/support/work").status_code == 200
    assert acts(app) == ["signed_in"]


@pytest.mark.parametrize(
    "next_path", ["https://evil.example", "//evil.example", "/support\\evil", "/invite", "/supportx"]
)
def test_sign_in_leads_to_our_own_pages_only(app: AppClient, next_path: str) -> None:
    add_staff(app, EMAIL, "viewer", PASSWORD)

    assert (
        StaffBrowser(app).sign_in(EMAIL, PASSWORD, f"/support/sign-in?next={next_path}").headers["location"]
        == "/support"
    )


def test_wrong_password_and_an_unknown_account_get_the_same_answer(app: AppClient) -> None:
    """Both are refused with the same words, and both are written down."""
    add_staff(app, EMAIL, "admin", PASSWORD)

    wrong = StaffBrowser(app).sign_in(EMAIL, "wrong")
    unknown = StaffBrowser(app).sign_in("nobody@staff.example.com", PASSWORD)

    assert [wrong.status_code, unknown.status_code] == [403, 403]
    assert "The email address or the password is wrong" in wrong.text
    assert "The email address or the password is wrong" in unknown.text
    assert acts(app) == ["sign_in_failed", "sign_in_failed"]


@pytest.mark.parametrize("hasher", [PasswordHasher(), PasswordHasher(2, 16, 1, 20, 8)], ids=["ours", "another"])
def test_unknown_account_costs_as_much_as_a_known_one(hasher: PasswordHasher) -> None:
    """The hash without a password is checked to its end, with the costs of every other; and no two are alike."""
    nobody = make_dummy_hash(hasher)

    with pytest.raises(VerifyMismatchError):
        hasher.verify(nobody, PASSWORD)
    assert extract_parameters(nobody) == extract_parameters(hasher.hash(PASSWORD))
    assert nobody != make_dummy_hash(hasher)


def test_too_many_failures_are_stopped(app: AppClient) -> None:
    add_staff(app, EMAIL, "admin", PASSWORD)
    browser = StaffBrowser(app)

    failures = [browser.sign_in(EMAIL, "wrong").status_code for _ in range(10)]
    stopped = browser.sign_in(EMAIL, PASSWORD)

    assert failures == [403] * 10
    assert stopped.status_code == 429
    assert 0 < int(stopped.headers["retry-after"]) <= 901
    assert acts(app) == ["sign_in_failed"] * 10


def test_form_of_another_session_is_refused(app: AppClient, sign_in: Callable[..., StaffBrowser]) -> None:
    browser, other = sign_in("support"), sign_in("viewer")
    mine = browser.token()

    forged = browser.post("/support/search", {"q": "x", "token": other.token()})
    bare = browser.post("/support/sign-out", {})
    foreign = browser.post("/support/sign-out", {"token": mine}, {"sec-fetch-site": "cross-site"})
    no_cookie = StaffBrowser(app).post("/support/sign-in", {"email": EMAIL, "password": PASSWORD, "token": mine})

    assert [answer.status_code for answer in (forged, bare, foreign, no_cookie)] == [403] * 4
    assert heading(forged) == "This form is no longer valid"
    assert browser.get("/support").status_code == 200


def test_signing_out_ends_the_session_permanently(app: AppClient, sign_in: Callable[..., StaffBrowser]) -> None:
    browser = sign_in("support")
    before = dict(browser.cookies)

    browser.submit("/support/sign-out")
    stolen = StaffBrowser(app)
    stolen.cookies = before
    late = stolen.post("/support/search", {"q": "AB12"})

    assert late.headers["location"] == "/support/sign-in?lost=1"
    assert "nothing was changed" in stolen.get(late.headers["location"]).text
    assert "ledger_staff" not in browser.cookies
    assert stolen.get("/support").status_code == 303
    assert acts(app) == ["signed_in", "signed_out"]


def test_new_password_ends_the_sessions_of_the_old_one(app: AppClient, sign_in: Callable[..., StaffBrowser]) -> None:
    browser, other = sign_in("support"), sign_in("viewer")

    add_staff(app, "support@staff.example.com", "support", "a new one")

    assert browser.get("/support").status_code == 303
    assert other.get("/support").status_code == 200


def test_session_changes_at_each_sign_in(app: AppClient, sign_in: Callable[..., StaffBrowser]) -> None:
    browser = sign_in("support")
    first = browser.cookies["ledger_staff"]

    answer = browser.sign_in("support@staff.example.com", PASSWORD)
    old = StaffBrowser(app)
    old.cookies = {"ledger_staff": first}
    cookie = next(line for line in answer.headers.get_list("set-cookie") if line.startswith("ledger_staff="))  # type: ignore[attr-defined]  # of the client's answers

    assert browser.cookies["ledger_staff"] != first
    assert old.get("/support").status_code == 303
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert app.count("staff_sessions") == 1


def test_cookies_keep_to_https_where_there_is_https(app: AppClient) -> None:
    """Else a network in between could read them."""
    plain, safe = (app.client.get(f"{scheme}://testserver/support/sign-in") for scheme in ("http", "https"))

    assert "Secure" not in plain.headers["set-cookie"]
    assert "Secure" in safe.headers["set-cookie"]


def test_ipv6_site_counts_as_one() -> None:
    """It hands out addresses at will; IPv4 addresses count each, and what is no address counts as it stands."""
    assert client_networks("2001:db8::1") == client_networks("2001:db8::ffff:2") != client_networks("2001:db8:1::1")
    assert client_networks("192.0.2.1") != client_networks("192.0.2.2")
    assert client_networks("testclient") == ("testclient",)


@pytest.mark.parametrize("statement", ["UPDATE audit SET act = 'x'", "DELETE FROM audit", "TRUNCATE audit"])
def test_audit_is_append_only(app: AppClient, sign_in: Callable[..., StaffBrowser], statement: str) -> None:
    sign_in("support")

    with (
        pytest.raises(ProgrammingError, match="append-only"),
        app.services.storage.datastore.get_connection() as conn,
    ):
        conn.execute(statement.encode())
