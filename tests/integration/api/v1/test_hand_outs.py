"""Hand-outs by API: created, lists uploaded whole or not at all, paused, ended, and every refusal by its line."""

import io
import json
from collections.abc import Iterator
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest

from api.code_import.file_reader import Record, Records
from api.code_import.hand_out_upload import HandOutUpload
from api.code_import.import_pipeline import Pipeline
from api.code_import.named_codes import BATCH
from api.code_import.recipient_list import RECIPIENT_FILE, parse_recipient
from api.errors import ApplicationError
from api.use_cases.hand_outs import hand_out_actions
from api.use_cases.hand_outs.hand_out_actions import resend_to_person
from api.use_cases.services import Caller, LedgerServices
from domain.commands.code.issue import HandOutPlace, IssueCode
from domain.commands.hand_out.hand_out_mail import RecordHandOutMail
from domain.ports import Accepted
from domain.values.identifiers import generate_code
from projections.hand_outs.hand_out_lists import HandOutLists
from projections.hand_outs.hand_out_queue import DueRow, HandOutQueue
from projections.repositories.audit_reader import AuditFilter, AuditReader
from tests.support.clients.app_client import AppClient

PATH = "/api/v1/hand-outs"
CSV = "email,language,name\nli@example.com,zh,Li Wei\nwang@example.com,,Wang\n"


def create_campaign(app: AppClient, **terms: Any) -> str:
    response = app.client.post("/api/v1/campaigns", json={"name": "Autumn", **terms}, headers=app.key("admin"))
    return str(response.json()["id"])


def create(app: AppClient, campaign: str | None = None, **fields: Any) -> dict[str, Any]:
    body = {"campaign": campaign or create_campaign(app), "name": "Newsletter", **fields}
    response = app.client.post(PATH, json=body, headers=app.key("admin"))
    assert response.status_code == 201, response.text
    document: dict[str, Any] = response.json()
    return document


def upload(
    app: AppClient, hand_out: dict[str, Any], content: str, form: str = "text/csv", **query: Any
) -> dict[str, Any]:
    response = app.client.post(
        f"{PATH}/recipients",
        params={"hand_out": hand_out["id"], **query},
        content=content.encode(),
        headers={**app.key("admin"), "content-type": form},
    )
    document: dict[str, Any] = response.json()
    return document


def send_first(app: AppClient, hand_out: dict[str, Any]) -> DueRow:
    storage, context = app.services.storage, app.services.context(Caller(actor="operator"))
    queue, campaign_id = HandOutQueue(storage), UUID(hand_out["campaign"])
    (row,) = queue.take(app.services.now(), 1)
    text = storage.vault.draft_code(generate_code(Random(1)), row.code_id)
    place = HandOutPlace(row.hand_out_id, row.recipient_id)
    terms = queue.details(row.hand_out_id).created.terms
    issue = IssueCode(
        context=context,
        code_id=row.code_id,
        text=text,
        terms=terms,
        bound=True,
        campaign_id=campaign_id,
        handed_out=place,
    )
    sent = RecordHandOutMail(
        context=context, code_id=row.code_id, mail=1, outcome=Accepted(server="mx", reply_code=250)
    )
    storage.ledger.execute([issue])
    storage.ledger.execute([sent])
    queue.finish([row.end(None)])
    return row


def recipients(app: AppClient, hand_out: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    response = app.client.get(f"{PATH}/{hand_out['id']}/recipients", params=query, headers=app.key("viewer"))
    rows: list[dict[str, Any]] = response.json()["recipients"]
    return rows


def test_codes_of_a_hand_out_have_the_terms_of_their_campaign_where_it_names_none(app: AppClient) -> None:
    campaign = create_campaign(app, code_max_uses=3, code_validity_days=30)
    orders: list[dict[str, Any]] = [{}, {"max_uses": 1}, {"max_uses": None, "validity_days": None}]

    terms = [create(app, campaign, **order)["terms"] for order in orders]

    assert [(each["max_uses"], each["validity_days"]) for each in terms] == [(3, 30), (1, 30), (None, None)]


@pytest.mark.parametrize("texts", [{"subject": "a\0b"}, {"text": "a\0b"}, {"subject": "a\nBcc: b@example.com"}])
def test_text_with_control_characters_is_malformed(app: AppClient, texts: dict[str, str]) -> None:
    body = {"campaign": create_campaign(app), "name": "Newsletter"}
    named = [
        app.client.post(PATH, json={**body, "texts": {"en": text}}, headers=app.key("admin"))
        for text in (texts, {"subject": "For {name}", "text": "Dear {name},\r\n\n\tyour code"})
    ]

    assert [answer.status_code for answer in named] == [422, 201]


def test_resend_refuses_a_recipient_without_a_code_after_the_end(app: AppClient) -> None:
    """Before, it would send their code now."""
    hand_out = create(app)
    upload(app, hand_out, CSV)
    path = f"{PATH}/{hand_out['id']}/recipients/{recipients(app, hand_out)[0]['code_id']}/resend"
    before = app.client.post(path, headers=app.key("admin"))
    app.client.post(f"{PATH}/{hand_out['id']}/end", headers=app.key("admin"))
    ended = app.client.post(path, headers=app.key("admin"))
    app.client.post(f"/api/v1/campaigns/{hand_out['campaign']}/end", headers=app.key("admin"))
    over = app.client.post(path, headers=app.key("admin"))

    assert (before.status_code, before.json()["state"]) == (200, "queued")
    assert [answer.json()["code"] for answer in (ended, over)] == ["HAND_OUT_CONFLICT", "CAMPAIGN_ENDED"]


def test_requested_resend_needs_nothing_after_its_commit(own_app: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process may end there; a second request while the email is queued makes it due again."""
    hand_out = create(own_app)
    upload(own_app, hand_out, CSV)
    row = send_first(own_app, hand_out)
    calls: list[UUID] = []
    monkeypatch.setattr(HandOutQueue, "ask", lambda _, __, code_id, ___: calls.append(code_id))
    path = f"{PATH}/{hand_out['id']}/recipients/{row.code_id}/resend"
    answers = [own_app.client.post(path, headers=own_app.key("admin")).json() for _ in range(2)]
    due = HandOutQueue(own_app.services.storage).take(own_app.services.now(), 9)

    assert [(answer["state"], answer["mail"]) for answer in answers] == [("queued", 2)] * 2
    assert [each.code_id for each in due if each.code_id == row.code_id] == [row.code_id]
    assert calls == [row.code_id]


def test_reason_of_a_resend_is_recorded_before_the_email_is_requested(
    own_app: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that ends at the request, before or after its commit, leaves the reason in the audit log."""
    hand_out = create(own_app)
    upload(own_app, hand_out, CSV)
    row = send_first(own_app, hand_out)
    caller = Caller(actor="operator")

    def die(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(LedgerServices, "execute", die)
    with pytest.raises(SystemExit):
        resend_to_person(own_app.services, caller, UUID(hand_out["id"]), row.code_id, note="asked by phone")

    monkeypatch.undo()
    chosen = AuditFilter(action="requested_hand_out_email")
    ((entry,),) = AuditReader(own_app.services.storage).iter_rows(chosen)
    assert (entry.subject_id, entry.reason) == (row.code_id, "asked by phone")


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("text/csv", CSV),
        ("text/csv", "EMAIL;Language;Name\r\nli@example.com;zh;Li Wei\r\n\r\nwang@example.com\r\n"),
        (
            "application/jsonl",
            '{"email":"li@example.com","language":"zh","name":"Li"}\n{"email":"wang@example.com","n":7}\n',
        ),
        (
            "application/json",
            json.dumps(
                {
                    "recipients": [
                        {"email": "li@example.com", "language": "zh", "variables": {"name": "Li"}},
                        {"email": "wang@example.com", "language": None},
                    ]
                }
            ),
        ),
    ],
)
def test_list_is_uploaded_in_every_format(app: AppClient, form: str, content: str) -> None:
    """In the order of the list, with the language of the query where a line names none, and without addresses."""
    hand_out = create(app)
    result = upload(app, hand_out, content, form, language="en")
    shown = recipients(app, hand_out)
    after_first = recipients(app, hand_out, limit=1)

    assert (result["applied"], result["lines"], result["added"], result["rejected"]) == (True, 2, 2, 0)
    assert [row["language"] for row in shown] == ["zh", "en"]
    assert {row["state"] for row in shown} == {"queued"}
    assert len(after_first) == 1
    assert "example.com" not in json.dumps(shown)


def test_one_invalid_line_refuses_the_whole_list(app: AppClient) -> None:
    hand_out = create(app, create_campaign(app, denied_domains=["denied.example"]))
    lines = [
        "email,language,name",
        "li@example.com,en,Li",
        "no address,en,A",
        "wang@example.com,fr,B",
        "zhou@example.com,en,=HYPERLINK(1)",
        "chen@denied.example,en,C",
        "a@example.com,en,D,E",
        f"b@example.com,en,{'x' * 201}",
        'c@example.com,en,"open',
    ]
    result = upload(app, hand_out, "\n".join(lines))
    stored = recipients(app, hand_out)
    valid = upload(app, hand_out, CSV)

    assert (result["applied"], result["added"], result["rejected"], stored) == (False, 1, 7, [])
    assert [fault["line"] for fault in result["faults"]] == [3, 4, 5, 6, 7, 8, 9]
    reasons = [fault["why"] for fault in result["faults"]]
    words = ["one email address", "neither en nor zh", "formula", "domain", "4 cells", "longer than 200", "quote"]
    assert [word for word, why in zip(words, reasons, strict=True) if word not in why] == []
    assert valid["added"] == 2


@pytest.mark.parametrize(
    ("form", "content", "word"),
    [
        ("text/plain", CSV, "text/csv"),
        ("text/csv", "", "line 1 is empty"),
        ("text/csv", "name,language\nLi,en\n", "named email"),
        ("text/csv", "email,name,name\n", "two columns"),
        ("text/csv", "email,First Name\n", "cannot name a variable"),
        ("application/json", "[]", "list"),
        ("application/json", "{", "not JSON"),
        ("application/json", '{"recipients": [], "more": 1}', "nothing else"),
    ],
)
def test_unusable_lists_are_refused_as_a_whole(app: AppClient, form: str, content: str, word: str) -> None:
    result = upload(app, create(app), content, form)

    assert result["code"] == "MALFORMED"
    assert word in result["detail"] + json.dumps(result)


def test_ends_in_the_past_are_refused_with_what_to_do(app: AppClient) -> None:
    past, ahead = "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"
    campaign, headers = create_campaign(app), {**app.key("admin"), "Accept-Language": "en"}
    path = f"/api/v1/campaigns/{campaign}"
    changes = [app.client.patch(path, json={"ends_at": end}, headers=headers) for end in (past, ahead)]
    body = {"campaign": campaign, "name": "Newsletter"}
    hand_outs = [app.client.post(PATH, json={**body, "expires_at": end}, headers=headers) for end in (past, ahead)]

    assert [answer.status_code for answer in (*changes, *hand_outs)] == [422, 200, 422, 201]
    assert "The end is in the past" in changes[0].json()["detail"]
    assert "deadline is in the past" in hand_outs[0].json()["detail"]


def test_excluded_domain_is_explained_by_the_terms_that_exclude_it(app: AppClient) -> None:
    campaign = create_campaign(app, denied_domains=["denied.example"])
    hand_out = create(app, campaign, allowed_domains=["example.com", "denied.example"])
    lines = ["email", "li@denied.example", "wang@example.org", "zhou@example.com"]
    result = upload(app, hand_out, "\n".join(lines))

    assert [(fault["line"], fault["why"]) for fault in result["faults"]] == [
        (2, "the campaign does not admit the domain"),
        (3, "the hand-out does not admit the domain"),
    ]


def test_repeated_request_is_answered_after_the_campaign_ended(app: AppClient) -> None:
    body = {"campaign": create_campaign(app), "name": "Newsletter"}
    admin = app.key("admin")
    headers = admin | {"Idempotency-Key": "order-1001"}
    first = app.client.post(PATH, json=body, headers=headers)
    app.client.post(f"/api/v1/campaigns/{body['campaign']}/end", headers=admin)
    repeated = app.client.post(PATH, json=body, headers=headers)
    new = app.client.post(PATH, json=body, headers=admin | {"Idempotency-Key": "order-1002"})

    assert (first.status_code, repeated.status_code) == (201, 201)
    assert (repeated.json()["id"], repeated.json()["state"]) == (first.json()["id"], "ended")
    assert new.json()["code"] == "CAMPAIGN_ENDED"


def test_dry_run_names_variables_that_no_line_fills(app: AppClient) -> None:
    texts = {
        "en": {"subject": "For {name}", "text": "{code} {group} {nosuch}"},
        "zh": {"subject": "", "text": "{other}"},
    }
    hand_out = create(app, texts=texts)
    lists = [("text/csv", "email,name\nli@example.com,Li\n"), ("application/jsonl", '{"email":"li@example.com"}')]
    filled = upload(app, hand_out, "email,name,nosuch\nx@example.com,X,1\n", dry_run=True, language="en")

    documents = [upload(app, hand_out, content, form, dry_run=True, language="en") for form, content in lists]

    assert [document["missing_variables"] for document in documents] == [["nosuch"], ["name", "nosuch"]]
    assert (filled["added"], filled["missing_variables"]) == (1, [])


def test_recipients_get_one_code_of_a_campaign_however_often_they_are_listed(app: AppClient) -> None:
    campaign = create_campaign(app)
    first, second = create(app, campaign), create(app, campaign)
    twice = upload(app, first, "email\nli@example.com\nLI@EXAMPLE.COM\nwang@example.com\n")
    again = upload(app, first, CSV)
    elsewhere = upload(app, second, "email\nli@example.com\nzhou@example.com\n")
    other = upload(app, create(app), CSV)
    dry = upload(app, second, "email\nchen@example.com\n", dry_run=True)

    assert (twice["added"], twice["repeated"], twice["left_out"][0]["line"]) == (2, 1, 3)
    assert (again["added"], again["listed"]) == (0, 2)
    assert (elsewhere["added"], elsewhere["listed"], elsewhere["left_out"][0]["line"]) == (1, 1, 2)
    assert other["added"] == 2
    assert (dry["applied"], dry["added"]) == (False, 1)
    assert [len(recipients(app, each)) for each in (first, second)] == [2, 1]


def test_recipients_of_an_ended_hand_out_without_a_code_can_be_listed_again(app: AppClient) -> None:
    campaign = create_campaign(app)
    first, second = create(app, campaign), create(app, campaign)
    upload(app, first, CSV)
    blocked = upload(app, second, CSV)
    ended = app.client.post(f"{PATH}/{first['id']}/end", headers=app.key("admin")).json()
    taken_over = upload(app, second, CSV)
    closed = upload(app, first, CSV)

    assert (blocked["added"], taken_over["added"], ended["state"]) == (0, 2, "ended")
    assert (ended["counts"]["not_sent"], ended["recipients"]) == (2, 2)
    assert closed["code"] == "HAND_OUT_CONFLICT"
    assert [len(recipients(app, each)) for each in (first, second)] == [0, 2]


def test_interrupted_upload_leads_to_nothing_and_can_be_repeated(app: AppClient) -> None:
    hand_out = create(app)
    services, now = app.services, app.services.now()
    lists = HandOutLists(services.storage, uuid4, uuid4)
    begun = lists.begin(UUID(hand_out["id"]), UUID(hand_out["campaign"]), now)
    addresses = [parse_recipient(record, "en") for record in Records(io.BytesIO(CSV.encode()), "csv", RECIPIENT_FILE)]
    added = lists.add(begun, addresses[:1], now)
    in_between = recipients(app, hand_out)
    result = upload(app, hand_out, CSV)

    assert (added, in_between) == ([True], [])
    assert result["added"] == 2
    assert len(recipients(app, hand_out)) == 2


def test_upload_that_another_one_replaces_is_refused(app: AppClient) -> None:
    hand_out = create(app)
    addresses = [f"person{nth}@example.com" for nth in range(BATCH + 1)]
    overlap = "email\n" + "\n".join([*addresses[:2], "li@example.com"])

    class ReplacedList:
        """A list during whose third reading, the one that stores it, another upload begins and ends."""

        readings = 0

        def __iter__(self) -> Iterator[Record]:
            self.readings += 1
            for nth, address in enumerate(addresses):
                if self.readings == 3 and nth == BATCH:
                    assert upload(app, hand_out, overlap)["added"] == 3
                yield Record(nth, b"", {"email": address})

    list_upload = HandOutUpload.open(app.services, Caller(actor="operator"), UUID(hand_out["id"]), ReplacedList(), "en")
    with pytest.raises(ApplicationError) as caught:
        Pipeline(list_upload).run(dry_run=False)

    assert (caught.value.code, caught.value.facts) == ("HAND_OUT_CONFLICT", {"why": "taken_over"})
    assert len(recipients(app, hand_out)) == 3


PAUSES = ("CampaignPaused", "CampaignResumed")


def test_hand_out_is_paused_resumed_and_shown(app: AppClient) -> None:
    campaign = create_campaign(app, group="team")
    hand_out = create(app, campaign, per_minute=60, max_uses=2)
    create(app, campaign)
    states = []
    for action in ("pause", "resume"):
        response = app.client.post(f"{PATH}/{hand_out['id']}/{action}", headers=app.key("admin"))
        states.append(response.json()["state"])
    obstacles = [hand_out["waits_for"]]
    for action in ("pause", "resume"):
        app.client.post(f"/api/v1/campaigns/{campaign}/{action}", headers=app.key("admin"))
        shown = app.client.get(f"{PATH}/{hand_out['id']}", headers=app.key("viewer")).json()
        obstacles.append(shown["waits_for"])
    page = app.client.get(PATH, params={"campaign": campaign, "limit": 1}, headers=app.key("viewer")).json()
    rest = app.client.get(PATH, params={"campaign": campaign, "cursor": page["next"]}, headers=app.key("viewer")).json()
    headers = {**app.key("viewer"), "Accept-Language": "en"}
    history = app.client.get(f"/api/v1/campaigns/{campaign}/history", headers=headers).json()["events"]

    assert states == ["paused", "running"]
    assert obstacles == [None, "campaign_paused", None]
    assert (hand_out["per_minute"], hand_out["terms"]["max_uses"], hand_out["terms"]["group"]) == (60, 2, "team")
    assert [each["id"] for each in page["hand_outs"]] == [hand_out["id"]]
    assert len(rest["hand_outs"]) == 1
    kinds = [event["type"] for event in history]
    assert kinds == ["CampaignCreated", "HandOutCreated", "HandOutCreated", "HandOutPaused", "HandOutResumed", *PAUSES]
    assert "emails per minute at most 60" in history[1]["sentence"]
    assert [event["sentence"].count("Newsletter") for event in history[1:5]] == [1, 1, 1, 1]


def test_start_is_planned_changed_and_undone(own_app: AppClient) -> None:
    hand_out, headers = create(own_app, draft=True), {**own_app.key("admin"), "Accept-Language": "en"}
    path = f"{PATH}/{hand_out['id']}"

    def post(action: str, **body: Any) -> dict[str, Any]:
        answer: dict[str, Any] = own_app.client.post(f"{path}/{action}", json=body, headers=headers).json()
        return answer

    later, latest = "2099-01-01T08:00:00Z", "2099-01-02T08:00:00Z"
    planned = [post("resume", starts_at=at, note="for the fair") for at in (later, latest)]
    paused = post("pause")
    past = post("resume", starts_at="2020-01-01T00:00:00Z")
    running = post("resume")
    late = post("resume", starts_at=later)

    assert [(each["state"], each["starts_at"]) for each in planned] == [("scheduled", later), ("scheduled", latest)]
    assert [(each["state"], each["starts_at"] < later) for each in (paused, running)] == [
        ("paused", False),
        ("running", True),
    ]
    assert post("pause")["starts_at"] == running["starts_at"]
    assert (past["code"], late["code"]) == ("HAND_OUT_INVALID", "HAND_OUT_CONFLICT")
    assert "in the future" in past["detail"]
    assert "Pause it first" in late["detail"]
    assert own_app.count("private_texts") == 2


def test_draft_sends_nothing_to_a_single_recipient(app: AppClient) -> None:
    """A running hand-out whose text has an unknown variable does so neither."""
    hand_out, headers = create(app, draft=True), {**app.key("admin"), "Accept-Language": "en"}
    upload(app, hand_out, "email\nli@example.com\n", language="en")
    path = f"{PATH}/{hand_out['id']}"
    (person,) = recipients(app, hand_out)
    early = app.client.post(f"{path}/recipients/{person['code_id']}/resend", headers=headers)
    app.client.post(f"{path}/resume", headers=headers)
    asked = app.client.post(f"{path}/recipients/{person['code_id']}/resend", headers=headers)

    assert (early.status_code, early.json()["code"]) == (409, "HAND_OUT_CONFLICT")
    assert "has not started" in early.json()["detail"]
    assert asked.status_code == 200


def test_text_with_an_unknown_variable_keeps_a_hand_out_from_starting(app: AppClient) -> None:
    """Whichever way it is started: the answer names the variable, and nothing is sent."""
    hand_out = create(app, draft=True, texts={"en": {"subject": "", "text": "{code} {codee}"}})
    upload(app, hand_out, "email\nli@example.com\n", language="en")
    answer = app.client.post(f"{PATH}/{hand_out['id']}/resume", headers=app.key("admin"))
    running = create(app, texts={"en": {"subject": "", "text": "{code} {codee}"}})
    listed = upload(app, running, "email\nli@example.com\n", language="en")

    assert (answer.status_code, answer.json()["code"]) == (409, "HAND_OUT_CONFLICT")
    assert answer.json()["errors"] == [{"where": "texts", "what": "no recipient has the variable {codee}"}]
    assert "{codee}" in listed["detail"]


@pytest.mark.parametrize(
    ("counted_max", "expected"), [(4, [[2, 2], [5]]), (3, [[2], [2], [5]]), (8, [[2, 2], [5]]), (9, [[2, 2, 5]])]
)
def test_page_of_hand_outs_counts_a_bounded_number_of_recipients(
    app: AppClient, monkeypatch: pytest.MonkeyPatch, counted_max: int, expected: list[list[int]]
) -> None:
    campaign = create_campaign(app)
    lists = [create(app, campaign) for _ in range(3)]
    for nth, count in enumerate((2, 2, 5)):
        upload(app, lists[nth], "email\n" + "".join(f"person{nth}{each}@example.com\n" for each in range(count)))
    monkeypatch.setattr(hand_out_actions, "COUNTED_MAX", counted_max)
    pages, cursor = list[list[dict[str, Any]]](), dict[str, str]()
    while len(pages) < 9:
        query = {"campaign": campaign, **cursor}
        page = app.client.get(PATH, params=query, headers=app.key("viewer")).json()
        pages.append(page["hand_outs"])
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}

    assert [[each["recipients"] for each in page] for page in pages] == expected
    shown = [app.client.get(f"{PATH}/{each['id']}", headers=app.key("viewer")).json() for each in lists]
    assert [each for page in pages for each in page] == shown


def test_unknown_hand_outs_and_campaigns_are_refused(app: AppClient) -> None:
    """As not found where the path is theirs, and as a malformed request where a body or a query names them."""
    some = uuid4()
    admin = app.key("admin")
    answers = [
        app.client.post(PATH, json={"campaign": str(some), "name": "N"}, headers=admin),
        app.client.get(PATH, params={"campaign": str(some)}, headers=admin),
        app.client.get(f"{PATH}/{some}", headers=admin),
        app.client.post(f"{PATH}/{some}/pause", headers=admin),
        app.client.post(f"{PATH}/{create(app)['id']}/recipients/{some}/resend", headers=admin),
    ]
    uploaded = upload(app, {"id": str(some)}, CSV)

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        *[(422, "CAMPAIGN_UNKNOWN")] * 2,
        *[(404, "HAND_OUT_NOT_FOUND")] * 3,
    ]
    assert (uploaded["status"], uploaded["code"]) == (422, "HAND_OUT_UNKNOWN")


def test_recipients_are_found_by_state_and_by_email_address(own_app: AppClient) -> None:
    hand_out, other = create(own_app), create(own_app)
    upload(own_app, hand_out, CSV + "ann@example.com,en,Ann\n")
    upload(own_app, other, "email\neve@example.com\n")
    sent = str(send_first(own_app, hand_out).code_id)
    path, viewer = f"{PATH}/{hand_out['id']}/recipients", own_app.key("viewer")

    queued = own_app.client.get(path, params={"state": "queued", "limit": 1}, headers=viewer).json()
    rest = own_app.client.get(
        path, params={"state": "queued", "limit": 1, "after": queued["next"]}, headers=viewer
    ).json()
    everyone = [one["code_id"] for one in recipients(own_app, hand_out)]

    assert [one["code_id"] for one in queued["recipients"] + rest["recipients"]] == everyone[1:]
    assert (len(queued["recipients"]), rest["next"]) == (1, None)
    assert [one["code_id"] for one in recipients(own_app, hand_out, state="sent")] == [sent] == everyone[:1]
    assert [one["code_id"] for one in recipients(own_app, hand_out, email="WANG@example.com")] == everyone[1:2]
    assert [recipients(own_app, hand_out, email=f"{name}@example.com") for name in ("eve", "unknown")] == [[], []]
    for name, code in (("state", "MALFORMED"), ("email", "EMAIL_INVALID")):
        assert own_app.client.get(path, params={name: "lost"}, headers=viewer).json()["code"] == code


def test_preview_test_and_export_are_for_those_who_may(own_app: AppClient) -> None:
    texts = {"en": {"subject": "For {name}", "text": "Dear {name}, your code is {code}."}}
    hand_out = create(own_app, texts=texts, group="team")
    upload(own_app, hand_out, CSV)
    path = f"{PATH}/{hand_out['id']}"
    shown = own_app.client.get(f"{path}/preview", params={"language": "en"}, headers=own_app.key("viewer")).json()
    tested = own_app.client.post(f"{path}/test", json={"email": "li@example.com"}, headers=own_app.key("admin"))
    no_address = own_app.client.post(f"{path}/test", json={"email": "li"}, headers=own_app.key("admin")).json()
    exported = own_app.client.post(f"{path}/export", json={"reason": "list"}, headers=own_app.key("admin"))
    forbidden = own_app.client.post(f"{path}/export", json={"reason": "list"}, headers=own_app.key("support"))

    assert (shown["subject"], "Dear [name], your code is MCM1-" in shown["text"]) == ("For [name]", True)
    assert set(tested.json()) == {"outcome", "why"}
    assert no_address["code"] == "EMAIL_INVALID"
    lines = exported.text.splitlines()
    assert [line.split(",")[:3] for line in lines[1:]] == [
        ["li@example.com", "zh", "queued"],
        ["wang@example.com", own_app.services.settings.default_language, "queued"],
    ]
    assert forbidden.status_code == 403
    assert own_app.count("audit") == 3


def test_test_messages_of_one_caller_are_limited(app: AppClient) -> None:
    texts = {"en": {"subject": "For you", "text": "Your code is {code}."}}
    path = f"{PATH}/{create(app, texts=texts)['id']}/test"
    hook = app.client.post("/api/v1/webhooks", json={"url": "https://192.88.99.1/"}, headers=(key := app.key("admin")))

    tests = [app.client.post(path, json={"email": f"a{n}@example.com"}, headers=key) for n in range(21)]
    called = app.client.post(f"/api/v1/webhooks/{hook.json()['id']}/test", headers=key)
    other = app.client.post(path, json={"email": "li@example.com"}, headers=app.key("admin"))

    assert [answer.status_code for answer in (*tests, called, other)] == [*[200] * 20, 429, 429, 200]
    assert {answer.json()["code"] for answer in (tests[-1], called)} == {"RATE_LIMITED"}
    assert 0 < int(tests[-1].headers["retry-after"]) <= 60
