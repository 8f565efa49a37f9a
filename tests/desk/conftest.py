"""The support desk over one application per module, which is started once; codes and people tell the tests apart."""

from collections.abc import Callable, Iterator

import pytest

from tests.api.conftest import shared_site
from tests.api.site import Site
from tests.support.browser import Browser, add_staff

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def site(postgres_url: str) -> Iterator[Site]:
    """The application and its database."""
    with shared_site(postgres_url) as started:
        yield started


@pytest.fixture(scope="module")
def sign_in(site: Site) -> Callable[[str], Browser]:
    """A function that gives a browser of somebody with a role; each role signs in once."""
    signed: dict[str, Browser] = {}

    def browser_of(role: str) -> Browser:
        if role not in signed:
            add_staff(site, f"{role}@staff.example.com", role, PASSWORD)
            signed[role] = Browser(site)
            assert signed[role].sign_in(f"{role}@staff.example.com", PASSWORD).status_code == 303
        return signed[role]

    return browser_of
