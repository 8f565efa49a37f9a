"""The whole API over a real database, and admins who sign in as a browser does."""

from collections.abc import Callable

import pytest

from tests.support.clients.staff_browser import StaffBrowser


@pytest.fixture
def admin(sign_in: Callable[..., StaffBrowser]) -> StaffBrowser:
    return sign_in("admin")
