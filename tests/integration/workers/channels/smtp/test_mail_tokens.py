"""Each email names itself in its envelope, where the server asks for it, and in a header for a provider."""

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.ports import Accepted, OutboundMessage
from domain.values.mail.mail_provider import PROVIDERS, MailProvider, token_header
from domain.values.mail.mail_token import read_mail_token
from tests.support.channel_builders import MAIL_FROM, MESSAGE, message_to
from tests.support.servers.mail_server import MailServer
from tests.support.servers.mail_session import ReceivedMessage
from workers.channels.default_channel import open_channel
from workers.channels.smtp.addresses import MailTokens

SECRET = b"secret"


def send(message: OutboundMessage, tokens: MailTokens | None, *, dsn: bool = True) -> tuple[ReceivedMessage, list[str]]:
    with MailServer() as server:
        server.dsn = dsn
        channel = open_channel(server.url, mail_from=MAIL_FROM, timeout_s=60.0, tokens=tokens)
        assert isinstance(channel.send(message), Accepted)
        channel.close()
        return server.received[0], [line for line in server.commands if line.startswith(("MAIL", "RCPT"))]


def tokens_for(address: str | None = "bounces@ledger.example", provider: MailProvider | None = None) -> MailTokens:
    tokens = MailTokens.parse(SECRET, address, provider)
    assert tokens is not None
    return tokens


def test_envelope_names_the_email() -> None:
    """The sender that people see stays as it is; the server is asked for failures and delays, not for successes."""
    received, (mail, recipient) = send(MESSAGE, tokens_for())
    token = received.sender.removeprefix("bounces+").removesuffix("@ledger.example")

    assert read_mail_token(SECRET, token, MESSAGE.written_at) == MESSAGE.ref
    assert received.message["From"] == MAIL_FROM
    assert mail.endswith(f" RET=HDRS ENVID={token}")
    assert recipient.endswith(f" NOTIFY=FAILURE,DELAY ORCPT=rfc822;{MESSAGE.recipient.envelope}")


def test_server_without_notifications_is_not_asked_for_them() -> None:
    """The envelope's sender is enough for most."""
    received, lines = send(MESSAGE, tokens_for(), dsn=False)

    assert received.sender.startswith("bounces+")
    assert not any("ENVID" in line or "NOTIFY" in line for line in lines)


def test_original_recipient_is_encoded_and_left_out_beyond_ascii() -> None:
    """As RFC 3461 (4) writes it."""
    plus, (_, with_plus) = send(message_to("li+gift=x@example.com"), tokens_for())
    _, (_, beyond) = send(message_to("\u674e@example.com"), tokens_for())

    assert plus.recipient == "li+gift=x@example.com"
    assert with_plus.endswith("ORCPT=rfc822;li+2Bgift+3Dx@example.com")
    assert beyond.endswith("NOTIFY=FAILURE,DELAY")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_provider_gets_the_token_in_a_header(provider: MailProvider) -> None:
    """Without an address for reports, the envelope is as usual."""
    received, lines = send(MESSAGE, tokens_for(None, provider))
    name, value = token_header(provider, tokens_for().token_of(MESSAGE))

    assert received.message[name].replace("\r\n ", "") == value
    assert not any("ENVID" in line or "bounces" in line for line in lines)


def test_every_attempt_has_the_same_envelope() -> None:
    """A retry on the next day is the same email."""
    tokens = tokens_for()
    again = replace(MESSAGE, attempt=7)

    assert tokens.token_of(again) == tokens.token_of(MESSAGE)
    assert tokens.token_of(replace(MESSAGE, delivery=2)) != tokens.token_of(MESSAGE)
    later = replace(MESSAGE, written_at=MESSAGE.written_at + timedelta(days=2))
    assert tokens.token_of(later) != tokens.token_of(MESSAGE)


@pytest.mark.parametrize(
    "address", ["", "nonsense", "a+b@ledger.example", f"{'x' * 17}@ledger.example", "\u9000@a.example"]
)
def test_address_without_room_for_a_token_is_refused(address: str) -> None:
    """The message names the setting, or says what an address is."""
    with pytest.raises(ValueError, match="must be"):
        MailTokens.parse(SECRET, address, None)


def test_nothing_is_named_without_a_way_for_reports() -> None:
    """The sender is that of every email."""
    assert MailTokens.parse(SECRET, None, None) is None
    received, lines = send(MESSAGE, None)

    assert received.sender in MAIL_FROM
    assert not any("ENVID" in line for line in lines)
