import pytest

from domain.ports import Accepted, OutboundMessage, Outcome
from tests.support.channel_builders import MAIL_FROM, MESSAGE
from workers.channels.default_channel import NullSendLoop, open_channel
from workers.channels.smtp.addresses import MailFrom
from workers.channels.smtp.server_url import Security, SmtpServerUrl


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://127.0.0.1:2525", SmtpServerUrl("127.0.0.1", 2525, Security.NONE)),
        ("smtp://mail.example.com/", SmtpServerUrl("mail.example.com", 25, Security.NONE)),
        ("SMTPS://mail.example.com", SmtpServerUrl("mail.example.com", 465, Security.TLS)),
        ("smtp+starttls://例子.测试", SmtpServerUrl("xn--fsqu00a.xn--0zwm56d", 587, Security.STARTTLS)),
        ("smtp://u:p@localhost", SmtpServerUrl("localhost", 25, Security.NONE, "u", "p")),
        ("smtp://u:p@[::1]:26", SmtpServerUrl("::1", 26, Security.NONE, "u", "p")),
        (
            "smtps://a%40b.test:p%3A%2F%25@mail.example.com",
            SmtpServerUrl("mail.example.com", 465, Security.TLS, "a@b.test", "p:/%"),
        ),
    ],
)
def test_url_names_server_security_and_login(url: str, expected: SmtpServerUrl) -> None:
    assert expected == SmtpServerUrl.parse(url)


def test_server_is_shown_as_host_and_port() -> None:
    assert str(SmtpServerUrl.parse("smtps://u:p@mail.example.com")) == "mail.example.com:465"
    assert str(SmtpServerUrl.parse("smtp://[::1]")) == "[::1]:25"


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("", "write smtp://"),
        ("mail.example.com:25", "write smtp://"),
        ("http://mail.example.com", "write smtp://"),
        ("smtp://", "write smtp://"),
        ("smtp://:25", "write smtp://"),
        ("smtp://mail.example.com:0", "1-65535"),
        ("smtp://mail.example.com:99999", "1-65535"),
        ("smtp://mail.example.com:x", "1-65535"),
        ("smtp://[::1", "write smtp://"),
        ("smtp://mail.example.com/path", "percent-encode"),
        ("smtps://user:hush/hush@mail.example.com", "percent-encode"),
        ("smtps://user:hush#hush@mail.example.com", "percent-encode"),
        ("smtps://user:hush@mail.exam\nple.com", "control characters"),
        ("smtps://user:hush%0Ahush@mail.example.com", "percent-encoded"),
        ("smtps://user@mail.example.com", "user:password@"),
        ("smtps://:hush@mail.example.com", "user:password@"),
        ("smtp://user:hush@mail.example.com", "write smtp+starttls:// or smtps://"),
        ("smtp://user:hush@10.0.0.5", "write smtp+starttls:// or smtps://"),
    ],
)
def test_malformed_url_is_answered_with_a_remedy_and_never_repeated(url: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=r"\.$") as error:
        open_channel(url, mail_from=MAIL_FROM, timeout_s=5)

    assert remedy in str(error.value)
    assert "hush" not in str(error.value)


@pytest.mark.parametrize(
    ("mail_from", "address", "header"),
    [
        ("ledger@localhost.localdomain", "ledger@localhost.localdomain", "ledger@localhost.localdomain"),
        ("Ledger <l@example.com>", "l@example.com", '"Ledger" <l@example.com>'),
        ("l@例子.测试", "l@xn--fsqu00a.xn--0zwm56d", "l@xn--fsqu00a.xn--0zwm56d"),
        ("账本 <l@example.com>", "l@example.com", "=?utf-8?b?6LSm5pys?= <l@example.com>"),
    ],
)
def test_sender_has_an_ascii_address_and_header(mail_from: str, address: str, header: str) -> None:
    assert MailFrom(address, header) == MailFrom.parse(mail_from)


@pytest.mark.parametrize(
    "mail_from", ["", "ledger", "a@b.test, c@d.test", "a@b.test\r\nBcc: c@d.test", "账本@example.com", "a@-.-测"]
)
def test_bad_sender_is_refused_at_once(mail_from: str) -> None:
    """A sender that not every server can carry is found at start, not with the first letter."""
    with pytest.raises(ValueError, match="LEDGER_MAIL_FROM"):
        open_channel("smtp://127.0.0.1", mail_from=mail_from, timeout_s=5)


def test_message_needs_time() -> None:
    with pytest.raises(ValueError, match="LEDGER_SMTP_TIMEOUT_S"):
        open_channel("smtp://127.0.0.1", mail_from=MAIL_FROM, timeout_s=0)


def test_null_send_loop_accepts_and_reports_each_message() -> None:
    """A load test without a mail server measures the same steps but the dialogue."""
    reported: list[tuple[OutboundMessage, Outcome, float]] = []
    loop = NullSendLoop(lambda *sent: reported.append(sent))

    outcome = loop.submit([MESSAGE])[0].result(0)

    assert outcome == Accepted(server="null")
    assert reported == [(MESSAGE, outcome, 0.0)]
