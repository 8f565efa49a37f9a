"""Undoing an outage over HTTP: looking changes nothing, applying gives each use back once."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from api.use_cases.refund_outage import AffectedReservation, OutageWindow, refund_affected
from api.use_cases.services import Caller
from domain.ports import OutcomeUnknown
from tests.support.clients.app_client import AppClient
from tests.support.ledger.code_template import make_template

WINDOW = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}


def ask(app: AppClient, role: str = "support", **body: object) -> Any:  # noqa: ANN401 - whatever the client answers
    return app.client.post("/api/v1/refunds", json={**WINDOW, **body}, headers=app.key(role))


def test_preview_changes_nothing_and_applying_does_it_once(app: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.v1.reservations.outage_refunds.LISTED_MAX", 2)
    code = app.issue(make_template(max_uses=None, bound=False))
    for number in range(3):
        app.attempt(app.redeem(code, f"p{number}@example.com").json()["reservation_id"])
    doubtful = app.redeem(code, "d@example.com").json()["reservation_id"]
    app.attempt(doubtful, OutcomeUnknown(server="mx:25", cause="timeout"))

    looked = ask(app, include_sent=True).json()
    first, last, nothing = (ask(app, include_sent=True, apply=True).json() for _ in range(3))

    assert (looked["applied"], looked["count"], looked["refunded"], len(looked["found"])) == (False, 3, 0, 2)
    assert [(answer["refunded"], answer["remaining"]) for answer in (first, last, nothing)] == [(2, 1), (1, 0), (0, 0)]
    assert first["correlation_id"] != last["correlation_id"]
    assert ask(app).json()["count"] == 0
    assert app.client.get(f"/api/v1/public/redemptions/{doubtful}").json()["state"] == "unknown"


@pytest.mark.parametrize(
    ("role", "body", "status"),
    [
        ("viewer", {}, 403),
        ("support", {"to": WINDOW["from"]}, 422),
        ("support", {"from": "yesterday"}, 422),
        ("support", {"from": "2026-01-01T00:00:00"}, 422),
    ],
)
def test_route_checks_role_and_body(app: AppClient, role: str, body: dict[str, str], status: int) -> None:
    assert ask(app, role, **body).status_code == status


def test_unknown_outcome_that_proved_sent_since_it_was_listed_stays_sent(app: AppClient) -> None:
    """It was listed as unknown; what is refunded as sent is what was listed as sent."""
    reservation_id = UUID(app.redeem(app.issue()).json()["reservation_id"])
    app.attempt(str(reservation_id))
    reservation, now = app.services.reader.find_reservation(reservation_id), app.services.now()
    assert reservation is not None

    listed = AffectedReservation(
        reservation_id=reservation_id, code_id=reservation.code_id, state="unknown", at=now, channel=None, server=None
    )
    request = OutageWindow(start=now, end=now).as_request(include_sent=True)
    refunded = [
        refund_affected(app.services, Caller("operator"), [entry], uuid4(), request)
        for entry in (listed, replace(listed, state="sent"))
    ]

    assert refunded == [0, 1]
