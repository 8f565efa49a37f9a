"""Redeeming as people do it: impatient, on a phone, without JavaScript, in two tabs."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from api.issuing import Terms
from tests.browser.house import House

Tab = Callable[..., Page]
EMAIL = "li.wei@example.com"


def test_a_double_click_takes_one_use_and_the_page_follows(house: House, tab: Tab) -> None:
    """Pressed twice, reloaded while it is under way: one reservation, and "sent" appears by itself."""
    code, page = house.site.issue(Terms(max_uses=5)), tab()
    page.goto("/invite")
    page.fill("#email", EMAIL)
    page.fill("#code", code.lower().replace("-", " "))

    page.dblclick("form button[type=submit]")
    page.wait_for_url("**/r/*")
    reservation_id = page.url.rpartition("/")[2].partition("?")[0]
    page.reload()
    house.site.attempt(reservation_id)

    expect(page.locator("#slip")).to_have_attribute("data-state", "sent", timeout=10_000)
    assert house.site.count("reservations") == 1


def test_two_tabs_are_one_reservation(house: House, tab: Tab) -> None:
    """The second tab is told of the first one's reservation."""
    code = house.site.issue(Terms(max_uses=5))

    ids = {house.redeem(tab(), code, EMAIL) for _ in range(2)}

    assert len(ids) == 1
    assert house.site.count("reservations") == 1


@pytest.mark.parametrize("language", ["en", "zh"])
def test_without_javascript_on_a_phone(house: House, tab: Tab, language: str) -> None:
    """The form is a form; a refusal comes back with what was typed."""
    code, page = house.site.issue(), tab(language, width=360, java_script_enabled=False)

    reservation_id = house.redeem(page, code, EMAIL)
    page.goto("/invite")
    page.fill("#email", "mei@example.com")
    page.fill("#code", code)
    page.click("form button[type=submit]")

    assert reservation_id
    assert page.locator("#notice").is_visible()
    assert page.input_value("#code").replace("-", "") == code.replace("-", "")


def test_by_keyboard_alone(house: House, tab: Tab) -> None:
    """From the address bar to the status page with Tab and Enter."""
    code, page = house.site.issue(), tab()
    page.goto("/invite")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "email":
            break

    page.keyboard.type(EMAIL)
    page.keyboard.press("Tab")
    page.keyboard.type(code)
    page.keyboard.press("Enter")

    page.wait_for_url("**/r/*")
    assert house.site.count("reservations") == 1
