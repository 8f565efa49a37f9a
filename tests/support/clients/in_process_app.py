"""The whole API over a real database, in this process; the broker is unavailable, and no test here depends on it."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from api.settings import ApiSettings
from tests.support.clients.app_client import AppClient
from tests.support.ledger.settings import NO_STREAM
from tests.support.passwords import CHEAP
from tests.support.servers.databases import SHARED, clone, database_of, drop

LIMITS_ON_INVITATIONS = (
    "LEDGER_INVITATIONS_PER_RECIPIENT",
    "LEDGER_AGAIN_PER_RECIPIENT",
    "LEDGER_RECIPIENTS_PER_ADDRESS",
    "LEDGER_NOTICES_PER_RECIPIENT",
)
GENEROUS = dict.fromkeys(LIMITS_ON_INVITATIONS, "100000")
"""Limits on invitations that are out of the way: tests invite one recipient again and again, from one address."""


def settings_over(database_url: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> ApiSettings:
    """Settings as a process finds them; also in the environment, where the Celery side reads them."""
    values = {
        "DATABASE_URL": database_url,
        "REDIS_URL": NO_STREAM,
        "LEDGER_DATA_DIR": str(folder),
        "LEDGER_SECRET_KEY": "test-secret-key",
        "LEDGER_PEPPERS": "1:" + base64.b64encode(b"p" * 32).decode(),
        "LEDGER_MASTER_KEYS": "1:" + base64.b64encode(b"m" * 32).decode(),
    }
    for name, value in (GENEROUS | values).items():
        monkeypatch.setenv(name, value)
    return ApiSettings.from_environment()


@contextmanager
def started(settings: ApiSettings) -> Iterator[AppClient]:
    """The application, started, with a client. It hashes passwords at little cost."""
    app = create_app(settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.web.staff_auth.context.password_hasher", lambda: CHEAP)
        with TestClient(app, raise_server_exceptions=False, headers={"accept-language": "zh-CN"}) as client:
            yield AppClient(client, app.state.services)


@contextmanager
def shared_site(postgres_url: str) -> Iterator[AppClient]:
    """One application for all tests of a file, over a database of its own: what they count they have to tell apart."""
    name = f"{SHARED}{uuid4().hex}"
    clone(postgres_url, name)
    with (
        TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        started(settings_over(database_of(postgres_url, name), patch, Path(folder))) as app_client,
    ):
        yield app_client
    drop(postgres_url, name)
