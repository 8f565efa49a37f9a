import pytest
from fastapi.testclient import TestClient

from tests.support.stub_use_cases import StubUseCases, client_of


@pytest.fixture
def use_cases() -> StubUseCases:
    return StubUseCases()


@pytest.fixture
def client(use_cases: StubUseCases, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    return client_of(use_cases, monkeypatch)
