"""What every channel promises, whatever it talks to: run over all of them, the fake included."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, get_args

import pytest
from trustme import CA

from domain.ports import (
    EMAIL_CHANNELS,
    Accepted,
    Channel,
    NotifiedOnly,
    OutcomeUnknown,
    Rejected,
    Removal,
    RemovalCause,
)
from tests.support.channel_builders import LETTER, channel_to, letter_to, webhook_to
from tests.support.fake_channel import FakeChannel
from tests.support.servers.mail_server import MailServer, Security
from tests.support.servers.webhook_receiver import WebhookReceiver

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
        with WebhookReceiver(certificate if kind == "webhook-tls" else None) as server:
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


def test_closing_a_channel_twice_does_not_raise(channel: Channel) -> None:
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


@pytest.mark.parametrize("cause", get_args(RemovalCause))
def test_taking_an_access_away_may_be_asked_for_twice(channel: Channel, cause: RemovalCause) -> None:
    """It is taken away, or the channel says that it can't; the same again does no harm. Nobody need be told of it."""
    farewell = replace(LETTER, template="farewell") if cause == "expired" else None
    about: dict[str, Any] = {"reservation_id": LETTER.reservation_id, "cause": cause, "group": LETTER.group}
    about["ended_at"] = LETTER.written_at
    known = Removal(**about, recipient=LETTER.recipient, farewell=farewell)
    forgotten = Removal(**about, recipient=None, farewell=None)

    outcomes = [channel.revoke(removal) for removal in (known, known, forgotten)]

    assert all(isinstance(outcome, Accepted | NotifiedOnly) and outcome.server for outcome in outcomes)
    assert len({type(outcome) for outcome in outcomes}) == 1
    assert isinstance(outcomes[0], NotifiedOnly) == (channel.name in EMAIL_CHANNELS)


def test_mail_takes_nothing_away_and_says_so() -> None:
    """A letter tells of the end, once for each time; where there is nothing to tell, nothing is sent."""
    farewell = replace(LETTER, template="farewell")
    about: dict[str, Any] = {"reservation_id": LETTER.reservation_id, "group": None, "recipient": LETTER.recipient}
    about["ended_at"] = LETTER.written_at
    with MailServer() as server, channel_to(server.url) as channel:
        over = channel.revoke(Removal(**about, cause="expired", farewell=farewell))
        moved = channel.revoke(Removal(**about, cause="moved", farewell=None))
        letters = len(server.received)

    assert [NotifiedOnly, NotifiedOnly] == [type(over), type(moved)]
    assert letters == 1


def test_the_fake_follows_its_script() -> None:
    """Outcomes by recipient go first, then those of the script in order, then acceptance."""
    refused = Rejected(server="fake", reason="address_refused", final=True, about_address=True)
    lost = OutcomeUnknown(server="fake", cause="connection_lost")
    fake = FakeChannel(lost)
    fake.always("nobody@example.com", refused)
    letters = [letter_to("nobody@example.com"), LETTER, LETTER]
    outcomes = [fake.send(letter) for letter in letters]
    fake.close()

    assert [refused, lost, Accepted(server="fake")] == outcomes
    assert (letters, True) == (fake.sent, fake.closed)
