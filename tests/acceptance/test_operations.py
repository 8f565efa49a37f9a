"""What operators do next to a running stack: look after it, decide cases, undo an outage."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from api.cli.embedded.tcp_ports import find_free_port
from tests.support.servers.embedded_stack import Stack
from tests.support.servers.mail_server import Disconnect, MailServer
from tests.support.waiting import wait_for

pytestmark = pytest.mark.night(of="stacks")

TTL_S = 5
ALL_ARE_OVER = """
SELECT bool_and(deadline < clock_timestamp() - interval '1 s') FROM reservations WHERE status = 'live'
"""
"""By a second, since the API asks for the time of the database now and then."""


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    """A mail server that loses the connection after each email to anybody named `lost`."""
    with MailServer() as server:
        server.at("dot", Disconnect(takes=False), recipient="lost@example.com")
        yield server


@pytest.fixture(scope="module")
def stack(servers_folder: Path, mail: MailServer) -> Iterator[Stack]:
    """`ledger up` in which reservations don't wait long."""
    env = {
        "LEDGER_SMTP_URL": mail.url,
        "LEDGER_MAIL_FROM": "ledger@example.com",
        "LEDGER_RESERVATION_TTL_S": str(TTL_S),
        "LEDGER_RETRY_FIRST_S": "1",
        "LEDGER_SWEEP_S": "1",
    }
    running = Stack(servers_folder / "operations", find_free_port(), env)
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


def parts(stack: Stack, *words: str) -> list[psutil.Process]:
    children = psutil.Process(stack.process.pid).children(recursive=True)
    return [child for child in children if set(words) & set(child.cmdline())]


def examined(stack: Stack) -> tuple[int, dict[str, Any]]:
    done = stack.cli("doctor", "--json")
    return done.returncode, {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def wait_for_a_case(stack: Stack) -> None:
    """Until one is open; asked of the API, since asking by command is a second's work each time."""
    stack.wait(lambda: stack.call("GET", "/api/v1/cases", headers=stack.admin)[1]["cases"])


def test_doctor_passes_on_a_healthy_stack(stack: Stack) -> None:
    status, checks = examined(stack)

    wrong = {name: check for name, check in checks.items() if check["status"] == "wrong"}
    assert (status, wrong) == (0, {})
    assert "process_invite_task" in checks["tasks"]["found"]
    assert checks["worker"]["status"] == checks["beat"]["status"] == checks["api"]["status"] == "ok"


def test_doctor_reports_a_frozen_broker_in_bounded_time(stack: Stack) -> None:
    broker = stack.find_broker()
    broker.send_signal(signal.SIGSTOP)
    try:
        status, checks = examined(stack)
    finally:
        broker.send_signal(signal.SIGCONT)

    assert status == 1
    states = [checks[name]["status"] for name in ("broker", "worker", "beat", "tasks")]
    assert states == ["wrong", "skipped", "skipped", "skipped"]


def test_unknown_outcome_becomes_a_case_that_staff_resolve(stack: Stack) -> None:
    code = stack.issue()
    reservation_id = stack.redeem(code, "lost@example.com")[1]["reservation_id"]
    wait_for_a_case(stack)
    cases = json.loads(stack.cli("cases", "--json").stdout)

    redemption = stack.redeem(code, "wang@example.com")
    resolved = stack.cli("resolve", reservation_id, "--as", "refunded", "--note", "asked by phone")

    assert [case["reservation_id"] for case in cases] == [reservation_id]
    assert (redemption[0], redemption[1]["code"]) == (400, "CODE_HELD")
    assert resolved.stdout == "refunded; used 0, reserved 0\n"
    assert stack.redeem(code, "wang@example.com")[0] == 202


def test_second_redeem_request_takes_no_use_while_celery_is_down(stack: Stack) -> None:
    code, own = stack.issue(), stack.issue()
    dead = parts(stack, "worker", "beat")
    for process in dead:
        process.send_signal(signal.SIGSTOP)
    try:
        first = stack.redeem(code, "li.wei@example.com")
        own_first = stack.redeem(own, "li.wei@example.com")
        at_once = stack.redeem(code, "wang@example.com")
        with psycopg.connect(stack.info["database_url"], autocommit=True) as conn:
            wait_for(lambda: conn.execute(ALL_ARE_OVER).fetchall() == [(True,)])
        later = stack.redeem(code, "wang@example.com")
        own_again = stack.redeem(own, "li.wei@example.com")
    finally:
        for process in dead:
            process.send_signal(signal.SIGCONT)

    assert (first[0], own_first[0], at_once[1]["code"]) == (202, 202, "CODE_HELD")
    assert (later[0], own_again[0]) == (202, 202)
    assert own_again[1]["reservation_id"] != own_first[1]["reservation_id"]
    assert stack.state(first[1]["reservation_id"]) == stack.state(own_first[1]["reservation_id"]) == "refunded"
    for answer in (later, own_again):
        stack.wait(lambda answer=answer: stack.state(answer[1]["reservation_id"]) == "sent")  # type: ignore[misc]  # bound at once
