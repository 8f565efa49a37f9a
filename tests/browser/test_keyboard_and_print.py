"""The statement by keyboard, for a screen reader, and on paper."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from api.web.shortcuts import SHORTCUTS
from tests.support.clients.served_app import ServedApp
from tests.support.clients.staff_browser import code_id_of
from tests.support.ledger.code_template import make_template

pytestmark = pytest.mark.night(of="browser")

Tab = Callable[..., Page]
PICTURES = os.environ.get("PAGE_PICTURES")
"""Folder for screenshots and printed pages that a person looks at; none are made without it."""


def take_picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png")


@pytest.fixture(scope="module")
def statement(served_app: ServedApp) -> str:
    code = served_app.app.issue(make_template(max_uses=9, bound=False))
    for number in range(3):
        served_app.app.attempt(served_app.reserve(code, f"key{number}@example.com"))
    return f"/support/codes/{code_id_of(served_app.app, code)}"


def focused_line(tab: Page) -> str | None:
    line: str | None = tab.evaluate("document.activeElement.closest('.line')?.id ?? null")
    return line


def test_keys_walk_lines_travel_and_search(open_tab: Tab, statement: str) -> None:
    tab = open_tab(staff="viewer")
    tab.goto(statement)
    lines = tab.evaluate("[...document.querySelectorAll('#flat > .line')].map((line) => line.id)")

    walk = []
    for key in "jjkkj":
        tab.keyboard.press(key)
        walk.append(focused_line(tab))
    outline = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    take_picture(tab, "keys-line")
    tab.keyboard.press("[")
    tab.wait_for_url("**as_of=*")
    earlier = tab.locator(".picture").first.get_attribute("aria-label")
    tab.keyboard.press("]")
    expect(tab.locator(".picture").first).to_have_attribute("aria-label", "3 used, 0 reserved, 6 available")
    tab.wait_for_load_state()  # its script, too
    tab.keyboard.press("]")
    tab.wait_for_url(lambda url: url.rstrip("?").endswith(statement))
    tab.keyboard.press("/")
    tab.wait_for_url("**/support")

    assert walk == [lines[place] for place in (0, 1, 0, 0, 1)]
    assert outline == "solid"
    assert earlier == "2 used, 1 reserved, 6 available"
    expect(tab.locator("#q")).to_be_focused()


def test_enter_follows_the_first_link_of_a_line_and_leaves_buttons_alone(
    served_app: ServedApp, open_tab: Tab, statement: str
) -> None:
    """Of a list and of search results; on a control Enter does what it does without shortcuts."""
    served_app.redeem(open_tab(), served_app.app.issue(), "enter@example.com")
    tab = open_tab(staff="admin")
    tab.goto("/admin/staff")
    tab.keyboard.press("Enter")
    before = tab.url
    tab.goto("/support")
    tab.locator("#q").press_sequentially("enter@example.com")
    tab.locator("#hits li").first.wait_for()
    tab.locator("h1").click()
    tab.keyboard.press("j")
    path = tab.evaluate("document.activeElement.querySelector('a').getAttribute('href')")
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"**{path}")
    tab.goto(statement)
    tab.keyboard.press("j")
    tab.locator("#keys-open").focus()
    tab.keyboard.press("Enter")

    assert before.endswith("/admin/staff")
    expect(tab.locator("#keys")).to_be_visible()


@pytest.mark.parametrize("is_in_hits", [False, True])
def test_escape_closes_the_hits_of_a_search(served_app: ServedApp, open_tab: Tab, *, is_in_hits: bool) -> None:
    served_app.redeem(open_tab(), served_app.app.issue(), "escape@example.com")
    tab = open_tab(staff="admin")
    tab.goto("/support")
    tab.locator("#q").press_sequentially("escape@example.com")
    tab.locator("#hits li").first.wait_for()
    if is_in_hits:
        tab.keyboard.press("ArrowDown")
        expect(tab.locator("#hits a").first).to_be_focused()

    tab.keyboard.press("Escape")

    expect(tab.locator("#hits a")).to_have_count(0)
    expect(tab.locator("#q")).to_be_focused()


def test_key_of_the_search_types_nothing_into_the_empty_field_of_the_search(open_tab: Tab) -> None:
    tab = open_tab(staff="viewer")
    tab.goto("/support")
    tab.wait_for_load_state()
    field = tab.locator("#q")
    expect(field).to_be_focused()
    tab.keyboard.type("/li/?")
    typed = field.input_value()
    field.fill("")
    tab.locator("#keys-open").click()
    tab.locator("#keys-on").uncheck()
    tab.keyboard.press("Escape")
    field.focus()
    tab.keyboard.type("/")

    assert typed == "li/?"
    expect(field).to_have_value("/")


def test_empty_field_of_the_search_is_left_by_escape_and_opens_the_help(open_tab: Tab) -> None:
    """It has the focus from the start, so the other keys of the page work only once it is left."""
    tab = open_tab(staff="viewer")
    tab.goto("/support")
    tab.wait_for_load_state()
    field = tab.locator("#q")
    expect(field).to_be_focused()
    tab.keyboard.press("?")
    expect(tab.locator("#keys-title")).to_be_focused()
    tab.keyboard.press("Escape")
    expect(field).to_be_focused()

    tab.keyboard.press("Escape")

    expect(field).not_to_be_focused()
    expect(field).to_have_value("")


def test_keys_do_nothing_in_fields_with_modifiers_or_turned_off(open_tab: Tab, statement: str) -> None:
    tab = open_tab(staff="viewer")
    tab.goto("/support")
    tab.keyboard.type("j/[?")
    typed = tab.input_value("#q")
    tab.goto(statement)
    tab.keyboard.press("Alt+j")
    with_modifier = focused_line(tab)
    tab.keyboard.press("?")
    expect(tab.locator("#keys")).to_be_visible()
    tab.keyboard.press("j")
    behind_dialog = focused_line(tab)
    tab.locator("#keys-on").uncheck()
    tab.keyboard.press("Escape")
    tab.keyboard.press("j")
    turned_off = focused_line(tab)
    tab.reload()
    tab.keyboard.press("?")
    tab.keyboard.press("j")
    after_reload = focused_line(tab)
    expect(tab.locator("#keys")).to_be_hidden()
    tab.get_by_role("button", name="Keyboard shortcuts").click()
    tab.locator("#keys-on").check()
    tab.get_by_role("button", name="Close").click()
    tab.keyboard.press("j")

    assert typed == "j/[?"
    assert [with_modifier, behind_dialog, turned_off, after_reload] == [None] * 4
    assert focused_line(tab) is not None


@pytest.mark.parametrize(("language", "width", "scheme"), [("en", 1280, "light"), ("zh", 375, "dark")])
def test_stored_event_is_loaded_when_its_line_is_opened(
    served_app: ServedApp, open_tab: Tab, statement: str, language: str, width: int, scheme: str
) -> None:
    tab = open_tab(language, width=width, staff="viewer", color_scheme=scheme)
    tab.goto(statement)
    summary = tab.locator("#flat summary").first
    expect(tab.locator("#flat pre")).to_have_count(0)

    for _ in range(3):
        summary.click()

    expect(tab.locator("#flat pre.raw")).to_contain_text('"type": "InviteSent"')
    expect(tab.locator("#flat pre.raw")).to_have_count(1)
    take_picture(tab, f"raw-{language}-{width}")
    assert served_app.faults(tab) == []


@pytest.mark.parametrize(("language", "width", "scheme"), [("en", 1280, "light"), ("zh", 375, "dark")])
def test_help_lists_every_key(
    served_app: ServedApp, open_tab: Tab, statement: str, language: str, width: int, scheme: str
) -> None:
    tab = open_tab(language, width=width, staff="viewer", color_scheme=scheme)
    tab.goto(statement)
    tab.locator("#keys-open").focus()
    tab.keyboard.press("?")

    expect(tab.locator("#keys kbd")).to_have_text([shortcut.key for shortcut in SHORTCUTS])
    take_picture(tab, f"keys-{language}-{width}")
    assert served_app.faults(tab) == []
    tab.keyboard.press("Escape")
    expect(tab.locator("#keys-open")).to_be_focused()
    assert served_app.faults(tab) == []


@pytest.mark.parametrize(("language", "says"), [("en", "Checkpoint"), ("zh", "检查点")])
def test_print_is_a_statement_with_its_proof(
    served_app: ServedApp, open_tab: Tab, statement: str, tmp_path: Path, language: str, says: str
) -> None:
    storage = served_app.app.services.storage
    with storage.datastore.get_connection() as conn:
        conn.execute(
            "INSERT INTO checkpoints (number, size, position, root, at, public_key, signature)"
            " OVERRIDING SYSTEM VALUE VALUES (7, 1000, 1000000, %s, now(), %s, %s) ON CONFLICT DO NOTHING",
            (b"r" * 32, b"k" * 32, b"s" * 64),
        )
    tab = open_tab(language, staff="support", color_scheme="dark")
    tab.goto(statement)
    expect(tab.locator(".print-foot")).to_be_hidden()
    tab.emulate_media(media="print", color_scheme="dark")

    shown = {name: tab.locator(name).first.is_visible() for name in (".staff-nav", ".tools", ".act-row", "#keys-open")}
    foot = tab.locator(".print-foot")
    path = Path(PICTURES or tmp_path) / f"statement-{language}.pdf"
    tab.pdf(path=path, format="A4")

    assert not any(shown.values())
    expect(tab.locator(".line").last).to_be_visible()
    expect(foot).to_contain_text(says)
    expect(foot).to_contain_text("ledger receipt")
    expect(foot).to_contain_text("1,000")
    assert tab.evaluate("getComputedStyle(document.querySelector('.line-sentence')).color") == "rgb(0, 0, 0)"
    assert path.read_bytes().startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", path.read_bytes())) <= 3


def test_print_for_a_customer_names_the_zone_and_no_word_of_staff(served_app: ServedApp, open_tab: Tab) -> None:
    """Reasons, notes and names of staff stay in the house; numbers stand under the headings of their columns."""
    app = served_app.app
    code_id = code_id_of(app, app.issue(make_template(max_uses=3)))
    tab = open_tab(staff="admin", timezone_id="America/New_York")
    tab.goto(f"/support/codes/{code_id}/acts/pause")
    tab.fill("textarea", "was rude on the phone")
    tab.click("main form button[type=submit]")
    tab.wait_for_url(f"**/support/codes/{code_id}*")
    tab.goto(f"/support/codes/{code_id}?level=all")
    expect(tab.get_by_text("was rude on the phone")).to_be_visible()
    tab.emulate_media(media="print")

    right = "parts => parts.map(part => Math.round(part.getBoundingClientRect().right))"
    headings, numbers = (tab.locator(name).evaluate_all(right) for name in (".lines-head span", ".line dd"))

    expect(tab.get_by_text("was rude on the phone")).to_be_hidden()
    expect(tab.locator(".staff-name").first).to_be_hidden()
    expect(tab.locator("#zone")).to_contain_text("America/New_York")
    expect(tab.locator("#zone")).to_be_visible()
    assert numbers[:3] == headings


def test_reply_has_the_time_of_its_reader_with_the_zone(served_app: ServedApp, open_tab: Tab) -> None:
    """As the rest of the page has it; the customer who reads it may be in another zone."""
    code = served_app.app.issue(make_template(max_uses=1))
    reservation_id = served_app.reserve(code, "reply.zone@example.com")
    open_tab(staff="support").close()
    page = open_tab(staff="support", timezone_id="Asia/Shanghai")
    page.goto(f"/support/reservations/{reservation_id}")
    shown = page.inner_text("dl.rows time >> nth=0")
    replies = [reply.input_value() for reply in page.locator("textarea.reply").all()]

    assert [f"{shown[:16]} UTC+08:00" in reply for reply in replies] == [True, True]
    assert [reply.count("UTC ") for reply in replies] == [0, 0]


def test_reply_quotes_the_numbers_of_its_events(served_app: ServedApp, open_tab: Tab) -> None:
    reservation_id = served_app.reserve(served_app.app.issue(make_template(max_uses=3)), "quote@example.com")
    served_app.app.attempt(reservation_id)
    tab = open_tab(staff="viewer")
    tab.goto(f"/support/reservations/{reservation_id}")

    replies = [tab.locator(name).input_value() for name in ("#reply", "#reply-en")]

    assert "（兑换码的事件 #2、#4）" in replies[0]
    assert "(Events #2, #4 of the code)" in replies[1]


@pytest.fixture(scope="module", name="run")
def _run(served_app: ServedApp) -> str:
    """The path of a code that six people redeem, one after the other."""
    code = served_app.app.issue(make_template(max_uses=9, bound=False))
    for number in range(6):
        served_app.reserve(code, f"run{number}@example.com")
    return f"/support/codes/{code_id_of(served_app.app, code)}"


def test_folded_run_opens_by_a_link_and_by_keys(open_tab: Tab, run: str) -> None:
    tab = open_tab(staff="viewer")
    tab.goto(f"{run}#v4")
    expect(tab.locator("#v4 .line-sentence")).to_be_visible()
    tab.goto(f"{run}?order=newest")
    expect(tab.locator("#v4")).not_to_be_visible()

    walk = []
    for key in ("j", "j", "k", "Enter", "j", "j"):
        tab.keyboard.press(key)
        walk.append(focused_line(tab))

    assert walk == [None, "v1", None, None, "v7", "v6"]
    expect(tab.locator("#v4 [data-proof]")).to_be_visible()
    expect(tab.locator("#flat pre")).to_have_count(0)
    tab.locator("#v6 summary").click()
    expect(tab.locator("#v6 pre.raw")).to_contain_text('"type": "UseReserved"')
    expect(tab.locator("#flat pre")).to_have_count(1)


def test_link_to_the_stored_form_stays_when_it_fails(open_tab: Tab, run: str) -> None:
    """An opened event that can't be loaded, or that a click elsewhere interrupts, is no error: its link leads there."""
    tab = open_tab(staff="viewer")
    tab.goto(run)
    tab.route("**/*?event=1", lambda route: route.abort())
    with tab.expect_event("requestfailed"):
        tab.locator("#v1 summary").click()

    expect(tab.locator("#v1 a[data-raw]")).to_be_visible()
    expect(tab.locator("#v1 pre")).to_have_count(0)


def test_folded_run_is_printed_with_its_lines(open_tab: Tab, run: str) -> None:
    tab = open_tab(staff="viewer")
    tab.goto(run)
    tab.emulate_media(media="print")

    assert tab.locator(".line").evaluate_all("lines => lines.map((line) => line.checkVisibility())") == [True] * 7


def test_rows_are_compact_by_a_key_and_stay_so(served_app: ServedApp, open_tab: Tab, statement: str) -> None:
    tab = open_tab(staff="viewer")
    heights = "[...document.querySelectorAll('.line, .list tbody tr')].map((row) => row.offsetHeight)"

    def measure(path: str) -> list[int]:
        tab.goto(path)
        tab.wait_for_load_state()
        measured: list[int] = tab.evaluate(heights)
        return measured

    wide = [max(measure(path)) for path in ("/support", statement)]
    tab.keyboard.press("d")
    compact = [max(measure(path)) for path in ("/support", statement)]
    faults = served_app.faults(tab)
    tab.keyboard.press("?")
    expect(tab.get_by_label("Compact rows in lists and histories, in this browser")).to_be_checked()
    tab.keyboard.press("Escape")
    tab.keyboard.press("d")
    again = [max(measure(path)) for path in ("/support", statement)]

    assert all(after < before for before, after in zip(wide, compact, strict=True))
    assert again == wide
    assert faults == []
