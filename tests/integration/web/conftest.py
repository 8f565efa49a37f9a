"""The whole API over a real database, and staff who sign in as a browser does."""

from collections.abc import Callable

import pytest

from tests.support.clients.app_client import AppClient
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff
from tests.support.clients.staff_inbox import StaffInbox, read_emails_of_staff


@pytest.fixture
def sign_in(app: AppClient) -> Callable[..., StaffBrowser]:
    """A function that makes a member of staff of a role and signs them in."""

    def signed_in(role: str = "support") -> StaffBrowser:
        email = f"{role}@staff.example.com"
        add_staff(app, email, role, PASSWORD)
        browser = StaffBrowser(app)
        assert browser.sign_in(email, PASSWORD).status_code == 303
        return browser

    return signed_in


@pytest.fixture
def inbox(monkeypatch: pytest.MonkeyPatch) -> StaffInbox:
    return read_emails_of_staff(monkeypatch)
