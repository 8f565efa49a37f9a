"""One's own password, changed with the old one, and one's own sessions: listed, and ended one by one or together."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff

NEW = "a longer pass phrase"


def read_rows(app: AppClient, statement: str) -> list[dict[str, Any]]:
    with app.services.storage.datastore.get_connection() as conn:
        return [dict(row) for row in conn.execute(statement.encode()).fetchall()]


def test_new_password_ends_every_other_session(app: AppClient, sign_in: Callable[..., StaffBrowser]) -> None:
    here, elsewhere = sign_in("viewer"), StaffBrowser(app)
    elsewhere.sign_in("viewer@staff.example.com", PASSWORD)
    before = dict(here.cookies)

    answer = here.submit("/support/account", old=PASSWORD, new=NEW)

    assert answer.status_code == 303
    assert here.get("/support/account").status_code == 200
    assert before["ledger_staff"] != here.cookies["ledger_staff"]
    assert elsewhere.get("/support").status_code == 303
    assert StaffBrowser(app).sign_in("viewer@staff.example.com", PASSWORD).status_code == 403
    assert StaffBrowser(app).sign_in("viewer@staff.example.com", NEW).status_code == 303


def test_new_password_needs_the_old_one_and_enough_characters(
    app: AppClient, sign_in: Callable[..., StaffBrowser]
) -> None:
    browser = sign_in("viewer")

    wrong = browser.submit("/support/account", old="guess", new=NEW)
    short = browser.submit("/support/account", old=PASSWORD, new="short")
    guesses = [browser.submit("/support/account", old=f"guess {nth}", new=NEW).status_code for nth in range(10)]

    assert "password is wrong" in wrong.text
    assert "at least 12 characters" in short.text
    assert guesses == [422] * 9 + [429]
    assert StaffBrowser(app).sign_in("viewer@staff.example.com", PASSWORD).status_code == 303


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Safari/604.1"


def enter(app: AppClient, user_agent: str, address: str = "testclient") -> StaffBrowser:
    browser = StaffBrowser(app, address)
    token = browser.token("/support/sign-in")
    form = {"token": token, "email": "viewer@staff.example.com", "password": PASSWORD}
    assert browser.post("/support/sign-in", form, {"user-agent": user_agent}).status_code == 303
    return browser


def read_sessions(browser: StaffBrowser) -> dict[str, str]:
    """The keys of the sessions that the page can end, by their device."""
    page = read_page(browser.get("/support/account").text)
    rows = page.find("table", class_="list list-cards").rows
    keys = [row.find_all("input", name="session") for row in rows]
    return {row.find("th").text: key[0].attributes["value"] if key else "" for row, key in zip(rows, keys, strict=True)}


def test_sessions_are_listed_with_device_and_end_one_by_one(
    app: AppClient, sign_in: Callable[..., StaffBrowser]
) -> None:
    here, linux, phone = sign_in("viewer"), enter(app, FIREFOX), enter(app, PHONE)

    listed = read_sessions(here)
    answer = here.submit("/support/account/sessions", session=listed["Firefox on Linux"])

    assert sorted(listed) == ["Firefox on Linux", "Safari on iPhone", "Unknown browser this browser"]
    assert [name for name, key in listed.items() if not key] == ["Unknown browser this browser"]
    assert (answer.status_code, answer.headers["location"]) == (303, "/support/account?done=sessions")
    assert [browser.get("/support").status_code for browser in (here, linux, phone)] == [200, 303, 200]
    assert "Firefox" not in here.get("/support/account").text


def read_networks(browser: StaffBrowser, path: str = "/support/account") -> list[str]:
    return sorted(read_page(browser.get(path).text).texts("td", data_label="Signed in from"))


def test_sessions_are_listed_with_the_network_of_their_sign_in(
    app: AppClient, sign_in: Callable[..., StaffBrowser]
) -> None:
    staff_id = add_staff(app, "viewer@staff.example.com", "viewer", PASSWORD)
    here = enter(app, FIREFOX, "203.0.113.77")
    enter(app, PHONE, "2001:db8:1:2::3")
    enter(app, PHONE, "::ffff:198.51.100.9")
    here.address = "192.0.2.1"

    expected = ["198.51.100.0/24", "2001:db8:1::/48", "203.0.113.0/24"]
    assert read_networks(here) == expected
    assert read_networks(sign_in("admin"), f"/admin/staff/{staff_id}") == expected


def test_session_without_a_network_shows_a_dash(app: AppClient, sign_in: Callable[..., StaffBrowser]) -> None:
    """One that a process of the version before began, and one of a client without an IP address."""
    browser = sign_in("viewer")
    insert = (
        "INSERT INTO staff_sessions (digest, staff_id, created_at, expires_at, browser, system)"
        " SELECT 'former', staff_id, created_at, expires_at, '', '' FROM staff_sessions RETURNING network"
    )

    assert [row["network"] for row in read_rows(app, insert)] == [None]
    assert read_networks(browser) == ["-", "-"]


def test_session_that_a_new_password_begins_has_its_network(sign_in: Callable[..., StaffBrowser]) -> None:
    browser = sign_in("viewer")
    browser.address = "203.0.113.77"

    browser.submit("/support/account", old=PASSWORD, new=NEW)

    assert read_networks(browser) == ["203.0.113.0/24"]


def test_all_other_sessions_end_together_and_the_audit_log_says_how_many(
    app: AppClient, sign_in: Callable[..., StaffBrowser]
) -> None:
    here, others = sign_in("viewer"), [enter(app, FIREFOX), enter(app, PHONE)]

    for _ in range(2):
        here.submit("/support/account/sessions")

    assert [browser.get("/support").status_code for browser in (here, *others)] == [200, 303, 303]
    lines = sign_in("admin").get("/support/audit").text
    assert lines.count("ended sessions of staff") - lines.count(">ended sessions of staff</option>") == 1
    assert "ended sessions: 2" in lines


def test_session_of_another_account_is_not_ended(app: AppClient, sign_in: Callable[..., StaffBrowser]) -> None:
    """Its digest is no secret, and opens nothing; a key that is not one is malformed."""
    viewer, support = sign_in("viewer"), sign_in("support")
    query = "SELECT o.digest FROM staff_sessions o JOIN staff s USING (staff_id) WHERE s.role = 'support'"
    (row,) = read_rows(app, query)

    viewer.submit("/support/account/sessions", session=bytes(row["digest"]).hex())

    assert support.get("/support").status_code == 200
    assert viewer.submit("/support/account/sessions", session="x").status_code == 422


def test_use_of_a_session_is_recorded_once_in_five_minutes(
    app: AppClient, sign_in: Callable[..., StaffBrowser]
) -> None:
    """Not with each request, so a page costs one statement; a time in the future is replaced."""
    browser, start = sign_in("viewer"), app.services.now()

    def used_after(age: timedelta) -> datetime:
        with app.services.storage.datastore.get_connection() as conn:
            conn.execute("UPDATE staff_sessions SET last_used_at = %s", (start - age,))
            browser.get("/support/account")
            (row,) = conn.execute("SELECT last_used_at FROM staff_sessions").fetchall()
        used_at: datetime = row["last_used_at"]
        return used_at

    assert used_after(timedelta(minutes=4)) == start - timedelta(minutes=4)
    assert used_after(timedelta(minutes=6)) >= start
    assert used_after(timedelta(hours=-1)) < start + timedelta(minutes=30)


def test_password_that_is_too_long_is_refused_instead_of_cut(sign_in: Callable[..., StaffBrowser]) -> None:
    """A field that cuts what is pasted would set another password than the one that is stored elsewhere."""
    browser = sign_in("viewer")
    page = browser.get("/support/account")
    answer = browser.submit("/support/account", old=PASSWORD, new="x" * 1025)

    assert "maxlength" not in read_page(page.text).find("input", id="new").attributes
    assert answer.status_code == 422
    assert "at most 1024 characters" in answer.text
