"""Limits of a code that change later, by API: previewed, set below the uses or from now on, and explained."""

from typing import Any
from uuid import uuid4

import pytest

from tests.support.clients.app_client import AppClient


def create(app: AppClient, uses: int) -> tuple[str, str, list[str]]:
    key = app.key("admin")
    (code,) = app.client.post("/api/v1/codes", json={"max_uses": uses + 3, "open": True}, headers=key).json()
    reserved = [app.redeem(code["code"], f"p{nth}@example.com").json()["reservation_id"] for nth in range(uses)]
    return f"/api/v1/codes/{code['id']}", code["code"], reserved


def answer(app: AppClient, code: str, email: str) -> str:
    return str(app.redeem(code, email).json().get("code", "ok"))


def change(app: AppClient, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
    tag = app.client.get(f"{path}/terms", headers=app.key("viewer")).headers["ETag"]
    answered = app.client.patch(path, json=body, headers={**app.key("admin"), "If-Match": tag})
    return answered.status_code, answered.json()


def test_preview_says_what_each_choice_would_mean_and_changes_nothing(app: AppClient) -> None:
    """Three uses and a limit of two: one is over, the newest; from now on two more would be granted."""
    path, _, reserved = create(app, 3)
    key, before = app.key("viewer"), app.count("ledger_events")

    of_all, from_now = app.client.get(f"{path}/limit-preview?max_uses=2", headers=key).json()["choices"]
    too_much = app.client.get(f"{path}/limit-preview?max_uses={2**53}", headers=key).json()["choices"]
    unknown = app.client.get(f"/api/v1/codes/{uuid4()}/limit-preview?max_uses=2", headers=key)

    numbers = ("counting", "refused", "max_uses", "counted", "available", "over")
    assert [of_all[name] for name in numbers] == ["all", None, 2, 3, -1, 1]
    assert [from_now[name] for name in numbers] == ["from_now", None, 5, 3, 2, 0]
    assert [use["reservation_id"] for use in of_all["uses_over"]] == reserved[2:]
    assert [choice["refused"] is None for choice in too_much] == [True, False]
    assert [too_much[1][name] for name in numbers[2:]] == [None, None, None, 0]
    assert (unknown.status_code, unknown.json()["code"]) == (404, "NOT_FOUND")
    assert app.count("ledger_events") == before


def test_limit_below_the_uses_needs_the_choice_and_keeps_them(app: AppClient) -> None:
    path, code, reserved = create(app, 3)
    key = {**app.key("admin"), "Accept-Language": "en"}

    status, refused = change(app, path, max_uses=2)
    _, allowed = change(app, path, max_uses=2, counting="all", note="Sold twice")
    explained = app.client.get(f"{path}/explain", headers=key).json()
    what_if = app.client.get(f"{path}/what-if", params={"email": "late@example.com"}, headers=key).json()
    history = app.client.get(f"{path}/history", headers=key).json()["events"]
    answers = []
    for each in reserved[:2]:
        answers.append(answer(app, code, "late@example.com"))
        app.client.post(f"/api/v1/reservations/{each}/cancel", json={}, headers=key)

    assert (status, refused["code"]) == (409, "LIMIT_TOO_LOW")
    assert (allowed["available"], allowed["reserved"], allowed["state"]) == (-1, 3, "held")
    assert (explained["available"], what_if["would"]) == (-1, "CODE_HELD")
    assert "the limit counts all uses" in history[-1]["sentence"]
    assert answers == ["CODE_HELD", "CODE_HELD"]
    assert answer(app, code, "late@example.com") == "ok"
    assert answer(app, code, "later@example.com") == "CODE_HELD"
    assert app.client.get(f"{path}/explain", headers=key).json()["available"] == 0


def test_use_over_the_limit_can_still_be_corrected(app: AppClient) -> None:
    path, _, reserved = create(app, 3)
    change(app, path, max_uses=1, counting="all")

    corrected = app.client.post(
        f"/api/v1/reservations/{reserved[2]}/correct-recipient",
        json={"email": "right@example.com"},
        headers=app.key("admin"),
    )

    assert corrected.status_code == 200
    assert app.client.get(path, headers=app.key("viewer")).json()["reserved"] == 3


@pytest.mark.parametrize("body", [{"counting": "all"}, {"counting": "from_now", "max_uses": None}])
def test_choice_without_a_limit_is_refused(app: AppClient, body: dict[str, Any]) -> None:
    path, *_ = create(app, 1)

    status, refused = change(app, path, **body)

    assert (status, refused["code"]) == (422, "OUT_OF_BOUNDS")
    assert app.client.get(path, headers=app.key("viewer")).json()["max_uses"] == 4


def test_repeated_limit_from_now_on_adds_no_uses_again(app: AppClient) -> None:
    """The answer was lost, and a use was reserved before the repeat."""
    path, code, _ = create(app, 2)
    body, key = {"max_uses": 1, "counting": "from_now"}, app.key("admin")
    tag = app.client.get(f"{path}/terms", headers=key).headers["ETag"]

    answers = [app.client.patch(path, json=body, headers=key)]
    for _ in range(2):
        answers.append(app.client.patch(path, json=body, headers={**key, "If-Match": tag}))
        answer(app, code, "late@example.com")

    statuses = [(each.status_code, each.json().get("code")) for each in answers]
    assert statuses == [(428, "PRECONDITION_REQUIRED"), (200, None), (412, "TERMS_CHANGED")]
    assert app.client.get(path, headers=key).json()["max_uses"] == 3


def test_limit_from_now_on_counts_further_uses(app: AppClient) -> None:
    path, code, _ = create(app, 2)

    _, changed = change(app, path, max_uses=1, counting="from_now")

    assert (changed["max_uses"], changed["available"]) == (3, 1)
    assert [answer(app, code, f"late{nth}@example.com") for nth in range(2)] == ["ok", "CODE_HELD"]
    key = {**app.key("viewer"), "Accept-Language": "en"}
    history = app.client.get(f"{path}/history", headers=key).json()["events"]
    assert any("uses so far with further ones" in event["sentence"] for event in history)
