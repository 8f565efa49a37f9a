"""The API as integrators use it: in this process by a client, and served on a port for programs of others."""

from collections.abc import Iterator

import pytest

from tests.support.clients.app_client import AppClient
from tests.support.clients.served_site import serve_site


@pytest.fixture(scope="module")
def served(shared_app: AppClient) -> Iterator[str]:
    """Address of another application over the same database as `shared_app`."""
    with serve_site(shared_app.services.settings) as url:
        yield url
