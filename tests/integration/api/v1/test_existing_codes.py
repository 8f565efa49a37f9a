"""Codes that exist are handed out by API: imported ones and those that joined the campaign, to one recipient each."""

from typing import Any
from uuid import uuid4

from tests.integration.api.v1.test_hand_outs import PATH, create, create_campaign, upload
from tests.support.clients.app_client import AppClient

ADDRESS = "zhou@example.com"


def import_codes(app: AppClient, content: str, **query: Any) -> None:
    headers, query = {**app.key("admin"), "content-type": "text/csv"}, {"new_groups": True, **query}
    response = app.client.post("/api/v1/codes/import", params=query, content=content.encode(), headers=headers)
    assert response.status_code == 200, response.text


def give(app: AppClient, hand_out: dict[str, Any], code: str, email: str = ADDRESS, **more: Any) -> tuple[int, str]:
    body = {"code": code, "email": email, **more}
    headers = {**app.key("admin"), "accept-language": "en"}
    response = app.client.post(f"{PATH}/{hand_out['id']}/codes", json=body, headers=headers)
    document = response.json()
    return response.status_code, document.get("state") or document.get("detail") or document["code"]


def test_imported_code_and_one_that_joined_are_queued_for_their_recipients(app: AppClient) -> None:
    campaign = create_campaign(app, max_uses=9)
    hand_out = create(app, campaign)
    import_codes(app, "code,max_uses\nSPRING-2027-AAAA,1\nSPRING-2027-BBBB,1\n", campaign=campaign)
    joined = app.issue()
    codes = app.client.get("/api/v1/codes", headers=app.key("admin")).json()["codes"]
    for each in codes:
        path = f"/api/v1/codes/{each['id']}/join-campaign"
        app.client.post(path, json={"campaign": campaign}, headers=app.key("admin"))
    seen = [give(app, hand_out, "spring-2027-aaaa"), give(app, hand_out, "SPRING-2027-AAAA")]
    seen += [give(app, hand_out, joined, "wang@example.com", variables={"name": "Wang"}, language="zh")]
    listed = upload(app, hand_out, f"email\n{ADDRESS}\nnew@example.com\n")
    status, why = give(app, hand_out, "SPRING-2027-BBBB", "new@example.com")
    shown = app.client.get(f"{PATH}/{hand_out['id']}", headers=app.key("admin")).json()
    people = app.client.get(f"{PATH}/{hand_out['id']}/recipients", headers=app.key("admin")).json()["recipients"]

    assert seen == [(200, "queued")] * 3
    assert (status, "in a list of this campaign already" in why) == (409, True)
    assert (listed["added"], listed["listed"]) == (1, 1)
    assert (shown["recipients"], shown["counts"]["queued"], shown["processed"]) == (3, 3, 0)
    assert [(person["language"], person["mail"]) for person in people][1:] == [("zh", 1), ("zh", 0)]
    assert len({person["code_id"] for person in people} & {each["id"] for each in codes}) == 2


def test_code_that_cannot_be_handed_out_is_refused_with_what_to_do(own_app: AppClient) -> None:
    """Nothing is stored then: the list stays empty, and so does the vault."""
    campaign, other = create_campaign(own_app), create_campaign(own_app, name="Winter")
    hand_out = create(own_app, campaign)
    codes = "code,max_uses,group\nFREE-AAAA-1111,1,\nTEAM-AAAA-1111,1,team\nPAUSED-AAAA-11,1,\nREVOKED-AAAA-1,1,\n"
    import_codes(own_app, codes, campaign=campaign)
    import_codes(own_app, "code,max_uses\nOTHER-AAAA-111,1\n", campaign=other)
    codes_by_action = {"PAUSED-AAAA-11": "pause", "REVOKED-AAAA-1": "revoke"}
    for code, action in codes_by_action.items():
        code_id = own_app.services.reader.find_code(code)
        body = {"note": "test"} if action == "revoke" else None
        response = own_app.client.post(f"/api/v1/codes/{code_id}/{action}", json=body, headers=own_app.key("admin"))
        assert response.status_code == 200, response.text
    words = {
        "NONE-AAAA-1111": "no such code",
        "TEAM-AAAA-1111": "another group",
        "PAUSED-AAAA-11": "is paused",
        "REVOKED-AAAA-1": "was revoked",
        "OTHER-AAAA-111": "does not belong to the campaign",
    }
    refused = {code: give(own_app, hand_out, code) for code in words}
    empty = own_app.client.get(f"{PATH}/{hand_out['id']}", headers=own_app.key("admin")).json()["recipients"]
    queued = give(own_app, hand_out, "FREE-AAAA-1111")
    recipients = own_app.count("recipients")
    again = [give(own_app, hand_out, "FREE-AAAA-1111", "wang@example.com"), give(own_app, hand_out, "TEAM-AAAA-1111")]
    malformed = give(own_app, hand_out, "FREE-AAAA-1111", "no address")
    unknown = give(own_app, {"id": str(uuid4())}, "FREE-AAAA-1111")
    own_app.client.post(f"{PATH}/{hand_out['id']}/end", headers=own_app.key("admin"))

    assert [status for status, _ in refused.values()] == [409] * len(words)
    assert all(words[code] in why for code, (_, why) in refused.items()), refused
    assert (empty, queued) == (0, (200, "queued"))
    assert "given this code" in again[0][1]
    assert (recipients, own_app.count("recipients")) == (1, 1)
    assert (malformed[0], unknown[0], give(own_app, hand_out, "FREE-AAAA-1111")[0]) == (422, 404, 409)
