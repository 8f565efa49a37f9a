"""What a request or an action would have led to: the same answers as the ones that were given, by all three doors."""

from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from api.errors import ApplicationError
from api.use_cases.past_states import past_source
from api.use_cases.past_states.what_if import ACTIONS, ask_action, ask_redeem, find_past
from domain.command_bus import handle
from domain.commands.campaign.join_campaign import JoinCampaign
from domain.commands.campaign.manage_campaign import CreateCampaign, EndCampaign, PauseCampaign
from domain.commands.code.pause import PauseCode
from domain.commands.code.revoke import RevokeCode
from domain.commands.context import CommandContext
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.reserve import ReserveUse
from domain.errors import RecipientNotCorrectable
from domain.ports import Accepted, Outcome, OutcomeUnknown, Rejected
from domain.results import CommandResult
from domain.values.email_domains import parse_domains
from domain.values.identifiers import EmailAddress
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.ledger.code_template import make_template
from tests.support.ledger.code_terms import make_campaign_terms

REFUSED = Rejected(server="mx:25", reason="address_refused", final=True, about_address=True, reply_code=550)
LI, MEI = "li.wei@example.com", "mei@example.com"


@pytest.fixture
def app(own_app: AppClient) -> AppClient:
    return own_app


def ask(app: AppClient, code_id: UUID, query: str, *, language: str = "en") -> AppResponse:
    headers = {**app.key("viewer"), "Accept-Language": language}
    return cast("AppResponse", app.client.get(f"/api/v1/codes/{code_id}/what-if{query}", headers=headers))


def find_id(app: AppClient, text: str) -> UUID:
    code_id = app.services.reader.find_code(text)
    assert code_id is not None
    return code_id


def count_rows(app: AppClient) -> list[int]:
    return [app.count(table) for table in ("ledger_events", "recipients", "refusals", "private_texts", "outbox")]


def put_into_state(app: AppClient, state: str) -> str:
    terms: dict[str, dict[str, Any]] = {
        "expired": {"expires_at": app.services.now() - timedelta(days=1)},
        "not started": {"starts_at": app.services.now() + timedelta(days=1)},
        "denied": {"denied_domains": parse_domains(LI.partition("@")[2])},
    }
    is_sent = state == "campaign used"
    campaign_terms = CAMPAIGN_TERMS.get(state, {"max_uses": 1})
    if state == "campaign not started":
        campaign_terms = {"starts_at": app.services.now() + timedelta(days=1)}
    campaign_id = create_used_campaign(app, campaign_terms, is_sent=is_sent) if "campaign" in state else None
    member_of = None if state == "campaign joined" else campaign_id
    code = app.issue(make_template(max_uses=1, bound=state == "bound", campaign_id=member_of, **terms.get(state, {})))
    context = CommandContext(now=app.services.now(), actor="operator")
    if state == "known":
        app.redeem(code, LI)
    elif state in {"reserved", "used", "bound"}:
        reserved = app.redeem(code, MEI).json()["reservation_id"]
        if state != "reserved":
            app.attempt(reserved)
    elif campaign_id is not None and state in {"campaign paused", "campaign ended"}:
        kind = PauseCampaign if state == "campaign paused" else EndCampaign
        app.services.storage.ledger.execute_one(kind(context=context, campaign_id=campaign_id))
    elif state == "campaign joined":
        assert campaign_id is not None
        app.services.storage.ledger.execute(
            [JoinCampaign(context=context, code_id=find_id(app, code), campaign_id=campaign_id)]
        )
    elif state == "undeliverable":
        bounce_another_code(app)
    elif state == "paused":
        app.services.storage.ledger.execute([PauseCode(context=context, code_id=find_id(app, code), note=None)])
    elif state == "revoked":
        command = RevokeCode(context=context, code_id=find_id(app, code), case_ids=[], note=None)
        app.services.storage.ledger.execute([command])
    return code


def bounce_another_code(app: AppClient) -> None:
    reservation_id = app.redeem(app.issue(), LI).json()["reservation_id"]
    app.attempt(reservation_id)
    bounce = {"delivery": 1, "reason": "mailbox_unknown"}
    path = f"/api/v1/reservations/{reservation_id}/bounce"
    assert app.client.post(path, json=bounce, headers=app.key("support")).status_code == 200


CAMPAIGN_TERMS: dict[str, dict[str, Any]] = {
    "campaign day": {"max_per_day": 1},
    "campaign domain": {"denied_domains": parse_domains(LI.partition("@")[2])},
    "campaign person": {"max_per_person": 1},
}


def create_used_campaign(app: AppClient, terms: dict[str, Any], *, is_sent: bool) -> UUID:
    campaign_id = uuid4()
    context = CommandContext(now=app.services.now(), actor="operator")
    app.services.storage.ledger.execute_one(
        CreateCampaign(context=context, campaign_id=campaign_id, terms=make_campaign_terms(**terms))
    )
    address = LI if "max_per_person" in terms else MEI
    answer = app.redeem(app.issue(make_template(max_uses=1, campaign_id=campaign_id)), address).json()
    if is_sent:
        app.attempt(answer["reservation_id"])
    return campaign_id


STATES = {
    "new": ("accepted", ["CodeIssued"]),
    "known": ("accepted", ["UseReserved"]),
    "reserved": ("CODE_HELD", ["CodeIssued", "UseReserved"]),
    "used": ("CODE_EXHAUSTED", ["CodeIssued", "InviteSent"]),
    "bound": ("EMAIL_MISMATCH", ["UseReserved", "InviteSent"]),
    "paused": ("CODE_PAUSED", ["CodePaused"]),
    "expired": ("CODE_EXPIRED", ["CodeIssued"]),
    "not started": ("CODE_NOT_STARTED", ["CodeIssued"]),
    "denied": ("DOMAIN_NOT_ALLOWED", ["CodeIssued"]),
    "revoked": ("CODE_REVOKED", ["CodeRevoked"]),
    "undeliverable": ("ADDRESS_UNDELIVERABLE", ["CodeIssued"]),
    "campaign reserved": ("CAMPAIGN_HELD", ["CodeIssued"]),
    "campaign day": ("CAMPAIGN_DAY_LIMIT", ["CodeIssued"]),
    "campaign joined": ("CAMPAIGN_HELD", ["CodeJoinedCampaign"]),
    "campaign used": ("CAMPAIGN_EXHAUSTED", ["CodeIssued"]),
    "campaign paused": ("CAMPAIGN_PAUSED", ["CodeIssued"]),
    "campaign ended": ("CAMPAIGN_ENDED", ["CodeIssued"]),
    "campaign not started": ("CAMPAIGN_NOT_STARTED", ["CodeIssued"]),
    "campaign domain": ("DOMAIN_NOT_ALLOWED", ["CodeIssued"]),
    "campaign person": ("PERSON_LIMIT", ["CodeIssued"]),
}
NOT_ASKED: dict[str, str] = {
    "CODE_INVALID": "the question names the code by its id; test_state_is_that_of_the_time asks before its issue",
    "IDEMPOTENCY_KEY_REUSED": "the question has no key",
    "AGAIN_UNKNOWN": "the question has no `again`",
    "RATE_LIMITED": "limits of requests are left out",
    "THROWAWAY_ADDRESS": "test_throwaway_address_is_refused_by_the_terms_of_the_campaign has such an address",
}
"""Refusals of a redeem request that no answer has, and why."""


def test_each_refusal_of_a_redeem_request_has_a_state_with_evidence() -> None:
    """Otherwise an answer could rest on no event, and no test would notice."""
    codes = {refusal.code for refusal in ReserveUse.refusals}
    answered = {would for would, _ in STATES.values()}
    missing = codes - answered - NOT_ASKED.keys()

    assert not missing, (
        f"add to put_into_state and STATES a state in which the answer is {missing}, with the events that decide it. "
        "If it is the terms, add the refusal to TERMS_REFUSALS in api/use_cases/past_states/what_if_evidence.py"
    )
    assert all(events for _, events in STATES.values()), "name in STATES the events that decide each answer"
    assert NOT_ASKED.keys() <= codes - answered, "remove from NOT_ASKED what an answer has, or what is gone"


LIMIT_EVIDENCE = ["CampaignCreated", "CampaignUseTaken"]
CAMPAIGN_EVIDENCE = {
    "campaign reserved": LIMIT_EVIDENCE,
    "campaign day": LIMIT_EVIDENCE,
    "campaign joined": LIMIT_EVIDENCE,
    "campaign used": LIMIT_EVIDENCE,
    "campaign person": LIMIT_EVIDENCE,
    "campaign paused": ["CampaignPaused"],
    "campaign ended": ["CampaignEnded"],
    "campaign not started": ["CampaignCreated"],
    "campaign domain": ["CampaignCreated"],
}


def name_campaign_events(app: AppClient, campaign_id: UUID | None, versions: list[int]) -> list[str]:
    entries = [] if campaign_id is None else app.services.campaign_histories.read_page(campaign_id, 0)
    return [type(entry.event).__name__ for entry in entries if entry.version in versions]


@pytest.mark.parametrize("state", STATES)
def test_answer_is_that_of_the_request_itself_and_names_its_events(app: AppClient, state: str) -> None:
    code = put_into_state(app, state)
    code_id = find_id(app, code)
    before = count_rows(app)

    answer = ask(app, code_id, f"?email={LI}").json()
    untouched = count_rows(app)
    real = app.client.post(
        "/api/v1/public/redeem", json={"email": LI, "code": code}, headers={"Accept-Language": "en"}
    ).json()

    would, evidence = STATES[state]
    assert untouched == before
    assert answer["would"] == would == real.get("code", "accepted")
    assert answer["detail"].split(" (")[0] == (real.get("detail") or real["message"]).split(" (")[0]
    entries = app.services.states.read_entries(code_id, answer["because"])
    assert [type(entry.event).__name__ for entry in entries] == evidence
    past = find_past(app.services.states, code_id, app.services.now())
    campaign_id = None if past.code is None else past.code.campaign_id
    assert name_campaign_events(app, campaign_id, answer["because_of_campaign"]) == CAMPAIGN_EVIDENCE.get(state, [])
    assert answer["campaign_id"] == (str(campaign_id) if "campaign" in state else None)


def test_person_limit_names_only_the_uses_that_the_person_has(app: AppClient) -> None:
    campaign_id, context = uuid4(), CommandContext(now=app.services.now(), actor="operator")
    terms = make_campaign_terms(max_uses=9, max_per_person=1)
    app.services.storage.ledger.execute_one(CreateCampaign(context=context, campaign_id=campaign_id, terms=terms))
    codes = [app.issue(make_template(max_uses=1, campaign_id=campaign_id)) for _ in range(4)]
    app.redeem(codes[0], MEI)
    app.attempt(app.redeem(codes[1], LI).json()["reservation_id"], REFUSED)
    app.redeem(codes[2], LI)

    answer = ask(app, find_id(app, codes[3]), f"?email={LI}").json()
    kinds = name_campaign_events(app, campaign_id, list(range(1, 9)))

    assert answer["would"] == "PERSON_LIMIT"
    assert kinds == [
        "CampaignCreated",
        "CampaignUseTaken",
        "CampaignUseTaken",
        "CampaignUseReturned",
        "CampaignUseTaken",
    ]
    assert answer["because_of_campaign"] == [1, 5]


def test_person_limit_of_a_mailbox_names_the_uses_of_its_other_spellings(app: AppClient) -> None:
    campaign_id, context = uuid4(), CommandContext(now=app.services.now(), actor="operator")
    terms = make_campaign_terms(max_per_person=1, person_rule="mailbox")
    app.services.storage.ledger.execute_one(CreateCampaign(context=context, campaign_id=campaign_id, terms=terms))
    codes = [app.issue(make_template(max_uses=1, campaign_id=campaign_id)) for _ in range(3)]
    before = app.services.now().isoformat().replace("+00:00", "Z")
    app.redeem(codes[0], MEI)
    app.redeem(codes[1], "l.i@gmail.com")
    code_id = find_id(app, codes[2])

    answer = ask(app, code_id, "?email=li%2Bgift@gmail.com").json()
    earlier = ask(app, code_id, f"?email=li%2Bgift@gmail.com&as_of={before}").json()
    other = ask(app, code_id, "?email=wang@gmail.com").json()

    assert (answer["would"], earlier["would"], other["would"]) == ("PERSON_LIMIT", "accepted", "accepted")
    assert "counts as one person with l***@gmail.com" in answer["detail"]
    assert answer["because_of_campaign"] == [1, 3]


def test_use_that_others_wait_for_is_refused_to_everyone_behind_them(app: AppClient) -> None:
    """The person who waits would get the use that came back; before that, no one would."""
    campaign_id, context = uuid4(), CommandContext(now=app.services.now(), actor="operator")
    terms = make_campaign_terms(max_uses=1, waiting_hours=24)
    app.services.storage.ledger.execute_one(CreateCampaign(context=context, campaign_id=campaign_id, terms=terms))
    code = app.issue(make_template(max_uses=9, bound=False, campaign_id=campaign_id))
    use = app.redeem(code, "first@example.com").json()["reservation_id"]
    app.client.post("/api/v1/public/waiting-list", json={"email": LI, "code": code})
    before = app.services.now().isoformat().replace("+00:00", "Z")
    app.attempt(use, REFUSED)
    code_id = find_id(app, code)

    first, behind = (ask(app, code_id, f"?email={email}").json() for email in (LI, MEI))
    earlier = [ask(app, code_id, f"?email={email}&as_of={before}").json()["would"] for email in (LI, MEI)]

    assert (first["would"], behind["would"], earlier) == ("accepted", "CAMPAIGN_EXHAUSTED", ["CAMPAIGN_HELD"] * 2)
    assert behind["campaign_id"] == str(campaign_id)
    assert name_campaign_events(app, campaign_id, behind["because_of_campaign"]) == [
        "CampaignCreated",
        "WaitingListJoined",
    ]
    assert app.redeem(code, MEI).json()["code"] == "CAMPAIGN_EXHAUSTED"
    assert app.redeem(code, LI).status_code == 202


def test_throwaway_address_is_refused_by_the_terms_of_the_campaign(app: AppClient) -> None:
    """The campaign names the event of its terms; the list of domains is today's, as the policy is."""
    campaign_id, context = uuid4(), CommandContext(now=app.services.now(), actor="operator")
    terms = make_campaign_terms(throwaway="refuse")
    app.services.storage.ledger.execute_one(CreateCampaign(context=context, campaign_id=campaign_id, terms=terms))
    code = app.issue(make_template(max_uses=1, campaign_id=campaign_id))

    refused, accepted = (ask(app, find_id(app, code), f"?email={each}").json() for each in ("li@yopmail.com", LI))

    assert (refused["would"], accepted["would"]) == ("THROWAWAY_ADDRESS", "accepted")
    assert (refused["campaign_id"], refused["because_of_campaign"]) == (str(campaign_id), [1])


def test_state_is_that_of_the_time(app: AppClient) -> None:
    code = app.issue(make_template(max_uses=1))
    code_id = find_id(app, code)
    app.attempt(app.redeem(code, MEI).json()["reservation_id"], REFUSED)
    entries = app.services.states.read_entries(code_id, range(1, 10))
    services, states = app.services, app.services.states

    def would(at: datetime) -> tuple[str, int]:
        past = find_past(states, code_id, at)
        answer = ask_redeem(services, states, past, EmailAddress.parse(LI), "en").answer
        return answer.would, answer.version

    by_type = {type(entry.event).__name__: entry for entry in entries}
    issued, reserved = by_type["CodeIssued"], by_type["UseReserved"]

    assert would(issued.event.at - timedelta(microseconds=1)) == ("CODE_INVALID", 0)
    assert would(issued.event.at) == ("accepted", 1)
    assert would(reserved.event.at) == ("CODE_HELD", reserved.version)
    assert would(entries[-1].event.at) == ("accepted", entries[-1].version)
    assert would(services.now() + timedelta(days=400))[0] == "accepted"


def test_reservation_that_would_be_overdue_gives_way(app: AppClient) -> None:
    """In an hour its deadline has passed, if no worker comes: the request would refund it and reserve."""
    code = put_into_state(app, "reserved")
    code_id, services = find_id(app, code), app.services
    past = find_past(services.states, code_id, services.now() + timedelta(hours=1))

    seen = ask_redeem(services, services.states, past, EmailAddress.parse(LI), "en")

    assert seen.answer.would == "accepted"
    assert [type(event).__name__ for event in seen.events] == ["UseRefunded", "UseReserved"]
    assert [past.version, seen.answer.because] == [2, [1, 2]]


def test_bounce_begins_the_hour_of_a_correction_at_its_time(app: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    code, services, states = app.issue(make_template(max_uses=1)), app.services, app.services.states
    reservation_id = UUID(app.redeem(code, LI).json()["reservation_id"])
    app.attempt(str(reservation_id))
    sent_at, code_id = services.now(), find_id(app, code)
    monkeypatch.setattr(type(services), "now", lambda _: sent_at + timedelta(hours=5))
    bounce = {"delivery": 1, "reason": "mailbox_full"}
    path = f"/api/v1/reservations/{reservation_id}/bounce"
    assert app.client.post(path, json=bounce, headers=app.key("support")).is_success

    def correct_at(hours: float) -> object:
        past = find_past(states, code_id, sent_at + timedelta(hours=hours))
        command = CorrectRecipient(
            context=CommandContext(now=past.at, actor="person"),
            reservation_id=reservation_id,
            recipient=services.storage.vault.draft_recipient(EmailAddress.parse(MEI), uuid4()),
            new_reservation_id=uuid4(),
            token_of=reservation_id,
        )
        result = handle(command, past_source.load_past(states, past, command), services.storage.ledger.policy)
        return result.why if isinstance(result, RecipientNotCorrectable) else type(result)

    assert [correct_at(hours) for hours in (0.5, 4.9, 5.1, 6.1)] == [
        CommandResult,
        "too_late",
        CommandResult,
        "too_late",
    ]


@pytest.mark.parametrize("outcome", [None, Accepted(server="mx:25"), OutcomeUnknown(server="mx:25", cause="timeout")])
def test_what_if_of_an_action_matches_the_action(app: AppClient, outcome: Outcome | None) -> None:
    services, differences = app.services, []
    for action in ACTIONS:
        reservation_id = UUID(app.redeem(code := app.issue(), LI).json()["reservation_id"])
        if outcome is not None:
            app.attempt(str(reservation_id), outcome)
        code_id, before = find_id(app, code), count_rows(app)
        past = find_past(services.states, code_id, services.now())

        seen = ask_action(services, services.states, past, reservation_id, action, "en")
        assert count_rows(app) == before
        real = perform_action(app, reservation_id, action)

        assert seen.answer.because[0] == 2
        added = services.states.read_entries(code_id, range(past.version + 1, past.version + 10))
        expected = (real, [type(entry.event) for entry in added])
        if (seen.answer.would, [type(event) for event in seen.events]) != expected:
            differences.append((action, seen.answer, expected))
    assert differences == []


def perform_action(app: AppClient, reservation_id: UUID, action: str) -> str:
    paths: dict[str, tuple[str, dict[str, object]]] = {
        "refund": ("refund", {"revoke_access": False}),
        "cancel": ("cancel", {}),
        "resend": ("resend", {}),
        "resolve-sent": ("resolve", {"as": "sent"}),
        "resolve-refunded": ("resolve", {"as": "refunded", "revoke_access": False}),
        "resolve-retry": ("resolve", {"as": "retry"}),
    }
    path, body = paths[action]
    body = {"note": "as asked", **body}
    answer = app.client.post(f"/api/v1/reservations/{reservation_id}/{path}", json=body, headers=app.key("support"))
    return "accepted" if answer.status_code < 300 else str(answer.json()["code"])


@pytest.mark.parametrize("kind", sorted(past_source.ANSWERS))
def test_what_if_without_the_required_state_has_no_answer(
    app: AppClient, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A read whose past is not known is an error instead of a wrong answer."""
    answers = {name: answer for name, answer in past_source.ANSWERS.items() if name != kind}
    monkeypatch.setattr(past_source, "ANSWERS", answers)
    services, states = app.services, app.services.states
    unknown = []
    for state in ("reserved", "campaign", "campaign person"):
        past = find_past(states, find_id(app, put_into_state(app, state)), services.now())
        try:
            ask_redeem(services, states, past, EmailAddress.parse(LI), "en")
        except AssertionError as error:
            unknown.append(str(error))
    code = app.issue(make_template(max_uses=1))
    refunded = app.redeem(code, MEI).json()["reservation_id"]
    app.attempt(refunded, REFUSED)
    past = find_past(states, find_id(app, code), services.now())
    for action in ("refund", "resolve-sent"):
        try:
            ask_action(services, states, past, UUID(refunded), action, "en")
        except AssertionError as error:
            unknown.append(str(error))

    needed = {"deadlines", "newer", "overdue", "persons", "rebinds", "recipients", "reservations_by_id", "uses"}
    needed |= {"suppressions"}
    assert set(unknown) == ({f"the past has no {kind}"} if kind in needed else set())


def test_questions_that_make_no_sense_are_refused(app: AppClient) -> None:
    code_id = find_id(app, app.issue())
    reservation = uuid4()

    for query in ("", f"?email={LI}&reservation={reservation}", f"?reservation={reservation}", "?action=refund"):
        assert ask(app, code_id, query).json()["code"] == "MALFORMED", query
    assert ask(app, code_id, "?email=nobody").json()["code"] == "EMAIL_INVALID"
    assert ask(app, uuid4(), f"?email={LI}").status_code == 404
    assert ask(app, code_id, f"?reservation={reservation}&action=refund").json()["would"] == "NOT_FOUND"
    assert app.client.get(f"/api/v1/codes/{code_id}/what-if?email={LI}").status_code == 401
    with pytest.raises(ApplicationError, match="NOT_FOUND"):
        find_past(app.services.states, uuid4(), app.services.now())


def test_what_if_knows_when_an_address_was_not_written_to(app: AppClient) -> None:
    """Before the bounce it would have worked, afterwards not."""
    code_id, before = find_id(app, app.issue()), app.services.now()
    bounce_another_code(app)

    states = app.services.states
    pasts = [find_past(states, code_id, at) for at in (before, app.services.now())]
    answers = [ask_redeem(app.services, states, past, EmailAddress.parse(LI), "en").answer for past in pasts]

    assert [answer.would for answer in answers] == ["accepted", "ADDRESS_UNDELIVERABLE"]


def test_what_if_names_the_thresholds_that_would_be_crossed(app: AppClient) -> None:
    context = CommandContext(now=app.services.now(), actor="operator")
    terms = make_campaign_terms(max_uses=4, notify_at="50%, 1 left")
    campaign_id = uuid4()
    app.services.storage.ledger.execute_one(CreateCampaign(context=context, campaign_id=campaign_id, terms=terms))
    text = app.issue(make_template(max_uses=2, bound=False, notify_at="100%", campaign_id=campaign_id))
    code_id = find_id(app, text)

    first = ask(app, code_id, f"?email={LI}").json()["crossed"]
    app.redeem(text, LI)
    second = ask(app, code_id, f"?email={MEI}").json()["crossed"]
    app.redeem(text, MEI)
    refused = ask(app, code_id, "?email=late@example.com").json()["crossed"]
    issued_at = app.services.states.read_entries(code_id, [1])[0].event.at
    past = ask(app, code_id, f"?email={MEI}&as_of={issued_at:%FT%T.%fZ}").json()["crossed"]

    assert first == past == refused == []
    assert [(each["threshold"], each["campaign_id"]) for each in second] == [("50%", str(campaign_id)), ("100%", None)]
    assert app.count("ledger_events WHERE topic LIKE '%ThresholdReached:1'") == 2
