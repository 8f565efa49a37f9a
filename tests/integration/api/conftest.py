"""The API as integrators use it: in this process by a client, and served on a port for programs of others."""

from collections.abc import Iterator

import pytest

from api.settings import ApiSettings
from tests.support.clients.app_client import AppClient
from tests.support.clients.in_process_app import started
from tests.support.clients.served_site import serve_site


@pytest.fixture(scope="module")
def app(shared_app: AppClient) -> AppClient:
    """The application of a file, whose tests look at codes, campaigns and people of their own."""
    return shared_app


@pytest.fixture
def own_app(settings: ApiSettings) -> Iterator[AppClient]:
    """An application for one test: it counts all rows, or changes what others see."""
    with started(settings) as app_client:
        yield app_client


@pytest.fixture(scope="module")
def served(shared_app: AppClient) -> Iterator[str]:
    """Address of another application over the same database as `shared_app`."""
    with serve_site(shared_app.services.settings) as url:
        yield url
