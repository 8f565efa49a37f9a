"""Who shares a code: code, email address and reservation id together take no use and no access away from its holder."""

from typing import cast
from uuid import UUID

import pytest

from api.use_cases.issue_codes import CodeTemplate
from api.web.public.visitor import COOKIE
from domain.values.link_token import DeliveryRef, correction_token, link_token
from projections.repositories.groups import GroupRepository, InviteGroup
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.page_reader import read_page
from tests.support.ledger.code_template import make_template

HOLDER, ATTACKER = "li.wei@example.com", "mallory@example.com"
PAGE = {"accept": "text/html", "accept-language": "en"}
SCANNERS = ({"User-Agent": "Mail-Scanner/1.0"}, {"Sec-Purpose": "prefetch"}, {"Purpose": "prefetch"})
OPEN = make_template(max_uses=5, bound=False, group="red")


def sent(app: AppClient, terms: CodeTemplate = OPEN) -> tuple[str, str]:
    """A code, and the holder's reservation, whose invitation was sent."""
    code = app.issue(terms)
    reservation_id = str(app.redeem(code, HOLDER).json()["reservation_id"])
    app.attempt(reservation_id)
    return code, reservation_id


def open_targets(app: AppClient, *names: str) -> None:
    groups = GroupRepository(app.services.storage)
    for name in names:
        groups.save(InviteGroup(name=name), app.services.now())
        groups.set_accepts_rebinds(name, allowed=True)


def kinds(app: AppClient) -> list[str]:
    """The events of the ledger, in order, by their bare names."""
    with app.services.storage.datastore.get_connection() as conn:
        rows = conn.execute("SELECT topic FROM ledger_events ORDER BY notification_id").fetchall()
    return [row["topic"].partition(":")[0] for row in rows]


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "guessable"}])
def test_repeated_redeem_gets_no_correction_token(app: AppClient, headers: dict[str, str]) -> None:
    """The 202 that made the reservation alone carries it; a key is no proof, since it may be guessed or taken first."""
    code = app.issue(OPEN)
    first = app.redeem(code, HOLDER, headers=headers)
    again = [app.redeem(code, HOLDER, headers=headers) for _ in range(2)]
    status = cast("AppResponse", app.client.get(f"/api/v1/public/redemptions/{first.json()['reservation_id']}"))

    assert (first.status_code, len(first.json()["correction_token"])) == (202, 43)
    for answer in (*again, status):
        assert (answer.status_code, "correction_token" in answer.json()) == (200, False)


def test_api_key_that_redeems_gets_the_correction_token(app: AppClient) -> None:
    """A shop hands it on to the customer for whom it redeems."""
    body, key = {"email": HOLDER, "code": app.issue(OPEN)}, app.key("support")
    first, again = [cast("AppResponse", app.client.post("/api/v1/redemptions", json=body, headers=key)) for _ in "12"]

    assert len(first.json()["correction_token"]) == 43
    assert "correction_token" not in again.json()


@pytest.mark.parametrize("token", ["none", "forged", "another's", "of the link"])
def test_sharer_of_a_code_cannot_correct_through_the_api(app: AppClient, token: str) -> None:
    """The use stays; the refusal says what to do, and staff see that it was tried."""
    code, reservation_id = sent(app)
    own = app.redeem(code, ATTACKER).json()["correction_token"]
    secret = app.services.settings.secret_key.get_secret_value().encode()
    shown = {
        "none": "",
        "forged": correction_token(b"guessed", UUID(reservation_id)),
        "another's": own,
        "of the link": link_token(secret, DeliveryRef(UUID(reservation_id), 1)),
    }[token]
    assert app.redeem(code, HOLDER).json()["reservation_id"] == reservation_id
    before = app.count("refusals")
    answer = app.correct(reservation_id, token=shown, email="m@example.com", code=code)

    assert (answer.status_code, answer.json()["code"]) == (400, "CORRECTION_TOKEN_REQUIRED")
    assert "客服" in answer.json()["detail"]
    assert app.client.get(f"/api/v1/public/redemptions/{reservation_id}").json()["state"] == "sent"
    assert app.count("refusals") == before + 1


def test_sharer_of_a_code_cannot_correct_through_the_pages(app: AppClient) -> None:
    """The form redirects to the holder's status page; it shows no form there, and posting one is refused."""
    code, reservation_id = sent(app)
    form = {"email": HOLDER, "code": code}
    repeated = app.client.post("/invite", data=form, follow_redirects=False)
    pages = [app.client.get(f"/r/{reservation_id}{rest}", headers=PAGE).text for rest in ("", "/correct", "/move")]
    answer = app.client.post(f"/r/{reservation_id}/correct", data={**form, "email": ATTACKER}, headers=PAGE)

    assert (repeated.headers["location"], "set-cookie" in repeated.headers) == (f"/r/{reservation_id}?known=1", False)
    assert "/correct" not in pages[0]
    assert all(read_page(page).find_all("form") == [] for page in pages)
    assert "contact support" in pages[1]
    assert (answer.status_code, "contact support" in answer.text) == (400, True)
    assert kinds(app)[-1] == "InviteSent"


def test_holder_corrects_through_the_pages_with_the_cookie_of_the_redeem(app: AppClient) -> None:
    """Redeemed, mistyped, corrected: one browser, no script; the new reservation's token is kept too."""
    code = app.issue(OPEN)
    app.client.cookies.clear()
    redirect = app.client.post("/invite", data={"email": "ly@example.com", "code": code}, follow_redirects=False)
    path = redirect.headers["location"]
    app.attempt(path.removeprefix("/r/"))
    status, form = (app.client.get(f"{path}{rest}", headers=PAGE).text for rest in ("", "/correct"))
    done = app.client.post(f"{path}/correct", data={"email": HOLDER, "code": code}, follow_redirects=False)

    assert f"{path}/correct" in status
    assert "email" in [field.attributes.get("name") for field in read_page(form).find_all("input")]
    assert (done.status_code, done.headers["location"] != path) == (303, True)
    assert app.client.cookies[COOKIE].count(".") == 1
    assert (
        app.services.reader.find_email_addresses([UUID(done.headers["location"].removeprefix("/r/"))]).popitem()[1]
        == HOLDER
    )


def test_sharer_of_a_code_cannot_use_up_the_move(app: AppClient) -> None:
    """Neither by the API nor by the page, which knows the holder's email address by the id."""
    open_targets(app, "blue")
    code, reservation_id = sent(app)
    body = {"email": HOLDER, "code": code, "group": "blue"}
    own = app.redeem(code, ATTACKER).json()["correction_token"]
    answers = [
        app.client.post("/api/v1/public/rebind", json=shown) for shown in (body, {**body, "correction_token": own})
    ]
    page = app.client.post(f"/r/{reservation_id}/move", data={"code": code, "group": "blue"}, headers=PAGE)

    assert [(each.status_code, each.json()["code"]) for each in answers] == [(400, "CORRECTION_TOKEN_REQUIRED")] * 2
    assert (page.status_code, "contact support" in page.text) == (400, True)
    assert "RebindReserved" not in kinds(app)
    moved = app.client.post("/api/v1/public/rebind", json={**body, "correction_token": app.tokens[reservation_id]})
    assert moved.status_code == 202


@pytest.mark.parametrize("headers", SCANNERS)
def test_scanner_of_a_mail_gateway_changes_nothing(app: AppClient, headers: dict[str, str]) -> None:
    """It opens the link however it likes; only the button accepts, and staff may still correct the address then."""
    _, reservation_id = sent(app)
    secret = app.services.settings.secret_key.get_secret_value().encode()
    path = f"/a/{link_token(secret, DeliveryRef(UUID(reservation_id), 1))}"
    before = kinds(app)

    looked = [app.client.request(method, path, headers=headers).status_code for method in ("GET", "HEAD", "OPTIONS")]

    assert (looked[0], kinds(app)) == (200, before)
    assert app.client.post(path).status_code == 200
    assert kinds(app) == [*before, "InviteAccepted"]
    refused = app.correct(reservation_id, email="li@example.com", code=sent(app)[0])
    assert refused.status_code == 400
    by_staff = app.client.post(
        f"/api/v1/reservations/{reservation_id}/correct-recipient",
        json={"email": "li@example.com"},
        headers=app.key("support"),
    )
    assert by_staff.status_code == 200
    assert [app.client.request(method, path).status_code for method in ("GET", "POST")] == [404, 404]
