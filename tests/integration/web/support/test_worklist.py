"""The lists of pending work, on a support console without any other."""

from collections.abc import Callable

from tests.support.clients.app_client import AppClient
from tests.support.clients.staff_browser import StaffBrowser

SignIn = Callable[..., StaffBrowser]


def reserved(app: AppClient) -> str:
    """A new reservation's id."""
    return str(app.redeem(app.issue()).json()["reservation_id"])


def test_an_unknown_waits_in_the_work_list_until_it_is_decided(app: AppClient, sign_in: SignIn) -> None:
    """A bounced invitation is listed with the thing to do; deciding it empties the list."""
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


def test_overdue_reservation_is_listed_as_stuck(app: AppClient, sign_in: SignIn) -> None:
    """Machines act within seconds: what they left alone for minutes is listed."""
    reservation_id = reserved(app)
    browser = sign_in("viewer")
    before = browser.get("/support/work").text
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE reservations SET due_at = due_at - interval '10 minutes'")

    assert reservation_id not in before
    assert reservation_id in browser.get("/support/work").text
