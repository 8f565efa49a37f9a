"""Use cases that answer as told, and a browser in front of it."""

import pytest
from fastapi.testclient import TestClient

from tests.support.stub_use_cases import StubUseCases, client_of


@pytest.fixture
def use_cases() -> StubUseCases:
    """What the pages are wired to."""
    return StubUseCases()


@pytest.fixture
def client(use_cases: StubUseCases, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """The browser; this one has no mailbox to look into."""
    return client_of(use_cases, monkeypatch)
