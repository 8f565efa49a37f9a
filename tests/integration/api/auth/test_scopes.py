"""What a key opens: its scopes and no more, until it expires; and what a staff session may do over the API."""

from datetime import timedelta
from uuid import uuid4

import pytest

from api.auth.scopes import GRANTS, SCOPES, Scope, scopes_of
from api.use_cases.administration.create_api_key import ApiKeyRequest, create_api_key
from api.use_cases.services import Caller
from projections.config.staff_roles import Role
from projections.repositories.api_keys import ApiKeyRepository
from tests.support.clients.app_client import AppClient
from tests.support.clients.staff_browser import StaffBrowser, add_staff

NOWHERE = "00000000-0000-0000-0000-000000000001"
PASSWORD = "correct horse battery staple"
DOORS: dict[Scope, tuple[str, str, object]] = {
    "codes:read": ("GET", "/api/v1/codes?limit=1", None),
    "codes:write": ("POST", f"/api/v1/codes/{NOWHERE}/pause", None),
    "codes:issue": ("POST", "/api/v1/codes", {"count": 0}),
    "redeem": ("POST", "/api/v1/redemptions", {"email": "a@example.com", "code": "NO-SUCH-CODE"}),
    "redeem:batch": ("POST", "/api/v1/redemptions/batch", {"items": []}),
    "reservations:read": ("GET", f"/api/v1/reservations/{NOWHERE}", None),
    "reservations:write": ("POST", f"/api/v1/reservations/{NOWHERE}/cancel", None),
    "refunds:write": ("POST", f"/api/v1/reservations/{NOWHERE}/refund", {"note": "x"}),
    "cases:read": ("GET", "/api/v1/cases", None),
    "events:read": ("GET", "/api/v1/events?limit=1", None),
    "admin": ("POST", "/api/v1/recipients/forget", {"email": "x", "reason": "y"}),
}
"""One request behind each scope; let in, it is answered with something else than 403."""


def key(shared_app: AppClient, *scopes: Scope, role: Role | None = None, days: int | None = None) -> dict[str, str]:
    services = shared_app.services
    audit_log = services.open_audit_log(Caller(actor="operator"))
    expires_at = None if days is None else audit_log.now + timedelta(days=days)
    secret = create_api_key(audit_log, ApiKeyRequest("test", role, scopes, expires_at), uuid4())
    return {"Authorization": f"Bearer {secret}"}


def readable_paths(shared_app: AppClient, headers: dict[str, str]) -> set[str]:
    paths: set[str] = set()
    for scope, (method, path, body) in DOORS.items():
        answer = shared_app.client.request(method, path, json=body, headers=headers)
        if answer.status_code != 403:
            paths.add(scope)
        else:
            assert scope in answer.json()["detail"]
    return paths


@pytest.mark.parametrize("scope", SCOPES)
def test_scope_opens_its_door_and_no_other(shared_app: AppClient, scope: Scope) -> None:
    assert readable_paths(shared_app, key(shared_app, scope)) == (set(SCOPES) if scope == "admin" else {scope})


@pytest.mark.parametrize("role", ["viewer", "support", "admin"])
def test_keys_with_a_role_have_its_rights(shared_app: AppClient, role: Role) -> None:
    """Old keys keep working: those made before there were scopes are kept with their role only."""
    old, new = readable_paths(shared_app, shared_app.key(role)), readable_paths(shared_app, key(shared_app, role=role))

    assert old == new == GRANTS[role]
    assert scopes_of("scoped", ["unheard:of"]) == frozenset()


def test_key_is_kept_as_a_digest_and_ends_with_its_days(shared_app: AppClient) -> None:
    """Its session says until when; afterwards it is 401, as any unknown key."""
    headers = key(shared_app, "codes:read", "redeem", days=30)
    session = shared_app.client.get("/api/v1/session", headers=headers).json()
    with shared_app.services.storage.datastore.get_connection() as conn:
        conn.execute(
            "UPDATE api_keys SET expires_at = expires_at - %s WHERE key_id = %s", (timedelta(days=31), session["id"])
        )
        row = conn.execute("SELECT digest FROM api_keys WHERE key_id = %s", (session["id"],)).fetchone()

    assert (session["kind"], session["scopes"], session["role"]) == ("key", ["codes:read", "redeem"], None)
    assert session["expires_at"] is not None
    assert row is not None
    assert headers["Authorization"].encode() not in bytes(row["digest"])
    assert shared_app.client.get("/api/v1/session", headers=headers).status_code == 401


def test_staff_session_opens_the_api_with_its_token(own_app: AppClient) -> None:
    """Reading needs the cookie; a change the token as well, and never from another site; a viewer stays a viewer."""
    add_staff(own_app, "sue@example.com", "support", PASSWORD)
    browser = StaffBrowser(own_app)
    browser.sign_in("sue@example.com", PASSWORD)
    session = browser.get("/api/v1/session").json()
    code_id = own_app.client.get("/api/v1/codes?limit=1", headers=key(own_app, "codes:read")).json()["codes"]
    own_app.issue()
    code_id = own_app.client.get("/api/v1/codes?limit=1", headers=key(own_app, "codes:read")).json()["codes"][0]["id"]
    path, token = f"/api/v1/codes/{code_id}/pause", {"x-csrf-token": session["csrf_token"]}

    bare = browser.post(path, {})
    forged = browser.post(path, {}, {**token, "sec-fetch-site": "cross-site"})
    paused = browser.post(path, {}, token)
    events = own_app.services.reader.read_history(code_id)

    assert (session["kind"], session["role"]) == ("staff", "support")
    assert (bare.status_code, forged.status_code, paused.status_code) == (403, 403, 200)
    assert [line.event.actor for line in events] == ["operator", "staff"]
    assert browser.post("/api/v1/codes", {}, token).status_code == 403


def test_idempotency_key_belongs_to_the_api_key(shared_app: AppClient) -> None:
    code, mine, theirs = shared_app.issue(), key(shared_app, "redeem"), key(shared_app, "redeem")
    body = {"email": "li.wei@example.com", "code": code}

    def redeem(headers: dict[str, str], **more: str) -> tuple[int, object]:
        sent = {**headers, "Idempotency-Key": "order-1"}
        answer = shared_app.client.post("/api/v1/redemptions", json={**body, **more}, headers=sent)
        return answer.status_code, answer.json().get("reservation_id") or answer.json()["code"]

    first, again = redeem(mine), redeem(mine)

    assert (first[0], again) == (202, (200, first[1]))
    assert redeem(mine, email="else@example.com") == (422, "IDEMPOTENCY_KEY_REUSED")
    assert redeem(theirs, email="else@example.com") == (400, "CODE_HELD")
    assert ApiKeyRepository(shared_app.services.storage).list_page((shared_app.services.now(), uuid4()), 1)[
        0
    ].scopes == ["redeem"]
