"""The proof of who they are that staff give at the identity provider."""

from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.integration.web.staff_auth.single_sign_on.person import EMAIL, Clock, Person, read_audit_log_of
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.staff_browser import PASSWORD, add_staff
from tests.support.servers.identity_provider import ScriptedProvider


def prove(person: Person, **claims: object) -> AppResponse:
    """Prove at the provider who they are, from the page that asks for it."""
    begun = person.browser.submit("/support/sign-in/oidc/prove", next="/admin/staff")
    return person.browser.get(person.provider.sign_in(begun.headers["location"], **{**person.claims, **claims}))


def invite(person: Person) -> AppResponse:
    return person.browser.submit("/admin/staff", email=f"{uuid4().hex}@staff.example.com", role="viewer")


def leads_elsewhere(answer: AppResponse) -> bool:
    """Whether a form of the page may lead to the site of another."""
    return "form-action 'self' https: http:" in answer.headers["content-security-policy"]


def test_person_proves_at_the_provider_who_they_are(clock: Clock, provider: ScriptedProvider, mei: Person) -> None:
    """A session that was open there for long is no proof: the provider asks for one, and says when it did."""
    mei.enter(groups="ledger-admins", auth_time=int(clock()) - 3600)

    asked = invite(mei)
    at_the_provider = mei.browser.submit("/support/sign-in/oidc/prove", next="/admin/staff").headers["location"]
    proved = prove(mei, auth_time=int(clock()))

    assert (asked.status_code, f"Confirm with {urlsplit(provider.url).hostname}" in asked.text) == (403, True)
    assert "own_password" not in asked.text
    assert leads_elsewhere(asked), "a browser applies form-action to the redirect to the provider"
    assert {"prompt=login", "max_age=300"} <= set(urlsplit(at_the_provider).query.split("&"))
    assert (proved.status_code, proved.headers["location"]) == (303, "/admin/staff")
    assert invite(mei).status_code == 303


def test_fresh_sign_in_at_the_provider_is_a_proof(clock: Clock, mei: Person) -> None:
    """Its clock may be ahead by a minute."""
    mei.enter(groups="ledger-admins", auth_time=int(clock()) + 59)

    assert invite(mei).status_code == 303


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({}, "did not ask for your password or passkey"),
        ({"auth_time": 1}, "did not ask for your password or passkey"),
        ({"auth_time": -1}, "did not ask for your password or passkey"),
        ({"auth_time": True}, "did not ask for your password or passkey"),
        ({"auth_time": 10**30}, "did not ask for your password or passkey"),
        ({"sub": "another person"}, "signed in another person"),
    ],
)
def test_answer_that_proves_nothing_is_refused(
    app: AppClient, clock: Clock, mei: Person, claims: dict[str, object], sentence: str
) -> None:
    mei.enter(groups="ledger-admins")

    answer = prove(mei, **({"auth_time": int(clock()), **claims} if "sub" in claims else claims))

    assert (answer.status_code, sentence in answer.text) == (403, True)
    assert invite(mei).status_code == 403
    assert mei.browser.get("/support").status_code == 200
    assert "failed to confirm their identity" in read_audit_log_of(app)


def test_account_is_connected_only_with_a_fresh_proof(app: AppClient, mei: Person) -> None:
    """A stolen session can't be turned into a way in that stays."""
    add_staff(app, EMAIL, "admin", PASSWORD)
    mei.browser.sign_in(EMAIL, PASSWORD)
    assert leads_elsewhere(mei.browser.get("/support/account"))
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE staff_sessions SET proved_at = proved_at - interval '301 s'")

    answer = mei.browser.submit("/support/sign-in/oidc/connect", "/support/account")

    assert (answer.status_code, "Confirm that it is you" in answer.text) == (403, True)
    assert app.count("staff_identities") == 0
