"""Campaigns by API: created, joined by codes, limited, changed, paused, ended, read, and refused in plain words."""

import csv
import io
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.integration.api.v1.test_event_feed import follow
from tests.support.clients.app_client import AppClient
from tests.support.ledger.code_template import make_template

START = "2099-01-01T00:00:00Z"
UNKNOWN = "018f0000-0000-7000-8000-000000000000"


def create(app: AppClient, **terms: Any) -> dict[str, Any]:
    response = app.client.post("/api/v1/campaigns", json={"name": "Autumn", **terms}, headers=app.key("admin"))
    assert response.status_code == 201, response.text
    document: dict[str, Any] = response.json()
    return document


def issue(app: AppClient, campaign: dict[str, Any], count: int = 1) -> list[str]:
    body = {"count": count, "max_uses": 1, "campaign": campaign["id"]}
    response = app.client.post("/api/v1/codes", json=body, headers=app.key("admin"))
    assert response.status_code == 201, response.text
    return [code["code"] for code in response.json()]


def refusal(app: AppClient, code: str, email: str, language: str = "en") -> tuple[str, str]:
    body = {"email": email, "code": code}
    response = app.client.post("/api/v1/public/redeem", json=body, headers={"Accept-Language": language})
    document = response.json()
    return document.get("code", "ok"), document.get("detail", "")


def test_campaign_that_counts_by_mailbox_says_so_everywhere(app: AppClient) -> None:
    campaign = create(app, max_per_person=1, person_rule="mailbox")
    codes = issue(app, campaign, 2)
    app.redeem(codes[0], "l.i@gmail.com")
    english, chinese = (refusal(app, codes[1], "li+gift@googlemail.com", language) for language in ("en", "zh"))
    path = f"/api/v1/campaigns/{campaign['id']}"
    viewer = {**app.key("viewer"), "Accept-Language": "en"}
    explained = app.client.get(f"{path}/explain", headers=viewer).json()
    history = app.client.get(f"{path}/history", headers=viewer).json()["events"]
    exact = app.client.patch(path, json={"person_rule": "exact"}, headers=app.key("admin")).json()

    assert (campaign["person_rule"], exact["person_rule"]) == ("mailbox", "exact")
    assert english[0] == "PERSON_LIMIT"
    assert english[1].startswith("This email address counts as one person with l***@gmail.com, who already has")
    assert chinese[1].startswith("此邮箱与 l***@gmail.com 视为同一人")
    assert "all spellings of an inbox count as one person" in history[0]["sentence"]
    assert explained["most_per_person"] == 1
    assert explained["numbers"][-1].startswith("One person is one inbox")
    assert refusal(app, codes[1], "li+gift@googlemail.com")[0] == "ok"
    assert app.client.patch(path, json={"person_rule": "inbox"}, headers=app.key("admin")).status_code == 422
    admin = {**app.key("admin"), "Accept-Language": "en"}
    recount = app.client.patch(path, json={"person_rule": "mailbox"}, headers=admin).json()
    explained = app.client.get(f"{path}/explain", headers=viewer).json()
    assert (recount["code"], "already has: 2." in recount["detail"]) == ("CAMPAIGN_CONFLICT", True)
    assert explained["numbers"][-1].endswith("Counted by inbox, the most that one person has would be 2.")


def test_throwaway_address_is_refused_or_flagged_in_the_history(app: AppClient) -> None:
    campaign = create(app, throwaway="refuse")
    codes = issue(app, campaign, 2)
    english, chinese = (refusal(app, codes[0], "li@mailinator.com", language) for language in ("en", "zh"))
    path = f"/api/v1/campaigns/{campaign['id']}"
    flagged = app.client.patch(path, json={"throwaway": "flag"}, headers=app.key("admin")).json()
    accepted = refusal(app, codes[0], "li@mailinator.com")[0]
    code_id = app.services.reader.find_code(codes[0])
    viewer = {**app.key("viewer"), "Accept-Language": "en"}
    history = app.client.get(f"/api/v1/codes/{code_id}/history", headers=viewer).json()["events"]
    allowed = app.client.patch(path, json={"throwaway": "allow"}, headers=app.key("admin")).json()

    assert [each["throwaway"] for each in (campaign, flagged, allowed)] == ["refuse", "flag", "allow"]
    assert english == (
        "THROWAWAY_ADDRESS",
        "This campaign does not accept throw-away email addresses. No use was taken. Use an address that you keep.",
    )
    assert chinese[1].startswith("该活动不接受一次性邮箱")
    assert accepted == "ok"
    assert "flagged: throw-away email address" in history[1]["sentence"]


def test_setting_is_the_rule_of_campaigns_that_name_none(app: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(app.services.settings), "person_rule", "mailbox")
    unnamed, named = create(app, max_per_person=1), create(app, max_per_person=1, person_rule="exact")
    null = create(app, max_per_person=1, person_rule=None)

    assert [campaign["person_rule"] for campaign in (unnamed, named, null)] == ["mailbox", "exact", "exact"]


def test_balance_and_history_of_a_campaign_are_those_of_its_codes(own_app: AppClient) -> None:
    campaign = create(own_app, max_uses=2, max_per_person=1, group="team")
    codes = issue(own_app, campaign, 3)
    first = own_app.redeem(codes[0], "li@example.com").json()["reservation_id"]
    own_app.attempt(first)
    twice = refusal(own_app, codes[1], "li@example.com")
    own_app.redeem(codes[1], "wang@example.com")
    in_use = refusal(own_app, codes[2], "zhou@example.com")
    in_chinese = refusal(own_app, codes[2], "zhou@example.com", "zh")

    viewer = own_app.key("viewer")
    shown = own_app.client.get(f"/api/v1/campaigns/{campaign['id']}", headers=viewer).json()
    listed = own_app.client.get("/api/v1/campaigns?limit=1", headers=viewer).json()
    history = own_app.client.get(f"/api/v1/campaigns/{campaign['id']}/history", headers=viewer).json()["events"]
    later = own_app.client.get(f"/api/v1/campaigns/{campaign['id']}/history?after=2&limit=1", headers=viewer).json()
    group = own_app.client.get("/api/v1/codes", headers=viewer).json()["codes"][0]["group"]

    assert twice[0] == "PERSON_LIMIT"
    assert in_use[0] == in_chinese[0] == "CAMPAIGN_HELD"
    assert "not used up" in in_use[1]
    assert "并未用完" in in_chinese[1]
    assert {name: shown[name] for name in ("codes", "used_count", "reserved", "available", "state")} == {
        "codes": 3,
        "used_count": 1,
        "reserved": 1,
        "available": 0,
        "state": "full",
    }
    assert listed["campaigns"] == [shown]
    assert [(event["type"], event["occupied"]) for event in history] == [
        ("CampaignCreated", 0),
        ("CampaignUseTaken", 1),
        ("CampaignUseTaken", 2),
    ]
    assert history[1]["reservation_id"] == first
    assert [event["version"] for event in later["events"]] == [3]
    assert group == "team"


def test_campaign_admits_the_domains_of_its_terms_and_says_when_it_starts(app: AppClient) -> None:
    campaign = create(app, allowed_domains=["example.com", "*.edu"], starts_at=START)
    path, admin = f"/api/v1/campaigns/{campaign['id']}", app.key("admin")
    (code, other) = issue(app, campaign, 2)

    early = refusal(app, code, "li@example.com")
    changed = app.client.patch(path, json={"starts_at": None}, headers=admin).json()
    elsewhere = refusal(app, code, "li@example.org")
    admitted = refusal(app, code, "li@math.example.edu")
    states = [changed["state"]]
    answers = []
    for action in ("pause", "resume", "end"):
        states.append(app.client.post(f"{path}/{action}", headers=admin).json()["state"])
        answers.append(refusal(app, other, "li@example.com" if action != "resume" else "li@other.test")[0])

    assert early[0] == "CAMPAIGN_NOT_STARTED"
    assert "2099-01-01 00:00" in early[1]
    assert elsewhere[0] == "DOMAIN_NOT_ALLOWED"
    assert admitted[0] == "ok"
    assert states == ["active", "paused", "active", "ended"]
    assert answers == ["CAMPAIGN_PAUSED", "DOMAIN_NOT_ALLOWED", "CAMPAIGN_ENDED"]
    assert changed["allowed_domains"] == ["*.edu", "example.com"]


def test_limits_below_their_uses_are_all_named_with_the_number_in_use(app: AppClient) -> None:
    campaign = create(app, max_uses=9, max_per_person=5, max_per_day=5)
    for code in issue(app, campaign, 2):
        app.redeem(code, "li@example.com")
    path, admin = f"/api/v1/campaigns/{campaign['id']}", app.key("admin")
    low = {"max_uses": 1, "max_per_person": 1, "max_per_day": 1}

    refused = app.client.patch(path, json=low, headers={**admin, "Accept-Language": "en"})
    in_chinese = app.client.patch(path, json=low, headers={**admin, "Accept-Language": "zh"}).json()
    changed = app.client.patch(path, json=dict.fromkeys(low, 2), headers=admin)

    assert (refused.status_code, refused.json()["code"]) == (409, "CAMPAIGN_CONFLICT")
    assert [error["where"] for error in refused.json()["errors"]] == [f"body.{name}" for name in low]
    assert {error["what"] for error in refused.json()["errors"]} == {
        "must be at least 2, the number of uses that it limits"
    }
    assert refused.json()["detail"].count("at least 2.") == in_chinese["detail"].count("不低于 2。") == len(low)
    assert changed.status_code == 200


def test_bad_terms_of_a_campaign_are_refused_with_their_reason(shared_app: AppClient) -> None:
    """Each wrong body, and the problem that it gets; nothing is created."""
    app, admin = shared_app, shared_app.key("admin")
    before = app.client.get("/api/v1/campaigns?limit=100", headers=admin).json()["campaigns"]
    wrong: list[tuple[dict[str, Any], int, str]] = [
        ({}, 422, "MALFORMED"),
        ({"name": ""}, 422, "MALFORMED"),
        ({"name": "li.wei@example.com"}, 422, "CAMPAIGN_TERMS_INVALID"),
        ({"name": "A", "max_uses": 0}, 422, "MALFORMED"),
        ({"name": "A", "max_uses": 1, "max_per_person": 2}, 422, "CAMPAIGN_TERMS_INVALID"),
        ({"name": "A", "starts_at": START, "ends_at": START}, 422, "CAMPAIGN_TERMS_INVALID"),
        ({"name": "A", "ends_at": "2020-01-01T00:00:00Z"}, 422, "CAMPAIGN_TERMS_INVALID"),
        ({"name": "A", "allowed_domains": ["a*.example.com"]}, 422, "MALFORMED"),
        ({"name": "A", "allowed_domains": ["例子.公司"], "denied_domains": ["*.公司"]}, 422, "CAMPAIGN_TERMS_INVALID"),
        ({"name": "A", "max_per_day": 3, "max_uses": 2}, 422, "CAMPAIGN_TERMS_INVALID"),
        ({"name": "A", "max_per_week": 3}, 422, "MALFORMED"),
    ]
    answers = [app.client.post("/api/v1/campaigns", json=body, headers=admin) for body, _, _ in wrong]
    unknown = app.client.post("/api/v1/codes", json={"campaign": UNKNOWN}, headers=admin)
    after = app.client.get("/api/v1/campaigns?limit=100", headers=admin).json()["campaigns"]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [each[1:] for each in wrong]
    assert (unknown.status_code, unknown.json()["code"]) == (422, "CAMPAIGN_UNKNOWN")
    assert before == after


def test_terms_of_reminders_are_set_shown_and_refused(app: AppClient) -> None:
    campaign = create(app, remind_days=5, quiet_hours="22:00-08:00 Europe/Berlin")
    path, key = f"/api/v1/campaigns/{campaign['id']}", app.key("admin")
    answers = {
        str(change): app.client.patch(path, json=change, headers={**key, "Accept-Language": "en"})
        for change in (
            {"quiet_hours": "22:00-08:00 Europe/Atlantis"},
            {"quiet_hours": "08:00-08:00 UTC"},
            {"quiet_hours": "22-8"},
            {"remind_days": 0},
            {"remind_days": 31},
        )
    }
    unchanged = app.client.get(path, headers=key).json()
    without = app.client.patch(path, json={"remind_days": None, "quiet_hours": None}, headers=key).json()
    history = app.client.get(f"{path}/history", headers={**key, "Accept-Language": "en"}).json()["events"]

    assert {shown: answer.json()["code"] for shown, answer in answers.items()} == dict(
        zip(answers, ["CAMPAIGN_TERMS_INVALID"] * 2 + ["MALFORMED"] * 3, strict=True)
    )
    assert "existing time zone" in next(iter(answers.values())).json()["detail"]
    assert unchanged == campaign
    assert (campaign["remind_days"], campaign["quiet_hours"]) == (5, "22:00-08:00 Europe/Berlin")
    assert (without["remind_days"], without["quiet_hours"]) == (None, None)
    assert "reminder of unaccepted invitations 5 days before they end" in history[0]["sentence"]


def test_thresholds_are_set_shown_refused_and_reported_with_the_use(app: AppClient) -> None:
    campaign = create(app, max_uses=2, notify_at=[100, "0 left", 50])
    path, key = f"/api/v1/campaigns/{campaign['id']}", {**app.key("admin"), "Accept-Language": "en"}
    wrong: list[Any] = [[], [0], [101], ["80"], [True], [80.5], "80%", list(range(1, 12)), ["80% left"]]
    refused = [app.client.patch(path, json={"notify_at": value}, headers=key).json()["code"] for value in wrong]
    code, other = issue(app, campaign, 2)
    first = app.redeem(code, "li@example.com").json()["reservation_id"]
    second = app.redeem(other, "wang@example.com").json()["reservation_id"]
    history = app.client.get(f"{path}/history", headers=key).json()["events"]
    feed: list[dict[str, Any]] = follow(app, 0, type="CampaignThresholdReached", limit=1000)
    without = app.client.patch(path, json={"notify_at": None}, headers=key).json()

    assert campaign["notify_at"] == [50, 100, "0 left"]
    assert refused == ["MALFORMED"] * len(wrong)
    assert [(event["reservation_id"], event["sentence"]) for event in history if "Threshold" in event["type"]] == [
        (first, "50% of the uses are taken: a use crossed this threshold"),
        (second, "100% of the uses are taken: a use crossed this threshold"),
        (second, "0 or fewer uses are left: a use crossed this threshold"),
    ]
    own = [event for event in feed if event["campaign_id"] == campaign["id"]]
    assert [(event["reservation_id"], event["data"]["threshold"]) for event in own] == [
        (first, "50%"),
        (second, "100%"),
        (second, "0 left"),
    ]
    assert without["notify_at"] is None


def test_code_joins_a_campaign_later_and_its_earlier_uses_stay_outside(app: AppClient) -> None:
    campaign, other, key = create(app, max_uses=1), create(app), app.key("admin")
    code = app.issue(make_template(max_uses=5, bound=False))
    path = f"/api/v1/codes/{app.services.reader.find_code(code)}"
    reservation = app.redeem(code, "li@example.com").json()["reservation_id"]

    def join(campaign_id: str, code_path: str = path) -> tuple[int, str]:
        headers = {**key, "Accept-Language": "en"}
        answer = app.client.post(f"{code_path}/join-campaign", json={"campaign": campaign_id}, headers=headers)
        document = answer.json()
        return answer.status_code, document.get("detail", document.get("state"))

    unsettled = join(campaign["id"])
    app.attempt(reservation)
    joined = [join(campaign["id"]), join(campaign["id"])]
    refused = [join(other["id"]), join(UNKNOWN), join(campaign["id"], f"/api/v1/codes/{UNKNOWN}")]
    app.redeem(code, "wang@example.com")
    full = refusal(app, code, "zhou@example.com")
    balance = app.client.get(f"/api/v1/campaigns/{campaign['id']}", headers=key).json()
    history = app.client.get(f"{path}/history", headers={**key, "Accept-Language": "en"}).json()

    assert unsettled == (409, "The code has pending reservations. Try again when they are sent or refunded.")
    assert joined == [(200, "active")] * 2
    assert [status for status, _ in refused] == [409, 422, 404]
    assert "another campaign" in refused[0][1]
    assert full[0] == "CAMPAIGN_HELD"
    assert (balance["codes"], balance["used_count"], balance["reserved"], balance["available"]) == (1, 0, 1, 0)
    assert (history["used_count"], history["reserved"]) == (1, 1)
    assert [event["sentence"] for event in history["events"] if event["type"] == "CodeJoinedCampaign"] == [
        f"code joined the campaign {campaign['name']}: earlier reservations do not count in it"
    ]


def test_imported_codes_join_a_campaign_after_their_uses(app: AppClient) -> None:
    campaign, key = create(app, max_uses=5, group="team"), {**app.key("admin"), "Content-Type": "text/csv"}
    file = "code,max_uses,used\nMOVED-1,5,2\nMOVED-2,5,0\n"

    def send(body: str, query: str = f"?campaign={campaign['id']}") -> dict[str, Any]:
        answer = app.client.post(f"/api/v1/codes/import{query}", content=body, headers=key)
        return {"status": answer.status_code, **answer.json()}

    first, again = send(file), send(file)
    send("code\nALONE-1\n", "")
    outside, unknown = send("code\nALONE-1\n"), send(file, f"?campaign={UNKNOWN}")
    app.redeem("MOVED-1", "li@example.com")
    balance = app.client.get(f"/api/v1/campaigns/{campaign['id']}", headers=key).json()
    code_id = app.services.reader.find_code("MOVED-1")
    assert code_id is not None
    kinds = [type(line.event).__name__ for line in app.services.reader.read_history(code_id)]

    assert (first["imported"], again["imported"], again["already"]) == (2, 0, 2)
    assert (outside["applied"], unknown["code"]) == (False, "CAMPAIGN_UNKNOWN")
    assert "outside of the campaign" in outside["faults"][0]["why"]
    assert (balance["codes"], balance["used_count"], balance["reserved"]) == (2, 0, 1)
    assert kinds == ["CodeIssued", "OpeningBalanceImported", "CodeJoinedCampaign", "UseReserved"]


def test_terms_of_a_campaign_change_only_if_they_still_have_the_etag(app: AppClient) -> None:
    campaign, key = create(app, max_uses=5), app.key("admin")
    path = f"/api/v1/campaigns/{campaign['id']}"
    (code,) = issue(app, campaign)
    tag = app.client.get(path, headers=key).headers["ETag"]
    app.redeem(code, "li@example.com")
    after_use = app.client.get(path, headers=key).headers["ETag"]
    first = app.client.patch(path, json={"max_uses": 6}, headers={**key, "If-Match": tag})
    stale = app.client.patch(path, json={"max_uses": 7}, headers={**key, "If-Match": tag})
    current = app.client.patch(path, json={"max_uses": 8}, headers={**key, "If-Match": first.headers["ETag"]})
    unknown = app.client.patch(f"/api/v1/campaigns/{UNKNOWN}", json={}, headers={**key, "If-Match": tag})

    assert tag == after_use != first.headers["ETag"]
    assert [answer.status_code for answer in (first, stale, current, unknown)] == [200, 412, 200, 404]
    assert stale.json()["code"] == "TERMS_CHANGED"
    assert app.client.get(path, headers=key).json()["max_uses"] == 8
    assert app.client.patch(path, json={"max_uses": 9}, headers={**key, "If-Match": "*"}).status_code == 200


def test_explanation_names_each_use_that_counts_now_and_as_of_a_time(app: AppClient) -> None:
    campaign, key = create(app, max_uses=5, max_per_day=4), {**app.key("viewer"), "Accept-Language": "en"}
    path = f"/api/v1/campaigns/{campaign['id']}"
    codes = issue(app, campaign, 3)
    ids = [app.redeem(code, f"p{number}@example.com").json()["reservation_id"] for number, code in enumerate(codes)]
    app.attempt(ids[0])
    app.client.post(f"/api/v1/reservations/{ids[1]}/cancel", json={}, headers=app.key("admin"))
    history = app.client.get(f"{path}/history", headers=key).json()["events"]

    now = app.client.get(f"{path}/explain", headers=key).json()
    first = app.client.get(f"{path}/explain", params={"as_of": history[1]["at"]}, headers=key).json()
    before = app.client.get(f"{path}/explain?as_of=2020-01-01T00:00:00Z", headers=key)
    unknown = app.client.get(f"/api/v1/campaigns/{UNKNOWN}/explain", headers=key)

    assert [use["reservation_id"] for use in now["uses"]] == [ids[0], ids[2]]
    assert [history[use["version"] - 1]["type"] for use in now["uses"]] == ["CampaignUseTaken"] * 2
    assert now["sentence"] == "Uses that count: 2. Reservations took 3, and 1 of these were returned."
    numbers = ("occupied", "available", "available_today", "takes", "returns", "left_out", "terms_version", "version")
    assert [now[name] for name in numbers] == [2, 3, 2, 3, 1, 0, 1, 5]
    assert [now[name] for name in ("used", "reserved", "taken_today", "most_per_person")] == [1, 1, 2, 1]
    assert [use["state"] for use in now["uses"]] == ["used", "reserved"]
    assert (first["used"], first["reserved"], len(now["numbers"])) == (0, 1, 4)
    assert ([use["reservation_id"] for use in first["uses"]], first["occupied"]) == ([ids[0]], 1)
    assert (before.status_code, unknown.status_code) == (404, 404)


def test_codes_have_the_terms_of_their_campaign_where_the_issue_names_none(app: AppClient) -> None:
    campaign, key = create(app, code_max_uses=3, code_validity_days=30), app.key("admin")
    path = f"/api/v1/campaigns/{campaign['id']}"

    def issue_one(**named: Any) -> dict[str, Any]:
        body = {"campaign": campaign["id"], **named}
        code = app.client.post("/api/v1/codes", json=body, headers=key).json()[0]
        document: dict[str, Any] = app.client.get(f"/api/v1/codes/{code['id']}", headers=key).json()
        return document

    issued = [issue_one(), issue_one(max_uses=1), issue_one(max_uses=None, validity_days=None)]
    app.client.post(
        f"/api/v1/codes/import?campaign={campaign['id']}",
        content="code,max_uses\nDEFAULT-1,\nDEFAULT-2,7\n",
        headers={**key, "Content-Type": "text/csv"},
    )
    code_ids = [app.services.reader.find_code(text) for text in ("DEFAULT-1", "DEFAULT-2")]
    issued += [app.client.get(f"/api/v1/codes/{code_id}", headers=key).json() for code_id in code_ids]
    app.client.patch(path, json={"code_max_uses": None}, headers=key)
    later, first = issue_one(), app.client.get(f"/api/v1/codes/{issued[0]['id']}", headers=key).json()

    assert [(code["max_uses"], code["validity_days"]) for code in issued] == [
        (3, 30),
        (1, 30),
        (None, None),
        (3, 30),
        (7, 30),
    ]
    assert (later["max_uses"], first["max_uses"]) == (1, 3)
    refused = app.client.post("/api/v1/campaigns", json={"name": "A", "code_validity_days": 36_501}, headers=key)
    assert refused.status_code == 422


@pytest.mark.parametrize("route", ["campaigns", "hand-outs"])
def test_idempotency_key_creates_nothing_twice(app: AppClient, route: str) -> None:
    body = {"name": "Readers"} | ({"campaign": create(app)["id"]} if route == "hand-outs" else {})
    key, url = {"Idempotency-Key": "order-1001"}, f"/api/v1/{route}"

    def ids(headers: dict[str, str], **changes: Any) -> list[str]:
        answers = [app.client.post(url, json={**body, **changes}, headers=headers) for _ in range(2)]
        return [answer.json().get("id") or answer.json()["code"] for answer in answers]

    caller, other = app.key("admin"), app.key("admin")
    same, others = ids(caller | key), ids(other | key)
    empty = app.client.post(url, json=body, headers=caller | {"Idempotency-Key": ""})
    elsewhere = app.client.post("/api/v1/campaigns", json={"name": "Winter"}, headers=caller | {"Idempotency-Key": "x"})

    assert (same[0], others[0]) == (same[1], others[1])
    assert len({*same, *others, *ids(caller)}) == 4
    assert ids(caller | key, name="Writers") == ["IDEMPOTENCY_KEY_REUSED"] * 2
    assert (empty.status_code, elsewhere.status_code) == (422, 201)


def test_route_that_cannot_honor_an_idempotency_key_refuses_it(app: AppClient) -> None:
    """An endpoint's secret is shown once, so a repeated request could not return it."""
    body, admin = {"url": "https://hooks.example.com/ledger"}, app.key("admin")
    refused = app.client.post("/api/v1/webhooks", json=body, headers=admin | {"Idempotency-Key": "order-1001"})

    assert (refused.status_code, refused.json()["code"]) == (422, "MALFORMED")
    assert "idempotency-key" in refused.text.lower()
    assert app.client.get("/api/v1/webhooks", headers=admin).json()["webhooks"] == []


def test_history_and_explanation_of_a_campaign_are_also_csv(app: AppClient) -> None:
    campaign, key = create(app, max_uses=5), {**app.key("admin"), "Accept-Language": "en"}
    reservation_id = app.redeem(issue(app, campaign)[0], "li@example.com").json()["reservation_id"]
    path = f"/api/v1/campaigns/{campaign['id']}"

    answers = [app.client.get(f"{path}/{part}?format=csv", headers=key) for part in ("history", "explain")]
    lines, uses = (list(csv.DictReader(io.StringIO(answer.text))) for answer in answers)
    document = app.client.get(f"{path}/history", headers=key).json()

    assert [answer.headers["content-type"] for answer in answers] == ["text/csv; charset=utf-8"] * 2
    assert [line["sentence"] for line in lines] == [event["sentence"] for event in document["events"]]
    assert [(line["type"], line["reservation_id"], line["occupied"]) for line in lines] == [
        ("CampaignCreated", "", "0"),
        ("CampaignUseTaken", reservation_id, "1"),
    ]
    assert [(use["reservation_id"], use["version"], use["state"]) for use in uses] == [
        (reservation_id, "2", "reserved")
    ]
    assert app.client.get(f"{path}/explain?format=xml", headers=key).status_code == 422


def test_codes_and_hand_outs_end_as_their_campaign_says(app: AppClient) -> None:
    """Each code ends so many days after its issue; its own end, or own days, count instead, and a change renews it."""
    campaign, key = create(app, valid_for="P2W"), app.key("admin")
    path = f"/api/v1/campaigns/{campaign['id']}"

    def issue_one(**named: Any) -> dict[str, Any]:
        code = app.client.post("/api/v1/codes", json={"campaign": campaign["id"], **named}, headers=key).json()[0]
        document: dict[str, Any] = app.client.get(f"/api/v1/codes/{code['id']}", headers=key).json()
        return document

    def days(code: dict[str, Any]) -> float:
        span = datetime.fromisoformat(code["expires_at"]) - datetime.fromisoformat(code["issued_at"])
        return span / timedelta(days=1)

    issued = [issue_one(), issue_one(valid_for="P3D"), issue_one(expires_at=START)]
    changed = app.client.patch(path, json={"valid_for": "P7D"}, headers=key).json()
    later, earlier = issue_one(), app.client.get(f"/api/v1/codes/{issued[0]['id']}", headers=key).json()
    renewed = app.client.patch(f"/api/v1/codes/{issued[0]['id']}", json={"valid_for": "P30D"}, headers=key).json()
    history = app.client.get(f"{path}/history", headers={**key, "Accept-Language": "en"}).json()["events"]
    removed = app.client.patch(path, json={"valid_for": None}, headers=key).json()

    assert (campaign["valid_for"], changed["valid_for"], removed["valid_for"]) == ("P14D", "P7D", None)
    assert [days(code) for code in (*issued[:2], later, earlier)] == [14, 3, 7, 14]
    assert issued[2]["expires_at"] == START
    assert round(days(renewed), 2) == 30
    assert "codes valid for 7 days from issue or hand-out" in history[1]["sentence"]
    assert issue_one()["expires_at"] is None


@pytest.mark.parametrize("value", ["P0D", "7", 8, "P36501D", "P1M"])
def test_duration_that_is_not_in_days_is_refused(app: AppClient, value: object) -> None:
    key, campaign = app.key("admin"), create(app)
    requests = [("POST", "/api/v1/codes"), ("PATCH", f"/api/v1/campaigns/{campaign['id']}")]
    answers = [app.client.request(verb, path, json={"valid_for": value}, headers=key) for verb, path in requests]

    assert [(answer.status_code, "valid_for" in answer.text) for answer in answers] == [(422, True)] * 2


def test_rule_of_persons_has_two_names_of_which_a_request_uses_one(app: AppClient) -> None:
    campaign, key = create(app, max_per_person=1, same_person="mailbox"), app.key("admin")
    path = f"/api/v1/campaigns/{campaign['id']}"
    changed = app.client.patch(path, json={"same_person": "exact"}, headers=key).json()
    both = app.client.patch(path, json={"same_person": "exact", "person_rule": "mailbox"}, headers=key)

    assert [(each["same_person"], each["person_rule"]) for each in (campaign, changed)] == [
        ("mailbox", "mailbox"),
        ("exact", "exact"),
    ]
    assert both.status_code == 422


def test_explanations_name_what_crossed_the_thresholds_that_are_reached(app: AppClient) -> None:
    campaign, key = create(app, max_uses=4, notify_at=[50, "1 left"]), app.key("viewer")
    body = {"max_uses": 3, "open": True, "campaign": campaign["id"], "notify_at": [50, 100]}
    code = app.client.post("/api/v1/codes", json=body, headers=app.key("admin")).json()[0]
    first, second = (
        app.redeem(code["code"], f"{name}@example.com").json()["reservation_id"] for name in ("li", "wang")
    )
    paths = [f"/api/v1/campaigns/{campaign['id']}/explain", f"/api/v1/codes/{code['id']}/explain"]

    def explain(path: str) -> dict[str, Any]:
        document: dict[str, Any] = app.client.get(path, headers={**key, "Accept-Language": "en"}).json()
        return document

    reached = [explain(path)["thresholds"] for path in paths]
    app.client.post(f"/api/v1/reservations/{first}/refund", json={"note": "wrong person"}, headers=app.key("admin"))
    after = [explain(path)["thresholds"] for path in paths]

    assert [(each["threshold"], each["crossed_by"]) for (each,) in reached] == [("50%", second)] * 2
    assert reached[0][0]["sentence"] == "50% of the uses are taken: a use crossed this threshold"
    assert after == [[], []]
