"""What the browser that redeemed sees of its reservation, and what every other browser sees, over a real database."""

from collections.abc import Callable
from datetime import timedelta
from typing import cast
from uuid import UUID

import pytest

from api.web.public.visitor import COOKIE
from domain.ports import Rejected
from projections.repositories.groups import GroupRepository, InviteGroup
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.page_reader import Element, read_page
from tests.support.ledger.code_template import make_template

EMAIL = "li.wei@example.com"
REFUSED = Rejected(server="mx1:25", reason="address_refused", final=True, about_address=True, reply_code=550)


@pytest.fixture
def show(app: AppClient) -> Callable[..., Element]:
    """A function that opens a page in a browser with the tokens of some reservations."""

    def open_page(path: str, *own: str) -> Element:
        app.client.cookies.clear()
        if own:
            app.client.cookies.set(COOKIE, ".".join(app.tokens[reservation_id] for reservation_id in own))
        answer = app.client.get(path, headers={"Accept": "text/html", "Accept-Language": "en"})
        app.client.cookies.clear()
        return read_page(answer.text)

    return open_page


def refused(app: AppClient) -> tuple[str, str]:
    code = app.issue()
    reservation_id = str(app.redeem(code, EMAIL).json()["reservation_id"])
    app.attempt(reservation_id, REFUSED)
    return code, reservation_id


def typed(page: Element) -> list[str]:
    return [page.find(id=name).attributes["value"] for name in ("email", "code")]


def test_only_the_browser_that_redeemed_sees_the_whole_address(app: AppClient, show: Callable[..., Element]) -> None:
    own, other = (str(app.redeem(app.issue(), EMAIL).json()["reservation_id"]) for _ in range(2))

    for path in (f"/r/{own}", f"/r/{own}/correct"):
        assert EMAIL in show(path, own).find("main").text
        for visitor in ([], [other]):
            text = show(path, *visitor).find("main").text
            assert "l***@example.com" in text
            assert EMAIL not in text


def test_try_again_fills_in_the_entries_of_this_browser(app: AppClient, show: Callable[..., Element]) -> None:
    code, reservation_id = refused(app)
    (link,) = [
        target for target in show(f"/r/{reservation_id}", reservation_id).link_targets if "reservation=" in target
    ]

    assert typed(show(link, reservation_id)) == [EMAIL, code]
    assert typed(show(link)) == ["", ""]
    assert "/invite" in show(f"/r/{reservation_id}").find("main").link_targets
    assert typed(show("/invite?reservation=nonsense", reservation_id)) == ["", ""]


def test_code_is_filled_in_for_an_hour_only(
    app: AppClient, show: Callable[..., Element], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as an address can be corrected; the address stays."""
    _, reservation_id = refused(app)
    now = app.services.now() + timedelta(seconds=app.services.settings.policy.correct_within_s + 1)
    monkeypatch.setattr(type(app.services), "now", lambda _: now)

    assert typed(show(f"/invite?reservation={reservation_id}", reservation_id)) == [EMAIL, ""]


def test_reservation_in_progress_fills_in_nothing(app: AppClient, show: Callable[..., Element]) -> None:
    """Its use is not returned, so there is nothing to try again."""
    reservation_id = str(app.redeem(app.issue(), EMAIL).json()["reservation_id"])

    assert typed(show(f"/invite?reservation={reservation_id}", reservation_id)) == ["", ""]


def test_corrected_reservation_leads_to_its_successor(app: AppClient, show: Callable[..., Element]) -> None:
    code = app.issue()
    old = str(app.redeem(code, "li@exmaple.com").json()["reservation_id"])
    new = app.correct(old, email=EMAIL, code=code).json()["reservation_id"]

    for path in (f"/r/{old}", f"/r/{old}/correct"):
        assert f"/r/{new}" in show(path, new, old).link_targets
        assert f"/r/{new}" not in show(path, old).link_targets


def test_moved_access_leads_to_its_successor(app: AppClient, show: Callable[..., Element]) -> None:
    groups = GroupRepository(app.services.storage)
    groups.save(InviteGroup(name="blue"), app.services.now())
    groups.set_accepts_rebinds("blue", allowed=True)
    code = app.issue(make_template(max_uses=1, group="red", validity_days=30))
    old = str(app.redeem(code, EMAIL).json()["reservation_id"])
    app.attempt(old)
    body = {"email": EMAIL, "code": code, "group": "blue", "correction_token": app.tokens[old]}
    new = app.keep(cast("AppResponse", app.client.post("/api/v1/public/rebind", json=body))).json()["reservation_id"]
    app.attempt(new)

    for path in (f"/r/{old}", f"/r/{old}/move"):
        (link,) = show(path, new, old).find_all("a", href=f"/r/{new}")
        assert link.text == "Show the invitation to the other group"
        assert f"/r/{new}" not in show(path, old).link_targets


@pytest.mark.parametrize("prefix", ["", "SPRING26"])
def test_code_is_redeemed_out_of_a_message(app: AppClient, prefix: str) -> None:
    issued = app.client.post("/api/v1/codes", json={"max_uses": 1, "prefix": prefix}, headers=app.key("admin"))
    code = issued.json()[0]["code"]

    answer = app.client.post(
        "/invite", data={"email": EMAIL, "code": f"您的兑换码：{code}，请尽快使用"}, follow_redirects=False
    )

    assert answer.status_code == 303
    reservation = app.services.reader.find_reservation(UUID(answer.headers["location"].rpartition("/")[2]))
    assert reservation is not None
    assert app.services.reader.find_code(code) == reservation.code_id


def test_existing_code_of_another_invitation_gets_the_answer_of_an_unknown_one(app: AppClient) -> None:
    other, code = app.issue(), app.issue()
    reservation_id = str(app.redeem(code, EMAIL).json()["reservation_id"])
    app.client.cookies.set(COOKIE, app.tokens[reservation_id])

    notices = []
    for wrong in (other, f"{code[:-4]}AAAA"):
        answer = app.client.post(
            f"/r/{reservation_id}/correct",
            data={"email": "mei@example.com", "code": wrong},
            headers={"Accept-Language": "en"},
        )
        notices.append(read_page(answer.text).find(id="notice").text)
    app.client.cookies.clear()

    assert notices[0] == notices[1]
    assert "not redeemed with this code" in notices[0]


def test_customer_corrects_an_address_whose_email_bounced_late(
    app: AppClient, show: Callable[..., Element], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the hour after sending is over, the page and the API offer it again for an hour after the bounce."""
    code = app.issue()
    own = str(app.redeem(code, "late@example.com").json()["reservation_id"])
    app.attempt(own)
    sent_at, kind = app.services.now(), type(app.services)
    body = {"email": "mei@example.com", "code": code}

    def passes(hours: float) -> None:
        monkeypatch.setattr(kind, "now", lambda _: sent_at + timedelta(hours=hours))

    def offers(*tokens: str) -> bool:
        return f"/r/{own}/correct" in show(f"/r/{own}", *tokens).find("main").link_targets

    passes(5)
    early = (offers(own), app.correct(own, **body).json()["code"])
    bounce_first_email(app, own)
    passes(5.9)
    offered = [offers(own), offers()]
    passes(6.1)
    late = (offers(own), app.correct(own, **body).json()["code"])
    passes(5.9)
    corrected = app.correct(own, **body)

    assert early == late == (False, "RECIPIENT_NOT_CORRECTABLE")
    assert offered == [True, False]
    assert (corrected.status_code, corrected.json()["state"]) == (202, "reserved")


def bounce_first_email(app: AppClient, reservation_id: str) -> None:
    body, path = {"delivery": 1, "reason": "mailbox_unknown"}, f"/api/v1/reservations/{reservation_id}/bounce"
    assert app.client.post(path, json=body, headers=app.key("support")).is_success


def test_page_of_a_bounced_email_offers_the_correction(app: AppClient, show: Callable[..., Element]) -> None:
    own = str(app.redeem(app.issue(), "unknown@example.com").json()["reservation_id"])
    app.attempt(own)
    bounce_first_email(app, own)

    holders, others = show(f"/r/{own}", own), show(f"/r/{own}")

    assert [page.find("h1").text for page in (holders, others)] == ["The email came back"] * 2
    assert holders.find(id="message").text.endswith("correct it.")
    assert "contact support" in others.find(id="message").text
    assert [page.find("li", class_="station missed").text[:13] for page in (holders, others)] == ["Not delivered"] * 2
