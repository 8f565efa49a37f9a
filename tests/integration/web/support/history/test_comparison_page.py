"""Two times compared: in sentences, as a table, and by reservation; events and times lead to a link."""

from collections.abc import Callable
from uuid import uuid4

from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser, code_id_of
from tests.support.ledger.code_template import make_template

SignIn = Callable[..., StaffBrowser]


def test_comparison_shows_the_changes_between_two_times(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=4, bound=False))
    code_id, browser = code_id_of(app, code), sign_in("viewer")
    app.attempt(app.redeem(code, "li.wei@example.com").json()["reservation_id"])
    app.redeem(code, "mei@example.com")
    entries = app.services.states.read_entries(code_id, range(1, 9))
    path = f"/support/codes/{code_id}/compare"

    pages = {query: browser.get(f"{path}?{query}").text for query in ("a=2&b=5", "a=5&b=2", "a=2000-01-01", "a=5&b=5")}

    assert "Used: 0 → 1 (+1)" in pages["a=2&b=5"]
    assert "Events in between: 3" in pages["a=2&b=5"]
    assert "l***@example.com" in pages["a=2&b=5"]
    assert "li.wei@" not in pages["a=2&b=5"]
    assert pages["a=5&b=2"].count("#5") == pages["a=2&b=5"].count("#5")
    assert "The code was issued in between" in pages["a=2000-01-01"]
    assert "Balance, state and terms are the same" in pages["a=5&b=5"]
    link = browser.get(f"{path}?a_event=2&b_event=5&b_at=").headers["location"]
    assert link == f"{path}?a=2&b=5"
    at = entries[1].event.at.isoformat().replace("+00:00", "Z")
    assert "The number of reserved uses fell by 1, from 1 to 0" in browser.get(f"{path}?a={at}&b=4").text
    assert [browser.get(f"{path}?a={place}").status_code for place in ("x", "9" * 30)] == [422, 422]


def test_comparison_names_each_term_that_changed_with_both_values(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=4, validity_days=1))
    code_id, browser = code_id_of(app, code), sign_in("support")
    form = f"/support/codes/{code_id}/acts/terms"
    fields = {"max_uses": "9", "validity_days": "30", "denied_domains": "example.org", "note": "more guests"}
    assert browser.submit(form, form, nonce=uuid4().hex, **fields).status_code == 303
    path = f"/support/codes/{code_id}/compare?a=1&b=2"

    english, same, chinese = (
        read_page(browser.get(url).text).find("ul", id="sentences").texts("li")
        for url in (path, f"/support/codes/{code_id}/compare?a=2&b=2", f"{path}&lang=zh")
    )

    assert english == [
        "Limit changed: 4 → 9",
        "Access duration changed: 1 day → 30 days",
        "Denied email domains changed: – → example.org",
    ]
    assert chinese[0].startswith("上限变更：")
    assert same == ["Balance, state and terms are the same."]
