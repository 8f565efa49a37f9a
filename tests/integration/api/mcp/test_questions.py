"""What an assistant asks is recorded, bounded, and answered with its place in the log."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError

from api.auth.scopes import SCOPES
from api.cli.doctor.database import BEHIND_DATABASE
from api.errors import ApplicationError
from api.http.dependencies import Identity
from api.main import collect_tools
from api.mcp import questions
from api.mcp.questions import Answer, Questions
from api.mcp.read_only_services import POOL_SIZE
from api.rate_limits.caller_limit import QUESTIONS, CallerLimit
from api.settings import ApiSettings
from api.use_cases.heavy_reads import HeavyReads
from api.use_cases.services import Caller, Services
from domain.ports import Accepted
from projections.repositories.audit_reader import AuditReader
from projections.storage.bootstrap import LedgerStore
from projections.storage.report_store import ReportReading, ReportStore
from projections.transparency_log.line_proofs import read_signing_progress
from tests.support.clients.app_client import AppClient
from tests.support.clients.assistant import Connect, ask, converse, list_tools, over_http
from tests.support.clients.in_process_app import started
from tests.support.ledger.code_template import make_template
from tests.support.waiting import run_ready_tasks
from workers.maintenance.log_follower import update_log

PERSON = "wang.fang@example.com"


@pytest.fixture(scope="module")
def admin(shared_app: AppClient) -> Connect:
    return over_http(shared_app, shared_app.key("admin"))


def newest_entry(app: AppClient) -> tuple[str, object, str | None]:
    entry = next(each for each in AuditReader(app.services.storage).list_page(9) if each.action != "other_questions")
    assert entry.key_id is not None
    return entry.action, entry.subject_id, entry.reason


def test_question_about_a_person_is_recorded_by_the_id_of_the_recipient(shared_app: AppClient, admin: Connect) -> None:
    """Never by the email address or the code that was typed."""
    code = shared_app.issue(make_template(max_uses=3))
    answer = shared_app.redeem(code, PERSON).json()
    shared_app.attempt(answer["reservation_id"], Accepted(server="mx:25"))
    reservation = shared_app.services.reservation(answer["reservation_id"])

    asked = {}
    for text in (PERSON, code, "unknown@example.com"):
        assert not ask(admin, "find", text=text).is_error
        asked[text] = newest_entry(shared_app)

    assert asked == {
        PERSON: (
            "asked_question",
            reservation.recipient_id,
            f"tool: find; asked: text={reservation.recipient_id}",
        ),
        code: ("asked_question", reservation.code_id, f"tool: find; asked: text={reservation.code_id}"),
        "unknown@example.com": ("asked_question", None, "tool: find; asked: text=text of 19 characters"),
    }
    what_if = ask(admin, "codes_what_if", code_id=str(reservation.code_id), email=PERSON)
    assert what_if.structured_content["answer"]["would"] == {"untrusted_text": "accepted"}
    assert newest_entry(shared_app)[2] == (
        f"tool: codes_what_if; asked: code_id={reservation.code_id}, email={reservation.recipient_id}"
    )


def test_value_that_its_schema_does_not_describe_is_recorded_by_its_length(
    shared_app: AppClient, admin: Connect
) -> None:
    """Models put addresses into any argument, and the audit log keeps them forever."""
    ask(admin, "events_list_events", type="lin.na.20@example.com", limit="x; tool: check_health")

    details = newest_entry(shared_app)[2]

    assert details == "tool: events_list_events; asked: type=text of 21 characters, limit=text of 21 characters"


@pytest.mark.parametrize(
    ("tool", "argument", "text", "recorded"),
    [
        ("codes_list_codes", "limit", 13800138000, "text of 11 characters"),  # a number of a telephone
        ("codes_list_codes", "limit", 5, "5"),
        ("codes_list_codes", "issued_from", f"2026-12-01T09:00:00Z {PERSON}", "text of 42 characters"),
        ("codes_list_codes", "issued_from", "2026-12-01T09:00:00Z", "2026-12-01T09:00:00Z"),
        ("codes_list_codes", "state", PERSON, None),
        ("codes_list_codes", "state", " paused ", "paused"),
        ("codes_list_codes", "open", PERSON, None),
        ("codes_list_codes", "open", True, "true"),
    ],
)
def test_argument_is_recorded_as_it_is_only_where_its_schema_bounds_it(
    shared_app: AppClient, admin: Connect, tool: str, argument: str, text: object, recorded: str | None
) -> None:
    """None: as the ID of the recipient, or as an unknown text, and never as it was written."""
    ask(admin, tool, **{argument: text})

    details = newest_entry(shared_app)[2]

    assert details is not None
    assert PERSON not in details
    assert recorded is None or details == f"tool: {tool}; asked: {argument}={recorded}"


def test_lists_and_refused_questions_have_one_line_in_a_minute_with_their_counts(
    settings: ApiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each key, with tools that the key has, and without any text of the caller."""
    with started(settings) as app:
        monkeypatch.setattr(app.services.guard, "questions", CallerLimit(QUESTIONS._replace(burst=30), lambda: 0.0))
        connect = over_http(app, app.key("viewer"))

        async def ask_often(client: Client) -> None:
            for n in range(10):
                for name, arguments in ((PERSON, {}), ("find", {PERSON: n}), ("codes_history", {"code_id": PERSON})):
                    with suppress(MCPError):
                        await client.call_tool(name, arguments)
            for name in ("check_health", "preview_support_actions", PERSON):
                with suppress(MCPError):
                    await client.call_tool(name, {})

        list_tools(connect)
        converse(connect, ask_often)
    with LedgerStore.open(settings) as storage:
        entries = AuditReader(storage).list_page(10)
    assert {entry.action for entry in entries} == {"other_questions"}
    assert 2 <= len(entries) <= 3, "the first one, and all that came within a minute"
    reasons = [entry.reason or "" for entry in entries]
    assert "example.com" not in str(reasons)
    counts = Counter[str]()
    for name, count in re.findall(r"([a-z_]+): ([0-9]+)", "; ".join(reasons)):
        counts[name] += int(count)
    assert counts.pop("listed") >= 1, "the library's client reads the list again after some calls"
    assert counts == {"unknown_tool": 10, "malformed": 20, "over_limit": 3}
    assert reasons[0].endswith("; tools: check_health codes_history find")


def test_find_knows_no_part_of_a_code(shared_app: AppClient, admin: Connect) -> None:
    """Nor shows one: a key that cannot redeem would guess codes by it."""
    code = shared_app.issue(make_template(max_uses=3))

    whole, end = (ask(admin, "find", text=text).structured_content["answer"]["results"] for text in (code, code[-4:]))

    assert ([each["masked"] for each in whole], end) == ([None], [])


def test_addresses_are_limited_as_guesses_of_codes(app: AppClient) -> None:
    connect = over_http(app, app.key("viewer"))

    async def ask_often(client: Client) -> list[bool]:
        return [(await client.call_tool("find", {"text": f"p{n}@example.com"})).is_error for n in range(40)]

    results = converse(connect, ask_often)

    assert (results[0], results[-1]) == (False, True)


def test_answer_names_the_position_and_the_newest_checkpoint(shared_app: AppClient, admin: Connect) -> None:
    shared_app.issue()
    update_log(shared_app.services.storage, shared_app.services.now(), None)
    checkpoint = read_signing_progress(shared_app.services.storage).checkpoint
    assert checkpoint is not None

    log = ask(admin, "check_health").structured_content["log"]

    assert log == {
        "position": checkpoint.position,
        "checkpoint": {
            "number": checkpoint.number,
            "position": checkpoint.position,
            "at": checkpoint.at.isoformat(),
        },
        "answered_by": "primary",
    }


def test_refusal_of_a_tool_names_the_position_too(shared_app: AppClient, admin: Connect) -> None:
    shared_app.issue()

    refused = ask(admin, "codes_history", code_id=str(uuid4()))
    answered = ask(admin, "check_health")

    assert refused.structured_content["problem"]["code"] == "NOT_FOUND"
    assert refused.structured_content["log"] == answered.structured_content["log"]


def test_few_questions_are_answered_at_a_time(shared_app: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the tools have connections: the threads of the process stay free for redeem requests."""
    active, most = 0, 0

    async def run_at_once(_: object, function: Callable[..., object], *arguments: object) -> object:
        return function(*arguments)

    async def count(*_asked: object) -> Answer:
        nonlocal active, most
        active += 1
        most = max(most, active)
        for _ in range(3):
            await run_ready_tasks()  # every other question begins, if it may
        active -= 1
        return Answer({}, is_problem=False)

    monkeypatch.setattr(Questions, "_get", count)
    monkeypatch.setattr(Services, "run_blocking", run_at_once)
    answering = Questions(collect_tools(), shared_app.services, shared_app.services)
    who = Identity(caller=Caller("operator"), scopes=frozenset(SCOPES), role="admin")

    async def ask_all() -> None:
        await asyncio.gather(*(answering.ask(who, "check_health", {}, "en") for _ in range(5)))

    asyncio.run(ask_all())

    assert most == POOL_SIZE


def test_answer_says_when_a_standby_gave_it(
    shared_app: AppClient, admin: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has every event up to the position, see tests/faults/test_standby_reads.py."""
    reading = ReportReading(shared_app.services.storage, None)
    reading.lag_s = 1.5
    monkeypatch.setattr(ReportStore, "read", lambda _: reading)

    log = ask(admin, "events_list_events", limit=1).structured_content["log"]

    assert log["answered_by"] == "standby"


def test_answer_that_is_too_long_says_how_to_narrow_the_question(
    shared_app: AppClient, admin: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "ANSWER_BYTES_MAX", 300)
    shared_app.issue()

    answer = ask(admin, "codes_list_codes")

    assert answer.is_error
    too_long = answer.structured_content["answer_is_too_long"]
    assert too_long["bytes"] > too_long["bytes_max"] == 300
    assert "limit" in too_long["narrow_your_question_by"]
    assert "answer" not in answer.structured_content


def test_answer_that_is_too_long_once_its_texts_are_marked_is_not_sent(
    shared_app: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is one on what an assistant reads, and marks are part of that."""
    headers = shared_app.key("admin")
    code_id = str(shared_app.services.reader.find_code(shared_app.issue()))
    unmarked = shared_app.client.get(f"/api/v1/codes/{code_id}", headers=headers).content
    monkeypatch.setattr(questions, "ANSWER_BYTES_MAX", len(unmarked))

    answer = ask(over_http(shared_app, headers), "codes_one_code", code_id=code_id)

    assert answer.structured_content["answer_is_too_long"]["bytes"] > len(unmarked)


def test_question_that_takes_too_long_is_unavailable(admin: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "CALL_S_MAX", 0.0)

    answer = ask(admin, "check_health")

    assert answer.is_error
    assert answer.structured_content["problem"]["code"] == "UNAVAILABLE"


def test_questions_of_one_key_are_limited(shared_app: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of other keys are not. The clock of the limit stands, because a slow machine would earn more questions."""
    monkeypatch.setattr(shared_app.services.guard, "questions", CallerLimit(QUESTIONS, lambda: 0.0))
    connect, other = (over_http(shared_app, shared_app.key("viewer")) for _ in range(2))

    async def ask_often(client: Client) -> list[bool]:
        return [(await client.call_tool("check_health", {})).is_error for _ in range(QUESTIONS.burst + 1)]

    results = converse(connect, ask_often)

    assert results == [*[False] * QUESTIONS.burst, True]
    assert not ask(other, "check_health").is_error


@pytest.mark.parametrize(
    ("tool", "arguments", "where"),
    [
        ("find", {}, "arguments.text"),
        ("find", {"text": {"a": 1}}, "arguments.text"),
        ("find", {"text": "x", "secret": "y"}, "arguments"),
        ("codes_history", {"code_id": "no-id"}, "arguments.code_id"),
        ("codes_history", {"code_id": "../../cases"}, "arguments.code_id"),
        ("codes_history", {"code_id": []}, "arguments.code_id"),
        ("codes_history", {"code_id": PERSON}, "arguments.code_id"),
        ("find", {"text": ["decoy", PERSON]}, "arguments.text"),
        ("find", {"text": "LEGACY\nx"}, "arguments.text"),
        ("codes_history", {"code_id": str(uuid4()), "format": "csv"}, "arguments"),
        ("events_list_events", {"wait": 30}, "arguments"),
    ],
)
def test_malformed_question_says_what_is_wrong(
    shared_app: AppClient, admin: Connect, tool: str, arguments: dict[str, object], where: str
) -> None:
    """As the API does, and without repeating the value."""
    answer = ask(admin, tool, **arguments)

    assert answer.is_error
    assert PERSON not in str(newest_entry(shared_app))
    problem = answer.structured_content["problem"]
    assert (problem["code"], problem["errors"][0]["where"]) == ("MALFORMED", where)


def test_support_actions_and_verification_of_a_code(shared_app: AppClient, admin: Connect) -> None:
    """What support would do, and whether the balance is what the events add up to."""
    code = shared_app.issue(make_template(max_uses=1))
    reservation_id = shared_app.redeem(code, "he.ping@example.com").json()["reservation_id"]
    code_id = str(shared_app.services.reservation(reservation_id).code_id)

    actions = ask(admin, "preview_support_actions", reservation_id=reservation_id).structured_content["answer"]
    verified = ask(admin, "verify_code", code_id=code_id).structured_content["answer"]

    possible = {each["action"] for each in actions["actions"] if each["is_possible"]}
    assert (actions["state"], "cancel" in possible, "resend" in possible) == ("reserved", True, False)
    assert (verified["agrees"], verified["differences"], verified["version"]) == (True, [], 2)
    with shared_app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE code_balances SET used = 1 WHERE code_id = %s", (code_id,))
    drifted = ask(admin, "verify_code", code_id=code_id).structured_content["answer"]
    assert (drifted["agrees"], [each["field"] for each in drifted["differences"]]) == (
        False,
        [{"untrusted_text": "used"}],
    )


def test_handbook_is_read_by_section(admin: Connect) -> None:
    titles = ask(admin, "read_handbook").structured_content["answer"]
    cases = ask(admin, "read_handbook", section="Cases").structured_content["answer"]

    assert {"Find the customer", "Cases"} <= set(titles["titles"])
    assert titles["text"] is None
    page = (Path(__file__).parents[4] / "docs/support/handbook.md").read_text()
    assert f"## Cases\n\n{cases['text']}\n\n##" in page
    assert ask(admin, "read_handbook", section="No such").structured_content["problem"]["code"] == "NOT_FOUND"


def test_doctor_finds_what_the_command_finds(shared_app: AppClient, admin: Connect) -> None:
    """No broker runs here. Only keys of admins have the tool, because it names servers and their errors."""
    report = ask(admin, "run_doctor").structured_content["answer"]

    states = {check["name"]: check["status"] for check in report["checks"]}
    assert {*BEHIND_DATABASE} - {"commit", "engine", "times"} <= states.keys()
    assert not {"commit", "engine", "times"} & states.keys()
    seen = [states[name] for name in ("keyrings", "broker", "worker")]
    assert seen == ["ok", "wrong", "skipped"]
    assert report["ok"] is False
    assert all(check["remedy"]["untrusted_text"] for check in report["checks"] if check["status"] == "wrong")
    support = over_http(shared_app, shared_app.key("support"))
    assert "run_doctor" not in list_tools(support)


def test_doctor_does_not_wait_for_reads_of_long_histories(admin: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of these takes the only slot, maybe for as long as operators look for what is slow."""

    async def refuse(*_: object) -> None:
        raise ApplicationError("OVERLOADED")

    monkeypatch.setattr(HeavyReads, "run", refuse)
    history = ask(admin, "codes_history", code_id=str(uuid4())).structured_content

    assert history["problem"]["code"] == "OVERLOADED"
    assert ask(admin, "run_doctor").structured_content["answer"]["checks"]


def test_question_about_what_does_not_exist_has_the_problem_of_its_route(admin: Connect) -> None:
    """Of every tool that needs an ID."""
    tools = collect_tools().tools.values()
    needing = {tool.name: tool.required[0] for tool in tools if tool.required and tool.name != "find"}
    assert len(needing) > 5
    del needing["codes_what_if"]  # it needs one of two further arguments, too

    answers = {name: ask(admin, name, **{argument: str(uuid4())}) for name, argument in needing.items()}

    codes = {
        name: answer.structured_content["problem"]["status"] for name, answer in answers.items() if answer.is_error
    }
    assert codes == dict.fromkeys(needing, 404)


def test_failure_of_a_tool_is_a_problem_that_says_nothing_of_it(
    admin: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("projections.read_models.reader.Reader.ping", fail)

    answer = ask(admin, "check_health")

    assert answer.structured_content["problem"]["code"] == "INTERNAL"
    assert "secret" not in str(answer)
