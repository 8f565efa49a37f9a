"""What belongs to others: an id, a link or a key of another person opens nothing but what its holder may see."""

from uuid import UUID, uuid4

import pytest

from domain.values.link_token import DeliveryRef, link_token
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.role_clients import RoleClients
from tests.support.ledger.code_template import make_template

MINE, THEIRS = "me@example.com", "li.wei@example.com"


def reserved(app: AppClient, email: str) -> tuple[str, str]:
    code = app.issue(make_template(max_uses=3, bound=False))
    return code, str(app.redeem(code, email).json()["reservation_id"])


def correct(app: AppClient, reservation_id: str, code: str, email: str = MINE) -> AppResponse:
    """Move a use to another address, as a person does."""
    return app.correct(reservation_id, email=email, code=code)


def test_reservation_id_alone_shows_no_address_and_no_code(app: AppClient) -> None:
    """The id is random and held by the recipient; even then only the state is shown, and the address masked."""
    code, reservation_id = reserved(app, THEIRS)
    document = app.client.get(f"/api/v1/public/redemptions/{reservation_id}").text
    page = app.client.get(f"/r/{reservation_id}", headers={"accept": "text/html"}).text

    for text in (document, page):
        assert THEIRS not in text
        assert code not in text
    assert "l***@example.com" in page
    assert app.client.get(f"/api/v1/public/redemptions/{uuid4()}").status_code == 404


@pytest.mark.parametrize("code", ["another's", "none"])
def test_use_is_moved_only_with_its_code(app: AppClient, code: str) -> None:
    """The id alone does not do it, nor the id with a code of one's own."""
    _, reservation_id = reserved(app, THEIRS)
    own, _ = reserved(app, MINE)

    answer = correct(app, reservation_id, own if code == "another's" else "NO-SUCH-CODE")

    assert (answer.status_code, answer.json()["code"]) == (400, "CODE_INVALID")
    assert app.services.reader.find_email_addresses([UUID(reservation_id)]) == {UUID(reservation_id): THEIRS}


def test_further_use_follows_ones_own_only(app: AppClient) -> None:
    """`again` with the id of another person's reservation is refused, and reserves nothing."""
    code, reservation_id = reserved(app, THEIRS)
    app.attempt(reservation_id)

    answer = app.redeem(code, MINE, again=reservation_id)

    assert answer.status_code == 400
    assert "reservation_id" not in answer.json()


def test_idempotency_key_leads_to_ones_own_reservation(app: AppClient) -> None:
    """Its scope is code and address: the same key in another's hands is another key."""
    code = app.issue(make_template(max_uses=3, bound=False))
    headers = {"Idempotency-Key": "the-same-key"}
    first, second = (app.redeem(code, email, headers=headers).json() for email in (THEIRS, MINE))

    assert first["reservation_id"] != second["reservation_id"]
    assert app.redeem(code, THEIRS, headers=headers).json()["reservation_id"] == first["reservation_id"]


def test_link_is_worth_nothing_once_a_character_of_it_changes(app: AppClient) -> None:
    """Nor is one made with another secret, for another delivery or another reservation."""
    _, reservation_id = reserved(app, THEIRS)
    app.attempt(reservation_id)
    secret = app.services.settings.secret_key.get_secret_value().encode()
    good = link_token(secret, DeliveryRef(UUID(reservation_id), 1))
    forged = [good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :] for at in range(0, len(good) - 1, 5)]
    forged += [link_token(b"another", DeliveryRef(UUID(reservation_id), 1)), good[:-2], good + "AA", ""]
    asked = [(method, token) for method in ("GET", "POST") for token in forged]
    statuses = {app.client.request(method, f"/a/{token}").status_code for method, token in asked}

    assert statuses == {404}
    assert [app.client.request(method, f"/a/{good}").status_code for method in ("GET", "POST")] == [200, 200]
    assert app.client.post(f"/a/{link_token(secret, DeliveryRef(uuid4(), 1))}").status_code == 404


@pytest.mark.parametrize("key", ["%2e%2e", "%2e%2e%2fetc%2fpasswd", "new%2f1", "a%2f..%2f..%2fx", "%00"])
def test_mailbox_shows_files_of_its_own_folder_only(app: AppClient, key: str) -> None:
    """A name is that of a mail, never a path."""
    for path in (f"/mailbox/{key}", f"/mailbox/{key}/html"):
        assert app.client.get(path).status_code in {404, 422}


def test_ones_own_password_is_the_only_one_that_one_changes(role_clients: RoleClients) -> None:
    """The account is that of the session; no field of the form names another."""
    victim = str(role_clients.staff["admin"])
    form = {"old": "not used here", "new": "a new password of some length", "staff_id": victim, "email": "admin@staff"}
    before = password_of(role_clients, "admin")
    cookie = role_clients.cookie(role_clients.staff["viewer"])
    token = role_clients.form_token(cookie)

    answer = role_clients.ask(
        "POST", "/support/account", data={**form, "token": token}, headers={"cookie": f"ledger_staff={cookie}"}
    )

    assert answer.status_code == 303
    assert password_of(role_clients, "admin") == before


def password_of(role_clients: RoleClients, role: str) -> str:
    with role_clients.app.services.storage.datastore.get_connection() as conn:
        row = conn.execute(
            "SELECT password_hash FROM staff WHERE staff_id = %s", (role_clients.staff[role],)
        ).fetchone()
    assert row is not None
    return str(row["password_hash"])
