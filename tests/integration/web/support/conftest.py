"""The support desk over one application per module, which is started once; codes and people tell the tests apart."""

from collections.abc import Callable

import pytest

from tests.support.clients.app_client import Site
from tests.support.clients.staff_browser import PASSWORD, Browser, add_staff


@pytest.fixture(scope="module")
def shared_sign_in(common: Site) -> Callable[[str], Browser]:
    """A function that gives a browser of somebody with a role; each role signs in once."""
    signed: dict[str, Browser] = {}

    def browser_of(role: str) -> Browser:
        if role not in signed:
            add_staff(common, f"{role}@staff.example.com", role, PASSWORD)
            signed[role] = Browser(common)
            assert signed[role].sign_in(f"{role}@staff.example.com", PASSWORD).status_code == 303
        return signed[role]

    return browser_of
