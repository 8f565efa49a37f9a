"""A group's settings reach its people: the email's words, and where an accepted invitation leads."""

from typing import cast
from uuid import UUID

from domain.values.link_token import DeliveryRef, link_token
from projections.repositories.groups import DEFAULT_TEXTS, GroupRepository, InvitationTexts, InviteGroup
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.page_reader import read_page
from tests.support.ledger.code_template import make_template

TARGET = "https://team.example.com/welcome?from=ledger"
ADDRESS = "li.wei@example.com"
PAGE = {"accept": "text/html", "accept-language": "en"}


def follow(app: AppClient, reservation_id: str) -> AppResponse:
    """Press the button behind the link of an invitation, without going on to where it leads."""
    secret = app.services.settings.secret_key.get_secret_value().encode()
    token = link_token(secret, DeliveryRef(UUID(reservation_id), 1))
    return cast("AppResponse", app.client.post(f"/a/{token}", headers=PAGE, follow_redirects=False))


def test_accepted_invitation_goes_on_to_the_groups_place(app: AppClient) -> None:
    """And tells that place nothing of the link; a group without one has a page that says it."""
    GroupRepository(app.services.storage).save(InviteGroup(name="blue", accept_target=TARGET), app.services.now())
    ids = [
        app.redeem(app.issue(make_template(max_uses=1, group=group))).json()["reservation_id"]
        for group in ("blue", "green")
    ]
    for reservation_id in ids:
        app.attempt(reservation_id)

    blue, again, green = follow(app, ids[0]), follow(app, ids[0]), follow(app, ids[1])

    assert (blue.status_code, blue.headers["location"]) == (303, TARGET)
    assert blue.headers["referrer-policy"] == "no-referrer"
    assert again.headers["location"] == TARGET
    assert green.status_code == 200
    assert "green" in green.text
    assert app.services.reader.find_reservation(UUID(ids[0])) is not None


def test_only_a_link_of_ours_leads_anywhere(app: AppClient) -> None:
    """What is in the address of the request is never gone to."""
    GroupRepository(app.services.storage).save(InviteGroup(name="blue", accept_target=TARGET), app.services.now())

    answer = app.client.post("/a/nonsense?next=https://evil.example.com", headers=PAGE, follow_redirects=False)

    assert answer.status_code == 404
    assert "location" not in answer.headers


def test_words_are_those_of_the_group_and_language(app: AppClient) -> None:
    """A group without settings has none."""
    groups = GroupRepository(app.services.storage)
    groups.save(InviteGroup(name="blue", en=InvitationTexts("Come", "Welcome")), app.services.now())

    assert groups.find_texts("blue", "en") == ("Come", "Welcome")
    assert groups.find_texts("blue", "zh") == DEFAULT_TEXTS
    assert groups.find_texts("green", "en") == DEFAULT_TEXTS


def test_groups_are_listed_once_by_name(app: AppClient) -> None:
    groups = GroupRepository(app.services.storage)
    groups.save(InviteGroup(name="blue"), app.services.now())
    for group in ("green", "green", "amber", "blue"):
        app.issue(make_template(max_uses=1, group=group))

    assert [line.name for line in groups.list_page("", 10)] == ["amber", "blue", "green"]
    assert [line.name for line in groups.list_page("amber", 10)] == ["blue", "green"]
    assert [line.name for line in groups.list_page("", 2)] == ["amber", "blue"]


def test_status_page_shows_where_the_invitation_is_sent(app: AppClient) -> None:
    reservation_id = app.redeem(app.issue(make_template(max_uses=1, group="blue"))).json()["reservation_id"]

    page = app.client.get(f"/r/{reservation_id}", headers=PAGE).text

    assert "l***@example.com" in page
    assert "li.wei" not in page
    assert "blue" in page
    assert len(read_page(page).find_all("time")) == 2


def test_no_group_is_named_like_an_address(app: AppClient) -> None:
    """It would stand in events forever, and every check of the log would find it."""
    key = app.key("admin")
    (issued,) = app.client.post("/api/v1/codes", json={"max_uses": 1}, headers=key).json()

    answers = [
        app.client.post("/api/v1/codes", json={"max_uses": 1, "group": ADDRESS}, headers=key),
        app.client.patch(f"/api/v1/codes/{issued['id']}", json={"group": ADDRESS}, headers=key),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(422, "MALFORMED")] * 2
    assert [ADDRESS in answer.text for answer in answers] == [False, False]
