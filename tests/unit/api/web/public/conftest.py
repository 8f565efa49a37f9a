"""A desk that answers as told, and a browser in front of it."""

import pytest
from fastapi.testclient import TestClient

from tests.support.stub_use_cases import Desk, client_of


@pytest.fixture
def desk() -> Desk:
    """What the pages are wired to."""
    return Desk()


@pytest.fixture
def client(desk: Desk) -> TestClient:
    """The browser; this one has no mailbox to look into."""
    return client_of(desk)
