"""The proof that it is them, which staff give again before they reveal, export, erase, or change keys and accounts."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from projections.repositories.staff_sessions import PROOF_LIFE
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser

FORM = {"email": "new@staff.example.com", "role": "viewer", "note": 'quotes: & "these"\nsecond line'}
SignIn = Callable[..., StaffBrowser]


def wait(app: AppClient, seconds: float) -> None:
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE staff_sessions SET proved_at = proved_at - %s", (timedelta(seconds=seconds),))


def carried_by(answer: AppResponse) -> tuple[str, dict[str, list[str]]]:
    """Where the page that asks for the proof sends its form, and with which fields but the password."""
    form = next(each for each in read_page(answer.text).find_all("form") if each.find_all("textarea"))
    fields: dict[str, list[str]] = {}
    for field in form.find_all("textarea"):
        fields.setdefault(field.attributes["name"], []).append(field.text)
    return form.attributes["action"], fields


def invite(browser: StaffBrowser, name: str, **fields: str) -> AppResponse:
    return browser.submit("/admin/staff", email=f"{name}@staff.example.com", role="viewer", **fields)


def count_staff(app: AppClient) -> int:
    with app.services.storage.datastore.get_connection() as conn:
        (row,) = conn.execute("SELECT count(*) AS number FROM staff").fetchall()
    return int(row["number"])


def audit_of(app: AppClient) -> list[tuple[str, str | None]]:
    with app.services.storage.datastore.get_connection() as conn:
        rows = conn.execute("SELECT act, proof FROM audit ORDER BY audit_id DESC").fetchall()
    return [(row["act"], row["proof"]) for row in rows]


def test_password_has_the_focus_unless_a_notice_has_it(app: AppClient, sign_in: SignIn) -> None:
    """Staff type at once; after a wrong password the notice is read first."""
    browser = sign_in("admin")
    wait(app, PROOF_LIFE.total_seconds())

    pages = [read_page(answer.text) for answer in (invite(browser, "a"), invite(browser, "a", own_password="wrong"))]

    fields = [page.find("input", id="own-password").attributes for page in pages]
    assert [
        ("autofocus" in field, len(page.find_all(id="notice"))) for field, page in zip(fields, pages, strict=True)
    ] == [
        (True, 0),
        (False, 1),
    ]


def test_sign_in_is_a_proof_for_five_minutes(app: AppClient, sign_in: SignIn) -> None:
    browser = sign_in("admin")
    wait(app, PROOF_LIFE.total_seconds() - 5)

    first, lines = invite(browser, "first"), audit_of(app)
    number = count_staff(app)
    wait(app, 5)
    late = invite(browser, "second")

    assert (first.status_code, lines[0]) == (303, ("added_staff", "password"))
    assert (late.status_code, "Confirm that it is you" in late.text) == (403, True)
    assert count_staff(app) == number


def test_form_is_carried_and_sent_with_the_password(app: AppClient, sign_in: SignIn) -> None:
    browser = sign_in("admin")
    wait(app, 301)
    token = browser.token("/admin/staff")
    form = {**FORM, "each": ["one", "two"], "token": token}

    asked = browser.post("/admin/staff?sort=oldest", form)
    path, fields = carried_by(asked)
    done = browser.post(path, {**fields, "token": token, "own_password": PASSWORD})

    assert path == "/admin/staff?sort=oldest"
    one_line = {name: [value.replace("\n", " ")] for name, value in FORM.items()}
    assert fields == {**one_line, "each": ["one", "two"]}
    assert "&#34;\nsecond line</textarea>" in asked.text
    assert PASSWORD not in asked.text + done.text
    assert done.status_code == 303
    assert audit_of(app)[:2] == [("added_staff", "password"), ("proved_identity", None)]


def test_wrong_password_is_no_proof(app: AppClient, sign_in: SignIn) -> None:
    browser = sign_in("admin")
    wait(app, 301)
    number = count_staff(app)

    wrong = invite(browser, "x", own_password="guess")
    guesses = [invite(browser, "x", own_password=f"guess {nth}").status_code for nth in range(10)]
    still = invite(browser, "x", own_password=PASSWORD)

    assert "The password is not correct" in wrong.text
    assert carried_by(wrong)[1]["email"] == ["x@staff.example.com"]
    assert guesses == [403] * 9 + [429]
    assert still.status_code == 429
    assert count_staff(app) == number
    assert audit_of(app)[0] == ("proof_failed", None)


def test_proof_belongs_to_the_session_that_gave_it(app: AppClient, sign_in: SignIn) -> None:
    here, elsewhere = sign_in("admin"), StaffBrowser(app)
    elsewhere.sign_in("admin@staff.example.com", PASSWORD)
    wait(app, 301)

    invite(here, "x", own_password=PASSWORD)

    assert invite(here, "y").status_code == 303
    assert invite(elsewhere, "z").status_code == 403


def test_form_of_another_site_brings_no_proof(app: AppClient, sign_in: SignIn) -> None:
    """The password is not even looked at."""
    browser = sign_in("admin")
    wait(app, 301)

    answer = browser.post("/admin/staff", {**FORM, "token": "00", "own_password": PASSWORD})

    assert answer.status_code == 403
    assert "proved_identity" not in dict(audit_of(app))


@pytest.mark.parametrize("seconds", [-301, 301])
def test_clock_that_was_wrong_proves_nothing(app: AppClient, sign_in: SignIn, seconds: float) -> None:
    """A proof from the future is as old as one from the past."""
    browser = sign_in("admin")

    wait(app, seconds)

    assert invite(browser, "x").status_code == 403


def test_session_from_before_an_upgrade_has_no_proof(app: AppClient, sign_in: SignIn) -> None:
    """Its member of staff is asked once."""
    browser = sign_in("admin")
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE staff_sessions SET proved_at = NULL, proved_how = NULL")

    assert invite(browser, "x").status_code == 403
    assert invite(browser, "x", own_password=PASSWORD).status_code == 303


def test_file_is_offered_after_the_proof(app: AppClient, sign_in: SignIn) -> None:
    """A download leaves its page as it is, so the one that asks for the password does not download."""
    browser = sign_in("admin")
    wait(app, 301)
    token = browser.token("/support/audit/export")
    form = {"reason": "yearly audit", "is_download": "yes", "token": token}

    asked = browser.post("/support/audit/export", form)
    path, fields = carried_by(asked)
    offered = browser.post(path, {**fields, "token": token, "own_password": PASSWORD})
    actions = [action for action, _ in audit_of(app)]
    path, fields = carried_by(offered)
    file = browser.post(path, {**fields, "token": token})

    assert (offered.status_code, "can be downloaded now" in offered.text) == (200, True)
    assert "exported_audit" not in actions
    assert (file.status_code, file.headers["content-disposition"]) == (200, 'attachment; filename="audit.csv"')
    assert audit_of(app)[0] == ("exported_audit", "password")
