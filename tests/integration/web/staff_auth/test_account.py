"""One's own password: changed with the old one, and every other session ends."""

from collections.abc import Callable

from tests.support.clients.app_client import AppClient
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser

NEW = "a longer pass phrase"


def test_new_password_ends_every_other_session(app: AppClient, sign_in: Callable[..., StaffBrowser]) -> None:
    """Here it continues under a new one; the old password is worth nothing."""
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
    """Guessing is throttled like signing in."""
    browser = sign_in("viewer")

    wrong = browser.submit("/support/account", old="guess", new=NEW)
    short = browser.submit("/support/account", old=PASSWORD, new="short")
    guesses = [browser.submit("/support/account", old=f"guess {nth}", new=NEW).status_code for nth in range(10)]

    assert "password is wrong" in wrong.text
    assert "at least 12 characters" in short.text
    assert guesses == [422] * 9 + [429]
    assert StaffBrowser(app).sign_in("viewer@staff.example.com", PASSWORD).status_code == 303
