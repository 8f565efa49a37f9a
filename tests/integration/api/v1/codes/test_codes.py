"""Codes by API: issued, listed by cursor and filter, with a prefix and a note; their terms by their ETag."""

import base64
from typing import Any, cast
from uuid import uuid4

import pytest

from domain.events.code_terms import TERM_NAMES
from domain.values.email_domains import parse_domains
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.staff_browser import code_id_of
from tests.support.ledger.code_template import make_template

LISTS = {"codes": "/api/v1/codes", "reservations": "/api/v1/reservations", "cases": "/api/v1/cases"}


def walked(shared_app: AppClient, kind: str, **query: Any) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = []
    params: dict[str, Any] = {"limit": 2, **query}
    for _ in range(50):
        page = shared_app.client.get(LISTS[kind], params=params, headers=shared_app.key("support")).json()
        entries += page[kind]
        if page["next"] is None:
            return entries
        params["cursor"] = page["next"]
    raise AssertionError("the list does not end")


def test_issue_list_and_look_at_codes(own_app: AppClient) -> None:
    admin = own_app.key("admin")
    issued = own_app.client.post("/api/v1/codes", json={"count": 5, "max_uses": None, "open": True}, headers=admin)
    first = own_app.client.get("/api/v1/codes?limit=3", headers=admin).json()
    second = own_app.client.get(f"/api/v1/codes?limit=3&cursor={first['next']}", headers=admin).json()

    codes = issued.json()
    assert issued.status_code == 201
    assert [len(first["codes"]), len(second["codes"]), second["next"]] == [3, 2, None]
    assert {c["id"] for c in first["codes"] + second["codes"]} == {c["id"] for c in codes}
    assert own_app.redeem(codes[0]["code"]).status_code == 202
    one = own_app.client.get(f"/api/v1/codes/{codes[0]['id']}", headers=admin).json()
    assert (one["reserved"], one["available"], one["state"]) == (1, None, "active")


def test_history_shows_each_event_with_its_balance(shared_app: AppClient) -> None:
    code = shared_app.issue(make_template(max_uses=2))
    shared_app.attempt(shared_app.redeem(code).json()["reservation_id"])
    path = f"/api/v1/codes/{code_id_of(shared_app, code)}/history"

    response = shared_app.client.get(path, headers=shared_app.key("viewer"))

    body = response.json()
    kinds = [event["type"] for event in body["events"]]
    assert kinds == ["CodeIssued", "UseReserved", "InviteAttempted", "InviteSent"]
    assert [event["used_count"] for event in body["events"]] == [0, 0, 0, 1]
    assert [event["available"] for event in body["events"]] == [2, 1, 1, 1]
    assert (body["used_count"], body["state"]) == (1, "active")
    assert all(event["sentence"] for event in body["events"])
    assert "li.wei" not in response.text
    assert code not in response.text


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "terms"}])
def test_issue_is_refused_by_the_rules_that_the_ledger_decides(shared_app: AppClient, key: dict[str, str]) -> None:
    admin = shared_app.key("admin")
    campaign = shared_app.client.post("/api/v1/campaigns", json={"name": "Spring"}, headers=admin).json()
    shared_app.client.post(f"/api/v1/campaigns/{campaign['id']}/end", headers=admin)
    first_page = shared_app.client.get("/api/v1/codes", headers=admin).json()["codes"]

    contradiction = shared_app.client.post(
        "/api/v1/codes",
        json={"max_uses": 1, "allowed_domains": ["example.com"], "denied_domains": ["example.com"]},
        headers=admin | key,
    )
    late = shared_app.client.post(
        "/api/v1/codes",
        json={"max_uses": 1, "campaign": campaign["id"]},
        headers=admin | {name: f"{value}-2" for name, value in key.items()},
    )

    assert (contradiction.status_code, contradiction.json()["code"]) == (422, "TERMS_CONTRADICT")
    assert (late.status_code, late.json()["code"]) == (400, "CAMPAIGN_ENDED")
    assert shared_app.client.get("/api/v1/codes", headers=admin).json()["codes"] == first_page


def test_codes_are_listed_by_filter(shared_app: AppClient) -> None:
    group = f"g{uuid4().hex}"
    texts = [shared_app.issue(make_template(max_uses=1, bound=nth % 2 == 0, group=group)) for nth in range(5)]
    ids = [str(code_id_of(shared_app, text)) for text in texts]
    shared_app.client.post(f"/api/v1/codes/{ids[3]}/pause", headers=shared_app.key("support"))
    rows = walked(shared_app, "codes", group=group)

    assert [row["id"] for row in rows] == ids
    assert [row["id"] for row in walked(shared_app, "codes", group=group, state="paused")] == [ids[3]]
    assert [row["id"] for row in walked(shared_app, "codes", group=group, open=True)] == [ids[1], ids[3]]
    since, until = rows[1]["issued_at"], rows[3]["issued_at"]
    some = walked(shared_app, "codes", issued_from=since, issued_to=until)
    assert [row["id"] for row in some] == ids[1:3]


def test_codes_of_a_campaign_are_listed(shared_app: AppClient) -> None:
    """Alone, page by page, and together with other filters; each code names its campaign, one without it names none."""
    admin, group = shared_app.key("admin"), f"g{uuid4().hex}"
    campaign = shared_app.client.post("/api/v1/campaigns", json={"name": "Autumn"}, headers=admin).json()["id"]
    for owners in ({"campaign": campaign}, {"campaign": campaign, "group": group}, {"group": group}):
        answer = shared_app.client.post("/api/v1/codes", json={"count": 2, "max_uses": 1, **owners}, headers=admin)
        assert answer.status_code == 201
    rows = walked(shared_app, "codes", campaign=campaign)
    one = shared_app.client.get(f"/api/v1/codes/{rows[0]['id']}", headers=admin).json()

    assert [row["campaign"] for row in rows] == [campaign] * 4
    assert one["campaign"] == campaign
    assert [row["campaign"] for row in walked(shared_app, "codes", group=group)] == [campaign] * 2 + [None] * 2
    assert [row["group"] for row in walked(shared_app, "codes", campaign=campaign, group=group)] == [group] * 2
    assert walked(shared_app, "codes", campaign=str(uuid4())) == []


def test_reservations_are_listed_by_filter(shared_app: AppClient) -> None:
    code = shared_app.issue(make_template(max_uses=9, bound=False))
    names = [shared_app.redeem(code, f"p{nth}@example.com").json()["reservation_id"] for nth in range(5)]
    shared_app.attempt(names[1])
    code_id = str(code_id_of(shared_app, code))
    rows = walked(shared_app, "reservations", code_id=code_id)

    assert [row["reservation_id"] for row in rows] == names
    assert [row["state"] for row in rows] == ["reserved", "sent", "reserved", "reserved", "reserved"]
    sent = walked(shared_app, "reservations", code_id=code_id, status="sent")
    assert [row["reservation_id"] for row in sent] == [names[1]]
    some = walked(shared_app, "reservations", reserved_from=rows[2]["reserved_at"], reserved_to=rows[4]["reserved_at"])
    assert [row["reservation_id"] for row in some] == names[2:4]
    one = shared_app.client.get(f"/api/v1/reservations/{names[1]}", headers=shared_app.key("viewer"))
    assert (one.json()["state"], "example.com" in one.text) == ("sent", False)


BAD_CURSORS = [
    *("x", "%00", "a" * 99, "MXwy", "-", "=" * 9, "%C3%BC", "0001-01-01"),
    base64.urlsafe_b64encode(b"0001-01-01T00:00:00+14:00|" + str(uuid4()).encode()).decode(),
    base64.urlsafe_b64encode(b"9999-12-31T23:59:59-14:00|" + str(uuid4()).encode()).decode(),
    base64.urlsafe_b64encode(b"2026-01-01T00:00:00|" + b"9" * 30).decode(),
]


def test_number_is_not_a_valid_time(shared_app: AppClient) -> None:
    """It would be read as seconds since 1970, which is never meant."""
    headers = shared_app.key("viewer")
    paths = (
        "codes?issued_to=0.0",
        "codes?issued_from=5",
        "reservations?reserved_from=-1",
        "reservations?reserved_to=1e3",
    )

    assert {shared_app.client.get(f"/api/v1/{path}", headers=headers).status_code for path in paths} == {422}


@pytest.mark.parametrize("kind", LISTS)
def test_cursor_that_is_none_of_ours_is_malformed(shared_app: AppClient, kind: str) -> None:
    """422 with a problem document, never 500."""
    headers = shared_app.key("support")

    answers = [shared_app.client.get(f"{LISTS[kind]}?cursor={cursor}", headers=headers) for cursor in BAD_CURSORS]

    assert {answer.status_code for answer in answers} == {422}
    assert {answer.json()["code"] for answer in answers} == {"MALFORMED"}


def test_terms_are_changed_only_as_they_were_read(shared_app: AppClient) -> None:
    """If-Match with an old tag is 412 and changes nothing; replacing all terms without one is 428; redeems keep it."""
    code, headers = shared_app.issue(make_template(max_uses=3, bound=False)), shared_app.key("support")
    path = f"/api/v1/codes/{code_id_of(shared_app, code)}"
    one, terms = shared_app.client.get(path, headers=headers), shared_app.client.get(f"{path}/terms", headers=headers)
    tag = one.headers["etag"]
    shared_app.redeem(code)

    def patch(if_match: str | None, uses: int) -> AppResponse:
        match = {} if if_match is None else {"If-Match": if_match}
        return cast("AppResponse", shared_app.client.patch(path, json={"max_uses": uses}, headers={**headers, **match}))

    first, stale = patch(tag, 5), patch(tag, 6)
    whole = {**dict.fromkeys(TERM_NAMES), "validity_days": 30, "group": "g"}
    blind = shared_app.client.put(f"{path}/terms", json=whole, headers=headers)
    lost = shared_app.client.put(f"{path}/terms", json=whole, headers={**headers, "If-Match": tag})
    rejected = shared_app.client.put(
        f"{path}/terms", json=whole, headers={**headers, "If-Match": f'W/"x", {first.headers["etag"]}'}
    )

    assert tag == terms.headers["etag"] != first.headers["etag"]
    assert (first.status_code, first.json()["max_uses"]) == (200, 5)
    assert [(stale.status_code, stale.json()["code"]), blind.status_code, lost.status_code] == [
        (412, "TERMS_CHANGED"),
        428,
        412,
    ]
    assert (rejected.status_code, rejected.json()) == (200, whole)
    assert rejected.headers["etag"] == shared_app.client.get(path, headers=headers).headers["etag"]
    assert (patch("*", 7).status_code, patch(None, 8).status_code, patch("nonsense", 9).status_code) == (200, 200, 412)


@pytest.mark.parametrize("missing", ["max_uses", "expires_at", "validity_days", "group", "rebinds_max"])
def test_put_of_terms_is_malformed_when_a_term_is_missing(shared_app: AppClient, missing: str) -> None:
    """A client that does not know a term would clear it; the answer names the term."""
    code, headers = shared_app.issue(make_template(max_uses=3, rebinds_max=2)), shared_app.key("support")
    path = f"/api/v1/codes/{code_id_of(shared_app, code)}/terms"
    before = shared_app.client.get(path, headers=headers)
    whole = {name: value for name, value in before.json().items() if name != missing}

    answer = shared_app.client.put(path, json=whole, headers={**headers, "If-Match": before.headers["etag"]})

    assert (answer.status_code, answer.json()["code"]) == (422, "MALFORMED")
    assert missing in str(answer.json()["errors"])
    assert shared_app.client.get(path, headers=headers).json() == before.json()


def test_put_of_terms_by_an_older_client_leaves_newer_terms(shared_app: AppClient) -> None:
    """A client that was written before a term existed neither fails nor clears it."""
    newer = {*TERM_NAMES} - {"max_uses", "expires_at", "validity_days", "group", "rebinds_max"}
    domains = parse_domains("example.com")
    starts_at = shared_app.services.now()
    code = shared_app.issue(make_template(max_uses=3, allowed_domains=domains, starts_at=starts_at))
    headers, path = shared_app.key("support"), f"/api/v1/codes/{code_id_of(shared_app, code)}/terms"
    before = shared_app.client.get(path, headers=headers).json()
    older = {name: value for name, value in before.items() if name not in newer} | {"max_uses": 4}

    answer = shared_app.client.put(path, json=older, headers={**headers, "If-Match": "*"})

    assert (answer.status_code, answer.json()) == (200, {**before, "max_uses": 4})


def test_codes_with_a_prefix_and_a_note(shared_app: AppClient) -> None:
    body = {"count": 2, "prefix": "summer26", "note": "for the fair"}
    issued = shared_app.client.post("/api/v1/codes", json=body, headers=shared_app.key("admin")).json()
    history = list(shared_app.services.reader.read_history(issued[1]["id"]))
    note_id = getattr(history[0].event, "text_id", None)

    assert all(code["code"].startswith("SUMMER26-") for code in issued)
    assert shared_app.redeem(issued[0]["code"].lower()).status_code == 202
    assert note_id is not None
    assert shared_app.services.reader.find_private_text(note_id) == "for the fair"
    rejected = shared_app.client.post("/api/v1/codes", json={"prefix": "no space"}, headers=shared_app.key("admin"))
    assert (rejected.status_code, rejected.json()["errors"][0]["where"]) == (422, "body.prefix")


@pytest.mark.parametrize("path", ["/api/v1/codes", "/api/v1/hand-outs"])
def test_request_creates_no_group_if_it_says_so(shared_app: AppClient, path: str) -> None:
    client, headers, existing = shared_app.client, shared_app.key("admin"), f"Reading{path[-3:]}"
    client.post("/api/v1/codes", json={"group": existing}, headers=headers)
    campaign = client.post("/api/v1/campaigns", json={"name": "Fair", "group": "Fair"}, headers=headers).json()["id"]
    body = {"campaign": campaign, "name": "List"} if path.endswith("hand-outs") else {"campaign": campaign}

    def post(**fields: object) -> AppResponse:
        return cast("AppResponse", client.post(path, json={**body, **fields}, headers=headers))

    refused = post(group=f"{existing}s", new_groups=False)

    assert (refused.status_code, refused.json()["errors"][0]["where"]) == (422, "body.group")
    assert refused.json()["errors"][0]["what"].endswith(f"and {existing!r} is like it")
    assert [post(group=group, new_groups=False).status_code for group in (existing, "Fair", None)] == [201] * 3
    assert post(group=f"{existing}s").status_code == 201


def test_history_goes_on_from_a_version(shared_app: AppClient) -> None:
    code = shared_app.issue()
    shared_app.redeem(code)
    path, headers = f"/api/v1/codes/{code_id_of(shared_app, code)}/history", shared_app.key("viewer")

    pages = [shared_app.client.get(path, params={"after": after, "limit": 1}, headers=headers) for after in (0, 1, 2)]

    assert [len(page.json()["events"]) for page in pages] == [1, 1, 0]
    assert [page.json()["reserved"] for page in pages] == [0, 1, 1]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_request_without_a_valid_key_is_asked_for_one(shared_app: AppClient, headers: dict[str, str]) -> None:
    answer = shared_app.client.get("/api/v1/codes", headers=headers)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
