"""What every channel promises, whatever it talks to: run over all of them, the fake included."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, Final, get_args

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
from tests.support.channel_builders import MESSAGE, channel_to, message_to, webhook_to
from tests.support.fake_channel import FakeChannel
from tests.support.servers.mail_server import MailServer, Security
from tests.support.servers.webhook_receiver import WebhookReceiver
from workers.channels.registry import channel_kinds

LOGIN = ("ledger@example.com", "p@ss:w/rd%")


@contextmanager
def _mail_channel(authority: CA, security: Security) -> Iterator[Channel]:
    certificate = authority.issue_cert("127.0.0.1")
    server = MailServer() if security == "smtp" else MailServer(security, certificate=certificate, login=LOGIN)
    with server as mail, channel_to(mail.url) as channel:
        yield channel


@contextmanager
def _webhook_channel(authority: CA, is_encrypted: bool) -> Iterator[Channel]:
    with WebhookReceiver(authority.issue_cert("127.0.0.1") if is_encrypted else None) as server:
        yield webhook_to(server.url)


CHANNELS: Final[Mapping[str, Callable[[CA], AbstractContextManager[Channel]]]] = {
    "smtp": partial(_mail_channel, security="smtp"),
    "smtp by STARTTLS": partial(_mail_channel, security="smtp+starttls"),
    "smtp by TLS": partial(_mail_channel, security="smtps"),
    "null": lambda _: channel_to("null://"),
    "webhook": partial(_webhook_channel, is_encrypted=False),
    "webhook by TLS": partial(_webhook_channel, is_encrypted=True),
    "fake": lambda _: nullcontext(FakeChannel()),
}
"""Opens each channel, by its name."""


@pytest.fixture(params=CHANNELS)
def channel(request: pytest.FixtureRequest, trusted: CA) -> Iterator[Channel]:
    with CHANNELS[request.param](trusted) as open_channel:
        assert open_channel.name == request.param.partition(" ")[0]
        yield open_channel


def test_every_channel_keeps_the_contract() -> None:
    """Add a new kind to CHANNELS; if it can't remove access, to EMAIL_CHANNELS in domain/ports.py too."""
    assert sorted(({*channel_kinds()} | EMAIL_CHANNELS) - CHANNELS.keys()) == []


def test_message_is_accepted_by_a_named_server(channel: Channel) -> None:
    """A well-behaved other side accepts, and the outcome says who it was."""
    outcome = channel.send(MESSAGE)

    assert isinstance(outcome, Accepted)
    assert outcome.server
    assert channel.name


def test_many_messages_go_through_one_channel(channel: Channel) -> None:
    """One instance sends email after email, the same one again included."""
    outcomes = [channel.send(message_to(f"user{number}@example.com")) for number in (1, 2, 2)]

    assert [Accepted] * 3 == [type(outcome) for outcome in outcomes]


def test_closing_a_channel_twice_does_not_raise(channel: Channel) -> None:
    """`close` may be called before an email, after one, and again."""
    channel.close()
    channel.send(MESSAGE)

    channel.close()
    channel.close()


def test_closed_channel_opens_again(channel: Channel) -> None:
    """An email after `close` is sent like any other."""
    channel.send(MESSAGE)
    channel.close()

    assert isinstance(channel.send(MESSAGE), Accepted)


@pytest.mark.parametrize("cause", get_args(RemovalCause))
def test_taking_an_access_away_may_be_asked_for_twice(channel: Channel, cause: RemovalCause) -> None:
    """It is removed, or the channel says that it can't; a repeat does no harm and notifies no recipient."""
    farewell = replace(MESSAGE, template="farewell") if cause == "expired" else None
    about: dict[str, Any] = {"reservation_id": MESSAGE.reservation_id, "cause": cause, "group": MESSAGE.group}
    about["ended_at"] = MESSAGE.written_at
    removal_of_known = Removal(**about, recipient=MESSAGE.recipient, farewell=farewell)
    forgotten = Removal(**about, recipient=None, farewell=None)

    outcomes = [channel.revoke(removal) for removal in (removal_of_known, removal_of_known, forgotten)]

    assert all(isinstance(outcome, Accepted | NotifiedOnly) and outcome.server for outcome in outcomes)
    assert len({type(outcome) for outcome in outcomes}) == 1
    assert isinstance(outcomes[0], NotifiedOnly) == (channel.name in EMAIL_CHANNELS)


def test_mail_takes_nothing_away_and_says_so() -> None:
    """An email tells of the end, once for each time; where there is nothing to tell, nothing is sent."""
    farewell = replace(MESSAGE, template="farewell")
    about: dict[str, Any] = {"reservation_id": MESSAGE.reservation_id, "group": None, "recipient": MESSAGE.recipient}
    about["ended_at"] = MESSAGE.written_at
    with MailServer() as server, channel_to(server.url) as channel:
        over = channel.revoke(Removal(**about, cause="expired", farewell=farewell))
        moved = channel.revoke(Removal(**about, cause="moved", farewell=None))
        message_count = len(server.received)

    assert [NotifiedOnly, NotifiedOnly] == [type(over), type(moved)]
    assert message_count == 1


def test_fake_follows_its_script() -> None:
    """Outcomes by recipient go first, then those of the script in order, then acceptance."""
    refused = Rejected(server="fake", reason="address_refused", final=True, about_address=True)
    lost = OutcomeUnknown(server="fake", cause="connection_lost")
    fake = FakeChannel(lost)
    fake.always("nobody@example.com", refused)
    messages = [message_to("nobody@example.com"), MESSAGE, MESSAGE]
    outcomes = [fake.send(message) for message in messages]
    fake.close()

    assert [refused, lost, Accepted(server="fake")] == outcomes
    assert (messages, True) == (fake.sent, fake.closed)
