"""Lists whose lines are looked at together: the codes that exist and that they name, and the persons of addresses."""

import json
from typing import Any

import pytest

from api.code_import.import_pipeline import REPORTED_LINES_MAX
from tests.integration.api.v1.test_existing_codes import give, import_codes
from tests.integration.api.v1.test_hand_outs import PATH, create, create_campaign, recipients, upload
from tests.support.clients.app_client import AppClient

CODES = ["SPRING-2027-AAAA", "SPRING-2027-BBBB", "SPRING-2027-CCCC"]


@pytest.fixture
def app(own_app: AppClient) -> AppClient:
    return own_app


def create_with_codes(app: AppClient, codes: str = "", **terms: Any) -> dict[str, Any]:
    campaign = create_campaign(app, **terms)
    import_codes(app, codes or "code,max_uses\n" + "".join(f"{code},1\n" for code in CODES), campaign=campaign)
    return create(app, campaign, existing_codes=True)


def find_ids(app: AppClient, codes: list[str]) -> list[str]:
    return [str(app.services.reader.find_code(code)) for code in codes]


def change_code(app: AppClient, code: str, action: str, body: dict[str, str] | None = None) -> None:
    (code_id,) = find_ids(app, [code])
    response = app.client.post(f"/api/v1/codes/{code_id}/{action}", json=body, headers=app.key("admin"))
    assert response.status_code == 200, response.text


def reasons(report: dict[str, Any], kind: str = "faults") -> dict[int, str]:
    return {row["line"]: row["reason"] for row in report[kind]}


@pytest.mark.parametrize("form", ["text/csv", "application/jsonl", "application/json"])
def test_each_line_names_the_code_of_its_recipient(app: AppClient, form: str) -> None:
    """By its text in any spelling, or by its id; the same list again adds no one, whatever became of the codes."""
    hand_out = create_with_codes(app)
    ids = find_ids(app, CODES)
    named = ["spring 2027 aaaa", ids[1], CODES[2]]
    rows = [{"email": f"person{nth}@example.com", "code": code} for nth, code in enumerate(named)]
    content = {
        "text/csv": "email,code\n" + "".join(f"{row['email']},{row['code']}\n" for row in rows),
        "application/jsonl": "".join(json.dumps(row) + "\n" for row in rows),
        "application/json": json.dumps({"recipients": rows}),
    }[form]

    checked = upload(app, hand_out, content, form, dry_run=True)
    stored = app.count("hand_out_recipients")
    added = upload(app, hand_out, content, form)
    people = recipients(app, hand_out)
    change_code(app, CODES[0], "revoke", {"note": "test"})
    again = upload(app, hand_out, content, form)

    assert (checked["added"], stored, added["applied"], added["added"]) == (3, 0, True, 3)
    assert [person["code_id"] for person in people] == ids
    assert (again["added"], again["listed"], again["rejected"]) == (0, 3, 0)


def test_codes_that_cannot_be_handed_out_are_refused_by_line(app: AppClient) -> None:
    codes = ["FREE-AAAA-1111", "TEAM-AAAA-1111", "PAUSED-AAAA-11", "REVOKED-AAAA-1", "LISTED-AAAA-11", "USED-AAAA-1111"]
    groups = {"TEAM-AAAA-1111": "team"}
    table = "code,max_uses,group\n" + "".join(f"{code},1,{groups.get(code, '')}\n" for code in codes)
    hand_out = create_with_codes(app, table)
    import_codes(app, "code,max_uses\nOTHER-AAAA-111,1\n", campaign=create_campaign(app, name="Winter"))
    change_code(app, "PAUSED-AAAA-11", "pause")
    change_code(app, "REVOKED-AAAA-1", "revoke", {"note": "test"})
    assert app.redeem("USED-AAAA-1111", "used@example.com").status_code == 202
    assert upload(app, hand_out, "email,code\nlisted@example.com,LISTED-AAAA-11\n")["added"] == 1
    reason_by_code = {
        "FREE-AAAA-1111": None,
        "free aaaa 1111": "code_repeated",
        "NONE-AAAA-1111": "code_unknown",
        "00000000-0000-4000-8000-000000000000": "code_unknown",
        "TEAM-AAAA-1111": "code_group",
        "PAUSED-AAAA-11": "code_paused",
        "REVOKED-AAAA-1": "code_over",
        "LISTED-AAAA-11": "code_handed_out",
        "USED-AAAA-1111": "code_used",
        "OTHER-AAAA-111": "code_campaign",
        "": "code_missing",
    }
    lines = "".join(f"person{nth}@example.com,{code}\n" for nth, code in enumerate(reason_by_code))

    report = upload(app, hand_out, f"email,code\n{lines}listed@example.com,FREE-AAAA-1111\nno address,FREE-AAAA-1111\n")

    expected = {line: why for line, why in enumerate(reason_by_code.values(), start=2) if why}
    assert reasons(report) == {**expected, len(reason_by_code) + 3: "email"}
    assert reasons(report, "left_out") == {len(reason_by_code) + 2: "listed"}
    assert (report["applied"], report["rejected"], app.count("hand_out_recipients")) == (False, len(expected) + 1, 1)
    with app.services.storage.datastore.get_connection() as conn:
        written = json.dumps(report) + str(conn.execute("SELECT * FROM audit").fetchall())
    assert not [code for code in reason_by_code if code and code in written]


def test_list_names_codes_on_every_line_or_on_none(app: AppClient) -> None:
    """As its hand-out says, so that an empty cell, or one too many, decides nothing."""
    campaign = create_campaign(app)
    import_codes(app, f"code,max_uses\n{CODES[0]},1\n", campaign=campaign)
    new, existing = create(app, campaign), create(app, campaign, existing_codes=True)
    content = f"email,code\nli@example.com,{CODES[0]}\nwang@example.com,\n"
    nested = json.dumps({"email": "li@example.com", "variables": {"code": CODES[0]}})

    assert reasons(upload(app, new, content)) == {2: "code_column"}
    assert reasons(upload(app, existing, content)) == {3: "code_missing"}
    assert reasons(upload(app, existing, nested, "application/jsonl")) == {1: "variable_name"}
    assert (new["existing_codes"], existing["existing_codes"]) == (False, True)


@pytest.mark.parametrize(
    "named", [{"max_uses": 5}, {"validity_days": 9}, {"open": True}, {"denied_domains": ["a.org"]}]
)
def test_hand_out_of_existing_codes_has_no_terms_but_its_group(app: AppClient, named: dict[str, Any]) -> None:
    campaign = create_campaign(app, code_max_uses=7, code_validity_days=30, group="team")
    body = {"campaign": campaign, "name": "Newsletter", "existing_codes": True}
    refused = app.client.post(PATH, json={**body, **named}, headers={**app.key("admin"), "accept-language": "en"})
    created = app.client.post(PATH, json=body, headers=app.key("admin")).json()

    assert (refused.status_code, refused.json()["code"]) == (422, "HAND_OUT_INVALID"), refused.text
    assert "keep their terms" in refused.json()["detail"]
    assert {name for name, value in created["terms"].items() if value is not None} == {"group"}
    history = app.client.get(
        f"/api/v1/campaigns/{campaign}/history", headers={**app.key("admin"), "accept-language": "en"}
    )
    assert "its codes: exist already and keep their terms" in history.text


def test_code_of_a_list_is_not_given_to_another_recipient(app: AppClient) -> None:
    """Neither singly nor by another hand-out, also before its email; a code that was given is in no list."""
    hand_out = create_with_codes(app)
    other = create(app, hand_out["campaign"], existing_codes=True)
    upload(app, hand_out, f"email,code\nli@example.com,{CODES[0]}\n")

    answers = [give(app, hand_out, CODES[0], "wang@example.com"), give(app, hand_out, CODES[1], "zhou@example.com")]
    report = upload(app, other, f"email,code\nwang@example.com,{CODES[0]}\nwu@example.com,{CODES[1]}\n")

    assert [status for status, _ in answers] == [409, 200]
    assert reasons(report) == {2: "code_handed_out", 3: "code_handed_out"}


def test_codes_of_an_ended_hand_out_are_free_again(app: AppClient) -> None:
    """For the same recipients and for others; a list of new codes gives none of them."""
    hand_out = create_with_codes(app)
    upload(
        app,
        hand_out,
        f"email,code\nli@example.com,{CODES[0]}\nwang@example.com,{CODES[1]}\nwu@example.com,{CODES[2]}\n",
    )
    app.client.post(f"{PATH}/{hand_out['id']}/end", headers=app.key("admin"))
    new, existing = create(app, hand_out["campaign"]), create(app, hand_out["campaign"], existing_codes=True)

    added = [upload(app, existing, f"email,code\nli@example.com,{CODES[1]}\nzhou@example.com,{CODES[0]}\n")]
    added += [upload(app, new, "email\nwang@example.com\nwu@example.com\n")]

    ids = find_ids(app, CODES)
    assert [report["added"] for report in added] == [2, 2]
    assert [person["code_id"] for person in recipients(app, existing)] == [ids[1], ids[0]]
    assert not {person["code_id"] for person in recipients(app, new)} & {*ids}


def test_line_names_how_many_codes_its_recipient_gets(app: AppClient) -> None:
    hand_out = create(app, create_campaign(app))
    content = "email,count,name\nshop@example.com,20,Shop\nli@example.com,,Li\nshop@example.com,500,Shop\n"

    checked, added = (upload(app, hand_out, content, dry_run=is_check) for is_check in (True, False))
    again = upload(app, hand_out, "email,count\nli@example.com,9\nnew@example.com,3\n")
    shown = app.client.get(f"{PATH}/{hand_out['id']}", headers=app.key("admin")).json()
    listed = [(person["codes"], person["redeemed"], person["state"]) for person in recipients(app, hand_out)]
    exported = app.client.post(f"{PATH}/{hand_out['id']}/export", json={"reason": "test"}, headers=app.key("admin"))

    assert [(each["added"], each["codes"]) for each in (checked, added, again)] == [(2, 21), (2, 21), (1, 3)]
    assert reasons(added, "left_out") == {4: "repeated"}
    assert reasons(again, "left_out") == {2: "listed"}
    assert (shown["recipients"], shown["codes"], shown["waiting_codes"]) == (3, 24, 24)
    assert listed == [(20, 0, "queued"), (1, 0, "queued"), (3, 0, "queued")]
    assert [line.split(",")[-2:] for line in exported.text.splitlines()] == [
        ["codes", "redeemed"],
        ["20", "0"],
        ["1", "0"],
        ["3", "0"],
    ]


def test_counts_that_are_not_possible_are_refused_by_line(app: AppClient) -> None:
    """A line of a hand-out of existing codes names one code; the bound of a list is one of codes, too."""
    campaign = create_campaign(app)
    import_codes(app, f"code,max_uses\n{CODES[0]},1\n", campaign=campaign)
    new, existing = create(app, campaign), create(app, campaign, existing_codes=True)
    counts = ["0", "1001", "two", "1.0", "1000"]
    lines = "".join(f"person{nth}@example.com,{count}\n" for nth, count in enumerate(counts))
    many = "".join(f"person{nth}@example.com,1000\n" for nth in range(1_002))

    assert reasons(upload(app, new, f"email,count\n{lines}")) == dict.fromkeys(range(2, 6), "count")
    assert reasons(upload(app, existing, f"email,count,code\nli@example.com,2,{CODES[0]}\n")) == {2: "code_count"}
    assert reasons(upload(app, new, f"email,count\n{many}")) == dict.fromkeys((1_002, 1_003), "too_many_codes")
    assert app.count("hand_out_recipients") == 0


ADDRESSES = ["l.i@gmail.com", "wang@example.com", "li+gift@gmail.com", "L.I@gmail.com", "li@mailinator.com"]
"""Lines 2 and 4 are spellings of one inbox, line 5 repeats line 2, and line 6 has a throw-away domain."""


@pytest.mark.parametrize(
    ("terms", "rejected", "warned"),
    [
        ({}, [], []),
        ({"throwaway": "refuse"}, [(6, "throwaway")], []),
        ({"throwaway": "flag"}, [], [(6, "throwaway")]),
        ({"max_per_person": 1}, [], []),
        ({"person_rule": "mailbox", "max_per_person": 1}, [], [(4, "same_person")]),
    ],
)
def test_addresses_that_the_campaign_refuses_or_joins_are_named(
    app: AppClient, terms: dict[str, Any], rejected: list[Any], warned: list[Any]
) -> None:
    hand_out = create(app, create_campaign(app, **terms))

    checked, added = (upload(app, hand_out, "\n".join(["email", *ADDRESSES]), dry_run=dry) for dry in (True, False))

    for result in (checked, added):
        assert [(fault["line"], fault["reason"]) for fault in result["faults"]] == rejected
        assert [(fault["line"], fault["reason"]) for fault in result["warnings"]] == warned
        assert (result["repeated"], result["added"]) == (1, 4 - len(rejected))
    assert len(recipients(app, hand_out)) == (0 if rejected else 4)


def test_second_spelling_of_an_inbox_in_an_earlier_list_is_named(app: AppClient) -> None:
    """As far as that list leads to a code: not once its hand-out has ended without one."""
    campaign = create_campaign(app, person_rule="mailbox", max_per_person=1)
    first, second = create(app, campaign), create(app, campaign)
    upload(app, first, "email\nl.i@gmail.com\nwang@example.com\n")
    lines = "email\nli+gift@gmail.com\nwang@example.com\nwu@example.com\nLi@gmail.com\n"

    checked, added = (upload(app, second, lines, dry_run=dry) for dry in (True, False))
    path = f"{PATH}/{first['id']}"
    app.client.post(f"{path}/end", headers=app.key("admin")).raise_for_status()
    third = upload(app, create(app, campaign), "email\nwang+gift@example.com\n")

    for result in (checked, added):
        assert reasons(result, "warnings") == {2: "same_person_listed", 5: "same_person"}
        assert reasons(result, "left_out") == {3: "listed"}
        assert result["added"] == 3
    assert "with a recipient of an earlier list" in added["warnings"][0]["why"]
    assert third["warnings"] == []


def test_warning_names_the_first_line_of_the_person_and_no_more_than_100_lines(app: AppClient) -> None:
    hand_out = create(app, create_campaign(app, person_rule="mailbox", max_per_person=1))
    lines = [f"li+{nth}@example.com" for nth in range(REPORTED_LINES_MAX + 2)]

    warnings = upload(app, hand_out, "\n".join(["email", *lines]))["warnings"]

    assert [warning["line"] for warning in warnings] == [*range(3, REPORTED_LINES_MAX + 3)]
    assert {warning["why"].partition(",")[0] for warning in warnings} == {"the address is one person with line 2"}
