"""What a customer says leads to the page, also with errors in it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.clients.served_app import ServedApp
from tests.support.ledger.code_template import make_template

pytestmark = pytest.mark.night(of="browser")

Tab = Callable[..., Page]
PICTURES = os.environ.get("PAGE_PICTURES")
"""Folder for screenshots that a person looks at; none are taken without it."""


def take_picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


@pytest.mark.parametrize(("language", "width", "scheme"), [("en", 1280, "light"), ("zh", 375, "dark")])
def test_mistyped_search_lists_similar_results_with_reasons(
    served_app: ServedApp, open_tab: Tab, language: str, width: int, scheme: str
) -> None:
    code = served_app.app.issue(make_template(max_uses=3)).replace("-", "")
    served_app.reserve(code, "li.wei@gmial.example.net")
    tab = open_tab(language, width=width, staff="viewer", color_scheme=scheme)

    served_app.search(tab, "li.wei@gmail.example.net")
    expect(tab.locator("#hits li").first).to_contain_text("l***@gmial.example.net")
    expect(tab.locator("#hits .hit-reason").first).to_contain_text("24")
    take_picture(tab, f"search-address-{language}-{width}")
    assert served_app.faults(tab) == []
    served_app.search(tab, ("3" if code[0] != "3" else "4") + code[1:])
    expect(tab.locator("#hits .hit-reason")).to_have_count(1)
    expect(tab.locator("#hits a").first).to_contain_text(code[-4:])
    take_picture(tab, f"search-code-{language}-{width}")
    served_app.search(tab, "QQQQQQ")
    expect(tab.locator("#notice")).to_be_visible()
    take_picture(tab, f"search-none-{language}-{width}")
    assert served_app.faults(tab) == []


@pytest.mark.parametrize(("language", "width", "scheme"), [("en", 1280, "dark"), ("zh", 375, "light")])
def test_person_has_one_timeline_over_all_codes(
    served_app: ServedApp, open_tab: Tab, language: str, width: int, scheme: str
) -> None:
    email = f"mei.{language}@example.com"
    for _ in range(3):
        served_app.app.attempt(served_app.reserve(served_app.app.issue(make_template(max_uses=3)), email))
    tab = open_tab(language, width=width, staff="support", color_scheme=scheme)

    served_app.search(tab, email)
    tab.wait_for_url("**/support/people/*")
    expect(tab.locator("#lines .line")).to_have_count(6)
    tab.locator(".hidden-lines a").last.click()
    tab.wait_for_url("**level=noise*")
    tab.locator("#lines summary").first.click()
    take_picture(tab, f"person-{language}-{width}")

    assert tab.locator("#lines .line").count() > 6
    assert served_app.faults(tab) == []
