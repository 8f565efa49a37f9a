"""A support agent's day: a mistyped address found by the code's last four, a refund, and the page through time."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from domain.ports import Rejected
from tests.support.clients.served_app import PASSWORD, WAIT_MS, ServedApp
from tests.support.clients.staff_browser import add_staff, code_id_of
from tests.support.ledger.code_template import make_template

pytestmark = pytest.mark.night(of="browser")

Tab = Callable[..., Page]
LONG_AGO, FAR_OFF = "2020-01-01T00:00:00", "2100-01-01T00:00:00"
NO_SUCH = Rejected(server="mx1:25", reason="address_refused", final=True, about_address=True, reply_code=550)
GREYLISTED = Rejected(server="mx1:25", reason="temporary", final=False, reply_code=451, reply="4.7.1 try again later")


def test_mistyped_address_is_found_and_refunded(served_app: ServedApp, open_tab: Tab) -> None:
    code = served_app.app.issue(make_template(max_uses=3))
    reservation_id = served_app.reserve(code, "li.wei@exmaple.com")
    served_app.app.attempt(reservation_id)
    staff_page = open_tab(staff="support")

    served_app.search(staff_page, code[-4:])
    staff_page.wait_for_url("**/support/codes/*")
    statement = staff_page.url
    before = staff_page.locator(".picture").get_attribute("aria-label")
    staff_page.locator("#flat .line-who a").first.click()
    expect(staff_page.locator("h1")).to_have_text("l***@exmaple.com")
    staff_page.click(".acts a")
    staff_page.fill("#note", "mistyped, asked by phone")
    staff_page.dblclick("main form button[type=submit]")
    staff_page.wait_for_url("**done=refund")
    staff_page.goto(statement)

    assert before == "1 used, 0 reserved, 2 available"
    assert staff_page.locator(".picture").get_attribute("aria-label") == "0 used, 0 reserved, 3 available"
    assert staff_page.locator(".line-moves").count() == 3


def test_mistyped_address_is_corrected_from_the_words_of_the_customer(served_app: ServedApp, open_tab: Tab) -> None:
    code = served_app.app.issue()
    wrong = served_app.reserve(code, "mei@exmaple.com")
    served_app.app.attempt(wrong)
    staff_page = open_tab(staff="support")
    staff_page.goto("/support")

    expect(staff_page.locator("input[name=q]")).to_be_focused()
    staff_page.keyboard.type(code[-4:])
    expect(staff_page.locator("#hits a")).to_have_count(1)
    staff_page.keyboard.press("ArrowDown")
    staff_page.keyboard.press("Enter")
    staff_page.wait_for_url("**/support/codes/*")
    statement = staff_page.url
    staff_page.locator("#flat .line-who a").first.click()
    staff_page.get_by_role("link", name="Correct email address").click()
    staff_page.fill("#email", "mei@example.com")
    staff_page.keyboard.press("Enter")
    expect(staff_page.locator(".will li")).to_have_count(4)
    staff_page.fill("#note", "spelt on the phone")
    staff_page.click("main form button[type=submit]")

    staff_page.wait_for_url("**done=correct")
    expect(staff_page.locator("h1")).to_have_text("m***@example.com")
    staff_page.goto(statement)
    assert staff_page.locator(".picture").get_attribute("aria-label") == "0 used, 1 reserved, 0 available"
    assert served_app.reservations_of(code) == 2


def test_address_is_masked_until_there_is_a_reason(served_app: ServedApp, open_tab: Tab) -> None:
    reservation_id = served_app.reserve(served_app.app.issue(), "zhao.min@example.com")
    staff_page, other = open_tab(staff="support"), open_tab(staff="admin")
    page = f"/support/reservations/{reservation_id}"
    staff_page.goto(page)
    expect(staff_page.locator("h1")).to_have_text("z***@example.com")

    staff_page.get_by_role("link", name="Reveal the email address").click()
    staff_page.fill("#reason", "ticket 4711")
    staff_page.click("main form button[type=submit]")

    expect(staff_page.locator("h1")).to_have_text("zhao.min@example.com")
    other.goto(page)
    expect(other.locator("h1")).to_have_text("z***@example.com")
    other.goto("/support/audit")
    expect(other.get_by_text("ticket 4711")).to_be_visible()


def test_note_and_a_pause_stand_in_the_history(served_app: ServedApp, open_tab: Tab) -> None:
    code = served_app.app.issue()
    staff_page = open_tab(staff="support", width=360)
    served_app.search(staff_page, code)
    staff_page.wait_for_url("**/support/codes/*")

    staff_page.locator("summary", has_text="Add note").click()
    staff_page.fill("#note", "sold at the fair")
    staff_page.locator(".note-form button").click()
    staff_page.wait_for_url("**done=note")
    staff_page.get_by_role("link", name="Pause").click()
    staff_page.fill("#note", "checking a double sale")
    staff_page.dblclick("main form button[type=submit]")
    staff_page.wait_for_url("**done=pause")

    expect(staff_page.locator("#flat .line-note")).to_have_text(["checking a double sale", "sold at the fair"])
    expect(staff_page.locator(".mark-code")).to_have_text("paused")


def test_outage_is_undone_while_one_looks_on(served_app: ServedApp, open_tab: Tab) -> None:
    code = served_app.app.issue(make_template(max_uses=None, bound=False))
    for number in range(2):
        served_app.app.attempt(served_app.reserve(code, f"p{number}@example.com"))
    staff_page = open_tab(staff="support")

    staff_page.goto(f"/support/outage?start={LONG_AGO}&end={FAR_OFF}&include=sent")
    staff_page.fill("#note", "mx1 was down")
    staff_page.locator(".apply button").click()

    expect(staff_page.get_by_role("status")).to_contain_text("refunded")
    served_app.search(staff_page, code)
    staff_page.wait_for_url("**/support/codes/*")
    assert (staff_page.locator(".picture").get_attribute("aria-label") or "").startswith("0 used, 0 reserved")


def test_new_events_appear_and_the_slider_goes_back(served_app: ServedApp, open_tab: Tab) -> None:
    code = served_app.app.issue(make_template(max_uses=9, bound=False))
    served_app.reserve(code, "a@example.com")
    staff_page = open_tab(staff="viewer")
    served_app.search(staff_page, code)
    staff_page.wait_for_url("**/support/codes/*")
    staff_page.locator("#flat summary").first.click()

    served_app.reserve(code, "b@example.com")
    expect(staff_page.locator("#v3")).to_be_visible(timeout=10_000)
    open_count = staff_page.locator("#flat details[open]").count()
    staff_page.focus("#at_event")
    staff_page.keyboard.press("ArrowLeft")
    expect(staff_page.locator(".as-of")).to_be_visible()

    assert open_count == 1
    assert staff_page.locator(".picture").get_attribute("aria-label") == "0 used, 1 reserved, 8 available"
    assert "as_of=" in staff_page.url


def test_open_history_follows_new_events_and_costs_nothing_in_the_background(
    served_app: ServedApp, open_tab: Tab
) -> None:
    code = served_app.app.issue(make_template(max_uses=9, bound=False))
    staff_page = open_tab(staff="support")
    with staff_page.expect_request("**/stream?*"), staff_page.expect_request("**/proofs?*"):
        staff_page.goto(f"/support/codes/{code_id_of(served_app.app, code)}")
    staff_page.locator("summary", has_text="Add note").click()
    staff_page.fill("#note", "half written")
    requests, closed = watch_requests(staff_page)

    first = served_app.reserve(code, "a@example.com")
    expect(staff_page.locator(f"#flat a[href='/support/reservations/{first}']").first).to_be_visible()
    expect(staff_page.locator(".picture")).to_have_attribute("aria-label", "0 used, 1 reserved, 8 available")
    expect(staff_page.locator("#news")).to_have_text("New events: 1. Used: 0, reserved: 1, available: 8.")
    expect(staff_page.locator("#note")).to_have_value("half written")
    assert staff_page.locator("#note").evaluate("field => field === document.activeElement")
    expect(staff_page.locator("#chart-over")).to_have_attribute("data-places", re.compile(r" 2:[\d.]+$"))
    assert requests == []

    set_hidden(staff_page, "true")
    staff_page.wait_for_timeout(1)
    served_app.app.attempt(first)
    second = served_app.reserve(code, "b@example.com")
    expect(staff_page.locator(".picture")).to_have_attribute("aria-label", "0 used, 1 reserved, 8 available")
    assert [re.search("/stream", url) is not None for url in closed] == [True]
    assert [url for url in requests if "/proofs" not in url] == []

    set_hidden(staff_page, "false")
    expect(staff_page.locator(f"#flat a[href='/support/reservations/{second}']").first).to_be_visible()
    expect(staff_page.locator(".picture")).to_have_attribute("aria-label", "1 used, 1 reserved, 7 available")
    assert [url.rpartition("?")[2] for url in requests if "/proofs" not in url] == ["after=2"]
    news = "New events: 3. Used: 1, reserved: 1, available: 7."
    expect(staff_page.locator("#news")).to_have_text(news, timeout=WAIT_MS)  # announced once in ten seconds


def test_open_history_says_that_its_session_ended(served_app: ServedApp, open_tab: Tab) -> None:
    add_staff(served_app.app, "leaver@staff.example.com", "viewer", PASSWORD)
    staff_page = open_tab()
    served_app.sign_in(staff_page, "leaver")
    with staff_page.expect_request("**/stream?*"), staff_page.expect_request("**/proofs?*"):
        staff_page.goto(f"/support/codes/{code_id_of(served_app.app, served_app.app.issue())}")
    requests, _ = watch_requests(staff_page)

    other = staff_page.context.new_page()
    other.goto("/support")
    other.locator(".who button").click()

    expect(staff_page.locator("#stopped")).to_have_text("Your session has ended. Sign in again to see new events.")
    assert [url for url in requests if "/proofs" not in url] == []


def test_history_shows_new_events_by_reloading_without_script(served_app: ServedApp, open_tab: Tab) -> None:
    code = served_app.app.issue(make_template(max_uses=9, bound=False))
    staff_page = open_tab(staff="viewer", java_script_enabled=False)
    staff_page.goto(f"/support/codes/{code_id_of(served_app.app, code)}")
    served_app.reserve(code, "a@example.com")
    expect(staff_page.locator(".picture")).to_have_attribute("aria-label", "0 used, 0 reserved, 9 available")
    staff_page.reload()
    expect(staff_page.locator(".picture")).to_have_attribute("aria-label", "0 used, 1 reserved, 8 available")


def watch_requests(page: Page) -> tuple[list[str], list[str]]:
    """The requests of a page from now on that reach the application, and those that it gave up."""
    begun: list[str] = []
    given_up: list[str] = []
    page.on("request", lambda request: begun.extend([] if "/static/" in request.url else [request.url]))
    page.on("requestfailed", lambda request: given_up.append(request.url))
    return begun, given_up


def set_hidden(page: Page, hidden: str) -> None:
    """Put a tab in the background or back, as the browser tells its page."""
    page.evaluate(
        f"Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )


def test_times_in_sentences_are_shown_in_the_time_zone_of_the_reader(served_app: ServedApp, open_tab: Tab) -> None:
    """As those in tables are: a deadline in a sentence reads the clock of the agent, and its tooltip keeps UTC."""
    reservation_id = served_app.redeem(open_tab(), served_app.app.issue(), "zone@example.com")
    staff_page = open_tab(staff="viewer", timezone_id="Asia/Shanghai")

    staff_page.goto(f"/support/reservations/{reservation_id}")
    deadline = staff_page.locator(".line-sentence time").last
    shown, utc = deadline.inner_text(), deadline.get_attribute("title")

    assert utc is not None
    assert datetime.fromisoformat(shown) - datetime.fromisoformat(utc.removesuffix(" UTC")) == timedelta(hours=8)
    assert "Asia/Shanghai, UTC+08:00" in staff_page.locator("#zone").inner_text()


def test_first_field_of_an_action_has_the_focus_unless_a_notice_has_it(served_app: ServedApp, open_tab: Tab) -> None:
    reservation_id = served_app.reserve(served_app.app.issue(), "focus@example.com")
    page, path = open_tab(staff="support"), f"/support/reservations/{reservation_id}"
    focused = "document.activeElement.id"
    expected = {"acts/refund": "note", "unmask": "reason", "acts/correct": "email"}

    ids = {}
    for action in expected:
        page.goto(f"{path}/{action}")
        page.wait_for_function(f"{focused} !== ''")
        ids[action] = page.evaluate(focused)
        assert served_app.faults(page) == []
    page.goto(f"{path}/unmask")
    page.fill("#reason", " ")
    page.click("main .press")
    page.locator("#notice").wait_for()

    assert ids == expected
    expect(page.locator("#notice")).to_be_focused()
    assert served_app.faults(page) == []


def test_viewer_sees_no_action(served_app: ServedApp, open_tab: Tab) -> None:
    reservation_id = served_app.reserve(served_app.app.issue(), "a@example.com")
    staff_page = open_tab("zh", staff="viewer", java_script_enabled=False)

    staff_page.goto(f"/support/reservations/{reservation_id}")
    offered = staff_page.locator(".acts a").count() + staff_page.locator("a[href$=unmask]").count()
    answer = staff_page.goto(f"/support/reservations/{reservation_id}/acts/refund")

    assert offered == 0
    assert answer is not None
    assert answer.status == 403


@pytest.mark.parametrize(
    ("language", "scheme", "width"), [("zh", "light", 1280), ("en", "dark", 320)], ids=["wide", "phone"]
)
def test_every_page_is_accessible(served_app: ServedApp, open_tab: Tab, language: str, scheme: str, width: int) -> None:
    """WCAG 2.2 AA by axe, and no page scrolls sideways."""
    code = served_app.app.issue(make_template(max_uses=3, bound=False))
    reservation_id = served_app.reserve(code, "li.wei@example.com")
    served_app.app.attempt(reservation_id)
    served_app.app.attempt(served_app.reserve(code, "mei@exmaple.com"), NO_SUCH)
    page = open_tab(language, width=width, staff="admin", color_scheme=scheme, bypass_csp=True)
    person = served_app.opt_out(reservation_id)
    served_app.search(page, code)
    page.wait_for_url("**/support/codes/*")
    statement, action_base = page.url, f"/support/reservations/{reservation_id}"
    paths = [f"/support/people/{person}", f"/support/people/{person}/opt-outs/undo"]
    paths += ["/support", "/support/work", "/support/audit", f"{statement}?group=yes", f"{statement}?at_event=2"]
    paths += [f"{statement}/events/2", f"{statement}/explain", f"{statement}/acts/terms", f"{statement}/acts/revoke"]
    paths += [
        f"{statement}/compare?a=2&b=5",
        f"{statement}/balance",
        f"{statement}/what-if?reservation={reservation_id}",
        f"{action_base}/acts/correct",
    ]
    paths += [f"/support/outage?start={LONG_AGO}&end={FAR_OFF}&include=sent"]
    violations_by_page: dict[str, list[str]] = {}

    for path in [
        *paths,
        statement,
        action_base,
        f"{action_base}/acts/refund",
        f"{action_base}/unmask",
        "/support/x",
        "/support/sign-in",
    ]:
        page.goto(path)
        page.evaluate("for (const part of [...document.querySelectorAll('details')].slice(0, 6)) part.open = true")
        violations_by_page[path] = served_app.faults(page)

    assert {path: broken for path, broken in violations_by_page.items() if broken} == {}


def test_chart_of_a_balance_follows_the_slider_and_leads_to_events(served_app: ServedApp, open_tab: Tab) -> None:
    code = served_app.app.issue(make_template(max_uses=3, bound=False))
    served_app.app.attempt(served_app.reserve(code, "first@example.com"))
    staff_page = open_tab(staff="viewer")
    served_app.search(staff_page, code)
    staff_page.wait_for_url("**/support/codes/*")
    staff_page.goto(f"{staff_page.url}?scale=squeezed")
    place = "document.getElementById('chart-cursor').getAttribute('x1')"
    assert staff_page.evaluate(place) == "100.0%"

    staff_page.locator("#at_event").fill("2")
    assert staff_page.evaluate(place) != "100.0%"
    staff_page.wait_for_url("**as_of=*")
    expect(staff_page.locator("#balance .picture")).to_have_attribute("aria-label", "0 used, 1 reserved, 2 available")
    box = staff_page.locator("#chart-over").bounding_box()
    assert box is not None
    staff_page.mouse.click(box["x"] + 0.1 * box["width"], box["y"] + 20)

    staff_page.wait_for_url("**/events/*")
    assert staff_page.url.endswith(("/events/1", "/events/2"))
    staff_page.go_back()
    staff_page.get_by_role("link", name="Show true time scale").click()
    staff_page.wait_for_url("**scale=true*")
    assert served_app.faults(staff_page) == []
    staff_page.get_by_role("link", name="Numbers as a table").click()
    expect(staff_page.locator(".chart-numbers tbody tr")).to_have_count(3)
    staff_page.get_by_role("link", name="Squeeze quiet time").click()
    staff_page.wait_for_url("**scale=squeezed*")
    assert served_app.faults(staff_page) == []


@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("zh", 375)], ids=["wide", "phone"])
def test_waterfall_of_a_redemption_leads_to_its_events(
    served_app: ServedApp, open_tab: Tab, language: str, width: int
) -> None:
    code = served_app.app.issue(make_template(max_uses=3, bound=False))
    reservation_id = served_app.reserve(code, "fall@example.com")
    served_app.app.attempt(reservation_id, GREYLISTED, ms_ago=(90, 60, 20, 50))
    staff_page = open_tab(language, width=width, staff="viewer", java_script_enabled=False)

    response = staff_page.goto(f"/support/reservations/{reservation_id}?scale=true")
    assert response is not None
    assert len(response.body()) < 60_000
    bars = [bar.bounding_box() for bar in staff_page.locator(".fall-bar rect").all()]
    colors = {
        kind: staff_page.locator(f".fall-bar .span-{kind}").first.evaluate("bar => getComputedStyle(bar).fill")
        for kind in ("waiting", "working")
    }
    staff_page.locator(".fall-table a").first.focus()
    staff_page.keyboard.press("Enter")

    places = [bar["x"] for bar in bars if bar]
    assert places == sorted(places)
    assert len(places) >= 5
    assert colors["waiting"] != colors["working"]
    staff_page.wait_for_url("**/events/*")
    seen = open_tab(language, width=width, staff="viewer", bypass_csp=True)
    seen.goto(f"/support/reservations/{reservation_id}")
    assert served_app.faults(seen) == []
    seen.goto("/support")
    assert seen.locator(".fall-small").count() > 0
    assert served_app.faults(seen) == []


@pytest.mark.parametrize(
    ("language", "scheme", "width"), [("en", "light", 1280), ("zh", "dark", 375)], ids=["wide", "phone"]
)
def test_graph_of_causes_leads_across_reservations(
    served_app: ServedApp, open_tab: Tab, language: str, scheme: str, width: int
) -> None:
    code = served_app.app.issue(make_template(max_uses=5, bound=False))
    wrong = served_app.reserve(code, "zhao@exmaple.com")
    served_app.app.attempt(wrong)
    right = served_app.app.correct(wrong, email="zhao@example.com", code=code).json()["reservation_id"]
    path = f"/support/codes/{code_id_of(served_app.app, code)}/events"
    staff_page = open_tab(language, width=width, staff="viewer", java_script_enabled=False)

    response = staff_page.goto(f"{path}/2")
    assert response is not None
    assert len(response.body()) < 60_000
    rows = staff_page.locator(".cause")
    heights = [row.evaluate("row => row.querySelector('svg').clientHeight - row.clientHeight") for row in rows.all()]
    dots = {circle.get_attribute("cx") for circle in staff_page.locator(".cause circle").all()}
    assert set(heights) == {0}
    assert len(dots) > 1
    expect(staff_page.locator(".cause[aria-current=true]")).to_contain_text("#2")
    staff_page.locator(f".cause a[href$='{right}']").focus()
    staff_page.keyboard.press("Enter")
    staff_page.wait_for_url(f"**/reservations/{right}")
    seen = open_tab(language, width=width, staff="viewer", bypass_csp=True, color_scheme=scheme)
    seen.goto(f"{path}/5")
    expect(seen.locator("#event-link")).to_have_value(re.compile(r"/events/5$"))
    assert served_app.faults(seen) == []


@pytest.mark.parametrize("js", [True, False])
def test_back_shows_the_results_of_a_search(served_app: ServedApp, open_tab: Tab, js: bool) -> None:
    app = served_app.app
    for name in ("back.one", "back.two"):
        served_app.reserve(app.issue(), f"{name}@back.example")
    tab = open_tab(staff="viewer", java_script_enabled=js)
    tab.goto("/support")
    tab.fill("[type=search]", "back.on@back.example")
    tab.press("[type=search]", "Enter")
    tab.wait_for_url("**/support/search/*")
    address, results = tab.url, tab.locator(".hits a").count()
    tab.locator(".hits a").first.click()
    tab.go_back()

    assert results > 0
    assert (tab.url, tab.locator(".hits a").count()) == (address, results)
    assert "back" not in address


def test_id_of_a_reservation_is_copied_by_a_button(served_app: ServedApp, open_tab: Tab) -> None:
    reservation_id = served_app.reserve(served_app.app.issue(), "copy@copy.example")
    tab = open_tab(staff="viewer", permissions=["clipboard-read", "clipboard-write"])
    tab.goto(f"/support/reservations/{reservation_id}")
    tab.click("button.copy")

    expect(tab.locator("button.copy")).to_have_text("Copied")
    assert tab.evaluate("navigator.clipboard.readText()") == str(reservation_id)
    tab.emulate_media(media="print")
    expect(tab.locator("button.copy")).to_be_hidden()
