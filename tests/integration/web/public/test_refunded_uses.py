"""What a person whose use was refunded reads: the same code again, or why it would be refused now."""

from collections.abc import Callable

import pytest

from domain.commands.code.pause import PauseCode
from domain.commands.code.revoke import RevokeCode
from domain.commands.context import CommandContext
from domain.ports import Rejected
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser
from tests.support.ledger.code_template import make_template

FAILED = Rejected(server="mx1:25", reason="rejected", final=True, reply_code=554)
REASONS = {
    "revoked": "This code was revoked and can no longer be used.",
    "paused": "This code is paused.",
    "bound": "This code is bound to another email address.",
    "used up": "This code is used up",
}


def refund(app: AppClient, code: str) -> str:
    reservation_id = str(app.redeem(code).json()["reservation_id"])
    app.attempt(reservation_id, FAILED)
    return reservation_id


def change(app: AppClient, code: str, how: str) -> None:
    code_id = app.services.reader.find_code(code)
    assert code_id is not None
    context = CommandContext(now=app.services.now(), actor="staff", actor_id="s1")
    if how in {"used up", "bound"}:
        app.attempt(str(app.redeem(code, "wang@example.com").json()["reservation_id"]))
    elif how == "paused":
        app.services.storage.ledger.execute([PauseCode(context=context, code_id=code_id)])
    else:
        app.services.storage.ledger.execute([RevokeCode(context=context, code_id=code_id, case_ids=())])


def read_messages(app: AppClient, reservation_id: str) -> tuple[str, str, str, bool]:
    """What page, status and stream of the API say, and whether the page offers to try again."""
    english = {"Accept-Language": "en"}
    page = read_page(app.client.get(f"/r/{reservation_id}", headers=english | {"Accept": "text/html"}).text)
    path = f"/api/v1/public/redemptions/{reservation_id}"
    status = app.client.get(path, headers=english).json()["message"]
    with app.client.stream("GET", f"{path}/stream", headers=english) as response:
        streamed = "".join(response.iter_lines())
    return page.find(id="message").text, status, streamed, bool(page.find("main").find_all("a", href="/invite"))


@pytest.mark.parametrize("how", REASONS)
def test_refused_code_is_not_offered_again(app: AppClient, sign_in: Callable[..., StaffBrowser], how: str) -> None:
    code = app.issue(make_template(max_uses=1, bound=how != "used up"))
    reservation_id = refund(app, code)
    before = read_messages(app, reservation_id)
    change(app, code, how)

    page, status, streamed, is_offered = read_messages(app, reservation_id)
    reply = read_page(sign_in().get(f"/support/reservations/{reservation_id}?lang=en").text).find(
        "textarea", id="reply-en"
    )

    assert "again" in before[0]
    assert before[3]
    assert not is_offered
    assert all(REASONS[how] in text for text in (page, status, streamed, reply.text))
    assert REASONS[how].split(" ", 1)[1] in app.redeem(code, headers={"Accept-Language": "en"}).json()["detail"]


def test_reason_that_shows_other_uses_of_the_person_is_not_given(app: AppClient) -> None:
    """Anyone who has the address of the page may read it, so it offers the code as before."""
    terms = {"name": "Autumn", "max_per_person": 1}
    campaign = app.client.post("/api/v1/campaigns", json=terms, headers=app.key("admin")).json()["id"]
    body = {"count": 2, "max_uses": 1, "campaign": campaign}
    codes = [each["code"] for each in app.client.post("/api/v1/codes", json=body, headers=app.key("admin")).json()]
    reservation_id = refund(app, codes[0])
    app.attempt(str(app.redeem(codes[1]).json()["reservation_id"]))

    *texts, is_offered = read_messages(app, reservation_id)

    assert app.redeem(codes[0]).json()["code"] == "PERSON_LIMIT"
    assert is_offered
    assert all("again" in text for text in texts)
