"""The support console over one application per module, which is started once; codes and people tell the tests apart."""

from collections.abc import Callable

import pytest

from tests.support.clients.app_client import AppClient
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff


@pytest.fixture(scope="module")
def shared_sign_in(shared_app: AppClient) -> Callable[[str], StaffBrowser]:
    """A function that returns a browser signed in with a role; each role signs in once."""
    signed: dict[str, StaffBrowser] = {}

    def browser_of(role: str) -> StaffBrowser:
        if role not in signed:
            add_staff(shared_app, f"{role}@staff.example.com", role, PASSWORD)
            signed[role] = StaffBrowser(shared_app)
            assert signed[role].sign_in(f"{role}@staff.example.com", PASSWORD).status_code == 303
        return signed[role]

    return browser_of
