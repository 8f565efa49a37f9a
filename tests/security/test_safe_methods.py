"""GET changes nothing anywhere: scanners, previews and prefetching browsers ask for every address that they see."""

import re
from uuid import UUID

from domain.values.link_token import DeliveryRef, link_token
from tests.security.matrix import MATRIX, NOBODYS, is_api
from tests.support.clients.app_client import AppClient
from tests.support.clients.role_clients import RoleClients
from tests.support.clients.staff_browser import code_id_of
from tests.support.ledger.code_template import make_template

ASKED = [route.removeprefix("GET ") for route in MATRIX if route.startswith("GET ")]
UNCOUNTED = {"limit_reports", "tallies"}
"""Tables of metrics, which reading `/metrics` brings up to date; sessions are made by the test itself."""


def rows_of(app: AppClient) -> dict[str, int]:
    """How many rows each table has."""
    with app.services.storage.datastore.get_connection() as conn:
        statement = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename !~ 'yoyo'"
        names = [row["tablename"] for row in conn.execute(statement).fetchall()]
    return {name: app.count(name) for name in sorted(names) if name not in UNCOUNTED and "session" not in name}


def test_no_get_request_changes_the_ledger(role_clients: RoleClients) -> None:
    """Each route with the ids of a sent invitation, by a visitor, an admin's key and an admin's session."""
    app = role_clients.app
    code = app.issue(make_template(max_uses=3, bound=False, group="red"))
    reservation_id = app.redeem(code).json()["reservation_id"]
    app.attempt(reservation_id)
    secret = app.services.settings.secret_key.get_secret_value().encode()
    reservation = app.services.reader.find_reservation(UUID(reservation_id))
    assert reservation is not None
    ids = {
        "token": link_token(secret, DeliveryRef(UUID(reservation_id), 1)),
        "reservation_id": reservation_id,
        "code_id": str(code_id_of(app, code)),
        "recipient_id": str(reservation.recipient_id),
        "act": "refund",
        "version": "1",
    }
    before, statuses = rows_of(app), set()

    for path in ASKED:
        if path.endswith("/stream"):
            continue  # it continues for as long as a client listens
        filled = re.sub(r"\{(\w+)\}", lambda name: ids.get(name[1], NOBODYS), path)
        ask = role_clients.by_key if is_api(path) else role_clients.by_session
        statuses |= {
            role_clients.by_session("anyone", "GET", filled).status_code,
            ask("admin", "GET", filled).status_code,
        }

    assert 200 in statuses
    assert rows_of(app) == before
    after = app.services.reader.find_reservation(UUID(reservation_id))
    assert after == reservation
