"""Moving an access over HTTP: persons to groups that are open for it, staff to any."""

from typing import cast

from api.web.public.reservation_cookie import COOKIE
from projections.repositories.groups import GroupRepository, InviteGroup
from tests.support.clients.app_client import Answer, Site
from tests.support.ledger.terms import make_template

TERMS = make_template(max_uses=2, group="red", validity_days=30)


def opened(site: Site, *names: str) -> None:
    """Groups to which persons may move."""
    groups = GroupRepository(site.services.storage)
    for name in names:
        groups.save(InviteGroup(name=name), site.services.now())
        groups.set_accepts_rebinds(name, allowed=True)


def ask(
    site: Site, code: str, group: str = "blue", email: str = "li.wei@example.com", token: str | None = None
) -> Answer:
    """POST /rebind with the newest correction token that the site's client was given, unless another is named."""
    newest = next(reversed(site.tokens.values()), None)
    body = {"email": email, "code": code, "group": group, "correction_token": newest if token is None else token}
    headers = {"Accept-Language": "en"}
    return site.keep(cast("Answer", site.client.post("/api/v1/public/rebind", json=body, headers=headers)))


def sent(site: Site, code: str) -> str:
    """A reservation whose invitation was sent."""
    item: str = site.redeem(code).json()["reservation_id"]
    site.attempt(item)
    return item


def test_a_person_moves_once(site: Site) -> None:
    """202, then 200 for the same; a second move is refused, and nothing is counted."""
    opened(site, "blue", "green")
    code = site.issue(TERMS)
    former = sent(site, code)
    token = site.tokens[former]
    first, same = ask(site, code, token=token), ask(site, code, token=token)
    rebind = first.json()["reservation_id"]
    site.attempt(rebind)

    assert (first.status_code, same.status_code, same.json()["reservation_id"]) == (202, 200, rebind)
    assert rebind != former
    assert "correction_token" not in same.json()
    assert ask(site, code, token=token).json()["state"] == "sent"
    assert site.tokens[rebind] == first.json()["correction_token"] != token
    assert ask(site, code).json()["state"] == "sent"
    second = ask(site, code, "green")
    assert (second.status_code, second.json()["code"]) == (400, "REBIND_NOT_POSSIBLE")
    assert "cannot be moved again" in second.json()["detail"]
    viewer = site.key("viewer")
    assert site.client.get("/api/v1/codes", headers=viewer).json()["codes"][0]["used_count"] == 1


def test_only_groups_that_are_open_take_persons(site: Site) -> None:
    """Nobody moves from a cheap group to a dear one by knowing its name."""
    GroupRepository(site.services.storage).save(InviteGroup(name="vip"), site.services.now())
    code = site.issue(TERMS)
    sent(site, code)

    answers = [ask(site, code, "vip"), ask(site, code, "nowhere")]

    assert [(each.status_code, each.json()["code"]) for each in answers] == [(400, "REBIND_NOT_POSSIBLE")] * 2
    assert site.count("reservations") == 1


def test_wrong_input_is_told_apart(site: Site) -> None:
    """Unknown code, wrong person, malformed."""
    opened(site, "blue")
    code = site.issue(TERMS)
    sent(site, code)

    assert ask(site, "NO-SUCH-CODE").json()["code"] == "CODE_INVALID"
    assert ask(site, code, email="other@example.com").json()["code"] == "CORRECTION_TOKEN_REQUIRED"
    assert ask(site, code, email="nonsense").json()["code"] == "EMAIL_INVALID"
    assert ask(site, code, group="").status_code == 422
    assert site.count("refusals") == 1


def test_staff_move_to_any_group_and_say_why(site: Site) -> None:
    """With the support role; a viewer may not."""
    item = sent(site, site.issue(TERMS))
    path, body = f"/api/v1/reservations/{item}/rebind", {"group": "vip", "note": "sold the wrong one"}

    refused = site.client.post(path, json=body, headers=site.key("viewer"))
    moved = site.client.post(path, json=body, headers=site.key("support"))

    assert (refused.status_code, moved.status_code) == (403, 200)
    assert moved.json()["reservation_id"] != item
    assert site.count("private_texts") == 1


def test_the_page_offers_what_is_open_and_moves(site: Site) -> None:
    """From the status page, with the code as proof; afterwards it is offered no more."""
    opened(site, "blue", "red")
    code = site.issue(TERMS)
    typed = {"email": "li.wei@example.com", "code": code}
    site.client.cookies.clear()
    made = site.client.post("/invite", data=typed, follow_redirects=False)
    item = made.headers["location"].removeprefix("/r/")
    site.attempt(item)
    status = site.client.get(f"/r/{item}?lang=en").text
    form = site.client.get(f"/r/{item}/move?lang=en").text
    wrong = site.client.post(f"/r/{item}/move?lang=en", data={"code": "NOT-THIS", "group": "blue"})
    right = site.client.post(f"/r/{item}/move", data={"code": code, "group": "blue"}, follow_redirects=False)
    rebind = right.headers["location"]
    site.attempt(rebind.removeprefix("/r/"))

    assert f"/r/{item}/move" in status
    assert "Access until" in status
    assert ">blue</option>" in form
    assert ">red</option>" not in form
    assert (wrong.status_code, right.status_code) == (400, 303)
    assert "none: an access is moved" in site.client.get(f"{rebind}?lang=en").text
    assert "was moved to another group" in site.client.get(f"/r/{item}?lang=en").text
    assert "/move" not in site.client.get(f"{rebind}?lang=en").text
    assert site.client.cookies[COOKIE].count(".") == 1
