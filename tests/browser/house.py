"""The served application, and short ways through its pages."""

from dataclasses import dataclass
from typing import Final

from playwright.sync_api import Page

from tests.api.site import Site

PASSWORD: Final = "correct horse battery staple"
WAIT_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class House:
    """Where it is served, and what is behind it."""

    url: str
    site: Site

    def sign_in(self, page: Page, role: str) -> None:
        """Sign in at the desk."""
        page.goto("/support")
        page.fill("#email", f"{role}@staff.example.com")
        page.fill("#password", PASSWORD)
        page.click("main button[type=submit]")
        page.wait_for_url("**/support")

    def redeem(self, page: Page, code: str, email: str) -> str:
        """Fill in the form and press the button; the id of the reservation that the next page is about."""
        page.goto("/invite")
        page.fill("#email", email)
        page.fill("#code", code)
        page.click("form button[type=submit]")
        page.wait_for_url("**/r/*")
        return page.url.rpartition("/")[2].partition("?")[0]

    def search(self, page: Page, typed: str) -> None:
        """Type into the desk's box and press Enter."""
        page.goto("/support")
        page.fill("#q", typed)
        page.press("#q", "Enter")
