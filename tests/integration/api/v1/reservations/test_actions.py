"""What staff decide over HTTP, and the one thing that a person may correct themselves."""

from collections.abc import Iterator
from typing import cast
from uuid import UUID

import pytest

from domain.ports import OutcomeUnknown
from domain.values.link_token import DeliveryRef, link_token
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.in_process_app import shared_site
from tests.support.clients.staff_browser import code_id_of
from tests.support.ledger.code_template import make_template

PUBLIC = "/api/v1/public/redemptions"


@pytest.fixture(scope="module")
def app(postgres_url: str) -> Iterator[AppClient]:
    with shared_site(postgres_url) as started:
        yield started


def test_person_corrects_a_mistyped_address(app: AppClient) -> None:
    code = app.issue()
    wrong = app.redeem(code, "ly.wei@example.com").json()["reservation_id"]

    first = app.correct(wrong, email="li.wei@example.com", code=code)
    again = app.correct(wrong, email="li.wei@example.com", code=code)

    assert (first.status_code, first.json()["state"], again.status_code) == (202, "reserved", 200)
    assert first.json()["reservation_id"] == again.json()["reservation_id"] != wrong
    old = app.client.get(f"{PUBLIC}/{wrong}").json()
    assert (old["state"], old["detail_code"]) == ("refunded", "corrected")
    one = app.client.get(f"/api/v1/codes/{code_id_of(app, code)}", headers=app.key("viewer")).json()
    assert (one["used_count"], one["reserved"]) == (0, 1)


@pytest.mark.parametrize(
    ("email", "code", "status", "problem"),
    [
        ("nonsense", None, 422, "EMAIL_INVALID"),
        ("li.wei@example.com", "", 422, "CODE_MALFORMED"),
        ("li.wei@example.com", "WRONG-CODE", 400, "CODE_INVALID"),
        ("ly.wei@example.com", None, 400, "RECIPIENT_NOT_CORRECTABLE"),
    ],
)
def test_correction_may_be_refused(app: AppClient, email: str, code: str | None, status: int, problem: str) -> None:
    """Malformed, the wrong code, or not to be moved; in both languages in words."""
    right = app.issue()
    wrong = app.redeem(right, "ly.wei@example.com").json()["reservation_id"]

    answer = app.correct(wrong, email=email, code=right if code is None else code)

    assert (answer.status_code, answer.json()["code"]) == (status, problem)


def test_staff_correct_addresses_that_a_customer_may_not(app: AppClient) -> None:
    """After an attempt with an unknown outcome only staff do, which resolves it."""
    code = app.issue()
    wrong = app.redeem(code, "ly.wei@example.com").json()["reservation_id"]
    app.attempt(wrong, OutcomeUnknown(server="mx:25", cause="timeout"))

    refused = app.correct(wrong, email="li.wei@example.com", code=code)
    path = f"/api/v1/reservations/{wrong}/correct-recipient"
    done = app.client.post(path, json={"email": "li.wei@example.com"}, headers=app.key("support"))

    assert refused.json()["detail"] == "邀请是否已送达原邮箱尚不确定。如需更正，请联系工作人员。"
    assert (done.status_code, done.json()["state"]) == (200, "reserved")


def test_pause_resume_and_revoke(app: AppClient) -> None:
    code, support = app.issue(make_template(max_uses=2, bound=False)), app.key("support")
    path = f"/api/v1/codes/{code_id_of(app, code)}"
    app.redeem(code, "a@example.com")

    states = []
    for action in ("pause", "resume", "pause", "revoke"):
        states.append(app.client.post(f"{path}/{action}", json={"note": "why"}, headers=support).json()["state"])
        states.append(app.redeem(code, "b@example.com").json().get("code"))

    assert states == ["paused", "CODE_PAUSED", "active", None, "paused", None, "revoked", "CODE_REVOKED"]
    again = app.client.post(f"{path}/revoke", headers=support)
    assert (again.status_code, again.json()["reserved"]) == (200, 0)
    assert app.client.post(f"{path}/resume", headers=support).json()["code"] == "CODE_REVOKED"


def test_terms_change_only_if_named(app: AppClient) -> None:
    """null takes a term away, an absent one stays, and the limit leaves room for what is taken."""
    code, support = app.issue(make_template(max_uses=3, bound=False, validity_days=30)), app.key("support")
    path = f"/api/v1/codes/{code_id_of(app, code)}"
    app.redeem(code, "a@example.com")
    app.redeem(code, "b@example.com")

    changed = app.client.patch(path, json={"max_uses": None, "note": "sold more"}, headers=support).json()
    low = app.client.patch(path, json={"max_uses": 1}, headers=support)

    assert (changed["max_uses"], changed["validity_days"]) == (None, 30)
    assert (low.status_code, low.json()["code"]) == (409, "LIMIT_TOO_LOW")
    assert "2" in low.json()["detail"]
    assert app.client.patch(path, json={"max_uses": -1}, headers=support).status_code == 422


def test_cancel_resend_notes_and_refund_with_access(app: AppClient) -> None:
    """Each is one event of its own; what can't be done is 409 and says why."""
    code, support = app.issue(make_template(max_uses=3, bound=False)), app.key("support")
    reserved_id = app.redeem(code, "a@example.com").json()["reservation_id"]
    sent = app.redeem(code, "b@example.com").json()["reservation_id"]
    app.attempt(sent)

    def post_action(reservation_id: str, what: str, **body: object) -> AppResponse:
        return cast(
            "AppResponse", app.client.post(f"/api/v1/reservations/{reservation_id}/{what}", json=body, headers=support)
        )

    assert post_action(reserved_id, "resend").json()["detail"] == "邀请尚未发送，无法重新发送"
    assert post_action(sent, "resend").json()["state"] == "sent"
    assert post_action(sent, "resend").status_code == 409
    assert post_action(reserved_id, "notes", note="they called").status_code == 200
    assert post_action(reserved_id, "cancel").json()["detail_code"] == "cancelled"
    assert post_action(sent, "cancel").status_code == 409
    assert post_action(sent, "refund", note="asked for", revoke_access=True).json()["state"] == "refunded"
    path = f"/api/v1/codes/{code_id_of(app, code)}"
    assert app.client.post(f"{path}/notes", json={"note": "sold twice"}, headers=support).status_code == 200
    kinds = [event["type"] for event in app.client.get(f"{path}/history", headers=support).json()["events"]]
    expected = ["ResendRequested", "NoteAdded", "UseRefunded", "UseRefunded", "AccessRevoked", "CodeNoted"]
    assert kinds[-6:] == expected


def test_revealed_link_is_the_one_of_the_email_and_accepts_the_invitation(app: AppClient) -> None:
    reservation_id = app.redeem(app.issue(), "li.wei@example.com").json()["reservation_id"]
    path, headers = f"/api/v1/reservations/{reservation_id}/reveal-link", app.key("support") | {"Accept-Language": "en"}
    before = app.count("audit")
    early = app.client.post(path, json={"reason": "they called"}, headers=headers)
    app.attempt(reservation_id)
    nameless = app.client.post(path, json={"reason": " "}, headers=headers)
    revealed = app.client.post(path, json={"reason": "they called"}, headers=headers)
    link = revealed.json()["link"]
    accepted = app.client.post(link[link.index("/a/") :])
    late = app.client.post(path, json={"reason": "they called"}, headers=headers)

    assert (early.status_code, early.json()["code"]) == (409, "LINK_NOT_REVEALABLE")
    assert "first attempt" in early.json()["detail"]
    assert nameless.status_code == 422
    secret = app.services.settings.secret_key.get_secret_value().encode()
    assert link.endswith(f"/a/{link_token(secret, DeliveryRef(UUID(reservation_id), 1))}")
    assert accepted.status_code in {200, 303}
    assert late.json()["detail"] == "The invitation was accepted, so it has arrived."
    assert app.count("audit") == before + 1


def test_refund_of_an_accepted_use_asks_about_the_access(app: AppClient) -> None:
    support = app.key("support")
    reservation_id = app.redeem(app.issue(make_template(max_uses=1)), "a@example.com").json()["reservation_id"]
    app.attempt(reservation_id)
    secret = app.services.settings.secret_key.get_secret_value().encode()
    app.client.post(f"/a/{link_token(secret, DeliveryRef(UUID(reservation_id), 1))}")

    def refund(**body: object) -> AppResponse:
        path = f"/api/v1/reservations/{reservation_id}/refund"
        return cast("AppResponse", app.client.post(path, json={"note": "friend", **body}, headers=support))

    refused, unclear = refund(), refund(revoke_access="perhaps")
    done = refund(revoke_access=False)

    assert (refused.status_code, refused.json()["code"]) == (422, "ACCESS_CHOICE_REQUIRED")
    assert "revoke_access" in refused.json()["detail"]
    assert (unclear.status_code, done.status_code, done.json()["state"]) == (422, 200, "refunded")


@pytest.mark.parametrize(
    ("role", "path", "status"),
    [
        ("viewer", "/api/v1/codes/{id}/pause", 403),
        ("viewer", "/api/v1/codes/{id}/revoke", 403),
        ("viewer", "/api/v1/reservations/{id}/cancel", 403),
        ("viewer", "/api/v1/reservations/{id}/resend", 403),
        ("support", "/api/v1/codes/{id}/pause", 404),
        ("support", "/api/v1/codes/{id}/revoke", 404),
        ("support", "/api/v1/codes/{id}/notes", 404),
        ("support", "/api/v1/reservations/{id}/cancel", 404),
        ("support", "/api/v1/reservations/{id}/resend", 404),
        ("support", "/api/v1/reservations/{id}/notes", 404),
    ],
)
def test_route_checks_role_and_case(app: AppClient, role: str, path: str, status: int) -> None:
    address = path.format(id="00000000-0000-0000-0000-000000000001")

    assert app.client.post(address, json={"note": "x"}, headers=app.key(role)).status_code == status
