"""The page that asks "what if": by a form whose address stays out of URLs, and for the actions on a reservation."""

from collections.abc import Callable

from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser, code_id_of
from tests.support.ledger.code_template import make_template

SignIn = Callable[..., StaffBrowser]
OTHER = "mei@example.com"


def test_what_if_page_says_what_an_address_would_have_been_answered_and_why(
    shared_app: AppClient, shared_sign_in: SignIn
) -> None:
    """On the statement of a past time, whose exact time the form carries; with the events as links."""
    code = shared_app.issue(make_template(max_uses=1))
    code_id, browser = code_id_of(shared_app, code), shared_sign_in("viewer")
    shared_app.attempt(shared_app.redeem(code, "li.wei@example.com").json()["reservation_id"])
    path = f"/support/codes/{code_id}/what-if"
    reserved_at = shared_app.services.states.read_entries(code_id, [2])[0].event.at

    now = browser.submit(path, email=OTHER).text
    then = browser.submit(path, email=OTHER, exact=reserved_at.isoformat(), as_of="").text
    unchanged = browser.submit(path, email=OTHER, exact=reserved_at.isoformat(), as_of=f"{reserved_at:%FT%T}").text
    wrong = browser.submit(path, email="nobody").text

    assert "EMAIL_MISMATCH" in now
    assert "CODE_HELD" in then
    assert "CODE_HELD" in unchanged
    assert read_page(then).find_all(href=f"/support/codes/{code_id}/events/2")
    assert "l***@example.com" in then
    assert "li.wei@" not in then
    assert "This is not one email address" in wrong
    assert read_page(browser.get(f"/support/codes/{code_id}").text).find_all(action=f"{path}")


def test_what_if_page_shows_what_each_action_would_have_done(shared_app: AppClient, shared_sign_in: SignIn) -> None:
    """At an event while the use was reserved, and now that it is sent."""
    code = shared_app.issue()
    code_id, browser = code_id_of(shared_app, code), shared_sign_in("viewer")
    reservation_id = shared_app.redeem(code, OTHER).json()["reservation_id"]
    shared_app.attempt(reservation_id)
    path = f"/support/codes/{code_id}/what-if?reservation={reservation_id}"

    reserved, sent = browser.get(f"{path}&at_event=2").text, browser.get(path).text

    assert [read_page(page).texts("code").count("accepted") for page in (reserved, sent)] == [2, 2]
    assert [read_page(page).texts("code").count("RESERVATION_NOT_RESENDABLE") for page in (reserved, sent)] == [1, 0]
    assert browser.get(f"/support/codes/{code_id}/what-if?reservation=x").status_code == 422
