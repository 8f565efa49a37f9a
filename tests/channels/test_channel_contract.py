"""What every channel promises, whatever it talks to: run over all of them, the fake included."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from trustme import CA

from domain.ports import Accepted, Channel, Rejected, Uncertain
from tests.channels.builders import LETTER, channel_to, letter_to, webhook_to
from tests.channels.fakes import FakeChannel
from tests.hookserver import HookServer
from tests.mailserver import MailServer, Security

LOGIN = ("ledger@example.com", "p@ss:w/rd%")


@contextmanager
def _channel(kind: str, authority: CA) -> Iterator[Channel]:
    certificate = authority.issue_cert("127.0.0.1")
    if kind == "fake":
        yield FakeChannel()
    elif kind == "null":
        with channel_to("null://") as channel:
            yield channel
    elif kind in {"webhook", "webhook-tls"}:
        with HookServer(certificate if kind == "webhook-tls" else None) as server:
            yield webhook_to(server.url)
    elif kind == "plain":
        with MailServer() as mail, channel_to(mail.url) as channel:
            yield channel
    else:
        security: Security = "smtps" if kind == "tls" else "smtp+starttls"
        with (
            MailServer(security, certificate=certificate, login=LOGIN) as mail,
            channel_to(mail.url) as channel,
        ):
            yield channel


@pytest.fixture(params=["plain", "starttls", "tls", "null", "webhook", "webhook-tls", "fake"])
def channel(request: pytest.FixtureRequest, trusted: CA) -> Iterator[Channel]:
    """Each channel in turn."""
    with _channel(request.param, trusted) as opened:
        yield opened


def test_a_letter_is_accepted_by_a_named_server(channel: Channel) -> None:
    """A well-behaved other side accepts, and the outcome says who it was."""
    outcome = channel.send(LETTER)

    assert isinstance(outcome, Accepted)
    assert outcome.server
    assert channel.name


def test_many_letters_go_through_one_channel(channel: Channel) -> None:
    """One instance sends letter after letter, the same one again included."""
    outcomes = [channel.send(letter_to(f"user{number}@example.com")) for number in (1, 2, 2)]

    assert [Accepted] * 3 == [type(outcome) for outcome in outcomes]


def test_closing_twice_does_no_harm(channel: Channel) -> None:
    """`close` may be called before a letter, after one, and again."""
    channel.close()
    channel.send(LETTER)

    channel.close()
    channel.close()


def test_a_closed_channel_opens_again(channel: Channel) -> None:
    """A letter after `close` is sent like any other."""
    channel.send(LETTER)
    channel.close()

    assert isinstance(channel.send(LETTER), Accepted)


def test_the_fake_follows_its_script() -> None:
    """Outcomes by recipient go first, then those of the script in order, then acceptance."""
    refused = Rejected(server="fake", reason="address_refused", final=True, about_address=True)
    lost = Uncertain(server="fake", cause="connection_lost")
    fake = FakeChannel(lost)
    fake.always("nobody@example.com", refused)
    letters = [letter_to("nobody@example.com"), LETTER, LETTER]
    outcomes = [fake.send(letter) for letter in letters]
    fake.close()

    assert [refused, lost, Accepted(server="fake")] == outcomes
    assert (letters, True) == (fake.sent, fake.closed)
