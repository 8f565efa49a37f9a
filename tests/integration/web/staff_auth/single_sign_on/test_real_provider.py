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
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff, read_audit_log

__all__ = ["iam_configuration", "iam_server", "iam_server_port"]

STEPS_MAX: Final = 12
SECRET: Final = "not secret at all"
START: Final = "/support/sign-in/oidc?next=/support/work"


@pytest.fixture
def app(settings: ApiSettings, iam_server: Server, tmp_path: Path) -> Iterator[AppClient]:
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


def type_password(iam_server: Server, location: str, name: str) -> str:
    """Sign in at the provider by its forms, as it asks; return the path that the browser goes back to."""
    typed = {"login": name, "username": name, "password": PASSWORD}
    with httpx2.Client(base_url=iam_server.url) as client:
        answer = client.get(location)
        for _ in range(STEPS_MAX):
            if answer.headers.get("location", "").startswith("http://testserver/"):
                break
            if answer.is_redirect:
                answer = client.get(answer.headers["location"])
                continue
            fields = [field.attributes for field in read_page(answer.text).find_all("input")]
            form = {each["name"]: typed.get(each["name"], each.get("value", "")) for each in fields if "name" in each}
            answer = client.post(answer.request.url, data=form)
    return str(answer.headers["location"]).removeprefix("http://testserver")


def test_people_of_a_real_provider_come_in_by_their_groups(app: AppClient, iam_server: Server) -> None:
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


def test_person_proves_to_a_real_provider_who_they_are(app: AppClient, iam_server: Server) -> None:
    user = iam_server.random_user(emails=["mei@staff.example.com"], password=PASSWORD)
    iam_server.random_group(display_name="owners", members=[user])
    iam_server.login(user)
    iam_server.consent(user)
    browser = StaffBrowser(app)
    enter(browser)
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE staff_sessions SET proved_at = NULL, proved_how = NULL")

    asked = browser.submit("/admin/staff", email="li@staff.example.com", role="viewer")
    iam_server.logout()
    begun = browser.submit("/support/sign-in/oidc/prove", next="/admin/staff")
    proved = browser.get(type_password(iam_server, begun.headers["location"], user.user_name))
    done = browser.submit("/admin/staff", email="li@staff.example.com", role="viewer")

    assert asked.status_code == 403
    assert (proved.status_code, proved.headers["location"]) == (303, "/admin/staff")
    assert done.status_code == 303
