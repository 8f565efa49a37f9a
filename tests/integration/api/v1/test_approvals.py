"""Proposals over HTTP: listed and shown without data of persons, and an export that a second person approved."""

from collections.abc import Iterator, Mapping
from typing import cast
from uuid import uuid4

import pytest

from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.guarded_app import (
    REASON,
    Member,
    find,
    guarded_site,
    join_staff,
    outage_case,
    proposed,
    rows,
)
from tests.support.clients.guarded_app import campaign_case as new_campaign
from tests.support.clients.guarded_app import sent_reservation as send

PATH = "/api/v1/approvals"


@pytest.fixture(scope="module")
def app(postgres_url: str) -> Iterator[AppClient]:
    with guarded_site(postgres_url, refund_uses=1) as started:
        yield started


@pytest.fixture(scope="module")
def second(app: AppClient) -> Member:
    return join_staff(app, "admin")


def post(app: AppClient, path: str, body: Mapping[str, object], key: dict[str, str]) -> AppResponse:
    return cast("AppResponse", app.client.post(path, json=body, headers=key))


def export(app: AppClient, email: str, key: dict[str, str]) -> AppResponse:
    return post(app, "/api/v1/recipients/export", {"email": email, "reason": REASON}, key)


def test_problem_names_the_proposal_and_its_route_shows_it(app: AppClient) -> None:
    """In both languages; without the reason, the address and the text of what was asked."""
    case, support = new_campaign(app), app.key("support")
    answer = case.ask_by_key(app)
    body = answer.json()

    shown = app.client.get(body["approval_url"], headers=support).json()
    listed = app.client.get(PATH, params={"limit": 100}, headers=support).json()["approvals"]

    assert body["approval_id"] in body["detail"]
    assert shown["id"] == body["approval_id"]
    assert (shown["kind"], shown["subject_id"], shown["state"]) == ("end_campaign", str(case.subject[0]), "waiting")
    assert (shown["outcome"], shown["proposed_by"], shown["decided_by"]) == (None, "key", None)
    assert shown in listed
    assert REASON not in str(shown)
    assert app.client.get(f"{PATH}/{uuid4()}", headers=support).status_code == 404


def test_pages_follow_one_another_and_closed_ones_are_left_out(app: AppClient, second: Member) -> None:
    proposals = [proposed(app, new_campaign(app).ask_by_key(app)) for _ in range(3)]
    second.decide(proposals[0], "reject", reason="no")
    key, ids = app.key("support"), list[str]()
    page = app.client.get(PATH, params={"limit": 1}, headers=key).json()
    while True:
        ids += [each["id"] for each in page["approvals"]]
        if page["next"] is None:
            break
        page = app.client.get(PATH, params={"limit": 1, "cursor": page["next"]}, headers=key).json()

    everything = app.client.get(PATH, params={"closed": True, "limit": 100}, headers=key).json()["approvals"]

    assert [str(each.approval_id) for each in proposals[1:]] == ids[-2:]
    assert str(proposals[0].approval_id) not in ids
    assert str(proposals[0].approval_id) in {each["id"] for each in everything}


def test_refunds_up_to_the_threshold_do_not_wait(app: AppClient) -> None:
    """One use does not; two of one outage do, also if one request would refund only one of them."""
    key, start, alone = app.key("support"), app.services.now(), outage_case(app)
    of_one_server = alone.ask_by_key(app).json()["refunded"]
    single = post(app, f"/api/v1/reservations/{send(app)}/refund", {"note": "x"}, key).status_code
    send(app)
    whole = {name: value for name, value in alone.body.items() if name != "server"} | {"from": start.isoformat()}
    of_all_servers = post(app, "/api/v1/refunds", whole, key).json()["refunded"]
    for _ in range(2):
        send(app)

    assert (of_one_server, single, of_all_servers) == (1, 200, 1)
    assert proposed(app, post(app, "/api/v1/refunds", whole, key)).kind == "refund"


def test_approved_export_is_sent_once_to_its_proposer_alone(app: AppClient, second: Member) -> None:
    email = f"{uuid4().hex[:12]}@example.com"
    send(app, email)
    key, other = app.key("admin"), app.key("admin")
    proposal = proposed(app, export(app, email, key))
    stored = rows(app, "SELECT asked, subject_id FROM approvals WHERE approval_id = %s", proposal.approval_id)
    page = second.browser.get(f"/support/approvals/{proposal.approval_id}").text
    approved = second.decide(proposal, "approve")
    pressed_again = second.decide(proposal, "approve")
    unfinished = find(app, proposal.approval_id).is_unfinished

    by_other = proposed(app, export(app, email, other))
    fetched = export(app, email, key)
    again = proposed(app, export(app, email, key))

    assert email not in str(stored) + page
    assert (approved.status_code, pressed_again.status_code, unfinished) == (303, 303, True)
    assert by_other.approval_id == proposal.approval_id
    assert (fetched.status_code, fetched.json()["email"]) == (200, email)
    assert again.approval_id != proposal.approval_id
    assert find(app, proposal.approval_id).outcome == "done"
    ((approver,),) = rows(
        app, "SELECT approved_by FROM audit WHERE act = 'exported_person' AND subject_id = %s", proposal.subject_id
    )
    assert approver == second.staff_id


def test_erasing_a_person_ends_what_waits_about_them(app: AppClient, second: Member) -> None:
    """The address in a proposal goes with the person."""
    email = f"{uuid4().hex[:12]}@example.com"
    send(app, email)
    body = {"email": email, "reason": REASON}
    waiting = proposed(app, export(app, email, app.key("admin")))
    erasure = proposed(app, post(app, "/api/v1/recipients/forget", body, app.key("admin")))

    second.decide(erasure, "approve")

    assert find(app, erasure.approval_id).outcome == "done"
    assert (find(app, waiting.approval_id).state, find(app, waiting.approval_id).private) == ("expired", None)
