"""From a typed code to a mail in the mailbox, on the real servers, as a stranger would use them."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import psutil
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from api.cli.embedded.tcp_ports import find_free_port
from tests.support.servers.embedded_stack import PROGRAM, Stack
from tests.support.servers.mail_server import MailServer, ReplyWith
from tests.support.servers.webhook_receiver import WebhookReceiver
from workers.celery_ext.broker_options import REDIS_S_MAX

pytestmark = pytest.mark.night(of="stacks")

QUEUED_ZH = "已加入队列，邀请将在几秒内发送，请查收邮箱"


@pytest.fixture(scope="module")
def collector() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as running:
        yield running


@pytest.fixture(scope="module")
def stack(servers_folder: Path, collector: WebhookReceiver) -> Iterator[Stack]:
    env = {
        "LEDGER_TRACES_URL": urljoin(collector.url, "/v1/traces"),
        "LEDGER_TRACES_RATIO": "1",
        "LEDGER_WEBHOOK_ALLOW_PRIVATE": "127.0.0.0/8",
    }
    running = Stack(servers_folder / "whole-way", find_free_port(), env)
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


def test_demo_code_leads_to_an_email(stack: Stack) -> None:
    code = stack.info["demo_code"]
    page = stack.call("GET", "/invite", headers={"Accept": "text/html"})
    with stack.beat_frozen():
        status, answer = stack.redeem(code)
        mail = stack.wait(stack.mails)[0]

    assert page[0] == 200
    assert (status, answer["message"]) == (202, QUEUED_ZH)
    assert mail["Message-ID"] == f"<{answer['reservation_id']}.1@localhost.localdomain>"
    stack.wait(lambda: stack.state(answer["reservation_id"]) == "sent")
    text = mail.get_payload()[0].get_payload(decode=True).decode()  # type: ignore[union-attr, index]  # a multipart of our own
    link = re.search(r"http://\S+/a/\S+", text)
    assert link
    path = link[0].removeprefix(stack.base)
    assert [stack.call(way, path, headers={"Accept": "text/html"})[0] for way in ("GET", "POST")] == [200, 200]
    history = json.loads(stack.cli("history", code, "--json").stdout)
    kinds = [event["type"] for event in history["events"]]
    assert kinds == ["CodeIssued", "UseReserved", "InviteAttempted", "InviteSent", "InviteAccepted"]
    assert [event["used_count"] for event in history["events"]] == [0, 0, 0, 1, 1]
    assert stack.call("GET", "/mailbox", headers={"Accept": "text/html"})[0] == 200


def test_one_click_is_one_trace_across_processes(stack: Stack, collector: WebhookReceiver) -> None:
    reservation_id = stack.redeem(stack.issue(1), "traced@example.com")[1]["reservation_id"]
    stack.wait(lambda: stack.state(reservation_id) == "sent")
    mail = next(mail for mail in stack.mails() if mail["Message-ID"].startswith(f"<{reservation_id}."))
    trace_id = mail["traceparent"].split("-")[1]
    expected = {
        ("backend", "redemption"),
        ("backend", "reserve use"),
        ("worker", "claim attempt"),
        ("worker", "send invitation"),
        ("worker", "record outcome"),
    }

    stack.wait(lambda: expected <= spans_of(trace_id, collector))


def spans_of(trace_id: str, collector: WebhookReceiver) -> set[tuple[str, str]]:
    exports = [ExportTraceServiceRequest.FromString(request.body) for request in list(collector.received)]
    return {
        (attribute.value.string_value, span.name)
        for export in exports
        for resource in export.resource_spans
        for attribute in resource.resource.attributes
        if attribute.key == "service.instance.id"
        for scope in resource.scope_spans
        for span in scope.spans
        if span.trace_id.hex() == trace_id
    }


def test_second_redeem_request_takes_no_further_use(stack: Stack) -> None:
    code = stack.issue(2)
    first = stack.redeem(code)[1]["reservation_id"]
    stack.wait(lambda: stack.state(first) == "sent")

    status, answer = stack.redeem(code.lower(), "LI.WEI@example.com")

    assert (status, answer["reservation_id"], answer["state"]) == (200, first, "sent")
    assert json.loads(stack.cli("history", code, "--json").stdout)["used_count"] == 1


def test_redeem_is_as_fast_without_redis_and_the_email_follows_later(stack: Stack) -> None:
    """The incident's first click."""
    code = stack.issue(3, is_open=True)
    redis = stack.find_broker()
    before = len(stack.mails())
    redis.send_signal(signal.SIGSTOP)
    try:
        answers, times_s = [], []
        for number in range(3):
            started = time.monotonic()
            answers.append(stack.redeem(code, f"p{number}@example.com"))
            times_s.append(time.monotonic() - started)
        assert len(stack.mails()) == before
    finally:
        redis.send_signal(signal.SIGCONT)

    assert [status for status, _ in answers] == [202, 202, 202]
    assert min(times_s) < REDIS_S_MAX
    stack.wait(lambda: len(stack.mails()) == before + 3)


def test_corrected_recipient_is_invited_after_the_first_access_ended(stack: Stack) -> None:
    """The worker that gets the correction has the access removed and sends: beat, which starts sweeps, is frozen."""
    with WebhookReceiver() as system:
        channel = {"group": "TEAM", "url": system.url}
        assert stack.call("PUT", "/api/v1/channels", channel, stack.admin)[0] == 200
        terms = {"max_uses": 1, "group": "TEAM"}
        code = stack.call("POST", "/api/v1/codes", terms, stack.admin)[1][0]["code"]
        first = stack.redeem(code, "first@example.com")[1]
        stack.wait(lambda: stack.state(first["reservation_id"]) == "sent")
        with stack.beat_frozen():
            status, second = stack.call(
                "POST",
                f"/api/v1/public/redemptions/{first['reservation_id']}/correct-recipient",
                {"email": "second@example.com", "code": code, "correction_token": first["correction_token"]},
            )
            stack.wait(lambda: stack.state(second["reservation_id"]) == "sent")

    notifications = [request.json() for request in system.received]
    assert status == 202
    assert [
        (each["type"], each["data"]["email"])
        for each in notifications
        if each["type"] in {"invite.requested", "access.ended"}
    ] == [
        ("invite.requested", "first@example.com"),
        ("access.ended", "first@example.com"),
        ("invite.requested", "second@example.com"),
    ]
    assert next(each for each in notifications if each["type"] == "access.ended")["data"]["cause"] == "corrected"


def test_history_follow_prints_new_events(stack: Stack) -> None:
    code = stack.issue()
    command = [*PROGRAM, "history", code, "--follow", "--json"]
    with subprocess.Popen(command, env=stack.env, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout
        kinds = [json.loads(following.stdout.readline())["type"]]
        stack.redeem(code)
        kinds += [json.loads(following.stdout.readline())["type"] for _ in range(3)]
        following.send_signal(signal.SIGINT)

    assert kinds == ["CodeIssued", "UseReserved", "InviteAttempted", "InviteSent"]
    assert following.returncode == 130


def test_commands_of_the_incident_runbook_work(stack: Stack) -> None:
    worker = (stack.folder / "logs" / "worker.log").read_text()
    code = stack.issue()
    call = (
        "from workers.tasks import process_invite_task; "
        f"print(process_invite_task.delay(email='by.hand@example.com', redeem_code='{code}', "
        "group_id=None, is_rebind=False).id)"
    )
    by_hand = stack.python(call)
    inspect = (
        "import sys; from celery.bin.celery import main; "
        "sys.argv[1:] = ['-A', 'workers.celery_app', 'inspect', 'registered']; main()"
    )
    registered = stack.python(inspect)

    assert re.search(r"ready\.", worker)
    for name in ("process_invite_task", "sync_redeem_count_task", "cleanup_expired_users"):
        assert f"* {name}\n" in registered.stdout, registered
    assert re.fullmatch(r"[0-9a-f-]{36}", by_hand.stdout.strip()), by_hand.stderr
    stack.wait(lambda: any(mail["To"] == "by.hand@example.com" for mail in stack.mails()))


def test_rejected_email_refunds_the_use_and_the_stack_leaves_nothing(servers_folder: Path) -> None:
    with MailServer() as mail:
        mail.at("rcpt", ReplyWith(550, "5.1.1 no such user"), recipient="refuse@example.com")
        folder, port = servers_folder / "refused", find_free_port()
        first = Stack(folder, port, {"LEDGER_SMTP_URL": mail.url, "LEDGER_MAIL_FROM": "ledger@example.com"})
        try:
            first.wait_ready()
            code = first.issue()
            refused = first.redeem(code, "refuse@example.com")[1]["reservation_id"]
            first.wait(lambda: first.state(refused) == "refunded")
            good = first.redeem(code, "good@example.com")
            first.wait(lambda: first.state(good[1]["reservation_id"]) == "sent")
        finally:
            left = first.stop()
        second = Stack(folder, port, {"LEDGER_SMTP_URL": mail.url})
        try:
            second.wait_ready()
            history = json.loads(second.cli("history", code, "--json").stdout)
        finally:
            left += second.stop()

    assert good[0] == 202
    assert [event["type"] for event in history["events"]][-3:] == ["UseReserved", "InviteAttempted", "InviteSent"]
    assert "UseRefunded" in [event["type"] for event in history["events"]]
    assert [psutil.Process(p.pid).cmdline() for p in left if p.is_running()] == []
    assert mail.message_ids() == [f"<{good[1]['reservation_id']}.1@example.com>"]
