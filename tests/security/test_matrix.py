"""The matrix of permissions, requested for real: each route without and with each role, by key and by session."""

import pytest

from api.auth.scopes import SCOPES, Scope
from tests.security.matrix import ANY_KEY, MATRIX, SCOPE_OF, Role, address, is_api
from tests.support.clients.app_client import AppResponse
from tests.support.clients.role_clients import ROLES, RoleClients, Who

BEFORE_SESSION = (
    *("POST /support/forgot-password", "POST /support/sign-in", "POST /support/sign-in/passkey"),
    *("GET /support/sign-in/second/{step_id}", "POST /support/sign-in/second/{step_id}"),
)
"""Forms with a separate cookie, because there is no session yet, and the page of a sign-in that no browser began."""
RANK: dict[Role, int] = {"anyone": 0, "viewer": 1, "support": 2, "admin": 3}
WHO: tuple[Who, ...] = ("anyone", "viewer", "support", "admin")
FORMS = sorted(
    route
    for route, role in MATRIX.items()
    if (role != "anyone" and route.startswith("POST /support")) or route.startswith("POST /admin")
)


def is_let_in(answer: AppResponse) -> bool:
    """Return whether the request was permitted; what it asks for does not exist, or is a form without fields."""
    to_sign_in = answer.status_code == 303 and answer.headers["location"].startswith("/support/sign-in")
    return answer.status_code not in {401, 403} and not to_sign_in


@pytest.mark.parametrize("who", WHO)
def test_each_route_lets_in_its_roles_and_no_other(role_clients: RoleClients, who: Who) -> None:
    """By key below /api/v1, by session elsewhere; a rejected request gets 401, 403, or a redirect to sign in."""
    wrong = []
    for route, least in MATRIX.items():
        method, path = route.split()
        if route == "POST /support/sign-out" and who != "anyone":
            continue  # it leads to the sign-in when it worked, see below
        answer = (role_clients.by_key if is_api(path) else role_clients.by_session)(who, method, address(path))
        should = RANK[who] >= RANK[least] or route in BEFORE_SESSION
        if is_let_in(answer) != should or answer.status_code >= 500:
            wrong.append((route, answer.status_code))

    # Without the cookie they are turned away as stale, anyone who sends them.
    assert wrong == [(route, 403) for route in BEFORE_SESSION]


def test_key_opens_no_page_and_a_session_only_reads_the_api(role_clients: RoleClients) -> None:
    """What changes something needs the session's token in a header, which no form of another site can send."""
    opened_routes = []
    for route, least in MATRIX.items():
        method, path = route.split()
        if least == "anyone":
            continue
        ask = role_clients.by_session if is_api(path) else role_clients.by_key
        if is_let_in(ask("admin", method, address(path))):
            opened_routes.append(route)

    assert opened_routes == [
        route for route, least in MATRIX.items() if route.startswith("GET /api/") and least != "anyone"
    ]


@pytest.mark.parametrize("scope", SCOPES)
def test_each_scope_opens_its_routes_and_no_other(role_clients: RoleClients, scope: Scope) -> None:
    """Of a key that was made with this scope alone."""
    headers = role_clients.key_with(scope)
    wrong = []
    for route, least in MATRIX.items():
        method, path = route.split()
        should = scope in {"admin", SCOPE_OF.get(route, "admin")} or route in ANY_KEY
        if least == "anyone" or not is_api(path) or (should and path.endswith("/stream")):
            continue  # a stream continues for as long as a client listens
        answer = role_clients.ask(method, address(path), headers=headers, json={})
        if is_let_in(answer) != should or answer.status_code >= 500:
            wrong.append((route, answer.status_code))

    assert wrong == []
    assert SCOPE_OF.keys() | ANY_KEY <= MATRIX.keys()


def test_no_form_is_taken_without_its_token(role_clients: RoleClients) -> None:
    """Of another site, which a browser would send with the session's cookie all the same."""
    accepted_forms = []
    for route in FORMS:
        method, path = route.split()
        if (status := role_clients.by_session("admin", method, address(path), with_token=False).status_code) != 403:
            accepted_forms.append((route, status))

    assert len(FORMS) > 20
    assert accepted_forms == []


@pytest.mark.parametrize("role", ROLES)
def test_signed_out_session_is_refused(role_clients: RoleClients, role: Who) -> None:
    """The one route that leads to the sign-in because it worked."""
    answer = role_clients.by_session(role, "POST", "/support/sign-out")

    assert (answer.status_code, answer.headers["location"]) == (303, "/support/sign-in")


def test_removed_account_and_a_revoked_key_open_nothing(role_clients: RoleClients) -> None:
    """From the next request on, however long the session would have lasted."""
    cookie = role_clients.cookie(role_clients.staff["viewer"])
    with role_clients.app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE api_keys SET revoked_at = now() WHERE role = 'viewer'")
        conn.execute("UPDATE staff SET removed_at = now() WHERE staff_id = %s", (role_clients.staff["viewer"],))

    assert role_clients.by_key("viewer", "GET", "/api/v1/codes").status_code == 401
    assert role_clients.ask("GET", "/support", headers={"cookie": f"ledger_staff={cookie}"}).status_code == 303
