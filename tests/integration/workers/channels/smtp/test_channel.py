"""Every way in which a mail server can fail, and what each says about the email."""

import time
from typing import get_args

import pytest

from domain.ports import Accepted, OutboundMessage, Outcome, OutcomeUnknown, Rejected
from tests.support.channel_builders import MESSAGE, channel_to, message_to
from tests.support.servers.mail_server import (
    Behavior,
    DelayedReply,
    Disconnect,
    MailServer,
    ReplyWith,
    SendOctets,
    Stage,
    Stall,
    Trickle,
)
from tests.support.waiting import WAIT_S_MAX

pytestmark = pytest.mark.usefixtures("each_driver")

SHORT_S = 0.4
BEFORE_CONTENT: list[Stage] = ["banner", "ehlo", "mail", "rcpt", "data"]
FROM_CONTENT: list[Stage] = ["content", "dot"]


def _send(server: MailServer, message: OutboundMessage = MESSAGE, timeout_s: float = 60.0) -> Outcome:
    with channel_to(server.url, timeout_s) as channel:
        return channel.send(message)


def _summary(outcome: Outcome) -> tuple[str, bool, bool]:
    assert isinstance(outcome, Rejected)
    return outcome.reason, outcome.final, outcome.about_address


def test_accepted_message_has_the_reply_and_arrives_once(mail_server: MailServer) -> None:
    """250 after the dot is the only thing that makes an email accepted."""
    outcome = _send(mail_server)

    assert Accepted(server=mail_server.address, reply_code=250) == outcome
    assert [MESSAGE.message_id] == mail_server.message_ids()


@pytest.mark.parametrize(
    ("stage", "code", "text", "expected"),
    [
        ("banner", 421, "busy", ("temporary", False, False)),
        ("banner", 554, "no service", ("unreachable", False, False)),
        ("ehlo", 421, "busy", ("temporary", False, False)),
        ("ehlo", 550, "who are you", ("unreachable", False, False)),
        ("mail", 421, "busy", ("temporary", False, False)),
        ("mail", 451, "later", ("temporary", False, False)),
        ("mail", 503, "wrong order", ("protocol_error", False, False)),
        ("mail", 530, "5.7.0 log in", ("login_refused", False, False)),
        ("mail", 550, "not from you", ("message_refused", True, False)),
        ("mail", 552, "too big", ("message_refused", True, False)),
        ("rcpt", 421, "busy", ("temporary", False, False)),
        ("rcpt", 450, "4.2.1 mailbox busy", ("temporary", False, False)),
        ("rcpt", 550, "no such user", ("address_refused", True, True)),
        ("rcpt", 550, "5.1.1 no such user", ("address_refused", True, True)),
        ("rcpt", 550, "5.7.1 not from your network", ("message_refused", True, False)),
        ("rcpt", 551, "moved", ("address_refused", True, True)),
        ("rcpt", 553, "no such name", ("address_refused", True, True)),
        ("rcpt", 554, "5.1.2 no such domain", ("address_refused", True, True)),
        ("rcpt", 554, "policy", ("message_refused", True, False)),
        ("rcpt", 354, "what", ("protocol_error", False, False)),
        ("data", 421, "busy", ("temporary", False, False)),
        ("data", 451, "later", ("temporary", False, False)),
        ("data", 554, "no", ("message_refused", True, False)),
        ("data", 250, "what", ("protocol_error", False, False)),
        ("dot", 421, "busy", ("temporary", False, False)),
        ("dot", 451, "later", ("temporary", False, False)),
        ("dot", 550, "5.1.1 no such user", ("address_refused", True, True)),
        ("dot", 554, "spam", ("message_refused", True, False)),
    ],
)
def test_refusal_is_read_by_stage_and_code(
    mail_server: MailServer, stage: Stage, code: int, text: str, expected: tuple[str, bool, bool]
) -> None:
    """A valid refusal at any stage means definitely not sent; only a 5xx about email or recipient is final."""
    mail_server.at(stage, ReplyWith(code, text))
    outcome = _send(mail_server)

    assert expected == _summary(outcome)
    assert isinstance(outcome, Rejected)
    assert (code, text) == (outcome.reply_code, outcome.reply)
    assert mail_server.received == []


@pytest.mark.parametrize("stage", BEFORE_CONTENT)
@pytest.mark.parametrize(
    ("behavior", "reason"),
    [
        (Disconnect(), "unreachable"),
        (Stall(), "unreachable"),
        (Trickle(), "unreachable"),
        (SendOctets(), "protocol_error"),
        (SendOctets(b"25\r\n"), "protocol_error"),
        (SendOctets(b"250-one\r\n350 two\r\n"), "protocol_error"),
        (SendOctets(b"250 " + b"x" * 5000 + b"\r\n"), "protocol_error"),
        (SendOctets(b"250-more\r\n" * 500), "protocol_error"),
    ],
    ids=["close", "stall", "trickle", "garbage", "short", "two-codes", "long-line", "many-lines"],
)
def test_no_valid_reply_before_the_content_is_a_retryable_rejection(
    mail_server: MailServer, stage: Stage, behavior: Behavior, reason: str
) -> None:
    """Nothing of the email's content has left, so it is definitely not sent, and never finally."""
    mail_server.at(stage, behavior)

    timeout_s = SHORT_S if reason == "unreachable" else 60.0
    assert (reason, False, False) == _summary(_send(mail_server, timeout_s=timeout_s))


@pytest.mark.parametrize("stage", FROM_CONTENT)
@pytest.mark.parametrize(
    ("behavior", "cause"),
    [
        (Disconnect(), "connection_lost"),
        (Stall(), "timeout"),
        (Trickle(), "timeout"),
        (SendOctets(), "bad_reply"),
        (SendOctets(b"250"), "timeout"),
        (SendOctets(b"354 go on\r\n"), "bad_reply"),
    ],
    ids=["close", "stall", "trickle", "garbage", "half", "wrong-kind"],
)
def test_no_valid_reply_once_the_content_leaves_is_uncertain(
    mail_server: MailServer, stage: Stage, behavior: Behavior, cause: str
) -> None:
    """The email may or may not arrive, and the outcome says so and why."""
    # With pipelining, what a server says after 354 may come with it, before the content leaves.
    mail_server.pipelining = stage == "dot" and mail_server.pipelining
    mail_server.at(stage, behavior)

    # Long enough to reach the content on a busy machine.
    timeout_s = 1.0 if cause == "timeout" else 60.0
    assert OutcomeUnknown(server=mail_server.address, cause=cause) == _send(mail_server, timeout_s=timeout_s)


@pytest.mark.parametrize("takes", [True, False])
def test_lost_replies_look_alike_whether_or_not_the_message_was_accepted(mail_server: MailServer, takes: bool) -> None:
    mail_server.at("dot", Disconnect(takes=takes))
    outcome = _send(mail_server)

    assert isinstance(outcome, OutcomeUnknown)
    assert int(takes) == len(mail_server.received)


@pytest.mark.parametrize("stage", [stage for stage in get_args(Stage) if stage not in {"starttls", "auth", "rset"}])
@pytest.mark.parametrize("behavior", [Trickle(every_s=0.05), Stall()], ids=["trickle", "stall"])
def test_send_ends_in_time(mail_server: MailServer, stage: Stage, behavior: Behavior) -> None:
    mail_server.at(stage, behavior)
    begun = time.monotonic()
    _send(mail_server, timeout_s=SHORT_S)

    assert time.monotonic() - begun < WAIT_S_MAX / 2


def test_slowness_of_all_stages_counts_together(mail_server: MailServer) -> None:
    """The time is that of the whole email, not of each reply."""
    for stage in BEFORE_CONTENT:
        mail_server.at(stage, DelayedReply(SHORT_S / 2))

    assert _summary(_send(mail_server, timeout_s=SHORT_S)) == ("unreachable", False, False)


def test_no_content_leaves_without_time_for_its_answer(mail_server: MailServer) -> None:
    """A server that used up most of the time before the content gets none: a retry is better than a doubt."""
    mail_server.at("rcpt", DelayedReply(0.9))

    assert _summary(_send(mail_server, timeout_s=1.0)) == ("unreachable", False, False)
    assert "DATA" not in mail_server.commands
    assert mail_server.received == []


def test_slow_server_is_waited_for(mail_server: MailServer) -> None:
    for stage in (*BEFORE_CONTENT, *FROM_CONTENT):
        mail_server.at(stage, DelayedReply(0.02))

    assert isinstance(_send(mail_server), Accepted)


def test_server_that_is_not_there_or_has_no_address_is_unreachable() -> None:
    """Names below .invalid have none (RFC 6761)."""
    server = MailServer()
    server.stop()
    for url, timeout_s in ((server.url, 60.0), ("smtp://mail.invalid:25", 1.0)):
        with channel_to(url, timeout_s) as channel:
            assert _summary(channel.send(MESSAGE)) == ("unreachable", False, False)


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data"])
def test_unsolicited_reply_never_counts_as_the_next_one(mail_server: MailServer, stage: Stage) -> None:
    """Two replies at once put both sides out of step: a stray 250 must not accept an email."""
    stray = b"354 go\r\n250 ok\r\n" if stage == "data" else b"250 ok\r\n250 ok\r\n"
    mail_server.at(stage, SendOctets(stray))

    assert _summary(_send(mail_server)) == ("protocol_error", False, False)
    assert mail_server.received == []


def test_refusals_of_one_recipient_leave_the_next_alone(mail_server: MailServer) -> None:
    mail_server.at("rcpt", ReplyWith(550, "no such user"), recipient="nobody@example.com")
    with channel_to(mail_server.url) as channel:
        refused = channel.send(message_to("nobody@example.com"))
        accepted = channel.send(MESSAGE)

    assert isinstance(refused, Rejected)
    assert isinstance(accepted, Accepted)
    assert mail_server.connections == 1


def test_hostile_reply_is_kept_as_one_short_printable_line(mail_server: MailServer) -> None:
    """What a server says ends in front of staff: control characters and length are taken out."""
    mail_server.at("rcpt", SendOctets(b"550-no\x1b[31m\r\n550 " + b"y" * 1500 + b"\xff\r\n"))
    outcome = _send(mail_server)

    assert isinstance(outcome, Rejected)
    assert outcome.reply.startswith("no[31m yyy")
    assert outcome.reply.isprintable()
    assert len(outcome.reply) == 500
