"""Cases over HTTP: bounce, list, resolve; who may, and what is refused."""

from typing import cast

import pytest

from domain.ports import OutcomeUnknown
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.ledger.code_template import make_template

LOST = OutcomeUnknown(server="mx:25", cause="connection_lost")
NO_STREAM = "00000000-0000-0000-0000-000000000001"


def post(app: AppClient, reservation_id: str, what: str, body: dict[str, object], role: str = "support") -> AppResponse:
    path = f"/api/v1/reservations/{reservation_id}/{what}"
    return cast("AppResponse", app.client.post(path, json=body, headers=app.key(role)))


def sent(app: AppClient, email: str = "li.wei@example.com", code: str | None = None) -> str:
    reservation_id: str = app.redeem(code or app.issue(), email).json()["reservation_id"]
    app.attempt(reservation_id)
    return reservation_id


def test_bounce_is_listed_and_resolved(app: AppClient) -> None:
    support = app.key("support")
    reservation_id = sent(app)
    reported = post(app, reservation_id, "bounce", {"reason": "mailbox_unknown", "reply": "no such user"})
    case = app.client.get("/api/v1/cases", headers=support).json()["cases"][0]

    resolved = post(app, reservation_id, "resolve", {"as": "refunded", "note": "asked by phone"})

    assert (reported.status_code, reported.json()["state"]) == (200, "sent")
    assert (case["cause"], case["reservation_id"], case["closed_at"]) == ("bounced", reservation_id, None)
    assert (resolved.status_code, resolved.json()["state"]) == (200, "refunded")
    assert app.client.get("/api/v1/cases", headers=support).json() == {"cases": [], "next": None}
    closed = app.client.get("/api/v1/cases?closed=true", headers=support).json()["cases"]
    assert [case["closed_how"] for case in closed] == ["resolved_refunded"]


def test_bounce_reported_twice_is_one_case(app: AppClient) -> None:
    """Mail systems report twice."""
    reservation_id = sent(app)

    answers = [post(app, reservation_id, "bounce", {}).status_code for _ in range(2)]

    assert answers == [200, 200]
    assert app.count("cases") == 1


def test_unknown_is_resolved_as_sent(shared_app: AppClient) -> None:
    """Staff may say so before the machines give up."""
    reservation_id = shared_app.redeem(shared_app.issue()).json()["reservation_id"]
    shared_app.attempt(reservation_id, LOST)

    answer = post(shared_app, reservation_id, "resolve", {"as": "sent", "note": "the person has it"})

    assert (answer.status_code, answer.json()["state"]) == (200, "sent")


def test_unresolvable_case_is_refused_with_its_reason(shared_app: AppClient) -> None:
    answer = post(shared_app, sent(shared_app), "resolve", {"as": "sent", "note": "?"})

    assert (answer.status_code, answer.json()["code"]) == (409, "RESERVATION_NOT_RESOLVABLE")
    assert "没有需要处理的事项" in answer.json()["detail"]


def test_unsent_invitation_cannot_bounce(shared_app: AppClient) -> None:
    """409: the report names a delivery that never was."""
    reservation_id = shared_app.redeem(shared_app.issue()).json()["reservation_id"]

    assert post(shared_app, reservation_id, "bounce", {}).json()["code"] == "NOTHING_SENT"


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("resolve", {"as": "lost", "note": "x"}),
        ("resolve", {"as": "sent", "note": ""}),
        ("resolve", {"note": "x"}),
        ("bounce", {"delivery": 0}),
        ("bounce", {"reason": "?"}),
        ("bounce", {"occurred_at": "2026-11-24T12:00:00"}),
    ],
)
def test_malformed_bodies_are_422(shared_app: AppClient, what: str, body: dict[str, object]) -> None:
    """Never 500, and nothing is written."""
    before = shared_app.count("cases")

    assert post(shared_app, sent(shared_app), what, body).status_code == 422
    assert shared_app.count("cases") == before


@pytest.mark.parametrize(
    ("role", "method", "path", "status"),
    [
        ("viewer", "GET", "/api/v1/cases", 403),
        ("support", "GET", "/api/v1/cases", 200),
        ("support", "GET", "/api/v1/cases?cursor=x", 422),
        ("viewer", "POST", f"/api/v1/reservations/{NO_STREAM}/resolve", 403),
        ("support", "POST", f"/api/v1/reservations/{NO_STREAM}/resolve", 404),
        ("viewer", "POST", f"/api/v1/reservations/{NO_STREAM}/bounce", 403),
        ("support", "POST", f"/api/v1/reservations/{NO_STREAM}/bounce", 404),
    ],
)
def test_cases_are_for_support(shared_app: AppClient, role: str, method: str, path: str, status: int) -> None:
    body = {"as": "sent", "note": "x"} if path.endswith("/resolve") else {}

    assert shared_app.client.request(method, path, json=body, headers=shared_app.key(role)).status_code == status


def test_cases_come_in_pages(app: AppClient) -> None:
    code = app.issue(make_template(max_uses=5, bound=False))
    reservation_ids = [sent(app, f"p{number}@example.com", code) for number in range(3)]
    for reservation_id in reservation_ids:
        post(app, reservation_id, "bounce", {})
    headers = app.key("support")

    first = app.client.get("/api/v1/cases?limit=2", headers=headers).json()
    second = app.client.get(f"/api/v1/cases?limit=2&cursor={first['next']}", headers=headers).json()

    assert [case["reservation_id"] for case in first["cases"] + second["cases"]] == reservation_ids
    assert second["next"] is None
