"""The whole API over one database for each file, and staff who sign in as a browser does.

Tests look at their own codes, people and campaigns only. One that counts all rows, or changes a setting or an account
that others use, has a database of its own by `own_app`, which `app` then is:
`@pytest.mark.usefixtures("own_app")`.
"""

from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient

from api.settings import ApiSettings
from tests.support.clients.app_client import AppClient
from tests.support.clients.in_process_app import started
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff
from tests.support.clients.staff_inbox import StaffInbox, read_emails_of_staff

SignIn = Callable[..., StaffBrowser]
Sessions = dict[tuple[TestClient, str], dict[str, str]]


@pytest.fixture
def app(request: pytest.FixtureRequest) -> AppClient:
    """The application of a file, or a test's own."""
    app_client: AppClient = request.getfixturevalue("own_app" if "own_app" in request.fixturenames else "shared_app")
    return app_client


@pytest.fixture
def own_app(settings: ApiSettings) -> Iterator[AppClient]:
    """The application over a database of a test's own."""
    with started(settings) as app_client:
        yield app_client


@pytest.fixture(scope="module")
def sessions() -> Sessions:
    """The cookies of each role, as its first sign-in to an application left them."""
    return {}


@pytest.fixture
def sign_in(app: AppClient, sessions: Sessions) -> SignIn:
    """A function that returns a browser in which a member of staff of a role is signed in; each role signs in once."""

    def browser_of(role: str = "support") -> StaffBrowser:
        browser, key = StaffBrowser(app), (app.client, role)
        if key not in sessions:
            email = f"{role}@staff.example.com"
            add_staff(app, email, role, PASSWORD)
            assert browser.sign_in(email, PASSWORD).status_code == 303
            sessions[key] = browser.cookies
        browser.cookies = sessions[key].copy()
        return browser

    return browser_of


@pytest.fixture
def admin(sign_in: SignIn) -> StaffBrowser:
    """An admin's browser."""
    return sign_in("admin")


@pytest.fixture
def inbox(monkeypatch: pytest.MonkeyPatch) -> StaffInbox:
    """What the application sends to staff."""
    return read_emails_of_staff(monkeypatch)
