"""Connections: privacy, login, what is kept between emails, and what the envelope holds."""

import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from threading import Event, Semaphore

import pytest
from trustme import CA, LeafCert

from domain.ports import Accepted, Outcome, OutcomeUnknown, Rejected
from domain.values.identifiers import MalformedEmailError
from tests.support.channel_builders import MAIL_FROM, MESSAGE, channel_to, message_to
from tests.support.servers.mail_server import (
    Behavior,
    Disconnect,
    MailServer,
    ReplyWith,
    Security,
    SendOctets,
    Stage,
    Stall,
)
from tests.support.waiting import WAIT_S_MAX
from workers.channels.mail_message import message_bytes
from workers.channels.smtp.addresses import MailFrom
from workers.channels.smtp.channel import SmtpChannel
from workers.channels.smtp.connect import Connector
from workers.channels.smtp.connection import SmtpConnection
from workers.channels.smtp.connection_pool import IDLE_S_MAX, MESSAGES_PER_CONNECTION_MAX, OPENING_MAX, ConnectionPool
from workers.channels.smtp.server_url import SmtpServerUrl

pytestmark = pytest.mark.usefixtures("each_driver")

LOGIN = ("ledger@example.com", "p@ss:w/rd%")
PRIVATE: list[Security] = ["smtp+starttls", "smtps"]


def _send_once(url: str, timeout_s: float = 60.0) -> Outcome:
    with channel_to(url, timeout_s) as channel:
        return channel.send(MESSAGE)


def _reason(outcome: Outcome) -> tuple[str, bool]:
    assert isinstance(outcome, Rejected)
    return outcome.reason, outcome.final


@pytest.fixture
def certificate(trusted: CA) -> LeafCert:
    return trusted.issue_cert("127.0.0.1")


@pytest.mark.parametrize("security", PRIVATE)
def test_message_and_login_are_sent_encrypted(security: Security, certificate: LeafCert) -> None:
    """With STARTTLS and with TLS from the start, the email comes over an encrypted connection, logged in."""
    with MailServer(security, certificate=certificate, login=LOGIN) as server:
        outcome = _send_once(server.url)

    assert isinstance(outcome, Accepted)
    assert [(True, LOGIN[0])] == [(message.encrypted, message.login) for message in server.received]


@pytest.mark.parametrize("security", PRIVATE)
@pytest.mark.parametrize("wrong", ["other-name", "unknown-authority"])
def test_wrong_certificate_is_refused_before_any_command(security: Security, wrong: str, trusted: CA) -> None:
    wrong_certificate = trusted.issue_cert("mail.test") if wrong == "other-name" else CA().issue_cert("127.0.0.1")
    with MailServer(security, certificate=wrong_certificate, login=LOGIN) as server:
        outcome = _send_once(server.url)

    assert _reason(outcome) == ("tls_failed", False)
    assert isinstance(outcome, Rejected)
    assert ("mismatch" if wrong == "other-name" else "certificate") in outcome.reply
    assert [command for command in server.commands if command.startswith(("AUTH", "MAIL"))] == []


@pytest.mark.parametrize("behavior", [ReplyWith(454, "no TLS now"), ReplyWith(502, "what")], ids=["later", "never"])
def test_starttls_never_falls_back_to_clear(behavior: Behavior, certificate: LeafCert) -> None:
    with MailServer("smtp+starttls", certificate=certificate) as server:
        server.at("starttls", behavior)
        outcome = _send_once(server.url)

    assert _reason(outcome) == ("tls_failed", False)
    assert [command for command in server.commands if command.startswith("MAIL")] == []


@pytest.mark.parametrize(
    ("url", "reasons"),
    [
        ("smtp+starttls://{}", {"tls_failed"}),  # an attacker on the network may have removed the offer
        ("smtps://{}", {"tls_failed", "unreachable"}),  # or a silence that ends
        ("smtp://user:word@{}", {"login_refused"}),  # no email goes without its login
    ],
)
def test_server_that_does_not_offer_what_the_url_asks_for_gets_no_message(
    mail_server: MailServer, url: str, reasons: set[str]
) -> None:
    reason, is_final = _reason(_send_once(url.format(mail_server.address), 0.5))

    assert (reason in reasons, is_final, mail_server.received) == (True, False, [])


def test_replies_before_the_handshake_are_discarded(certificate: LeafCert) -> None:
    """Answers slipped in next to the one to STARTTLS are not taken for answers over TLS."""
    with MailServer("smtp+starttls", certificate=certificate) as server:
        server.at("starttls", SendOctets(b"220 go\r\n250 slipped in\r\n"))
        outcome = _send_once(server.url, 0.5)

    assert isinstance(outcome, Rejected)
    assert server.received == []


@pytest.mark.parametrize("stage", ["starttls", "banner"])
def test_silent_handshake_ends_in_time(stage: Stage, certificate: LeafCert) -> None:
    """A server that stalls around the handshake makes the email unreachable, not stuck."""
    with MailServer("smtp+starttls", certificate=certificate) as server:
        server.at(stage, Stall())

        assert _reason(_send_once(server.url, 0.3)) == ("unreachable", False)


def test_wrong_password_is_retryable_and_named() -> None:
    """Login trouble is for staff to repair: emails wait, none is refused permanently."""
    with MailServer(login=LOGIN) as server:
        outcome = _send_once(f"smtp://someone:wrong@{server.address}")

    assert _reason(outcome) == ("login_refused", False)
    assert isinstance(outcome, Rejected)
    assert outcome.reply_code == 535


@pytest.mark.parametrize(
    ("behavior", "reason"),
    [
        (ReplyWith(454, "try later"), "temporary"),
        (ReplyWith(535, "no"), "login_refused"),
        (Disconnect(), "unreachable"),
        (Stall(), "unreachable"),
        (SendOctets(), "protocol_error"),
    ],
    ids=["454", "535", "close", "stall", "garbage"],
)
def test_failing_login_is_retryable(behavior: Behavior, reason: str) -> None:
    """Whatever goes wrong at AUTH, nothing of the email was said."""
    with MailServer(login=LOGIN) as server:
        server.at("auth", behavior)

        assert (reason, False) == _reason(_send_once(server.url, 0.5))


def test_each_address_of_a_name_is_attempted(mail_server: MailServer) -> None:
    assert isinstance(_send_once(f"smtp://localhost:{mail_server.port}"), Accepted)


def test_slow_resolver_can_not_delay_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lookup of a name has no separate time bound, and still ends with the email's time."""
    is_over = Event()

    def answer_late(*_: object, **__: object) -> list[object]:
        is_over.wait(WAIT_S_MAX)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", answer_late)

    assert _reason(_send_once("smtp://mail.example.com", 0.2)) == ("unreachable", False)
    is_over.set()


def test_messages_share_a_connection(mail_server: MailServer) -> None:
    """Between emails the connection stays."""
    with channel_to(mail_server.url) as channel:
        for _ in range(2):
            assert isinstance(channel.send(MESSAGE), Accepted)

    assert (mail_server.connections, len(mail_server.received)) == (1, 2)


def test_process_opens_few_connections_at_a_time(mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes later waits at our own door, not in the server's queue: when that is full it drops what comes."""
    opening, go_on = Semaphore(0), Event()
    connect = SmtpConnection.open

    def open_slowly(wire: SmtpConnection) -> None:
        opening.release()
        assert go_on.wait(WAIT_S_MAX)
        connect(wire)

    monkeypatch.setattr(SmtpConnection, "open", open_slowly)
    server = SmtpServerUrl.parse(mail_server.url)
    shared = ConnectionPool(Connector.to(server, time.monotonic), OPENING_MAX * 2)

    def send() -> Outcome:
        return SmtpChannel(server, sender=MailFrom.parse(MAIL_FROM), timeout_s=20.0, connections=shared).send(MESSAGE)

    with ThreadPoolExecutor(OPENING_MAX * 2) as threads:
        sent = [threads.submit(send) for _ in range(OPENING_MAX * 2)]
        assert all(opening.acquire(timeout=WAIT_S_MAX) for _ in range(OPENING_MAX))
        assert not opening.acquire(timeout=0.2)
        go_on.set()

        assert {Accepted} == {type(outcome.result(WAIT_S_MAX)) for outcome in sent}
    shared.drop_idle()


def test_connection_carries_a_bounded_number_of_messages(mail_server: MailServer) -> None:
    """After its share of emails a connection is replaced."""
    with channel_to(mail_server.url) as channel:
        for _ in range(MESSAGES_PER_CONNECTION_MAX + 1):
            channel.send(MESSAGE)

    assert mail_server.connections == 2


def test_connection_that_rested_too_long_is_replaced(mail_server: MailServer) -> None:
    """An old connection is not trusted; it is ended and a new one opened."""
    now = [0.0]
    channel = SmtpChannel(
        SmtpServerUrl.parse(mail_server.url),
        sender=MailFrom.parse(MAIL_FROM),
        timeout_s=60.0,
        clock=lambda: now[0],
    )
    channel.send(MESSAGE)
    now[0] += IDLE_S_MAX + 0.1
    outcome = channel.send(MESSAGE)
    channel.close()

    assert isinstance(outcome, Accepted)
    assert mail_server.connections == 2


@pytest.mark.parametrize(
    ("behavior", "stage"),
    [
        (None, "mail"),
        *product([Disconnect(), ReplyWith(421, "idle too long")], ["mail", "rcpt", "data"]),
        (Stall(), "mail"),
    ],
    ids=lambda each: "between-emails" if each is None else str(each),
)
def test_kept_connection_that_dies_before_the_content_is_replaced(
    mail_server: MailServer, behavior: Behavior | None, stage: Stage
) -> None:
    """Once, at any step. One that stalls gets a part of the time to answer; the rest is for a new one."""
    with channel_to(mail_server.url, 2.0 if isinstance(behavior, Stall) else 60.0) as channel:
        channel.send(MESSAGE)
        if behavior is None:
            mail_server.drop_connections()
        else:
            mail_server.at(stage, behavior, times=1)
        outcome = channel.send(MESSAGE)

    assert isinstance(outcome, Accepted)
    assert (mail_server.connections, len(mail_server.received)) == (2, 2)


def test_connection_is_replaced_only_once(mail_server: MailServer) -> None:
    """A server that hangs up every time is unreachable."""
    with channel_to(mail_server.url) as channel:
        channel.send(MESSAGE)
        mail_server.at("mail", Disconnect())

        assert _reason(channel.send(MESSAGE)) == ("unreachable", False)
    assert mail_server.connections == 2


def test_kept_connection_lost_after_the_content_is_never_retried(mail_server: MailServer) -> None:
    """Once content may have left, trying again is not the channel's to decide."""
    with channel_to(mail_server.url) as channel:
        channel.send(MESSAGE)
        mail_server.at("dot", Disconnect())
        outcome = channel.send(MESSAGE)

    assert isinstance(outcome, OutcomeUnknown)
    assert (mail_server.connections, len(mail_server.received)) == (1, 2)


def test_after_an_unknown_outcome_the_next_message_gets_a_new_connection(mail_server: MailServer) -> None:
    """A late answer to the lost email must not be taken for that of the next one."""
    mail_server.at("dot", SendOctets(), times=1)
    with channel_to(mail_server.url) as channel:
        first, second = channel.send(MESSAGE), channel.send(MESSAGE)

    assert isinstance(first, OutcomeUnknown)
    assert isinstance(second, Accepted)
    assert mail_server.connections == 2


def test_international_domain_is_sent_as_its_a_label(mail_server: MailServer) -> None:
    """A server without SMTPUTF8 can carry an international domain: envelope and header are ASCII."""
    mail_server.smtputf8 = False
    with channel_to(mail_server.url) as channel:
        outcome = channel.send(message_to("Li.Wei+x@例子.测试"))

    assert isinstance(outcome, Accepted)
    assert [message.recipient for message in mail_server.received] == ["Li.Wei+x@xn--fsqu00a.xn--0zwm56d"]
    assert mail_server.received[0].content.isascii()


def test_international_local_part_needs_smtputf8(mail_server: MailServer) -> None:
    """Offered, it is used and announced; not offered, the address is impossible there."""
    message = message_to("李伟@example.com")
    with channel_to(mail_server.url) as channel:
        offered = channel.send(message)
        channel.close()
        mail_server.smtputf8 = False
        missing = channel.send(message)
        after = channel.send(MESSAGE)

    assert isinstance(offered, Accepted)
    assert mail_server.received[0].recipient == "李伟@example.com"
    assert "SMTPUTF8" in mail_server.received[0].options
    assert _reason(missing) == ("bad_address", True)
    assert isinstance(missing, Rejected)
    assert missing.about_address
    assert isinstance(after, Accepted)


@pytest.mark.parametrize(
    "recipient",
    [
        "a@example.com\r\nRCPT TO:<b@example.com>",
        "a\r\nDATA\r\n@example.com",
        "a@exam\rple.com",
        "a@example.com> SIZE=1",
        "a\u2028b@example.com",
    ],
)
def test_message_has_exactly_one_address_that_smtp_can_carry(recipient: str) -> None:
    """A text that would add a recipient, a command or a header is not an email address, so no message has it."""
    with pytest.raises(MalformedEmailError):
        message_to(recipient)


def test_content_arrives_octet_by_octet(mail_server: MailServer) -> None:
    """Dots at the start of lines are escaped on the wire and come out as they were written."""
    message = replace(MESSAGE, language="en", text=".one\n\n..two\n\n.\n\nthree.\n.four")
    with channel_to(mail_server.url) as channel:
        outcome = channel.send(message)

    content = mail_server.received[0].content
    assert isinstance(outcome, Accepted)
    assert content == message_bytes(message, MailFrom.parse(MAIL_FROM).header)
    assert b"\r\n..two\r\n" in content


def test_no_address_is_in_the_text_of_an_outcome_or_error(mail_server: MailServer) -> None:
    """Only the server's own words may hold an address; they have a place of their own."""
    mail_server.at("dot", Disconnect())

    assert "li.wei" not in repr(_send_once(mail_server.url))
    assert "p@ss" not in repr(SmtpServerUrl.parse("smtps://user:p%40ss@mail.example.com"))


def test_tls_checks_are_on() -> None:
    """The context checks certificate and name; no setting turns that off."""
    tls = Connector.to(SmtpServerUrl.parse("smtps://mail.example.com"), time.monotonic).tls

    assert tls is not None
    assert tls.check_hostname
    assert tls.verify_mode == ssl.CERT_REQUIRED
