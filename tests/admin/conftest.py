"""The whole API over a real database, and admins who sign in as a browser does."""

from collections.abc import Callable

import pytest

from tests.api.conftest import settings, site
from tests.support.browser import Browser
from tests.support.conftest import sign_in

__all__ = ["settings", "sign_in", "site"]


@pytest.fixture
def admin(sign_in: Callable[..., Browser]) -> Browser:
    """An admin's browser."""
    return sign_in("admin")
