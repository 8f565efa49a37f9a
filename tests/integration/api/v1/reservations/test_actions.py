"""What staff and integrators do about codes and reservations by HTTP; tests/contracts/doors has what doors share."""

from typing import cast
from uuid import UUID

import pytest

from domain.values.link_token import DeliveryRef, link_token
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.staff_browser import code_id_of
from tests.support.ledger.code_template import make_template


def post(app: AppClient, reservation_id: str, what: str, **body: object) -> AppResponse:
    """One POST about a reservation."""
    path, headers = f"/api/v1/reservations/{reservation_id}/{what}", app.key("support")
    return cast("AppResponse", app.client.post(path, json=body, headers=headers))


def sent(app: AppClient, email: str = "li.wei@example.com", code: str | None = None) -> str:
    reservation_id: str = app.redeem(code or app.issue(), email).json()["reservation_id"]
    app.attempt(reservation_id)
    return reservation_id


def test_person_corrects_a_mistyped_address(shared_app: AppClient) -> None:
    code, email = shared_app.issue(), "li.wei@example.com"
    wrong = shared_app.redeem(code, "ly.wei@example.com").json()["reservation_id"]

    first, again = (shared_app.correct(wrong, email=email, code=code) for _ in range(2))

    assert (first.status_code, first.json()["state"], again.status_code) == (202, "reserved", 200)
    assert first.json()["reservation_id"] == again.json()["reservation_id"] != wrong
    old = shared_app.client.get(f"/api/v1/public/redemptions/{wrong}").json()
    assert (old["state"], old["detail_code"]) == ("refunded", "corrected")
    one = shared_app.client.get(
        f"/api/v1/codes/{code_id_of(shared_app, code)}", headers=shared_app.key("viewer")
    ).json()
    assert (one["used_count"], one["reserved"]) == (0, 1)
    malformed = [shared_app.correct(wrong, email=email, code=""), shared_app.correct(wrong, email="?", code=code)]
    assert [answer.json()["code"] for answer in malformed] == ["CODE_MALFORMED", "EMAIL_INVALID"]


def test_actions_on_a_code_return_it(shared_app: AppClient) -> None:
    """A limit of null is none, and a term that is not named stays."""
    code, support = (
        shared_app.issue(make_template(max_uses=3, bound=False, validity_days=30)),
        shared_app.key("support"),
    )
    path = f"/api/v1/codes/{code_id_of(shared_app, code)}"
    shared_app.redeem(code, "a@example.com")

    changed = shared_app.client.patch(path, json={"max_uses": None, "note": "sold more"}, headers=support).json()
    negative = shared_app.client.patch(path, json={"max_uses": -1}, headers=support)
    answers = [
        shared_app.client.post(f"{path}/{action}", json={"note": "why"}, headers=support).json()
        for action in ("pause", "resume", "revoke")
    ]

    assert (changed["max_uses"], changed["validity_days"], negative.status_code) == (None, 30, 422)
    assert [(answer["state"], answer["reserved"]) for answer in answers] == [
        ("paused", 1),
        ("active", 1),
        ("revoked", 0),
    ]


def test_revealed_link_is_the_one_of_the_email_and_accepts_the_invitation(own_app: AppClient) -> None:
    reservation_id, before = sent(own_app), own_app.count("audit")

    nameless = post(own_app, reservation_id, "reveal-link", reason=" ")
    link = post(own_app, reservation_id, "reveal-link", reason="they called").json()["link"]
    accepted = own_app.client.post(link[link.index("/a/") :])

    secret = own_app.services.settings.secret_key.get_secret_value().encode()
    assert link.endswith(f"/a/{link_token(secret, DeliveryRef(UUID(reservation_id), 1))}")
    assert (nameless.status_code, accepted.status_code) == (422, 200)
    assert own_app.count("audit") == before + 1


def test_bounce_is_listed_and_resolved(own_app: AppClient) -> None:
    support, reservation_id = own_app.key("support"), sent(own_app)
    reported = post(own_app, reservation_id, "bounce", reason="mailbox_unknown", reply="no such user")
    case = own_app.client.get("/api/v1/cases", headers=support).json()["cases"][0]

    resolved = post(own_app, reservation_id, "resolve", note="asked by phone", **{"as": "refunded"})

    assert (reported.status_code, reported.json()["state"]) == (200, "sent")
    assert (case["cause"], case["reservation_id"], case["closed_at"]) == ("bounced", reservation_id, None)
    assert (resolved.status_code, resolved.json()["state"]) == (200, "refunded")
    assert own_app.client.get("/api/v1/cases", headers=support).json() == {"cases": [], "next": None}
    closed = own_app.client.get("/api/v1/cases?closed=true", headers=support).json()["cases"]
    assert [case["closed_how"] for case in closed] == ["resolved_refunded"]


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("resolve", {"as": "lost", "note": "x"}),
        ("resolve", {"as": "sent", "note": ""}),
        ("resolve", {"note": "x"}),
        ("bounce", {"delivery": 0}),
        ("bounce", {"reason": "?"}),
        ("bounce", {"occurred_at": "2026-11-24T12:00:00"}),
        ("refund", {"note": ""}),
        ("refund", {"note": "x", "revoke_access": "perhaps"}),
    ],
)
def test_malformed_bodies_are_422(shared_app: AppClient, what: str, body: dict[str, object]) -> None:
    before = shared_app.count("ledger_events")

    assert post(shared_app, str(UUID(int=1)), what, **body).status_code == 422
    assert shared_app.count("ledger_events") == before


def test_cases_come_in_pages(own_app: AppClient) -> None:
    """Oldest first, each once."""
    code = own_app.issue(make_template(max_uses=5, bound=False))
    reservation_ids = [sent(own_app, f"p{number}@example.com", code) for number in range(3)]
    for reservation_id in reservation_ids:
        post(own_app, reservation_id, "bounce")
    headers = own_app.key("support")

    first = own_app.client.get("/api/v1/cases?limit=2", headers=headers).json()
    second = own_app.client.get(f"/api/v1/cases?limit=2&cursor={first['next']}", headers=headers).json()

    assert [case["reservation_id"] for case in first["cases"] + second["cases"]] == reservation_ids
    assert second["next"] is None
    assert own_app.client.get("/api/v1/cases?cursor=x", headers=headers).status_code == 422
