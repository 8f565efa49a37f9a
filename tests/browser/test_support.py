"""A support agent's day: a mistyped address found by the code's last four, a refund, and the page through time."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from api.issuing import Terms
from domain.ports import Rejected
from tests.browser.house import House

Tab = Callable[..., Page]
NO_SUCH = Rejected(server="mx1:25", reason="address_refused", final=True, about_address=True, reply_code=550)
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def test_a_mistyped_address_is_found_and_refunded(house: House, tab: Tab) -> None:
    """By the last four; the story, the preview, the double click, and the balance that moves."""
    code = house.site.issue(Terms(max_uses=3))
    reservation_id = house.redeem(tab(), code, "li.wei@exmaple.com")
    house.site.attempt(reservation_id)
    desk = tab(staff="support")

    house.search(desk, code[-4:])
    desk.wait_for_url("**/support/codes/*")
    statement = desk.url
    before = desk.locator(".picture").get_attribute("aria-label")
    desk.locator("#flat .line-who a").first.click()
    expect(desk.locator("h1")).to_have_text("l***@exmaple.com")
    desk.click(".acts a")
    desk.fill("#note", "mistyped, asked by phone")
    desk.dblclick("main form button[type=submit]")
    desk.wait_for_url("**done=refund")
    desk.goto(statement)

    assert before == "1 used, 0 reserved, 2 free"
    assert desk.locator(".picture").get_attribute("aria-label") == "0 used, 0 reserved, 3 free"
    assert desk.locator(".line-moves").count() == 3


def test_new_events_appear_and_the_slider_goes_back(house: House, tab: Tab) -> None:
    """Without a reload; what was opened stays open, and the moment looked at is in the address."""
    code = house.site.issue(Terms(max_uses=9, bound=False))
    house.redeem(tab(), code, "a@example.com")
    desk = tab(staff="viewer")
    house.search(desk, code)
    desk.wait_for_url("**/support/codes/*")
    desk.locator("#flat summary").first.click()

    house.redeem(tab(), code, "b@example.com")
    expect(desk.locator("#v3")).to_be_visible(timeout=10_000)
    opened = desk.locator("#flat details[open]").count()
    desk.focus("#at_event")
    desk.keyboard.press("ArrowLeft")
    expect(desk.locator(".as-of")).to_be_visible()

    assert opened == 1
    assert desk.locator(".picture").get_attribute("aria-label") == "0 used, 1 reserved, 8 free"
    assert "as_of=" in desk.url


def test_a_viewer_finds_no_way_to_act(house: House, tab: Tab) -> None:
    """Nothing to press, and the address of an act is refused."""
    reservation_id = house.redeem(tab(), house.site.issue(), "a@example.com")
    desk = tab("zh", staff="viewer", java_script_enabled=False)

    desk.goto(f"/support/reservations/{reservation_id}")
    offered = desk.locator(".acts a").count() + desk.locator("a[href$=unmask]").count()
    answer = desk.goto(f"/support/reservations/{reservation_id}/acts/refund")

    assert offered == 0
    assert answer is not None
    assert answer.status == 403


@pytest.mark.timeout(240)  # axe looks at a dozen pages
@pytest.mark.parametrize(
    ("language", "scheme", "width"), [("en", "light", 1280), ("zh", "dark", 360)], ids=["wide", "phone"]
)
def test_every_page_is_accessible(house: House, tab: Tab, language: str, scheme: str, width: int) -> None:
    """WCAG 2.2 AA by axe, and no page scrolls sideways."""
    code = house.site.issue(Terms(max_uses=3, bound=False))
    reservation_id = house.redeem(tab(), code, "li.wei@example.com")
    house.site.attempt(reservation_id)
    house.site.attempt(house.redeem(tab(), code, "mei@exmaple.com"), NO_SUCH)
    page = tab(language, width=width, staff="admin", color_scheme=scheme, bypass_csp=True)
    house.search(page, code)
    page.wait_for_url("**/support/codes/*")
    statement, act = page.url, f"/support/reservations/{reservation_id}"
    desk = ["/support", "/support/work", "/support/audit", f"{statement}?group=yes", f"{statement}?at_event=2"]
    found: dict[str, list[str]] = {}

    for path in [*desk, statement, act, f"{act}/acts/refund", f"{act}/unmask", "/support/x", "/support/sign-in"]:
        page.goto(path)
        if page.locator("details").count():
            page.locator("summary").first.click()
        wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        broken = [item["id"] for item in Axe().run(page, options=RULES).response["violations"]]
        found[path] = broken + (["scrolls sideways"] if wide else [])

    assert {path: broken for path, broken in found.items() if broken} == {}
