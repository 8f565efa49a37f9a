"""A real identity provider (Canaille) in a thread: the flow as a browser goes it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx2
import pytest
from pytest_iam import Server, iam_configuration, iam_server, iam_server_port

from api.settings import ApiSettings
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.in_process_app import started
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff, read_audit_log

__all__ = ["iam_configuration", "iam_server", "iam_server_port"]

SECRET: Final = "not secret at all"
START: Final = "/support/sign-in/oidc?next=/support/work"


@pytest.fixture
def app(settings: ApiSettings, iam_server: Server, tmp_path: Path) -> Iterator[AppClient]:
    """The application, and the ledger as a client of the provider."""
    secret = tmp_path / "client-secret"
    secret.write_text(SECRET)
    with iam_server.app.app_context():
        client = iam_server.models.Client(
            client_id="ledger",
            client_secret=SECRET,
            client_name="Redemption Ledger",
            client_uri="http://testserver",
            redirect_uris=["http://testserver/support/sign-in/oidc/callback"],
            grant_types=["authorization_code"],
            response_types=["code"],
            scope=["openid", "email", "profile", "groups"],
            token_endpoint_auth_method="client_secret_basic",
        )
        iam_server.backend.save(client)
        iam_server.backend.update(client, audience=[client])
        iam_server.backend.save(client)
    changes = {
        "public_url": "http://testserver",
        "oidc_issuer": iam_server.url.rstrip("/"),
        "oidc_client_id": "ledger",
        "oidc_client_secret_file": secret,
        "oidc_scopes": "openid email profile groups",
        "oidc_roles": "helpdesk=support,owners=admin",
    }
    with started(settings.model_copy(update=changes)) as app_client:
        yield app_client


def enter(browser: StaffBrowser) -> AppResponse:
    """Go to the provider, where the person is signed in and has consented, and come back."""
    answer = httpx2.get(browser.get(START).headers["location"])
    back = urlsplit(answer.headers["location"])
    assert back.netloc == "testserver"
    return browser.get(f"{back.path}?{back.query}")


def test_people_of_a_real_provider_come_in_by_their_groups(app: AppClient, iam_server: Server) -> None:
    """The first sign-in makes an account, the next one follows the groups, and without any the person is out."""
    user = iam_server.random_user(emails=["mei@staff.example.com"])
    helpdesk = iam_server.random_group(display_name="helpdesk", members=[user])
    iam_server.login(user)
    iam_server.consent(user)
    browser = StaffBrowser(app)

    first = enter(browser)
    page = browser.get("/support/work")
    with iam_server.app.app_context():
        iam_server.backend.update(helpdesk, display_name="owners")
        iam_server.backend.save(helpdesk)
    enter(browser)
    log = read_audit_log(browser)
    with iam_server.app.app_context():
        iam_server.backend.update(helpdesk, display_name="nothing here")
        iam_server.backend.save(helpdesk)
    add_staff(app, "other@staff.example.com", "admin", PASSWORD)
    last = enter(StaffBrowser(app))

    assert (first.status_code, first.headers["location"], page.status_code) == (303, "/support/work", 200)
    assert "role: Support → Admin" in log
    assert (last.status_code, "None of your groups has a role here" in last.text) == (403, True)
    assert browser.get("/support/work").status_code == 303
