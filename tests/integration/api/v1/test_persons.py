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
from tests.support.clients.app_client import Answer, Site
from tests.support.ledger.terms import make_template

PATH = "/api/v1/recipients/forget"
LI = "li.wei@example.com"


def forget(site: Site, email: str = LI, role: str = "admin") -> Answer:
    """Ask for it."""
    body = {"email": email, "reason": "asked by letter"}
    return cast("Answer", site.client.post(PATH, json=body, headers=site.key(role)))


def rows(site: Site, query: str) -> list[tuple[object, ...]]:
    """Ask the database."""
    with site.services.storage.datastore.get_connection() as conn:
        return [tuple(row.values()) for row in conn.execute(query.encode()).fetchall()]


def test_the_books_stay_and_the_person_is_gone(site: Site) -> None:
    """Held is refunded, doubtful is counted, sent stays; then no address, text, digest or link is left."""
    failed, held, doubtful = (site.redeem(site.issue()).json()["reservation_id"] for _ in range(3))
    site.attempt(
        failed, Rejected(server="mx:25", reason="temporary", final=False, reply_code=451, reply=f"<{LI}> later")
    )
    site.attempt(doubtful, OutcomeUnknown(server="mx:25", cause="connection_lost"))
    ((recipient_id,),) = rows(site, "SELECT recipient_id FROM recipients")

    answer = forget(site)

    assert (answer.status_code, answer.json()) == (200, {"forgotten": [str(recipient_id)], "closed": 3})
    states = [site.client.get(f"/api/v1/public/redemptions/{key}").json()["state"] for key in (failed, held, doubtful)]
    assert states == ["refunded", "refunded", "sent"]
    assert rows(site, "SELECT count(*) FROM recipients") == [(0,)]
    assert rows(site, "SELECT count(*) FROM private_texts p JOIN reservations USING (reservation_id)") == [(0,)]
    for (code_id,) in rows(site, "SELECT code_id FROM code_balances"):
        assert isinstance(code_id, UUID)
        drifts, findings, _ = compare_code(site.services.storage, code_id)
        assert (drifts, findings) == ([], [])


def test_links_die_and_refused_tries_are_deleted(site: Site, settings: ApiSettings) -> None:
    """The letter's link is a page not found; who tries again is a new person, and a bound code is not theirs."""
    code = site.issue()
    reservation_id = site.redeem(code).json()["reservation_id"]
    site.attempt(reservation_id)
    used_up = site.issue(make_template(max_uses=1))
    site.attempt(site.redeem(used_up, "other@example.com").json()["reservation_id"])
    assert site.redeem(used_up).status_code == 400
    assert site.count("refusals") == 1

    forget(site)

    secret = settings.secret_key.get_secret_value().encode()
    link = link_token(secret, DeliveryRef(UUID(reservation_id), 1))
    assert site.client.get(f"/a/{link}").status_code == 404
    assert site.client.post(f"/a/{link}").status_code == 404
    assert site.count("refusals") == 0
    back = site.redeem(code)
    assert (back.status_code, back.json()["code"]) == (400, "EMAIL_MISMATCH")


def test_only_admins_may_and_only_an_address_is_one(site: Site) -> None:
    """403 for support, 422 for what is no address, and nobody for somebody unknown."""
    assert forget(site, role="support").status_code == 403
    assert forget(site, "no address").status_code == 422
    assert forget(site, "nobody@example.com").json() == {"forgotten": [], "closed": 0}


def test_while_a_letter_leaves_it_has_to_wait(site: Site) -> None:
    """409 and nothing changed."""
    reservation_id = UUID(site.redeem(site.issue()).json()["reservation_id"])
    context = CommandContext(now=site.services.now(), actor="worker", actor_id="w1", request_id="t1")
    claim = ClaimAttempt(context=context, reservation_id=reservation_id, channel="smtp", case_id=reservation_id)
    site.services.storage.ledger.execute([claim])

    assert forget(site).status_code == 409
    assert site.count("recipients") == 1


def test_a_restored_backup_forgets_again(site: Site, settings: ApiSettings) -> None:
    """The id stands outside the database; the next start applies it before it answers."""
    reservation_id = site.redeem(site.issue()).json()["reservation_id"]
    kept = rows(site, "SELECT recipient_id, digest, pepper_id, sealed, key_id FROM recipients")[0]
    forget(site)
    with site.services.storage.datastore.get_connection() as conn:
        conn.execute(b"INSERT INTO recipients VALUES (%s, %s, %s, %s, %s)", kept)

    with TestClient(create_app(settings)):
        pass

    assert site.count("recipients") == 0
    assert site.services.reader.find_email_addresses([UUID(reservation_id)]) == {}


def test_a_list_that_can_t_be_written_forgets_nobody(
    site: Site, settings: ApiSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A backup would remember who is not in the list, so nothing is erased."""
    site.redeem(site.issue())
    monkeypatch.setattr(type(settings), "forgotten", tmp_path / "nowhere" / "forgotten.jsonl")

    assert forget(site).status_code == 503
    assert site.count("recipients") == 1


def test_the_list_holds_ids_and_nothing_else(site: Site, settings: ApiSettings) -> None:
    """It may be kept anywhere: no address, no digest."""
    site.redeem(site.issue())
    forget(site)

    lines = settings.erased_ids_path.read_text("utf-8").splitlines()
    assert [set(json.loads(line)) for line in lines] == [{"recipient_id", "at"}]
    assert settings.erased_ids_path.stat().st_mode & 0o077 == 0
    assert EmailAddress.parse(LI).normal not in "".join(lines)


def test_a_person_has_what_is_known_of_them(site: Site) -> None:
    """By an admin's key and with a reason, which the audit keeps; nobody else may ask."""
    reservation_id = site.redeem(site.issue()).json()["reservation_id"]
    body = {"email": LI, "reason": "asked by letter"}
    path = "/api/v1/recipients/export"

    answer = site.client.post(path, json=body, headers=site.key("admin"))

    (person,) = answer.json()["people"]
    assert [reservation_id] == [item["reservation_id"] for item in person["reservations"]]
    assert [("exported_person", True)] == rows(
        site, "SELECT act, key_id IN (SELECT key_id FROM api_keys WHERE role = 'admin') FROM audit"
    )
    assert site.client.post(path, json=body, headers=site.key("support")).status_code == 403
    assert site.client.post(path, json={**body, "email": "x"}, headers=site.key("admin")).status_code == 422
