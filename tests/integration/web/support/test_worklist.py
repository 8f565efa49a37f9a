"""The lists of pending work, on a support console without any other."""

from collections.abc import Callable

import pytest

from projections.database.errors import StorageUnavailableError
from projections.repositories.staff_sessions import StaffSessionRepository
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser

SignIn = Callable[..., StaffBrowser]


def reserved(app: AppClient) -> str:
    return str(app.redeem(app.issue()).json()["reservation_id"])


@pytest.mark.usefixtures("own_app")
def test_unknown_waits_in_the_work_list_until_it_is_decided(app: AppClient, sign_in: SignIn) -> None:
    reservation_id = reserved(app)
    app.attempt(reservation_id)
    app.client.post(f"/api/v1/reservations/{reservation_id}/bounce", json={}, headers=app.key("support"))
    browser = sign_in("support")

    listed = browser.get("/support/work")
    browser.submit(f"/support/reservations/{reservation_id}/acts/resolve-refunded", note="asked", nonce="n1")
    after = browser.get("/support/work")

    assert "the email bounced" in listed.text
    assert f"/support/reservations/{reservation_id}#acts" in listed.text
    assert "There are no open cases" in after.text
    assert app.client.get(f"/api/v1/public/redemptions/{reservation_id}").json()["state"] == "refunded"


def test_cases_of_one_reason_are_listed(app: AppClient, sign_in: SignIn) -> None:
    reservation_ids = [reserved(app), reserved(app)]
    for reservation_id in reservation_ids:
        app.attempt(reservation_id)
        app.client.post(f"/api/v1/reservations/{reservation_id}/bounce", json={}, headers=app.key("support"))
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE cases SET cause = 'resend_failed' WHERE reservation_id = %s", (reservation_ids[0],))
    browser = sign_in("viewer")

    def shown(query: str) -> list[bool]:
        text = browser.get(f"/support/work{query}").text
        return [f"/support/reservations/{reservation_id}#acts" in text for reservation_id in reservation_ids]

    assert shown("") == [True, True]
    assert shown("?reason=bounced") == [False, True]
    assert shown("?reason=resend_failed&order=newest") == [True, False]
    assert shown("?reason=Bounced") == [True, True]
    assert "No row matches" in browser.get("/support/work?reason=grant_ended").text


def test_overdue_reservation_is_listed_as_stuck(app: AppClient, sign_in: SignIn) -> None:
    """Machines act within seconds: what they left alone for minutes is listed."""
    reservation_id = reserved(app)
    browser = sign_in("viewer")
    before = browser.get("/support/work").text
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE reservations SET due_at = due_at - interval '10 minutes'")

    assert reservation_id not in before
    assert reservation_id in browser.get("/support/work").text


def test_unavailable_database_is_named_in_words_of_staff(
    app: AppClient, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, reservation_id = sign_in("support"), reserved(app)
    note = f"/support/reservations/{reservation_id}/notes"
    token = browser.token(f"/support/reservations/{reservation_id}")

    def fail(*_: object) -> None:
        raise StorageUnavailableError("gone")

    monkeypatch.setattr(StaffSessionRepository, "find_member", fail)
    page, form = browser.get("/support"), browser.post(note, {"token": token, "note": "asked"})

    assert [page.status_code, form.status_code] == [503, 503]
    assert "Nothing was changed. Reload the page" in page.text
    assert read_page(page.text).find_all("a", href="", class_="press")
    assert "Look at the history before you repeat it" in form.text
    assert "email address" not in read_page(page.text).find("main").text
