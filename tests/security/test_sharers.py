"""Who shares a code: code, email address and reservation id together take no use and no access away from its holder."""

from typing import cast
from uuid import UUID

import pytest

from api.use_cases.issue_codes import CodeTemplate
from api.web.public.reservation_cookie import COOKIE
from domain.values.link_token import DeliveryRef, correction_token, link_token
from projections.repositories.groups import GroupRepository, InviteGroup
from tests.support.clients.app_client import Answer, Site
from tests.support.ledger.terms import make_template

HOLDER, ATTACKER = "li.wei@example.com", "mallory@example.com"
PAGE = {"accept": "text/html", "accept-language": "en"}
SCANNERS = ({"User-Agent": "Mail-Scanner/1.0"}, {"Sec-Purpose": "prefetch"}, {"Purpose": "prefetch"})
OPEN = make_template(max_uses=5, bound=False, group="red")


def sent(site: Site, terms: CodeTemplate = OPEN) -> tuple[str, str]:
    """A code, and the holder's reservation, whose invitation was sent."""
    code = site.issue(terms)
    item = str(site.redeem(code, HOLDER).json()["reservation_id"])
    site.attempt(item)
    return code, item


def opened(site: Site, *names: str) -> None:
    """Groups to which persons may move."""
    groups = GroupRepository(site.services.storage)
    for name in names:
        groups.save(InviteGroup(name=name), site.services.now())
        groups.set_accepts_rebinds(name, allowed=True)


def kinds(site: Site) -> list[str]:
    """The events of the ledger, in order, by their bare names."""
    with site.services.storage.datastore.get_connection() as conn:
        rows = conn.execute("SELECT topic FROM ledger_events ORDER BY notification_id").fetchall()
    return [row["topic"].partition(":")[0] for row in rows]


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "guessable"}])
def test_repeated_redeem_gets_no_correction_token(site: Site, headers: dict[str, str]) -> None:
    """The 202 that made the reservation alone carries it; a key is no proof, since it may be guessed or taken first."""
    code = site.issue(OPEN)
    first = site.redeem(code, HOLDER, headers=headers)
    again = [site.redeem(code, HOLDER, headers=headers) for _ in range(2)]
    status = cast("Answer", site.client.get(f"/api/v1/public/redemptions/{first.json()['reservation_id']}"))

    assert (first.status_code, len(first.json()["correction_token"])) == (202, 43)
    for answer in (*again, status):
        assert (answer.status_code, "correction_token" in answer.json()) == (200, False)


def test_api_key_that_redeems_gets_the_token_of_what_it_made(site: Site) -> None:
    """A shop hands it on to the customer for whom it redeems."""
    body, key = {"email": HOLDER, "code": site.issue(OPEN)}, site.key("support")
    first, again = [cast("Answer", site.client.post("/api/v1/redemptions", json=body, headers=key)) for _ in "12"]

    assert len(first.json()["correction_token"]) == 43
    assert "correction_token" not in again.json()


@pytest.mark.parametrize("token", ["none", "forged", "another's", "of the link"])
def test_sharer_of_a_code_cannot_correct_through_the_api(site: Site, token: str) -> None:
    """The use stays; the refusal says what to do, and staff see that it was tried."""
    code, item = sent(site)
    own = site.redeem(code, ATTACKER).json()["correction_token"]
    secret = site.services.settings.secret_key.get_secret_value().encode()
    shown = {
        "none": "",
        "forged": correction_token(b"guessed", UUID(item)),
        "another's": own,
        "of the link": link_token(secret, DeliveryRef(UUID(item), 1)),
    }[token]
    assert site.redeem(code, HOLDER).json()["reservation_id"] == item
    before = site.count("refusals")
    answer = site.correct(item, token=shown, email="m@example.com", code=code)

    assert (answer.status_code, answer.json()["code"]) == (400, "CORRECTION_TOKEN_REQUIRED")
    assert "客服" in answer.json()["detail"]
    assert site.client.get(f"/api/v1/public/redemptions/{item}").json()["state"] == "sent"
    assert site.count("refusals") == before + 1


def test_sharer_of_a_code_cannot_correct_through_the_pages(site: Site) -> None:
    """The form redirects to the holder's status page; it shows no form there, and posting one is refused."""
    code, item = sent(site)
    form = {"email": HOLDER, "code": code}
    known = site.client.post("/invite", data=form, follow_redirects=False)
    pages = [site.client.get(f"/r/{item}{rest}", headers=PAGE).text for rest in ("", "/correct", "/move")]
    answer = site.client.post(f"/r/{item}/correct", data={**form, "email": ATTACKER}, headers=PAGE)

    assert (known.headers["location"], "set-cookie" in known.headers) == (f"/r/{item}?known=1", False)
    assert "/correct" not in pages[0]
    assert all("<form" not in page for page in pages)
    assert "contact support" in pages[1]
    assert (answer.status_code, "contact support" in answer.text) == (400, True)
    assert kinds(site)[-1] == "InviteSent"


def test_holder_corrects_through_the_pages_with_the_cookie_of_the_redeem(site: Site) -> None:
    """Redeemed, mistyped, corrected: one browser, no script; the new reservation's token is kept too."""
    code = site.issue(OPEN)
    site.client.cookies.clear()
    made = site.client.post("/invite", data={"email": "ly@example.com", "code": code}, follow_redirects=False)
    path = made.headers["location"]
    site.attempt(path.removeprefix("/r/"))
    status, form = (site.client.get(f"{path}{rest}", headers=PAGE).text for rest in ("", "/correct"))
    done = site.client.post(f"{path}/correct", data={"email": HOLDER, "code": code}, follow_redirects=False)

    assert f"{path}/correct" in status
    assert "<form" in form
    assert (done.status_code, done.headers["location"] != path) == (303, True)
    assert site.client.cookies[COOKIE].count(".") == 1
    assert (
        site.services.reader.find_email_addresses([UUID(done.headers["location"].removeprefix("/r/"))]).popitem()[1]
        == HOLDER
    )


def test_sharer_of_a_code_cannot_use_up_the_move(site: Site) -> None:
    """Neither by the API nor by the page, which knows the holder's email address by the id."""
    opened(site, "blue")
    code, item = sent(site)
    body = {"email": HOLDER, "code": code, "group": "blue"}
    own = site.redeem(code, ATTACKER).json()["correction_token"]
    answers = [
        site.client.post("/api/v1/public/rebind", json=shown) for shown in (body, {**body, "correction_token": own})
    ]
    page = site.client.post(f"/r/{item}/move", data={"code": code, "group": "blue"}, headers=PAGE)

    assert [(each.status_code, each.json()["code"]) for each in answers] == [(400, "CORRECTION_TOKEN_REQUIRED")] * 2
    assert (page.status_code, "contact support" in page.text) == (400, True)
    assert "RebindReserved" not in kinds(site)
    moved = site.client.post("/api/v1/public/rebind", json={**body, "correction_token": site.tokens[item]})
    assert moved.status_code == 202


@pytest.mark.parametrize("headers", SCANNERS)
def test_scanner_of_a_mail_gateway_changes_nothing(site: Site, headers: dict[str, str]) -> None:
    """It opens the link however it likes; only the button accepts, and staff may still correct the address then."""
    _, item = sent(site)
    secret = site.services.settings.secret_key.get_secret_value().encode()
    path = f"/a/{link_token(secret, DeliveryRef(UUID(item), 1))}"
    before = kinds(site)

    looked = [site.client.request(method, path, headers=headers).status_code for method in ("GET", "HEAD", "OPTIONS")]

    assert (looked[0], kinds(site)) == (200, before)
    assert site.client.post(path).status_code == 200
    assert kinds(site) == [*before, "InviteAccepted"]
    refused = site.correct(item, email="li@example.com", code=sent(site)[0])
    assert refused.status_code == 400
    by_staff = site.client.post(
        f"/api/v1/reservations/{item}/correct-recipient", json={"email": "li@example.com"}, headers=site.key("support")
    )
    assert by_staff.status_code == 200
    assert [site.client.request(method, path).status_code for method in ("GET", "POST")] == [404, 404]
