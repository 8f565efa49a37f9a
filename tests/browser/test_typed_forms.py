"""What staff typed into a form is not lost by a refusal, an ended session, a reload or another language."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.support.clients.app_client import AppClient
from tests.support.clients.served_app import PASSWORD

pytestmark = pytest.mark.night(of="browser")

Tab = Callable[..., Page]
CREATE = "#create button[type=submit]"


def type_impossible_campaign(page: Page) -> None:
    """Fill the form of a campaign with terms that contradict each other."""
    page.goto("/admin/campaigns")
    page.fill("#name", "Fair")
    page.fill("#max_uses", "2")
    page.fill("#max_per_person", "3")


def expect_form(page: Page, *values: str) -> None:
    """Wait until the form shows these values. It is filled in again a moment after the page has arrived."""
    for field, value in zip(("#name", "#max_uses", "#max_per_person"), values, strict=True):
        expect(page.locator(field)).to_have_value(value)


def test_going_back_to_a_refused_form_and_loading_it_again_ask_nothing(open_tab: Tab) -> None:
    """Browsers ask whether to send a form again, or show an error, where a page came from a form."""
    page = open_tab(staff="admin")
    type_impossible_campaign(page)
    page.click(CREATE)
    expect(page.locator("#max_per_person-fault")).to_be_visible()
    page.reload()
    expect_form(page, "Fair", "2", "3")
    page.goto("/support")
    page.go_back()

    expect_form(page, "Fair", "2", "3")
    expect(page.locator("#filled-again")).to_be_visible()


def test_accepted_form_is_not_filled_in_again(open_tab: Tab) -> None:
    page = open_tab(staff="admin")
    type_impossible_campaign(page)
    page.click(CREATE)
    page.fill("#max_per_person", "1")
    page.click(CREATE)
    page.wait_for_url("**/admin/campaigns/*")
    page.goto("/admin/campaigns")

    expect_form(page, "", "", "")


def test_form_of_an_ended_session_is_filled_in_after_the_sign_in(open_tab: Tab) -> None:
    page = open_tab(staff="admin")
    page.goto("/admin/campaigns")
    page.fill("#name", "Late")
    page.context.clear_cookies()
    page.click(CREATE)
    page.wait_for_url("**/support/sign-in**")
    expect(page.locator("#notice p")).to_contain_text("filled in again")
    page.fill("#email", "admin@staff.example.com")
    page.fill("#password", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_url("**/admin/campaigns")

    expect(page.locator("#name")).to_have_value("Late")
    page.click(CREATE)
    page.wait_for_url("**/admin/campaigns/*")


def test_form_of_an_ended_session_comes_back_without_javascript(open_tab: Tab) -> None:
    open_tab(staff="admin").close()
    page = open_tab(staff="admin", java_script_enabled=False)
    type_impossible_campaign(page)
    page.fill("#max_per_person", "1")
    page.context.clear_cookies()
    page.click(CREATE)
    with page.context.expect_page() as tabs:
        page.click("main ol a")
    sign_in = tabs.value
    sign_in.fill("#email", "admin@staff.example.com")
    sign_in.fill("#password", PASSWORD)
    sign_in.click("main button[type=submit]")
    sign_in.wait_for_url("**/support")
    page.click("main button[type=submit]")

    expect_form(page, "Fair", "2", "1")
    page.click(CREATE)
    page.wait_for_url("**/admin/campaigns/*")
    assert page.inner_text("h1") == "Fair"


def test_other_forms_of_a_page_keep_what_was_typed_when_one_is_saved(open_tab: Tab) -> None:
    page = open_tab(staff="admin")
    page.goto("/admin/groups/one?name=Gold")
    page.fill("#subject_en", "Hello")
    page.click("form[action*='/channel'] button[type=submit]")

    expect(page.locator("#filled-again")).to_be_visible()
    expect(page.locator("#subject_en")).to_have_value("Hello")


def test_link_to_a_form_leads_to_an_empty_one(open_tab: Tab) -> None:
    page = open_tab(staff="admin")
    type_impossible_campaign(page)
    page.click(CREATE)
    page.goto("/admin/campaigns")

    expect_form(page, "", "", "")


def test_another_language_keeps_what_was_typed(open_tab: Tab) -> None:
    """The link of a language is no button of the form."""
    page = open_tab(staff="admin")
    type_impossible_campaign(page)
    page.click(".languages a[lang='zh-Hans']")
    page.wait_for_url("**lang=zh**")

    expect_form(page, "Fair", "2", "3")
    expect(page.locator("#filled-again")).to_contain_text("已重新填入")


def let_proofs_expire(app: AppClient) -> None:
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE staff_sessions SET proved_at = proved_at - interval '301 s'")


def test_form_that_needs_a_proof_is_sent_with_the_password(open_tab: Tab, app: AppClient) -> None:
    page = open_tab(staff="admin")
    page.goto("/admin/staff")
    page.fill("#email", "colleague@staff.example.com")
    let_proofs_expire(app)
    page.press("#email", "Enter")
    expect(page.locator("h1")).to_have_text("Confirm that it is you")
    page.fill("#own-password", "not it")
    page.press("#own-password", "Enter")
    expect(page.locator("#own-password[aria-invalid]")).to_be_visible()
    page.fill("#own-password", PASSWORD)
    page.press("#own-password", "Enter")
    page.wait_for_url("**/admin/staff/*")
    page.goto("/admin/staff")

    expect(page.locator("main")).to_contain_text("colleague@staff.example.com")
    expect(page.locator("#email")).to_have_value("")


def test_form_that_was_not_proved_is_filled_in_again_where_it_was(open_tab: Tab, app: AppClient) -> None:
    """As after a proof at the identity provider, to which the browser leaves."""
    page = open_tab(staff="admin")
    page.goto("/admin/staff")
    page.fill("#email", "second@staff.example.com")
    let_proofs_expire(app)
    page.press("#email", "Enter")
    page.click("main a.act")
    page.wait_for_url("**/admin/staff")

    expect(page.locator("#email")).to_have_value("second@staff.example.com")


def test_going_back_to_a_form_that_was_left_and_loading_it_again_fill_it_in(open_tab: Tab) -> None:
    page = open_tab(staff="admin")
    type_impossible_campaign(page)
    page.reload()
    expect_form(page, "Fair", "2", "3")
    page.click(".staff-nav a[href='/support']")
    page.wait_for_url("**/support")
    page.go_back()
    expect_form(page, "Fair", "2", "3")
    page.locator("h1").press("/")
    page.wait_for_url("**/support")
    page.go_back()

    expect_form(page, "Fair", "2", "3")
    page.goto("/support")
    page.goto("/admin/campaigns")
    expect_form(page, "", "", "")


def test_another_language_shows_a_refused_form_as_it_was_sent(open_tab: Tab) -> None:
    page = open_tab(staff="admin")
    type_impossible_campaign(page)
    page.click(CREATE)
    expect(page.locator("#max_per_person-fault")).to_be_visible()
    page.click(".languages a[lang='zh-Hans']")
    page.wait_for_url("**lang=zh**")

    expect_form(page, "Fair", "2", "3")


def test_form_that_is_filled_in_again_undoes_no_change_of_others(open_tab: Tab, app: AppClient) -> None:
    """They changed the campaign while the form was left, so it is refused as one that was open all the time."""
    terms = {"name": "Spring", "max_uses": 100}
    campaign = app.client.post("/api/v1/campaigns", json=terms, headers=app.key("admin")).json()["id"]
    path, page = f"/api/v1/campaigns/{campaign}", open_tab(staff="admin")
    page.goto(f"/admin/campaigns/{campaign}")
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    page.fill("#max_per_day", "7")
    page.click(".staff-nav a[href='/support']")
    page.wait_for_url("**/support")
    app.client.patch(path, json={"max_uses": 200}, headers=app.key("admin"))
    page.go_back()
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    page.click("form:has(#max_per_day) button[type=submit]")
    page.wait_for_selector("[role=alert]")

    shown = app.client.get(path, headers=app.key("viewer")).json()
    assert (shown["max_uses"], shown["max_per_day"]) == (200, None)


def test_sign_out_ends_what_was_typed(open_tab: Tab) -> None:
    """The next person who signs in in this tab does not see it."""
    page = open_tab(staff="admin")
    type_impossible_campaign(page)
    page.click(".who button")
    page.wait_for_url("**/sign-in**")

    assert page.evaluate("sessionStorage.length") == 0
