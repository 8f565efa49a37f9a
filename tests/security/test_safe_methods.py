"""GET changes nothing anywhere: scanners, previews and prefetching browsers ask for every address that they see."""

import re
from uuid import UUID

from domain.values.link_token import DeliveryRef, OptOutRef, PlaceRef, link_token, opt_out_token, waiting_token
from projections.privacy.opt_outs import OptOutRepository
from tests.security.matrix import MATRIX, NOBODYS, is_api
from tests.support.clients.app_client import AppClient
from tests.support.clients.guarded_app import propose_export
from tests.support.clients.role_clients import RoleClients
from tests.support.clients.staff_browser import code_id_of
from tests.support.ledger.code_template import make_template

ASKED = [route.removeprefix("GET ") for route in MATRIX if route.startswith("GET ")]
UNCOUNTED = {"limit_reports", "tallies"}
"""Tables of metrics, which reading `/metrics` brings up to date; sessions are made by the test itself."""
UNREACHED = {
    *("/support/sign-in/oidc", "/support/sign-in/oidc/callback"),  # there is no provider
    *("/static", "/favicon.ico", "/support/{_path}", "/admin/{_path}"),  # are no pages
    *("/mailbox/{key}", "/mailbox/{key}/html", "/support/tries/{digest}"),  # there is none
    *("/admin/batches/{batch_id}", "/admin/batches/{batch_id}/rejected", "/admin/batches/{batch_id}/stop"),  # likewise
    "/support/hand-outs/{hand_out_id}/recipients/{code_id}/bounce",  # the hand-out has no recipient
    "/support/hand-outs/{hand_out_id}/recipients/{code_id}/resend",  # likewise
    "/admin/campaigns/{campaign_id}/waiting-list/{place_id}",  # no person waits
    "/support/reservations/{reservation_id}/receipt",  # no checkpoint was signed yet
    *("/api/v1/codes/{code_id}/what-if", "/api/v1/hand-outs", "/api/v1/groups/branding"),  # need a query
    "/api/v1/codes/{code_id}/limit-preview",  # likewise
    *("/admin/groups/letter", "/admin/groups/one", "/admin/hand-outs/{hand_out_id}/mail"),  # likewise
    "/admin/staff/{staff_id}/role",  # likewise
    "/support/account/factors/{factor_id}/remove",  # the account has no second factor
    "/support/set-password/{token}",  # its token is in an email
    "/support/sign-in/second/{step_id}",  # there is none
}
"""Paths that are not answered with a page or a document: a new one is reached, or is here with a reason."""


def rows_of(app: AppClient) -> dict[str, int]:
    """How many rows each table has."""
    with app.services.storage.datastore.get_connection() as conn:
        statement = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename !~ 'yoyo'"
        names = [row["tablename"] for row in conn.execute(statement).fetchall()]
    return {name: app.count(name) for name in sorted(names) if name not in UNCOUNTED and "session" not in name}


def make_ids(role_clients: RoleClients) -> dict[str, str]:
    """Make one thing of each kind that a path names, and return the parts of paths: its id or token."""
    app, keys = role_clients.app, role_clients.keys["admin"]
    code = app.issue(make_template(max_uses=3, bound=False, group="red"))
    reservation_id = app.redeem(code).json()["reservation_id"]
    app.attempt(reservation_id)
    reservation = app.services.reader.find_reservation(UUID(reservation_id))
    assert reservation is not None
    recipient_id, secret = reservation.recipient_id, app.services.settings.secret_key.get_secret_value().encode()
    OptOutRepository(app.services.storage).insert(recipient_id, None, app.services.now())
    bounce = {"delivery": 1, "reason": "mailbox_unknown"}
    role_clients.ask("POST", f"/api/v1/reservations/{reservation_id}/bounce", headers=keys, json=bounce)
    campaign = role_clients.ask("POST", "/api/v1/campaigns", headers=keys, json={"name": "Spring", "max_uses": 9})
    hand_out = role_clients.ask(
        "POST", "/api/v1/hand-outs", headers=keys, json={"campaign": campaign.json()["id"], "name": "Newsletter"}
    )
    endpoint = role_clients.ask("POST", "/api/v1/webhooks", headers=keys, json={"url": "https://hooks.example.com/"})
    with app.services.storage.datastore.get_connection() as conn:
        (ids,) = conn.execute("SELECT k.key_id::text, s.staff_id::text FROM api_keys k, staff s LIMIT 1").fetchall()
    return {
        **ids,
        "a": link_token(secret, DeliveryRef(UUID(reservation_id), 1)),
        "waiting": waiting_token(secret, PlaceRef(UUID(campaign.json()["id"]), UUID(int=1))),
        "opt-out": opt_out_token(secret, OptOutRef(recipient_id, "red")),
        "reservation_id": reservation_id,
        "approval_id": str(propose_export(app, "li.wei@example.com")),
        "code_id": str(code_id_of(app, code)),
        "recipient_id": str(recipient_id),
        "campaign_id": campaign.json()["id"],
        "hand_out_id": hand_out.json()["id"],
        "endpoint_id": endpoint.json()["id"],
        "action": "end",
        "subject": "codes",
        "change": "revoke",
        "version": "1",
        "name": "InviteSent",
    }


def fill_in(path: str, ids: dict[str, str]) -> str:
    parts = {**ids, "act": "revoke" if "/codes/" in path else "refund", "token": ids.get(path.split("/")[1], NOBODYS)}
    return re.sub(r"\{(\w+)\}", lambda name: parts.get(name[1], NOBODYS), path)


def test_no_get_request_changes_the_ledger(role_clients: RoleClients) -> None:
    """Each route with the ids of a sent invitation, by a visitor, an admin's key and an admin's session."""
    app = role_clients.app
    ids = make_ids(role_clients)
    before, unreached = rows_of(app), set()
    sent = app.services.reader.find_reservation(UUID(ids["reservation_id"]))

    for path in ASKED:
        if path.endswith("/stream"):
            continue  # it continues for as long as a client listens
        filled = fill_in(path, ids)
        ask = role_clients.by_key if is_api(path) else role_clients.by_session
        role_clients.by_session("anyone", "GET", filled)
        if ask("admin", "GET", filled).status_code not in {200, 303}:
            unreached.add(path)

    assert unreached == UNREACHED
    assert rows_of(app) == before
    assert app.services.reader.find_reservation(UUID(ids["reservation_id"])) == sent
