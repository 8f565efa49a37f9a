"""An admin forgets a person: the books stay, the person is gone, also after a restored backup."""

import json
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from api.settings import ApiSettings
from domain.commands.context import CommandContext
from domain.commands.delivery.claim_attempt import ClaimAttempt
from domain.ports import OutcomeUnknown, Rejected
from domain.values.identifiers import EmailAddress
from domain.values.link_token import DeliveryRef, link_token
from projections.verification.drift_sample import compare_code
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.ledger.code_template import make_template

PATH = "/api/v1/recipients/forget"
LI = "li.wei@example.com"


@pytest.fixture
def app(own_app: AppClient) -> AppClient:
    return own_app


def forget(app: AppClient, email: str = LI, role: str = "admin") -> AppResponse:
    body = {"email": email, "reason": "asked by letter"}
    return cast("AppResponse", app.client.post(PATH, json=body, headers=app.key(role)))


def rows(app: AppClient, query: str) -> list[tuple[object, ...]]:
    with app.services.storage.datastore.get_connection() as conn:
        return [tuple(row.values()) for row in conn.execute(query.encode()).fetchall()]


def test_books_stay_and_the_person_is_gone(app: AppClient) -> None:
    """Held is refunded, doubtful is counted, sent stays; then no address, text, digest or link is left."""
    failed, reserved_id, doubtful = (app.redeem(app.issue()).json()["reservation_id"] for _ in range(3))
    app.attempt(
        failed, Rejected(server="mx:25", reason="temporary", final=False, reply_code=451, reply=f"<{LI}> later")
    )
    app.attempt(doubtful, OutcomeUnknown(server="mx:25", cause="connection_lost"))
    ((recipient_id,),) = rows(app, "SELECT recipient_id FROM recipients")

    answer = forget(app)

    assert (answer.status_code, answer.json()) == (200, {"forgotten": [str(recipient_id)], "closed": 3})
    states = [
        app.client.get(f"/api/v1/public/redemptions/{key}").json()["state"] for key in (failed, reserved_id, doubtful)
    ]
    assert states == ["refunded", "refunded", "sent"]
    assert rows(app, "SELECT count(*) FROM recipients") == [(0,)]
    assert rows(app, "SELECT count(*) FROM private_texts p JOIN reservations USING (reservation_id)") == [(0,)]
    for (code_id,) in rows(app, "SELECT code_id FROM code_balances"):
        assert isinstance(code_id, UUID)
        drifts, findings, _ = compare_code(app.services.storage, code_id)
        assert (drifts, findings) == ([], [])


def test_links_die_and_rejected_requests_are_deleted(app: AppClient, settings: ApiSettings) -> None:
    code = app.issue()
    reservation_id = app.redeem(code).json()["reservation_id"]
    app.attempt(reservation_id)
    used_up = app.issue(make_template(max_uses=1))
    app.attempt(app.redeem(used_up, "other@example.com").json()["reservation_id"])
    assert app.redeem(used_up).status_code == 400
    assert app.count("refusals") == 1

    forget(app)

    secret = settings.secret_key.get_secret_value().encode()
    link = link_token(secret, DeliveryRef(UUID(reservation_id), 1))
    assert app.client.get(f"/a/{link}").status_code == 404
    assert app.client.post(f"/a/{link}").status_code == 404
    assert app.count("refusals") == 0
    back = app.redeem(code)
    assert (back.status_code, back.json()["code"]) == (400, "EMAIL_MISMATCH")


def test_only_admins_may_and_only_an_address_is_one(app: AppClient) -> None:
    assert forget(app, role="support").status_code == 403
    assert forget(app, "no address").status_code == 422
    assert forget(app, "nobody@example.com").json() == {"forgotten": [], "closed": 0}


def test_erasure_waits_while_an_invitation_is_being_sent(app: AppClient) -> None:
    reservation_id = UUID(app.redeem(app.issue()).json()["reservation_id"])
    context = CommandContext(now=app.services.now(), actor="worker", actor_id="w1", request_id="t1")
    claim = ClaimAttempt(context=context, reservation_id=reservation_id, channel="smtp", case_id=reservation_id)
    app.services.storage.ledger.execute([claim])

    assert forget(app).status_code == 409
    assert app.count("recipients") == 1


def test_erased_ids_are_erased_again_after_a_restored_backup(app: AppClient, settings: ApiSettings) -> None:
    """The id stands outside the database; the next start applies it before it answers."""
    reservation_id = app.redeem(app.issue()).json()["reservation_id"]
    recipient_row = rows(app, "SELECT recipient_id, digest, pepper_id, sealed, key_id FROM recipients")[0]
    forget(app)
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute(b"INSERT INTO recipients VALUES (%s, %s, %s, %s, %s)", recipient_row)

    with TestClient(create_app(settings)):
        pass

    assert app.count("recipients") == 0
    assert app.services.reader.find_email_addresses([UUID(reservation_id)]) == {}


def test_file_of_erased_ids_that_can_not_be_written_prevents_the_erasure(
    app: AppClient, settings: ApiSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A backup would remember who is not in the list, so nothing is erased."""
    app.redeem(app.issue())
    monkeypatch.setattr(type(settings), "erased_ids_path", tmp_path / "nowhere" / "forgotten.jsonl")

    assert forget(app).status_code == 503
    assert app.count("recipients") == 1


def test_list_holds_ids_and_nothing_else(app: AppClient, settings: ApiSettings) -> None:
    """It may be kept anywhere: no address, no digest."""
    app.redeem(app.issue())
    forget(app)

    lines = settings.erased_ids_path.read_text("utf-8").splitlines()
    assert [set(json.loads(line)) for line in lines] == [{"recipient_id", "at"}]
    assert settings.erased_ids_path.stat().st_mode & 0o077 == 0
    assert EmailAddress.parse(LI).normal not in "".join(lines)


def test_export_of_a_person_has_all_their_data(app: AppClient) -> None:
    reservation_id = app.redeem(app.issue()).json()["reservation_id"]
    body = {"email": LI, "reason": "asked by letter"}
    path = "/api/v1/recipients/export"

    answer = app.client.post(path, json=body, headers=app.key("admin"))

    (person,) = answer.json()["people"]
    assert [reservation_id] == [reservation["reservation_id"] for reservation in person["reservations"]]
    assert rows(app, "SELECT act, key_id IN (SELECT key_id FROM api_keys WHERE role = 'admin') FROM audit") == [
        ("exported_person", True)
    ]
    assert app.client.post(path, json=body, headers=app.key("support")).status_code == 403
    assert app.client.post(path, json={**body, "email": "x"}, headers=app.key("admin")).status_code == 422
