"""The one test of a browser by day: a person redeems a code, and sees what became of it."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.support.clients.served_app import ServedApp
from tests.support.ledger.code_template import make_template

Tab = Callable[..., Page]
EMAIL = "li.wei@example.com"


def test_double_click_reserves_one_use_and_opens_the_status_page(served_app: ServedApp, open_tab: Tab) -> None:
    """Pressed twice, reloaded while it is under way: one reservation, and "sent" appears automatically."""
    code, page = served_app.app.issue(make_template(max_uses=5)), open_tab()
    page.goto("/invite")
    page.fill("#email", EMAIL)
    page.fill("#code", code.lower().replace("-", " "))
    expect(page.locator("#code-check.good")).to_be_visible()

    page.dblclick("form button[type=submit]")
    page.wait_for_url("**/r/*")
    reservation_id = page.url.rpartition("/")[2].partition("?")[0]
    page.reload()
    shown = page.locator("#slip").inner_text()
    served_app.app.attempt(reservation_id)

    expect(page.locator("#slip")).to_have_attribute("data-state", "sent", timeout=10_000)
    assert EMAIL in shown
    assert served_app.uses(code) == (1, 0)
