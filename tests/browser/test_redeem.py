"""Redeeming as people do it: impatient, on a phone, without JavaScript, in two tabs."""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from api.web.public.visitor import COOKIE
from domain.ports import Rejected
from tests.support.clients.served_app import ServedApp
from tests.support.ledger.code_template import make_template

pytestmark = pytest.mark.night(of="browser")

Tab = Callable[..., Page]
EMAIL = "li.wei@example.com"
NO_SUCH = Rejected(server="mx1:25", reason="address_refused", final=True, about_address=True, reply_code=550)


def test_two_tabs_and_the_back_button_are_one_reservation(served_app: ServedApp, open_tab: Tab) -> None:
    code, first = served_app.app.issue(make_template(max_uses=5)), open_tab()
    ids = {served_app.redeem(page, code, EMAIL) for page in (first, open_tab())}
    first.go_back()
    first.wait_for_url("**/invite")
    label = first.locator("form button[type=submit]").inner_text()

    first.fill("#email", EMAIL)
    first.fill("#code", code)
    first.click("form button[type=submit]")
    first.wait_for_url("**/r/*")

    assert len(ids) == 1
    assert label == "Get my invite"
    assert ids.pop() in first.url
    assert served_app.uses(code) == (0, 1)


def test_waiting_list_is_offered_after_one_refusal(served_app: ServedApp, open_tab: Tab) -> None:
    """The page that offers it is the answer itself; a second request would be a second refusal in the statistics."""
    app = served_app.app
    terms = {"name": "Full", "max_uses": 1, "waiting_hours": 24}
    campaign = app.client.post("/api/v1/campaigns", json=terms, headers=app.key("admin")).json()["id"]
    order = {"campaign": campaign, "max_uses": 9, "open": True}
    code = app.client.post("/api/v1/codes", json=order, headers=app.key("admin")).json()[0]["code"]
    app.redeem(code, "first@example.com")
    page, before = open_tab(), app.count("refusals")
    page.goto("/invite")
    page.fill("#email", EMAIL)
    page.fill("#code", code)
    page.press("#code", "Enter")
    page.get_by_role("button", name="Put me on the waiting list").click()
    page.wait_for_url("**/waiting/*")

    assert app.count("refusals") == before + 1
    assert page.inner_text("h1") == "You are on the waiting list"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_without_javascript_on_a_phone(served_app: ServedApp, open_tab: Tab, language: str) -> None:
    code, page = served_app.app.issue(), open_tab(language, width=360, java_script_enabled=False)

    reservation_id = served_app.redeem(page, code, EMAIL)
    refreshes = page.locator("meta[http-equiv=refresh]").count()
    page.goto("/invite")
    page.fill("#email", "mei@example.com")
    page.fill("#code", code)
    page.click("form button[type=submit]")

    expect(page.locator("#notice")).to_be_visible()
    assert reservation_id
    assert refreshes == 1
    assert page.input_value("#code").replace("-", "") == code.replace("-", "")


def test_by_keyboard_alone(served_app: ServedApp, open_tab: Tab) -> None:
    code, page = served_app.app.issue(), open_tab()
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
    assert served_app.uses(code) == (0, 1)


def test_code_is_grouped_and_checked_as_one_types(served_app: ServedApp, open_tab: Tab) -> None:
    code, page = served_app.app.issue(), open_tab()
    page.goto("/invite")
    page.fill("#code", code.replace("-", "")[:-1])
    page.locator("#code").press_sequentially("0" if code[-1] != "0" else "1")
    expect(page.locator("#code-check.doubt")).to_be_visible()
    page.press("#code", "Backspace")
    page.locator("#code").press_sequentially(code[-1])
    expect(page.locator("#code-check.good")).to_be_visible()
    shown = page.input_value("#code")

    page.fill("#code", f"spring26 {code.lower()}")

    assert shown == code
    assert page.input_value("#code") == f"SPRING26-{code}"
    expect(page.locator("#code-check.good")).to_be_visible()


def test_whole_code_is_seen_on_the_narrowest_phone(served_app: ServedApp, open_tab: Tab) -> None:
    """Its end is what people compare."""
    page = open_tab(width=320)
    page.goto(f"/invite?code={served_app.app.issue()}")

    assert (
        page.evaluate("(({scrollWidth, clientWidth}) => scrollWidth - clientWidth)(document.querySelector('#code'))")
        == 0
    )


@pytest.mark.parametrize(
    "typed", ["WRONG-CODE", "promo 2024", "AB12CD34", "T6Z7-Z16G-K5WA-XPK1-1EX4", "vip-vip-vip-vip-vip-vip"]
)
def test_code_that_is_not_native_stays_as_it_is_typed(open_tab: Tab, typed: str) -> None:
    page = open_tab()
    page.goto("/invite")
    page.locator("#code").press_sequentially(typed)
    shown = page.input_value("#code")
    page.locator("#code").press_sequentially("-")
    page.press("#code", "Backspace")

    assert shown == typed
    assert page.input_value("#code") == typed


def test_native_code_is_grouped_when_its_last_character_is_typed(served_app: ServedApp, open_tab: Tab) -> None:
    """Not before: until then it may be any other code."""
    code, page = served_app.app.issue(), open_tab()
    plain = code.replace("-", "")
    page.goto("/invite")
    page.locator("#code").press_sequentially(plain[:-1])
    before = page.input_value("#code")
    page.locator("#code").press_sequentially(plain[-1])

    assert before == plain[:-1]
    assert page.input_value("#code") == code


def test_signs_of_full_width_are_plain_ones(served_app: ServedApp, open_tab: Tab) -> None:
    """As Chinese keyboards write them, in the code and in the email, which shows what it is sent as."""
    code, page = served_app.app.issue(), open_tab("zh")
    page.goto("/invite")
    page.fill("#code", "".join(chr(ord(sign) + 0xFEE0) for sign in code.lower()))
    expect(page.locator("#code-check.good")).to_be_visible()
    page.fill("#email", "ｌｉ．wei＠example。com")
    page.press("#email", "Enter")
    page.wait_for_url("**/r/*")
    expect(page.locator("#slip")).to_contain_text(EMAIL)

    page.go_back()

    assert page.input_value("#email") == "li.wei@example.com"
    assert served_app.uses(code) == (0, 1)


@pytest.mark.parametrize("scripted", [True, False], ids=["script", "plain"])
def test_mistyped_domain_is_asked_about_once(served_app: ServedApp, open_tab: Tab, scripted: bool) -> None:
    code, page = served_app.app.issue(), open_tab(width=390, java_script_enabled=scripted)
    page.goto("/invite")
    page.fill("#email", "li.wei@gmial.com")
    page.fill("#code", f"Code: {code}")
    page.press("#code", "Enter")
    question = page.locator("#question-text")
    expect(question).to_have_text("Did you mean li.wei@gmail.com?")
    assert served_app.uses(code) == (0, 0)

    page.get_by_role("button", name="Yes, send to li.wei@gmail.com").click()
    page.wait_for_url("**/r/*")

    expect(page.locator("#slip")).to_contain_text("li.wei@gmail.com")
    assert served_app.uses(code) == (0, 1)


def test_chosen_address_stays_when_the_code_is_refused(served_app: ServedApp, open_tab: Tab) -> None:
    code, page = served_app.app.issue(), open_tab()
    page.goto("/invite")
    page.fill("#email", "li.wei@163.con")
    page.fill("#code", "WRONG")
    page.click("form .press")
    page.get_by_role("button", name="Yes, send to li.wei@163.com").click()
    expect(page.locator("#notice")).to_be_visible()
    assert page.input_value("#email") == "li.wei@163.com"
    expect(page.locator("#question")).to_have_count(0)

    page.fill("#code", code)
    page.click("form .press")
    page.wait_for_url("**/r/*")

    expect(page.locator("#slip")).to_contain_text("li.wei@163.com")


@pytest.mark.parametrize("scripted", [True, False], ids=["script", "plain"])
def test_change_of_language_keeps_the_entries(open_tab: Tab, scripted: bool) -> None:
    page = open_tab("zh", java_script_enabled=scripted)
    page.goto("/invite")
    page.fill("#email", EMAIL)
    page.fill("#code", "promo 2024")

    page.get_by_role("button", name="English").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Redeem your code")
    assert [page.input_value("#email"), page.input_value("#code")] == [EMAIL, "promo 2024"]
    page.goto("/a/nothing")
    expect(page.get_by_role("heading", level=1)).to_have_text("This link is not valid")


def test_refused_code_is_not_called_one_that_can_be_sent(served_app: ServedApp, open_tab: Tab) -> None:
    """The advice that a code may be right is for codes that were not sent yet."""
    code, page = served_app.app.issue(), open_tab()
    wrong = code[:-1] + ("0" if code[-1] != "0" else "1")
    page.goto("/invite")
    page.fill("#email", EMAIL)
    page.fill("#code", wrong)
    expect(page.locator("#code-check")).to_contain_text("you can still send it")

    page.click("form .press")
    expect(page.locator("#notice")).to_be_visible()

    expect(page.locator("#code-check")).to_be_empty()
    page.fill("#code", wrong[:-1])
    page.locator("#code").press_sequentially(wrong[-1])
    expect(page.locator("#code-check")).to_be_empty()
    page.fill("#code", code)
    expect(page.locator("#code-check.good")).to_be_visible()


def test_lines_of_a_pasted_message_do_not_become_one_word(open_tab: Tab) -> None:
    """A field of one line drops their ends otherwise."""
    page = open_tab()
    page.goto("/invite")
    page.focus("#code")
    page.evaluate(
        """text => {
          const data = new DataTransfer();
          data.setData("text/plain", text);
          document.activeElement.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, cancelable: true }));
        }""",
        "Your code\nPROMO2024\n",
    )

    assert page.input_value("#code") == "Your code PROMO2024"


def test_reload_after_a_refusal_keeps_the_entries_until_a_code_is_redeemed(
    served_app: ServedApp, open_tab: Tab
) -> None:
    code, page = served_app.app.issue(), open_tab()
    page.goto(f"/invite?code={code}")
    page.fill("#email", EMAIL)
    page.fill("#code", "promo 2024")
    page.click("form .press")
    expect(page.locator("#notice")).to_be_visible()

    page.reload()
    entries = [page.input_value("#email"), page.input_value("#code")]
    page.get_by_role("button", name="中文").click()
    page.wait_for_url("**lang=zh")
    page.reload()
    in_chinese = [page.input_value("#email"), page.input_value("#code")]
    page.goto("/invite")
    later = page.input_value("#email")
    served_app.redeem(page, code, EMAIL)
    page.goto("/invite")
    page.reload()

    assert entries == in_chinese == [EMAIL, "promo 2024"]
    assert [later, page.input_value("#email"), page.input_value("#code")] == ["", "", ""]


@pytest.mark.parametrize("scripted", [True, False], ids=["script", "plain"])
def test_try_again_keeps_the_entries(served_app: ServedApp, open_tab: Tab, scripted: bool) -> None:
    code, page = served_app.app.issue(), open_tab(java_script_enabled=scripted)
    reservation_id = served_app.redeem(page, code, EMAIL)
    served_app.app.attempt(reservation_id, NO_SUCH)
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Invitation not sent")

    page.get_by_role("link", name="Try again").click()
    page.wait_for_url("**/invite?*")

    assert [page.input_value("#email"), page.input_value("#code")] == [EMAIL, code]


ZONES: Final = {
    "Asia/Shanghai": "Asia/Shanghai",
    "America/New_York": "America/New_York",
    "Asia/Kolkata": "Asia/Calcutta",
    "UTC": "UTC",
}
"""Time zones of readers, and how Chromium names them."""


def _offset(at: datetime) -> str:
    text = f"{at:%z}"
    return f"{text[:3]}:{text[3:]}"


@pytest.mark.parametrize("zone", ZONES)
def test_times_of_a_redemption_are_in_the_zone_of_the_reader(served_app: ServedApp, open_tab: Tab, zone: str) -> None:
    code = served_app.app.issue(make_template(max_uses=1, validity_days=182))
    page = open_tab(timezone_id=zone)
    reservation_id = served_app.redeem(page, code, EMAIL)
    served_app.app.attempt(reservation_id)
    page.goto(f"/r/{reservation_id}")

    seen = page.locator("#slip time").evaluate_all(
        "times => times.map((time) => [time.dateTime, time.textContent, time.title])"
    )
    line = page.locator("#zone").inner_text()

    assert len(seen) == 3
    for at, text, title in seen:
        local = datetime.fromisoformat(at).astimezone(ZoneInfo(zone))
        assert text == f"{local:%Y-%m-%d %H:%M:%S}"
        assert title == f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M:%S} UTC"
        assert zone == "UTC" or f"UTC{_offset(local)}".replace("-", "−") in line
    assert ZONES[zone] in line


def test_times_of_a_redemption_name_utc_without_javascript(served_app: ServedApp, open_tab: Tab) -> None:
    """Each of them, because no script can tell the reader's zone."""
    page = open_tab(timezone_id="Asia/Kolkata", java_script_enabled=False)
    served_app.redeem(page, served_app.app.issue(), EMAIL)

    texts = page.locator("#slip time").all_inner_texts()

    assert len(texts) >= 2
    assert [text for text in texts if not text.endswith(" UTC")] == []


def test_without_the_stream_the_page_asks(served_app: ServedApp, open_tab: Tab) -> None:
    """Where server-sent events don't get through, and after the connection was lost for a while."""
    code, page = served_app.app.issue(), open_tab()
    page.route("**/stream", lambda route: route.fulfill(status=503))
    reservation_id = served_app.redeem(page, code, EMAIL)
    page.context.set_offline(True)
    expect(page.locator("#offline")).to_be_visible(timeout=10_000)
    page.context.set_offline(False)

    served_app.app.attempt(reservation_id)

    expect(page.locator("#slip")).to_have_attribute("data-state", "sent", timeout=15_000)
    expect(page.locator("#offline")).to_be_hidden()


@pytest.mark.parametrize("scripted", [True, False], ids=["script", "plain"])
def test_mistyped_address_is_corrected_by_its_owner(served_app: ServedApp, open_tab: Tab, scripted: bool) -> None:
    code, page = served_app.app.issue(make_template(max_uses=2)), open_tab(java_script_enabled=scripted)
    old = served_app.redeem(page, code, "li.wei@exmaple.com")
    served_app.app.attempt(old)
    page.reload()
    page.click("text=Wrong email address?")

    page.fill("#email", EMAIL)
    page.fill("#code", code)
    page.click("main form button[type=submit]")
    page.wait_for_url(lambda address: "/r/" in address and old not in address)

    assert EMAIL in page.locator("#slip").inner_text()
    assert served_app.uses(code) == (0, 1)
    assert page.goto(served_app.link(old)).status == 404  # type: ignore[union-attr]  # a page that was opened has an answer


@pytest.mark.parametrize(
    ("language", "scheme", "width"), [("zh", "light", 1280), ("en", "dark", 360)], ids=["wide", "phone"]
)
def test_every_page_is_accessible(served_app: ServedApp, open_tab: Tab, language: str, scheme: str, width: int) -> None:
    """WCAG 2.2 AA by axe, and nothing scrolls sideways."""
    app = served_app.app
    ids = [app.redeem(app.issue()).json()["reservation_id"] for _ in range(3)]
    app.attempt(ids[1])
    app.attempt(ids[2], NO_SUCH)
    own = [
        "/invite",
        *(f"/r/{reservation_id}" for reservation_id in ids),
        *(f"/r/{reservation_id}/correct" for reservation_id in ids[1:]),
    ]
    page = open_tab(language, width=width, color_scheme=scheme, bypass_csp=True)
    link_tokens = ".".join(app.tokens[reservation_id] for reservation_id in ids)
    page.context.add_cookies([{"name": COOKIE, "value": link_tokens, "url": served_app.url}])
    violations_by_page: dict[str, list[str]] = {}

    for path in [*own, served_app.link(ids[1]), "/a/x", served_app.opt_out_link(ids[1]), "/opt-out/x", "/x"]:
        page.goto(path)
        violations_by_page[path] = served_app.faults(page)

    page.goto("/invite")
    page.fill("#email", "li.wei@gmial.com")
    page.fill("#code", "any")
    page.press("#code", "Enter")
    page.wait_for_selector("#question")
    violations_by_page["question"] = served_app.faults(page)

    assert {path: broken for path, broken in violations_by_page.items() if broken} == {}
