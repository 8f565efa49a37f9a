"""An application whose staff sign in through an identity provider."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.settings import ApiSettings
from tests.integration.web.staff_auth.single_sign_on.person import MEI, Clock, Person
from tests.support.clients.app_client import AppClient
from tests.support.clients.in_process_app import started
from tests.support.servers.identity_provider import SECRET, ScriptedProvider


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider(clock: Clock) -> Iterator[ScriptedProvider]:
    with ScriptedProvider(clock) as identity_provider:
        yield identity_provider


@pytest.fixture
def settings(settings: ApiSettings, provider: ScriptedProvider, tmp_path: Path) -> ApiSettings:
    secret = tmp_path / "client-secret"
    secret.write_text(SECRET + "\n")
    return settings.model_copy(
        update={
            "public_url": "http://testserver",
            "oidc_issuer": provider.url,
            "oidc_client_id": "ledger",
            "oidc_client_secret_file": secret,
            "oidc_roles": "ledger-admins=admin, ledger-support=support",
        }
    )


@pytest.fixture
def app(settings: ApiSettings, clock: Clock) -> Iterator[AppClient]:
    """The application; the provider has the time of its database."""
    with started(settings) as app_client:
        clock.read = lambda: app_client.services.now().timestamp()
        yield app_client


@pytest.fixture
def mei(app: AppClient, provider: ScriptedProvider) -> Person:
    """A person of a group with a role."""
    return Person(app, provider, **MEI)
