"""Second factors in a real browser: passkeys of a virtual authenticator, and all else without JavaScript."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pyotp
import pytest
from playwright.sync_api import Page, expect

from tests.support.clients.app_client import AppClient
from tests.support.clients.served_app import PASSWORD, ServedApp
from tests.support.clients.served_site import serve_site
from tests.support.clients.staff_browser import add_staff

pytestmark = pytest.mark.night(of="browser")

Tab = Callable[..., Page]
FACTORS: Final = "/support/account/factors"
PHONE: Final = {"width": 320, "has_touch": True, "is_mobile": True}
PLATFORM: Final = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
"""Options of an authenticator that is built into a device, and unlocked by a fingerprint."""
TOUCHED: Final = {**PLATFORM, "transport": "usb", "hasResidentKey": False, "hasUserVerification": False}
"""Options of a security key that is only touched."""


@pytest.fixture(scope="module")
def served_app(app: AppClient) -> Iterator[ServedApp]:
    """The application under a name, because browsers permit no passkeys under an IP address."""
    with serve_site(app.services.settings, "localhost") as url:
        yield ServedApp(url, app)


def plug_in(page: Page, options: dict[str, Any]) -> Callable[[], list[dict[str, Any]]]:
    """Give a tab an authenticator; return a function that reads its credentials."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    added = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})

    def read_credentials() -> list[dict[str, Any]]:
        credentials: list[dict[str, Any]] = devtools.send("WebAuthn.getCredentials", added)["credentials"]
        return credentials

    return read_credentials


def sign_in(page: Page, email: str) -> None:
    page.goto("/support/sign-in")
    page.fill("#email", email)
    page.fill("#password", PASSWORD)
    page.press("#password", "Enter")


def enroll(page: Page, served_app: ServedApp, name: str, options: dict[str, Any]) -> str:
    """Add a member of staff with a passkey, and sign out; the email address."""
    email = f"{name}@staff.example.com"
    add_staff(served_app.app, email, "support", PASSWORD)
    sign_in(page, email)
    page.wait_for_url("**/support")
    page.goto(FACTORS)
    plug_in(page, options)
    page.fill("#passkey-name", "Laptop")
    page.press("#passkey-name", "Enter")
    expect(page.locator(".secrets li")).to_have_count(10)
    page.click("main a.press")
    expect(page.get_by_role("heading", name="Laptop")).to_be_visible()
    page.click("header button[type=submit], form.who button")
    page.wait_for_url("**/sign-in")
    return email


def test_passkey_signs_in_without_a_password_by_keyboard_on_a_phone(open_tab: Tab, served_app: ServedApp) -> None:
    page = open_tab(**PHONE)
    email = enroll(page, served_app, "li.wei", PLATFORM)
    button = page.get_by_role("button", name="Sign in with a passkey")

    button.focus()
    page.keyboard.press("Enter")

    page.wait_for_url("**/support")
    expect(page.locator(".who-name")).to_have_text(email)


def test_security_key_that_is_only_touched_needs_the_password(open_tab: Tab, served_app: ServedApp) -> None:
    page = open_tab()
    email = enroll(page, served_app, "mei", TOUCHED)

    page.click("text=Sign in with a passkey")
    expect(page.locator("[data-passkey-fault]")).to_contain_text("The passkey was not used")
    sign_in(page, email)
    page.wait_for_url("**/second/*")
    page.click("text=Use a passkey")

    page.wait_for_url("**/support")


@pytest.mark.parametrize("field", ["#code", "#recovery"])
def test_tab_stores_no_code(open_tab: Tab, served_app: ServedApp, field: str) -> None:
    page = open_tab()
    email = f"{field.strip('#')}@staff.example.com"
    add_staff(served_app.app, email, "support", PASSWORD)
    sign_in(page, email)
    page.goto(f"{FACTORS}/app")
    page.fill("#code", pyotp.TOTP(page.inner_text(".secret").replace(" ", "")).at(served_app.app.services.now()))
    page.press("#code", "Enter")
    expect(page.locator(".secrets li")).to_have_count(10)
    page.click("main a.press")
    page.click("header button[type=submit], form.who button")
    page.wait_for_url("**/sign-in")
    sign_in(page, email)
    page.wait_for_url("**/second/*")

    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    page.fill(field, "secret-1")
    page.press(field, "Enter")
    page.wait_for_selector("[role=alert]")
    sent = page.evaluate("JSON.stringify(sessionStorage)")
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    page.fill(field, "secret-2")
    page.goto("/support/sign-in")
    left = page.evaluate("JSON.stringify(sessionStorage)")

    assert "secret" not in sent + left


def test_device_has_one_passkey_of_an_account(open_tab: Tab, served_app: ServedApp) -> None:
    page = open_tab()
    email = "second@staff.example.com"
    add_staff(served_app.app, email, "support", PASSWORD)
    sign_in(page, email)
    page.goto(FACTORS)
    read_credentials = plug_in(page, PLATFORM)
    page.click("text=Create a passkey")
    expect(page.locator(".secrets li")).to_have_count(10)
    page.goto(FACTORS)

    page.click("text=Create a passkey")

    expect(page.locator("[data-passkey-fault]")).to_contain_text("has a passkey for your account already")
    (credential,) = read_credentials()
    assert credential["rpId"] == "localhost"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_app_and_recovery_code_work_without_javascript_on_a_phone(
    open_tab: Tab, served_app: ServedApp, language: str
) -> None:
    email = f"no.script.{language}@staff.example.com"
    add_staff(served_app.app, email, "support", PASSWORD)
    page = open_tab(language, java_script_enabled=False, **PHONE)
    sign_in(page, email)
    page.goto(f"{FACTORS}/app")
    secret = page.locator(".secret").inner_text().replace(" ", "")
    shown = [page.content()]
    page.fill("#code", pyotp.TOTP(secret).at(served_app.app.services.now()))
    page.press("#code", "Enter")
    codes = page.locator(".secrets code").all_inner_texts()
    page.goto(FACTORS)
    shown.append(page.content())
    hidden = page.locator("form[data-passkey]").is_hidden()
    page.click("form.who button")

    sign_in(page, email)
    page.click("summary")
    page.fill("#recovery", codes[0])
    page.press("#recovery", "Enter")

    expect(page).to_have_url(f"{served_app.url}/support")
    assert (len(codes), hidden) == (10, True)
    assert "<svg" in shown[0]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_second_factors_are_accessible_on_a_phone(
    open_tab: Tab, served_app: ServedApp, language: str, scheme: str
) -> None:
    email = f"axe.{language}.{scheme}@staff.example.com"
    add_staff(served_app.app, email, "support", PASSWORD)
    page = open_tab(language, color_scheme=scheme, **PHONE)
    sign_in(page, email)
    page.wait_for_url("**/support")
    faults = {}
    page.goto(FACTORS)
    faults["empty"] = served_app.faults(page)
    page.goto(f"{FACTORS}/app")
    faults["app"] = served_app.faults(page)
    secret = page.locator(".secret").inner_text().replace(" ", "")
    page.fill("#code", pyotp.TOTP(secret).at(served_app.app.services.now()))
    page.press("#code", "Enter")
    expect(page.locator(".secrets li")).to_have_count(10)
    faults["codes"] = served_app.faults(page)
    page.goto(FACTORS)
    page.locator("main details summary").first.click()
    faults["list"] = served_app.faults(page)
    page.click("form.who button")
    sign_in(page, email)
    page.wait_for_url("**/second/*")
    page.fill("#code", "000000")
    page.press("#code", "Enter")
    expect(page.locator("#notice")).to_be_visible()
    page.locator("main details summary").first.click()
    faults["second step"] = served_app.faults(page)

    assert {name: names for name, names in faults.items() if names} == {}
    assert len(faults) == 5
