"""A full run, and everything that it logs: traceable by one id, and without a secret, a code or an address."""

import json
import re
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from api.cli.stack.ports import free_port
from api.cli.stack.secret_file import read_secrets
from tests.acceptance.stack import Stack
from tests.mailserver import MailServer
from tests.mailsession import Say

pytestmark = pytest.mark.timeout(150)

PEOPLE = ("li.wei@example.com", "wang+fang@example.org", "nobody@example.net", "somebody@else.example.com")
TRACE = "trace-of-a-click-1"


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    """A mail server that quotes the address when it refuses one."""
    with MailServer() as server:
        server.at("rcpt", Say(550, f"5.1.1 <{PEOPLE[2]}>: Recipient address rejected"), recipient=PEOPLE[2])
        yield server


@pytest.fixture(scope="module")
def stack(servers_folder: Path, mail: MailServer) -> Iterator[Stack]:
    """`ledger up`, used and ended by the first fixture that needs its logs."""
    env = {"LEDGER_SMTP_URL": mail.url, "LEDGER_MAIL_FROM": "ledger@house.example", "LEDGER_SWEEP_S": "1"}
    running = Stack(servers_folder / "logs", free_port(), env)
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def secrets(stack: Stack, mail: MailServer) -> dict[str, str]:
    """Uses the stack in every way that handles something private; what must not be found afterwards."""
    issued = json.loads(stack.cli("issue", "--count", "2", "--json").stdout)
    code, other = (item["code"] for item in issued)
    body = {"email": PEOPLE[0], "code": code}
    first = stack.call("POST", "/api/v1/public/redeem", body, {"X-Request-Id": TRACE})[1]["reservation_id"]
    refused = stack.redeem(other, PEOPLE[2])[1]["reservation_id"]
    stack.redeem(other, PEOPLE[1])
    stack.redeem(code, PEOPLE[3])
    stack.redeem("NO-SUCH-CODE-AT-ALL", PEOPLE[3])
    stack.call("POST", "/api/v1/public/redeem", {"email": f"{PEOPLE[1]} ", "code": code, "again": "x"})
    stack.wait(lambda: (stack.state(first), stack.state(refused)) == ("sent", "refunded"))
    token = re.findall(r"/a/([\w.-]+)", letter_to(mail, PEOPLE[0]).as_string())[0]
    stack.get(f"/a/{token}")
    stack.get(f"/invite?code={code}")
    stack.get(f"/api/v1/public/redemptions/{PEOPLE[0]}")
    stack.call("GET", "/api/v1/codes", headers={"Authorization": f"Bearer {stack.info['admin_key']}"})
    stack.call("GET", "/api/v1/codes", headers={"Authorization": "Bearer rl_not-a-key-of-anybody"})
    stack.call("POST", "/support/sign-in", {"email": PEOPLE[3], "password": "a-wrong-password"})
    private = {f"person {number}": person for number, person in enumerate(PEOPLE)}
    private |= {"code": code, "bare code": code.replace("-", ""), "other code": other, "token": token}
    private |= {"admin key": stack.info["admin_key"], "password": stack.info["staff_password"]}
    private |= {"wrong key": "rl_not-a-key-of-anybody", "wrong password": "a-wrong-password"}
    return private | read_secrets(stack.folder)


def letter_to(mail: MailServer, person: str) -> EmailMessage:
    """The first letter that somebody was sent."""
    return next(received.message for received in mail.received if person in received.message["To"])


@pytest.fixture(scope="module")
def logs(stack: Stack, secrets: dict[str, str]) -> dict[str, str]:
    """Everything that the run has logged, by the name of the part."""
    assert secrets
    stack.stop()
    found = {path.stem: path.read_text(errors="replace") for path in (stack.folder / "logs").glob("*.log*")}
    assert {"api", "worker", "beat", "postgres", "valkey"} <= found.keys()
    return found


def parsed(text: str) -> list[dict[str, Any]]:
    """Lines of a log of ours; what is no JSON document stands as its event alone."""
    found = []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            found.append({"event": line})
    return found


def test_nothing_private_is_in_any_log(logs: dict[str, str], secrets: dict[str, str]) -> None:
    """Of API, worker, beat, database and broker."""
    found = {(name, part) for part, text in logs.items() for name, secret in secrets.items() if secret in text}

    assert found == set()
    assert all(len(secret) > 8 for secret in secrets.values())


def test_every_line_of_ours_is_json(logs: dict[str, str]) -> None:
    """Nothing that a collector would choke on, banners included."""
    for part in ("api", "worker", "beat"):
        # What Celery says when it ends goes past every logger.
        logs[part] = re.sub(r"^(\nworker: \w+ shutdown \(MainProcess\))?\n", "", logs[part], flags=re.MULTILINE)
        assert [line for line in parsed(logs[part]) if not {"event", "level", "timestamp"} <= line.keys()] == []


def test_one_id_leads_from_the_click_to_the_mail(logs: dict[str, str], mail: MailServer) -> None:
    """The caller's request id is in the API's line, the letter's line and the mail's header."""
    (request,) = [line for line in parsed(logs["api"]) if line.get("request_id") == TRACE]
    (letter,) = [line for line in parsed(logs["worker"]) if line.get("request_id") == TRACE]

    assert (request["action"], request["outcome"], request["status"]) == ("redeem", "accepted", 202)
    assert (letter["action"], letter["outcome"]) == ("send", "sent")
    assert request["reservation_id"] == letter["reservation_id"]
    assert request["ms"] > 0
    assert letter["ms"] > 0
    assert letter_to(mail, PEOPLE[0])["X-Request-ID"] == TRACE


def test_each_request_and_each_task_has_a_line(logs: dict[str, str]) -> None:
    """With what was asked for, how it ended and how long it took."""
    requests = [line for line in parsed(logs["api"]) if line["event"] == "request"]
    tasks = [line for line in parsed(logs["worker"]) if line["event"] == "task"]

    assert {"CODE_INVALID", "accepted", "ok", "UNAUTHORIZED"} <= {line["outcome"] for line in requests}
    assert {"process_invite_task", "sweep_due_reservations"} <= {line["action"] for line in tasks}
    assert all({"outcome", "ms", "task_id"} <= line.keys() for line in tasks)
    assert all({"action", "outcome", "ms", "request_id", "reservation_id"} <= line.keys() for line in requests)


def test_the_lines_that_operators_look_for_are_there(logs: dict[str, str]) -> None:
    """INCIDENT.md's checks by hand, word for word."""
    assert re.search(r"celery@\S+ ready\.", logs["worker"])
    assert "Scheduler: Sending due task sweep-due-reservations" in logs["beat"]
