"""Each test begins without accounts, audit entries and failed sign-ins, in the database of its file."""

import time
from collections.abc import Iterator

import pytest

from api.web.staff_auth.login_throttle import LoginThrottle
from tests.support.clients.app_client import AppClient
from tests.support.clients.in_process_app import shared_site

EMPTY_TABLES = b"""
ALTER TABLE audit DISABLE TRIGGER USER;
DELETE FROM audit;
ALTER TABLE audit ENABLE TRIGGER USER;
DELETE FROM staff;
DELETE FROM staff_spent_states
"""


@pytest.fixture(autouse=True)
def _no_accounts(request: pytest.FixtureRequest) -> None:
    if not {"app", "shared_app"} & {*request.fixturenames}:
        return
    app: AppClient = request.getfixturevalue("app")
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute(EMPTY_TABLES)
    support = app.client.app.state.support  # type: ignore[attr-defined]  # the client knows it as any ASGI app
    object.__setattr__(support, "login_throttle", LoginThrottle(time.monotonic))
    request.getfixturevalue("sessions").clear()


@pytest.fixture(scope="module")
def passkey_app(postgres_url: str) -> Iterator[AppClient]:
    """The application of a file, with a public URL at which passkeys work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEDGER_PUBLIC_URL", "https://testserver")
        with shared_site(postgres_url) as app_client:
            yield app_client
