"""The main staff pages enlarged to 200 %, on the narrowest screen, and in the colors of the reader's system."""

from collections.abc import Callable
from typing import Final
from uuid import UUID

import pytest
from playwright.sync_api import Page

from domain.events.reservation import ResendRequested
from tests.support.clients.served_app import ServedApp
from tests.support.clients.staff_browser import code_id_of
from tests.support.ledger.code_template import make_template

pytestmark = pytest.mark.night(of="browser")

Tab = Callable[..., Page]
TABS: Final = 25
"""Stops of the Tab key that are looked at on a page: beyond them lists repeat."""
SIDEWAYS: Final = """() => {
  const right = (part) => part.getBoundingClientRect().right;
  const isWide = (choice) => right(choice) > right(choice.closest("article, section, main"));
  return document.documentElement.scrollWidth > innerWidth || [...document.querySelectorAll("select")].some(isWide);
}"""
"""Whether the page is wider than its window, or a choice than the card that it is on."""
FOCUS: Final = """() => {
  const part = document.activeElement;
  const style = getComputedStyle(part);
  const canvas = getComputedStyle(document.documentElement);
  const isFrame = part.localName === "iframe";
  const isSeen = style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 2;
  return {
    isBody: part === document.body,
    name: `${part.localName} ${(part.id || part.textContent).trim().slice(0, 30)}`,
    isSeen: isFrame || (isSeen && style.outlineColor !== canvas.backgroundColor),
  };
}"""
UNREADABLE: Final = """() => {
  const states = [...document.querySelectorAll(".mark, .done, .notice, .line-kind b, .figures dd")];
  const ground = (part) => {
    const own = getComputedStyle(part).backgroundColor;
    return own === "rgba(0, 0, 0, 0)" && part.parentElement ? ground(part.parentElement) : own;
  };
  const isHidden = (part) => part.innerText.trim() === "" || getComputedStyle(part).color === ground(part);
  return { count: states.length, hidden: states.filter(isHidden).map((part) => part.className || part.localName) };
}"""


@pytest.fixture(scope="module")
def main_pages(served_app: ServedApp) -> list[str]:
    """The pages of a support day and an admin's, none of whose lists is empty."""
    app = served_app.app
    code = app.issue(make_template(max_uses=3, bound=False))
    reservation_id = served_app.reserve(code, "li.wei@example.com")
    app.attempt(reservation_id)
    headers = app.key("admin")
    app.client.post(f"/api/v1/reservations/{reservation_id}/bounce", json={}, headers=headers)
    terms = {"name": f"Autumn {'W' * 190}", "max_uses": 9}
    campaign = app.client.post("/api/v1/campaigns", json=terms, headers=headers).json()["id"]
    order = {"campaign": campaign, "name": "Newsletter"}
    hand_out = app.client.post("/api/v1/hand-outs", json=order, headers=headers).json()["id"]
    statement = f"/support/codes/{code_id_of(app, code)}"
    return [
        *("/support", "/support/work", "/support/dashboard", "/support/audit", statement, f"{statement}/explain"),
        *(f"/support/reservations/{reservation_id}", f"/support/reservations/{reservation_id}/acts/refund"),
        *("/admin", "/admin/codes", "/admin/campaigns", f"/admin/campaigns/{campaign}", f"/admin/hand-outs/{hand_out}"),
    ]


@pytest.mark.parametrize(("width", "scale"), [(640, 2), (320, 1)], ids=["zoomed", "narrow"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_main_pages_never_scroll_sideways(
    open_tab: Tab, main_pages: list[str], language: str, width: int, scale: int
) -> None:
    open_tab(staff="admin").close()
    page = open_tab(language, staff="admin", width=width, device_scale_factor=scale)
    faults: list[str] = []
    for path in main_pages:
        page.goto(path)
        page.evaluate("document.querySelectorAll('main details').forEach((part) => { part.open = true; })")
        faults += [path] if page.evaluate(SIDEWAYS) else []

    assert faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_focus_and_states_are_seen_in_forced_colors(open_tab: Tab, main_pages: list[str], scheme: str) -> None:
    open_tab(staff="admin").close()
    page = open_tab(staff="admin", forced_colors="active", color_scheme=scheme)
    faults: dict[str, list[str]] = {}
    states = 0
    for path in main_pages:
        page.goto(path)
        shown = page.evaluate(UNREADABLE)
        states += shown["count"]
        steps = []
        for _ in range(TABS):
            page.keyboard.press("Tab")
            steps.append(page.evaluate(FOCUS))
        faults[path] = [*shown["hidden"], *(step["name"] for step in steps if not (step["isSeen"] or step["isBody"]))]

    assert states > len(main_pages)
    assert {path: names for path, names in faults.items() if names} == {}


def test_used_up_code_without_an_invitation_is_explained_in_four_clicks(served_app: ServedApp, open_tab: Tab) -> None:
    app = served_app.app
    code = app.issue(make_template(max_uses=1, bound=False))
    reservation_id = served_app.reserve(code, "lost@example.com")
    app.attempt(reservation_id)
    open_tab(staff="support").close()
    page = open_tab(staff="support")
    page.goto("/support")
    page.fill("#q", code)
    clicks = 0

    def click(selector: str) -> None:
        nonlocal clicks
        clicks += 1
        page.click(selector)

    click("form.search button[type=submit]")
    page.wait_for_url("**/support/codes/*")
    click(f"#lines a[href='/support/reservations/{reservation_id}']")
    page.wait_for_url("**/support/reservations/*")
    click("a[href$='/acts/resend']")
    page.wait_for_url("**/acts/resend")
    page.fill("#note", "The customer got no email.")
    click("main form button.press[type=submit]")
    page.wait_for_url(lambda url: "/acts/" not in url)

    history = app.services.reader.read_reservation_events([UUID(reservation_id)])[UUID(reservation_id)]

    assert clicks == 4
    assert any(isinstance(event, ResendRequested) for _, event in history.events)
