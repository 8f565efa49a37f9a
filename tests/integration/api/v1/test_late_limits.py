"""Limits that a campaign gets later, by API: previewed, set for all uses or from now on, explained, as of any time."""

from typing import Any

import pytest

from tests.integration.api.v1.test_campaigns import UNKNOWN
from tests.support.clients.app_client import AppClient


def create(app: AppClient, uses: int) -> tuple[str, list[dict[str, Any]], list[str]]:
    """A campaign without limits: its path, codes beyond its used ones, and the reservations of the used ones."""
    key = app.key("admin")
    campaign = app.client.post("/api/v1/campaigns", json={"name": "Autumn"}, headers=key).json()
    body = {"count": uses + 3, "max_uses": 1, "campaign": campaign["id"]}
    codes = app.client.post("/api/v1/codes", json=body, headers=key).json()
    reserved = [
        app.redeem(code["code"], f"p{number}@example.com").json()["reservation_id"]
        for number, code in enumerate(codes[:uses])
    ]
    assert campaign["counted"] is None
    return f"/api/v1/campaigns/{campaign['id']}", codes[uses:], reserved


def answer(app: AppClient, code: dict[str, Any], email: str) -> str:
    return str(app.redeem(code["code"], email).json().get("code", "ok"))


def test_preview_says_what_each_choice_would_mean_and_changes_nothing(app: AppClient) -> None:
    path, _, reserved = create(app, 3)
    key = {**app.key("viewer"), "Accept-Language": "en"}
    before = app.count("ledger_events")

    preview = app.client.get(f"{path}/limit-preview?max_uses=2&max_per_day=2", headers=key).json()
    nothing = app.client.get(f"{path}/limit-preview", headers=key).json()
    unknown = app.client.get(f"/api/v1/campaigns/{UNKNOWN}/limit-preview?max_uses=2", headers=key)

    of_all, from_now = preview["choices"]
    numbers = ("counting", "refused", "counted", "available", "available_today", "over")
    assert [of_all[name] for name in numbers] == ["all", None, 3, -1, -1, 1]
    assert [from_now[name] for name in numbers] == ["from_now", None, 0, 2, 2, 0]
    assert [use["reservation_id"] for use in of_all["uses_over"]] == reserved[2:]
    assert [choice["refused"] for choice in nothing["choices"]] == [
        "The campaign would have no limit of uses, so there is nothing to count for. Name a limit."
    ] * 2
    assert (unknown.status_code, unknown.json()["code"]) == (404, "CAMPAIGN_NOT_FOUND")
    assert app.count("ledger_events") == before


@pytest.mark.parametrize(("choice", "counted", "answers"), [("all", 2, ["ok"]), ("from_now", 0, ["ok", "ok", "ok"])])
def test_limit_counts_what_was_chosen(app: AppClient, choice: str, counted: int, answers: list[str]) -> None:
    path, codes, _ = create(app, 2)
    key = {**app.key("admin"), "Accept-Language": "en"}

    changed = app.client.patch(
        path, json={"max_uses": 3, "counting": choice, "note": "Budget of October"}, headers=key
    ).json()
    redeemed = [answer(app, code, f"later{number}@example.com") for number, code in enumerate(codes)]
    shown = app.client.get(path, headers=key).json()
    history = app.client.get(f"{path}/history", headers=key).json()["events"]
    explained = app.client.get(f"{path}/explain", headers=key).json()

    assert (changed["counted"], changed["available"]) == (counted, 3 - counted)
    assert redeemed == [*answers, *["CAMPAIGN_HELD"] * (3 - len(answers))]
    assert (shown["counted"], shown["available"], shown["state"]) == (3, 0, "full")
    assert (shown["counts_from"] is None) is (choice == "all")
    (change,) = [event for event in history if event["type"] == "CampaignTermsChanged"]
    assert ("count all uses" if choice == "all" else "reserved from now on") in change["sentence"]
    assert change["occupied"] == 0
    earlier = [event for event in history if "an earlier use is counted" in event["sentence"]]
    assert len(earlier) == counted
    assert (explained["occupied"], explained["takes"], explained["returns"], len(explained["uses"])) == (3, 3, 0, 3)
    assert (explained["used"], explained["reserved"], explained["available"]) == (0, 3, 0)
    past = app.client.get(f"{path}/explain", params={"as_of": history[0]["at"]}, headers=key).json()
    assert (past["occupied"], past["sentence"]) == (
        0,
        "The campaign never had a common limit, so its uses are not counted.",
    )


def test_limit_below_the_uses_needs_the_choice_and_keeps_them(app: AppClient) -> None:
    path, codes, reserved = create(app, 3)
    key = {**app.key("admin"), "Accept-Language": "en"}

    refused = app.client.patch(path, json={"max_uses": 2}, headers=key)
    allowed = app.client.patch(path, json={"max_uses": 2, "counting": "all"}, headers=key).json()
    asked = {"email": "late@example.com"}
    what_if = app.client.get(f"/api/v1/codes/{codes[0]['id']}/what-if", params=asked, headers=key).json()
    at = app.client.get(f"{path}/history", headers=key).json()["events"][0]["at"]
    code_at = app.client.get(f"/api/v1/codes/{codes[0]['id']}", headers=key).json()["issued_at"]
    before = app.client.get(
        f"/api/v1/codes/{codes[0]['id']}/what-if", params={**asked, "as_of": max(at, code_at)}, headers=key
    ).json()
    for each in reserved[:2]:
        app.client.post(f"/api/v1/reservations/{each}/cancel", json={}, headers=key)

    assert (refused.status_code, refused.json()["errors"][0]["where"]) == (409, "body.max_uses")
    assert (allowed["available"], allowed["state"], allowed["reserved"]) == (-1, "full", 3)
    assert (what_if["would"], what_if["because_of_campaign"]) == ("CAMPAIGN_HELD", [2, 3, 4, 5])
    assert before["would"] == "accepted"
    assert answer(app, codes[0], "late@example.com") == "ok"
    assert answer(app, codes[1], "later@example.com") == "CAMPAIGN_HELD"


def test_choice_without_a_limit_and_an_unknown_choice_are_refused(app: AppClient) -> None:
    path, *_ = create(app, 0)
    key = {**app.key("admin"), "Accept-Language": "en"}

    without = app.client.patch(path, json={"counting": "all"}, headers=key)
    unknown = app.client.patch(path, json={"max_uses": 2, "counting": "some"}, headers=key)

    assert (without.status_code, without.json()["code"]) == (409, "CAMPAIGN_CONFLICT")
    assert "nothing to count for" in without.json()["detail"]
    assert unknown.status_code == 422
    assert app.client.get(path, headers=key).json()["counted"] is None


def test_preview_counts_spellings_of_one_inbox_as_one_person(app: AppClient) -> None:
    """By the rule of the campaign: the second use of the inbox would be over."""
    key = app.key("admin")
    campaign = app.client.post("/api/v1/campaigns", json={"name": "Autumn"}, headers=key).json()["id"]
    asked = {"count": 1, "max_uses": 2, "campaign": campaign, "open": True}
    (code,) = app.client.post("/api/v1/codes", json=asked, headers=key).json()
    reserved = [
        app.redeem(code["code"], email).json()["reservation_id"] for email in ("li@gmail.com", "l.i+gift@gmail.com")
    ]
    path = f"/api/v1/campaigns/{campaign}"

    def uses_over() -> list[str]:
        preview = app.client.get(f"{path}/limit-preview?max_per_person=1", headers=key).json()
        return [use["reservation_id"] for use in preview["choices"][0]["uses_over"]]

    by_address = uses_over()
    changed = app.client.patch(path, json={"person_rule": "mailbox"}, headers=key)

    assert (by_address, changed.status_code, uses_over()) == ([], 200, reserved[1:])


def test_preview_names_the_thresholds_that_each_choice_would_cross(app: AppClient) -> None:
    path, *_ = create(app, 3)
    key = app.key("admin")
    app.client.patch(path, json={"notify_at": [50, "1 left"]}, headers=key)

    choices = app.client.get(f"{path}/limit-preview?max_uses=4", headers=key).json()["choices"]
    app.client.patch(path, json={"max_uses": 4, "counting": "all"}, headers=key)
    history = app.client.get(f"{path}/history", headers=key).json()["events"]

    assert [choice["crossed"] for choice in choices] == [["50%", "1 left"], []]
    assert [event["type"] for event in history].count("CampaignThresholdReached") == 2
