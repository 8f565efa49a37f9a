"""The whole API over a real database, and staff who sign in at the desk as a browser does."""

from collections.abc import Callable

import pytest

from tests.support.clients.app_client import Site
from tests.support.clients.staff_browser import PASSWORD, Browser, add_staff


@pytest.fixture
def sign_in(site: Site) -> Callable[..., Browser]:
    """A function that makes a member of staff of a role and signs them in."""

    def signed_in(role: str = "support") -> Browser:
        email = f"{role}@staff.example.com"
        add_staff(site, email, role, PASSWORD)
        browser = Browser(site)
        assert browser.sign_in(email, PASSWORD).status_code == 303
        return browser

    return signed_in
