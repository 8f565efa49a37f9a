"""The send loop: many messages in one thread, none of which delays or breaks another."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest

from domain.ports import Accepted, OutboundMessage, Outcome, OutcomeUnknown, Rejected
from tests.support.channel_builders import MAIL_FROM, MESSAGE, message_to
from tests.support.servers.mail_server import Disconnect, MailServer, ReplyWith, Stall
from tests.support.waiting import WAIT_S_MAX
from workers.channels.mail_message import message_bytes
from workers.channels.smtp.addresses import MailFrom
from workers.channels.smtp.channel import SmtpChannel
from workers.channels.smtp.connect import Connector
from workers.channels.smtp.connection_pool import ConnectionPool
from workers.channels.smtp.send_loop import SmtpSendLoop
from workers.channels.smtp.server_url import SmtpServerUrl

CONNECTIONS = 4

Report = Callable[[OutboundMessage, Outcome, float], None]


@contextmanager
def _open_loop(url: str, timeout_s: float = 60.0, report: Report = lambda *_: None) -> Iterator[SmtpSendLoop]:
    server = SmtpServerUrl.parse(url)
    connections = ConnectionPool(Connector.to(server, time.monotonic), CONNECTIONS)
    channel = SmtpChannel(server, sender=MailFrom.parse(MAIL_FROM), timeout_s=timeout_s, connections=connections)
    with ThreadPoolExecutor(CONNECTIONS * 2) as openers:
        loop = SmtpSendLoop(channel, connections, openers, report)
        yield loop
        loop.close()
    channel.close()


def _messages(count: int) -> list[OutboundMessage]:
    return [message_to(f"p{number}@example.com") for number in range(count)]


def _send(loop: SmtpSendLoop, message: OutboundMessage) -> Outcome:
    return loop.submit([message])[0].result(WAIT_S_MAX)


def test_send_loop_delivers_many_messages_over_few_connections(mail_server: MailServer) -> None:
    """Each is accepted once, and the loop never has more connections than it may."""
    with _open_loop(mail_server.url) as loop:
        futures = loop.submit(_messages(40))
        outcomes = [future.result(WAIT_S_MAX) for future in futures]

    assert {Accepted} == {type(outcome) for outcome in outcomes}
    assert sorted(f"p{number}@example.com" for number in range(40)) == sorted(
        received.recipient for received in mail_server.received
    )
    assert mail_server.most_at_once <= CONNECTIONS


def test_send_loop_continues_while_one_server_reply_is_late(mail_server: MailServer) -> None:
    """A message whose reply never comes is unknown after its time; the others are sent long before."""
    mail_server.at("dot", Stall(), recipient="slow@example.com")
    with _open_loop(mail_server.url, 2.0) as loop:
        [slow] = loop.submit([message_to("slow@example.com")])
        others = [_send(loop, message) for message in _messages(8)]
        was_pending = not slow.done()
        outcome = slow.result(WAIT_S_MAX)

    assert {Accepted} == {type(other) for other in others}
    assert was_pending
    assert isinstance(outcome, OutcomeUnknown)
    assert outcome.cause == "timeout"


def test_send_loop_reports_each_outcome_before_it_returns_it(mail_server: MailServer) -> None:
    """Accepted, rejected and unknown messages are all reported, with their seconds."""
    reported: dict[str, tuple[Outcome, float]] = {}

    def report(message: OutboundMessage, outcome: Outcome, seconds: float) -> None:
        reported[message.recipient.typed] = outcome, seconds

    mail_server.at("rcpt", ReplyWith(550, "no such user"), recipient="nobody@example.com")
    mail_server.at("dot", Disconnect(), recipient="lost@example.com")
    with _open_loop(mail_server.url, report=report) as loop:
        for recipient, kind in [("p@example.com", Accepted), ("nobody@example.com", Rejected)]:
            assert isinstance(_send(loop, message_to(recipient)), kind)
        assert isinstance(_send(loop, message_to("lost@example.com")), OutcomeUnknown)

    assert [Accepted, Rejected, OutcomeUnknown] == [type(outcome) for outcome, _ in reported.values()]
    assert all(0 < seconds < WAIT_S_MAX for _, seconds in reported.values())


def test_send_loop_fails_only_the_message_that_a_bug_breaks(mail_server: MailServer) -> None:
    """A message that cannot be written, or whose report fails, raises from its own future."""

    def report(message: OutboundMessage, _outcome: Outcome, _seconds: float) -> None:
        if message.recipient.typed == "unreported@example.com":
            raise LookupError("report")

    with _open_loop(mail_server.url, report=report) as loop:
        unwritable = replace(MESSAGE, message_id="<1@example.com>\r\nBcc: b@example.com")
        broken, unreported, sound = loop.submit(
            [unwritable, message_to("unreported@example.com"), message_to("p@example.com")]
        )
        outcome = sound.result(WAIT_S_MAX)

        assert isinstance(outcome, Accepted)
        with pytest.raises(ValueError, match="Message-ID"):
            broken.result(WAIT_S_MAX)
        with pytest.raises(LookupError, match="report"):
            unreported.result(WAIT_S_MAX)


def test_send_loop_sends_the_rest_that_the_socket_did_not_accept(mail_server: MailServer) -> None:
    """A message larger than the socket's buffers arrives whole."""
    text = "\n".join("a line of sixty octets, many of which fill a socket's buffers" for _ in range(120_000))
    with _open_loop(mail_server.url, WAIT_S_MAX) as loop:
        message = replace(MESSAGE, language="en", text=text)
        outcome = loop.submit([message])[0].result(WAIT_S_MAX)

    assert isinstance(outcome, Accepted)
    assert mail_server.received[0].content == message_bytes(message, MailFrom.parse(MAIL_FROM).header)


def test_loop_that_ends_before_it_is_woken_closes(mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread may see that it should end before `close` wakes it."""
    wake = SmtpSendLoop._wake

    def wake_twice(loop: SmtpSendLoop) -> None:
        wake(loop)
        loop._thread.join(WAIT_S_MAX)
        loop._is_woken = False
        wake(loop)

    with _open_loop(mail_server.url) as loop:
        monkeypatch.setattr(SmtpSendLoop, "_wake", wake_twice)
        loop.close()


def test_close_finishes_submitted_work(mail_server: MailServer) -> None:
    """Nothing that was submitted is lost, and nothing more can be."""
    with _open_loop(mail_server.url) as loop:
        futures = loop.submit(_messages(10))
        loop.close()

        assert {Accepted} == {type(future.result(0)) for future in futures}
        with pytest.raises(RuntimeError, match="closed"):
            loop.submit([MESSAGE])
