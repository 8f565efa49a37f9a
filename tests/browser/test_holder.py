"""Accepting and correcting in a real browser: one press each, with the keyboard, with and without JavaScript."""

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page

from api.web.public.visitor import COOKIE
from projections.repositories.groups import GroupRepository, InviteGroup
from tests.support.clients.served_app import WAIT_MS, ServedApp
from tests.support.ledger.code_template import make_template

pytestmark = pytest.mark.night(of="browser")

Tab = Callable[..., Page]
WORDS = {"en": ("Accept the invitation", "Invitation accepted"), "zh": ("接受邀请", "邀请已接受")}


@pytest.fixture
def plain_page(chromium: Browser, served_app: ServedApp) -> Iterator[Page]:
    context = chromium.new_context(base_url=served_app.url, locale="en-US", java_script_enabled=False)
    context.set_default_timeout(WAIT_MS)
    yield context.new_page()
    context.close()


def sent(served_app: ServedApp, group: str | None = None) -> str:
    reservation_id: str = served_app.app.redeem(served_app.app.issue(make_template(max_uses=1, group=group))).json()[
        "reservation_id"
    ]
    served_app.app.attempt(reservation_id)
    return reservation_id


def is_accepted(served_app: ServedApp, reservation_id: str) -> bool:
    reservation = served_app.app.services.reader.find_reservation(UUID(reservation_id))
    return reservation is not None and reservation.accepted_at is not None


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("with_script", [True, False])
def test_button_behind_the_link_accepts_by_keyboard(
    served_app: ServedApp, open_tab: Tab, language: str, width: int, *, with_script: bool
) -> None:
    """Opening the page accepts nothing; the next stop of the Tab key after the header's links is the button."""
    reservation_id = sent(served_app, "red")
    page = open_tab(language, width=width, java_script_enabled=with_script)
    button, accepted = WORDS[language]

    page.goto(served_app.link(reservation_id))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not is_accepted(served_app, reservation_id)
    page.locator(".languages a").last.focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").strip() == button
    page.keyboard.press("Enter")

    page.get_by_role("heading", name=accepted).wait_for()
    assert is_accepted(served_app, reservation_id)
    assert page.get_by_role("button").count() == 0


def test_button_leads_on_to_the_page_of_another_site(served_app: ServedApp, plain_page: Page) -> None:
    """The page's policy lets its form be redirected there, which browsers check for each step."""
    elsewhere = served_app.url.replace("127.0.0.1", "localhost")
    groups = GroupRepository(served_app.app.services.storage)
    groups.save(InviteGroup(name="onward", accept_target=f"{elsewhere}/docs"), served_app.app.services.now())

    plain_page.goto(served_app.link(sent(served_app, "onward")))
    plain_page.get_by_role("button").click()
    plain_page.wait_for_url(f"{elsewhere}/docs")

    assert plain_page.evaluate("document.referrer") == ""


@pytest.mark.parametrize("with_script", [True, False])
def test_mistyped_address_is_corrected_in_the_browser_that_redeemed(
    served_app: ServedApp, open_tab: Tab, *, with_script: bool
) -> None:
    """The cookie comes with the answer, whether the form is sent by its script or by the browser."""
    code = served_app.app.issue()
    page = open_tab("en", width=360, java_script_enabled=with_script)
    wrong = served_app.redeem(page, code, "ly@example.com")
    served_app.app.attempt(wrong)

    page.goto(f"/r/{wrong}")
    page.get_by_role("link", name="Wrong email address? Correct it").click()
    page.fill("#email", "li@example.com")
    page.fill("#code", code)
    page.get_by_role("button", name="Send to this address").click()
    page.wait_for_url(lambda url: "/r/" in url and wrong not in url)

    (cookie,) = [cookie for cookie in page.context.cookies() if cookie.get("name") == COOKIE]
    assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Lax")
    assert served_app.app.services.reader.find_reservation(UUID(wrong)) is not None


def test_other_browser_is_asked_to_contact_support(served_app: ServedApp, open_tab: Tab) -> None:
    code = served_app.app.issue()
    reservation_id = served_app.reserve(code, "li@example.com")
    page = open_tab("en")
    assert served_app.redeem(page, code, "li@example.com") == reservation_id

    assert page.get_by_role("link", name="Wrong email address? Correct it").count() == 0
    page.goto(f"/r/{reservation_id}/correct")

    assert page.locator("form").count() == 0
    assert "contact support" in page.locator("main").inner_text()
