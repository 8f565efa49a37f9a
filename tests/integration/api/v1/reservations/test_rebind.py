"""Moving an access over HTTP: persons to groups that are open for it, staff to any."""

from typing import cast

from api.web.public.visitor import COOKIE
from projections.repositories.groups import GroupRepository, InviteGroup
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import code_id_of
from tests.support.ledger.code_template import make_template

TERMS = make_template(max_uses=2, group="red", validity_days=30)


def open_targets(app: AppClient, *names: str) -> None:
    groups = GroupRepository(app.services.storage)
    for name in names:
        groups.save(InviteGroup(name=name), app.services.now())
        groups.set_accepts_rebinds(name, allowed=True)


def ask(
    app: AppClient, code: str, group: str = "blue", email: str = "li.wei@example.com", token: str | None = None
) -> AppResponse:
    """POST /rebind with the newest correction token that the site's client was given, unless another is named."""
    newest = next(reversed(app.tokens.values()), None)
    body = {"email": email, "code": code, "group": group, "correction_token": newest if token is None else token}
    headers = {"Accept-Language": "en"}
    return app.keep(cast("AppResponse", app.client.post("/api/v1/public/rebind", json=body, headers=headers)))


def sent(app: AppClient, code: str) -> str:
    reservation_id: str = app.redeem(code).json()["reservation_id"]
    app.attempt(reservation_id)
    return reservation_id


def test_person_moves_once(app: AppClient) -> None:
    open_targets(app, "blue", "green")
    code = app.issue(TERMS)
    former = sent(app, code)
    token = app.tokens[former]
    first, same = ask(app, code, token=token), ask(app, code, token=token)
    rebind = first.json()["reservation_id"]
    app.attempt(rebind)

    assert (first.status_code, same.status_code, same.json()["reservation_id"]) == (202, 200, rebind)
    assert rebind != former
    assert "correction_token" not in same.json()
    assert ask(app, code, token=token).json()["state"] == "sent"
    assert app.tokens[rebind] == first.json()["correction_token"] != token
    assert ask(app, code).json()["state"] == "sent"
    second = ask(app, code, "green")
    assert (second.status_code, second.json()["code"]) == (400, "REBIND_NOT_POSSIBLE")
    assert "has reached its limit of moves" in second.json()["detail"]
    path = f"/api/v1/codes/{code_id_of(app, code)}"
    assert app.client.get(path, headers=app.key("viewer")).json()["used_count"] == 1


def test_only_groups_that_are_open_take_persons(own_app: AppClient) -> None:
    """A customer cannot move from a cheap group to an expensive one by knowing its name."""
    GroupRepository(own_app.services.storage).save(InviteGroup(name="vip"), own_app.services.now())
    code = own_app.issue(TERMS)
    sent(own_app, code)

    answers = [ask(own_app, code, "vip"), ask(own_app, code, "nowhere")]

    assert [(each.status_code, each.json()["code"]) for each in answers] == [(400, "REBIND_NOT_POSSIBLE")] * 2
    assert own_app.count("reservations") == 1


def test_each_wrong_input_has_its_own_code(own_app: AppClient) -> None:
    open_targets(own_app, "blue")
    code = own_app.issue(TERMS)
    sent(own_app, code)

    assert ask(own_app, code, email="nonsense").json()["code"] == "EMAIL_INVALID"
    assert ask(own_app, code, group="").status_code == 422
    assert ask(own_app, code, email="other@example.com").json()["code"] == "CORRECTION_TOKEN_REQUIRED"
    assert own_app.count("refusals") == 1


def test_page_offers_open_groups_and_moves(own_app: AppClient) -> None:
    open_targets(own_app, "blue", "red")
    code = own_app.issue(TERMS)
    typed = {"email": "li.wei@example.com", "code": code}
    own_app.client.cookies.clear()
    redirect = own_app.client.post("/invite", data=typed, follow_redirects=False)
    reservation_id = redirect.headers["location"].removeprefix("/r/")
    own_app.attempt(reservation_id)
    status = own_app.client.get(f"/r/{reservation_id}?lang=en").text
    form = own_app.client.get(f"/r/{reservation_id}/move?lang=en").text
    wrong = own_app.client.post(f"/r/{reservation_id}/move?lang=en", data={"code": "NOT-THIS", "group": "blue"})
    right = own_app.client.post(
        f"/r/{reservation_id}/move", data={"code": code, "group": "blue"}, follow_redirects=False
    )
    rebind = right.headers["location"]
    own_app.attempt(rebind.removeprefix("/r/"))

    assert f"/r/{reservation_id}/move" in status
    assert "Access until" in status
    assert read_page(form).texts("option") == ["blue"]
    assert (wrong.status_code, right.status_code) == (400, 303)
    assert "none: an access is moved" in own_app.client.get(f"{rebind}?lang=en").text
    assert "was moved to another group" in own_app.client.get(f"/r/{reservation_id}?lang=en").text
    assert "/move" not in own_app.client.get(f"{rebind}?lang=en").text
    assert own_app.client.cookies[COOKIE].count(".") == 1
