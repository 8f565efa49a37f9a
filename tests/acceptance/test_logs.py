"""A full run, and everything that it writes: traceable by one id, and without a secret, a code or an address."""

import base64
import json
import re
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from api.cli.embedded.secrets_file import read_secrets
from api.cli.embedded.state_file import CHECKPOINTS
from api.cli.embedded.tcp_ports import find_free_port
from tests.support.secret_search import CommandMonitor, CookieBrowser, dump, found_in, open_data_dir
from tests.support.servers.embedded_stack import Stack
from tests.support.servers.mail_server import MailServer
from tests.support.servers.mail_session import ReplyWith

pytestmark = pytest.mark.night(of="stacks")

PEOPLE = (
    *("li.wei@example.com", "wang+fang@example.org", "nobody@example.net"),
    *("somebody@else.example.com", "gone@example.com"),
)
TRACE = "7ace0fac11c4b2d5"
NOTE, REASON = "Note: she moved to another office", "Reason: asked for it by telephone"
KEY = "an-idempotency-key-of-a-client"
MISTYPED = "LEDGER_SMTP_TIME_S"


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    """A mail server that quotes the address when it refuses one."""
    with MailServer() as server:
        server.at("rcpt", ReplyWith(550, f"5.1.1 <{PEOPLE[2]}>: Recipient address rejected"), recipient=PEOPLE[2])
        yield server


@pytest.fixture(scope="module")
def stack(servers_folder: Path, mail: MailServer) -> Iterator[Stack]:
    """`ledger up`, used and ended by the first fixture that needs its logs."""
    env = {"LEDGER_SMTP_URL": mail.url, "LEDGER_MAIL_FROM": "ledger@house.example", "LEDGER_SWEEP_S": "1"}
    env[MISTYPED] = "45"
    running = Stack(servers_folder / "logs", find_free_port(), env)
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def wiretap(stack: Stack) -> Iterator[CommandMonitor]:
    """Wait until the broker has what a test needs to read, from before the first redeem request on."""
    with CommandMonitor(stack.info["redis_url"]) as tap:
        yield tap


@pytest.fixture(scope="module")
def faults() -> list[str]:
    return []


@pytest.fixture(scope="module")
def secrets(stack: Stack, mail: MailServer, wiretap: CommandMonitor, faults: list[str]) -> dict[str, str]:
    issued = json.loads(stack.cli("issue", "--count", "3", "--json").stdout)
    code, other, last = (code_entry["code"] for code_entry in issued)
    body = {"email": PEOPLE[0], "code": code}
    redeem_response = stack.call("POST", "/api/v1/public/redeem", body, {"X-Request-Id": TRACE})[1]
    first = redeem_response["reservation_id"]
    refused = stack.redeem(other, PEOPLE[2])[1]["reservation_id"]
    stack.redeem(other, PEOPLE[1])
    stack.redeem(code, PEOPLE[3])
    stack.redeem("NO-SUCH-CODE-AT-ALL", PEOPLE[3])
    gone = stack.redeem(last, PEOPLE[4])[1]["reservation_id"]
    stack.call("POST", "/api/v1/public/redeem", {"email": f"{PEOPLE[1]} ", "code": code, "again": "x"})
    stack.wait(lambda: [stack.state(key) for key in (first, refused, gone)] == ["sent", "refunded", "sent"])
    token = re.findall(r"/a/([\w.-]+)", email_to(mail, PEOPLE[0]).as_string())[0]
    stack.get(f"/a/{token}")
    stack.call("POST", f"/a/{token}")
    stack.get(f"/invite?code={code}")
    stack.get(f"/api/v1/public/redemptions/{PEOPLE[0]}")
    stack.call("GET", "/api/v1/codes", headers={"Authorization": f"Bearer {stack.info['admin_key']}"})
    stack.call("GET", "/api/v1/codes", headers={"Authorization": "Bearer rl_not-a-key-of-anybody"})
    stack.call("POST", "/support/sign-in", {"email": PEOPLE[3], "password": "a-wrong-password"})
    assert wiretap.heard()
    keyed = {"Authorization": f"Bearer {stack.info['admin_key']}"}
    stack.call("POST", f"/api/v1/reservations/{first}/notes", {"note": NOTE}, keyed)
    stack.call("POST", f"/api/v1/reservations/{first}/resend", {"note": NOTE}, keyed)
    stack.call("POST", "/api/v1/public/redeem", {**body, "email": PEOPLE[1]}, {"Idempotency-Key": KEY})
    session = sign_in_and_look(stack, first, code)
    faults += [str(answer) for answer in broken_requests(stack, code)]
    stack.call("POST", "/api/v1/recipients/forget", {"email": PEOPLE[4], "reason": REASON}, keyed)
    private = {"note": NOTE, "reason": REASON, "idempotency key": KEY, "session": session}
    private |= {f"person {number}": person for number, person in enumerate(PEOPLE)}
    private |= {"code": code, "bare code": code.replace("-", ""), "other code": other, "token": token}
    private["correction token"] = redeem_response["correction_token"]
    private |= {"admin key": stack.info["admin_key"], "password": stack.info["staff_password"]}
    private |= {"wrong key": "rl_not-a-key-of-anybody", "wrong password": "a-wrong-password"}
    return private | read_secrets(stack.folder)


def sign_in_and_look(stack: Stack, reservation_id: str, code: str) -> str:
    """What staff do with private things: search for them, and see them; the token of the session."""
    visitor, form = CookieBrowser(stack.base), "/support/sign-in"
    visitor.submit(form, form, email=stack.info["staff_email"], password=stack.info["staff_password"])
    for typed in (PEOPLE[0], code, PEOPLE[3]):
        visitor.submit("/support/search", "/support", q=typed)
    path = f"/support/reservations/{reservation_id}/unmask"
    assert PEOPLE[0] in visitor.submit(path, path, reason=REASON)
    return str({cookie.name: cookie.value for cookie in visitor.jar}["ledger_staff"])


def broken_requests(stack: Stack, code: str) -> list[object]:
    """Private things where they don't belong; what is answered."""
    redeem, json_body = "/api/v1/public/redeem", {"email": PEOPLE[0], "code": code}
    return [
        stack.get(f"/nowhere/{code}/{PEOPLE[0]}"),
        stack.get(f"/api/v1/public/redemptions/{PEOPLE[0]}"),
        stack.get(f"/api/v1/public/redemptions/{code}"),
        stack.call("PUT", f"{redeem}?code={code}", json_body),
        stack.call("POST", redeem, {"email": [PEOPLE[0]], "code": code}),
        stack.call("POST", redeem, {"email": PEOPLE[0] * 30, "code": code}),
        stack.call("POST", redeem, {"email": PEOPLE[0], "code": code * 30}),
        stack.call("POST", redeem, {**json_body, "more": "x" * 70_000}),
        stack.call("POST", redeem, {**json_body, "again": PEOPLE[0]}),
        stack.call("GET", f"/a/{code}"),
        stack.call("GET", f"/r/{PEOPLE[0]}", headers={"Accept": "text/html"}),
        stack.call("GET", f"/nowhere/{code}", headers={"Accept": "text/html"}),
    ]


def email_to(mail: MailServer, person: str) -> EmailMessage:
    return next(received.message for received in mail.received if person in received.message["To"])


@pytest.fixture(scope="module")
def written(stack: Stack, secrets: dict[str, str], wiretap: CommandMonitor, faults: list[str]) -> dict[str, bytes]:
    """All that the run wrote but the emails and the logs, by where it stands."""
    assert secrets
    stack.wait((stack.folder / CHECKPOINTS).exists)  # the first one is signed some seconds after the start
    return {
        "database": dump(stack.info["database_url"]),
        "broker": wiretap.heard(),
        "metrics": str(stack.get("/metrics")[1]).encode(),
        "readiness": str(stack.get("/readyz")[1]).encode(),
        "faults": "\n".join(faults).encode(),
        "list of forgotten people": (stack.folder / "forgotten.jsonl").read_bytes(),
        "checkpoints": (stack.folder / CHECKPOINTS).read_bytes(),
    }


@pytest.fixture(scope="module")
def logs(stack: Stack, written: dict[str, bytes]) -> dict[str, str]:
    assert written
    stack.stop()
    texts = {path.stem: path.read_text(errors="replace") for path in (stack.folder / "logs").glob("*.log*")}
    assert {"api", "worker", "beat", "postgres", "valkey"} <= texts.keys()
    return texts


def parsed(text: str) -> list[dict[str, Any]]:
    """Lines of a log of ours; what is no JSON document stands as its event alone."""
    records = []
    for line in text.splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            records.append({"event": line})
    return records


def test_logs_contain_no_secret(logs: dict[str, str], secrets: dict[str, str]) -> None:
    secrets_by_component = {part: found_in(text.encode(), secrets) for part, text in logs.items()}

    assert {part: names for part, names in secrets_by_component.items() if names} == {}


def test_database_and_broker_contain_no_secret_in_plain_text(
    written: dict[str, bytes], secrets: dict[str, str]
) -> None:
    """Events, read models, the vault, what the broker was told and keeps, metrics, faults: clear, hex or base64.

    The emails alone hold an address and a link.
    """
    secrets_by_place = {place: found_in(data, secrets) for place, data in written.items()}

    assert {place: names for place, names in secrets_by_place.items() if names} == {}
    assert b"INSERT INTO public.ledger_events" in written["database"]
    assert b"process_invite_task" in open_data_dir(written["broker"])
    assert all(written.values())


def test_secret_search_finds_every_encoding() -> None:
    """Clear, in hex, in base64 at any offset, within a message that is encoded itself, and in any case."""
    secret, around = {"it": "li.wei@example.com"}, b'{"email": "li.wei@example.com"}'
    places = [around, around.upper(), around.hex().encode(), b"to=li.wei%40example.com&x"]
    places += [base64.b64encode(b"x" * offset + around) for offset in range(3)]
    places += [base64.b64encode(place) for place in places]

    assert [found_in(place, secret) for place in places] == [{"it"}] * len(places)
    assert found_in(b"somebody else entirely", secret) == set()


def test_log_lines_of_the_ledger_are_json(logs: dict[str, str]) -> None:
    for part in ("api", "worker", "beat"):
        # What Celery says when it ends goes past every logger.
        logs[part] = re.sub(r"^(\nworker: \w+ shutdown \(MainProcess\))?\n", "", logs[part], flags=re.MULTILINE)
        assert [line for line in parsed(logs[part]) if not {"event", "level", "timestamp"} <= line.keys()] == []


def test_request_id_leads_from_the_redeem_request_to_the_email(logs: dict[str, str], mail: MailServer) -> None:
    (request,) = [line for line in parsed(logs["api"]) if line.get("request_id") == TRACE]
    log_record, *_ = [line for line in parsed(logs["worker"]) if line.get("request_id") == TRACE]  # then the resend

    assert (request["action"], request["outcome"], request["status"]) == ("redeem", "accepted", 202)
    assert (log_record["action"], log_record["outcome"]) == ("send", "sent")
    assert request["reservation_id"] == log_record["reservation_id"]
    assert request["ms"] > 0
    assert log_record["ms"] > 0
    assert email_to(mail, PEOPLE[0])["X-Request-ID"] == TRACE


def test_logs_have_a_line_for_each_request_and_task(logs: dict[str, str]) -> None:
    requests = [line for line in parsed(logs["api"]) if line["event"] == "request"]
    tasks = [line for line in parsed(logs["worker"]) if line["event"] == "task"]

    assert {"CODE_INVALID", "accepted", "ok", "UNAUTHORIZED"} <= {line["outcome"] for line in requests}
    assert {"process_invite_task", "sweep_due_reservations"} <= {line["action"] for line in tasks}
    assert all({"outcome", "ms", "task_id"} <= line.keys() for line in tasks)
    assert all({"action", "outcome", "ms", "request_id", "reservation_id"} <= line.keys() for line in requests)


def test_logs_contain_the_lines_that_operators_search_for(logs: dict[str, str]) -> None:
    """The runbook's checks, word for word."""
    assert re.search(r"celery@\S+ ready\.", logs["worker"])
    assert "Scheduler: Sending due task sweep-due-reservations" in logs["beat"]


def test_every_process_reports_a_mistyped_setting_at_its_start(stack: Stack) -> None:
    sentence = f"{MISTYPED} is not a setting, did you mean LEDGER_SMTP_TIMEOUT_S?"
    logs = {path.name: path.read_text("utf-8") for path in (stack.folder / "logs").glob("*.log")}
    reports = {
        name: [json.loads(line)["why"] for line in text.splitlines() if '"unknown setting ignored"' in line]
        for name, text in logs.items()
    }

    assert {name: report for name, report in reports.items() if report} == {
        f"{name}.log": [sentence] for name in ("api", "worker", "beat")
    }
    assert stack.folder.with_suffix(".log").read_text("utf-8").count(sentence) == 1
    assert stack.cli("cases").stderr.splitlines()[0] == sentence
