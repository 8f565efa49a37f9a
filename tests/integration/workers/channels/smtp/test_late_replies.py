"""A server that takes long to accept an email: no slot waits for it, and its late reply is not lost."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from domain.ports import Accepted, OutboundMessage, Outcome, OutcomeUnknown
from tests.support.channel_builders import MAIL_FROM, message_to
from tests.support.servers.mail_server import DelayedReply, Disconnect, MailServer, ReplyWith, Stall
from tests.support.waiting import WAIT_S_MAX, wait_for
from workers.channels.smtp.addresses import MailFrom
from workers.channels.smtp.channel import SmtpChannel
from workers.channels.smtp.connect import Connector
from workers.channels.smtp.connection_pool import ConnectionPool
from workers.channels.smtp.late_replies import MARGIN_S, LateReplies
from workers.channels.smtp.send_loop import SmtpSendLoop
from workers.channels.smtp.server_url import SmtpServerUrl

TIMEOUT_S = 0.8
LATE_S = 1.6
"""When the slow server replies: twice as late as its sender waits."""
ALLOWED_S = 20.0


@dataclass
class _Rig:
    channel: SmtpChannel
    late: LateReplies
    send: Callable[[OutboundMessage], Outcome]
    accepted: list[tuple[str, Accepted]] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def wait_until_none_waits(self) -> None:
        wait_for(lambda: self.counts and not self.counts[-1], lambda: self.counts)


@contextmanager
def _rig(url: str, driver: str, connections_max: int = 4, allowed_s: float = ALLOWED_S) -> Iterator[_Rig]:
    server, accepted, counts = SmtpServerUrl.parse(url), list[tuple[str, Accepted]](), list[int]()
    late = LateReplies(
        allowed_s,
        connections_max,
        lambda message, outcome, _: accepted.append((message.recipient.typed, outcome)),
        count=counts.append,
    )
    pool = ConnectionPool(Connector.to(server, time.monotonic), 1)
    channel = SmtpChannel(server, sender=MailFrom.parse(MAIL_FROM), timeout_s=TIMEOUT_S, connections=pool, late=late)
    with ThreadPoolExecutor(2) as openers:
        loop = SmtpSendLoop(channel, pool, openers, lambda *_: None)
        by_loop = lambda message: loop.submit([message])[0].result(WAIT_S_MAX)  # noqa: E731 - the other driver is a method
        yield _Rig(channel, late, by_loop if driver == "loop" else channel.send, accepted, counts)
        loop.close()
        late.close()
    channel.close()


@pytest.fixture(params=["loop", "thread"])
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_late_acceptance_is_reported_after_the_unknown_outcome(mail_server: MailServer, driver: str) -> None:
    """One email, and the next one does not wait for its reply, although the pool has one connection only."""
    mail_server.at("dot", DelayedReply(LATE_S), recipient="slow@example.com")
    with _rig(mail_server.url, driver) as rig:
        outcome = rig.send(message_to("slow@example.com"))
        next_outcome = rig.send(message_to("next@example.com"))
        reported_early = list(rig.accepted)
        rig.wait_until_none_waits()

    assert isinstance(outcome, OutcomeUnknown)
    assert ALLOWED_S - TIMEOUT_S - 0.5 < outcome.retry_after_s - MARGIN_S < ALLOWED_S
    assert isinstance(next_outcome, Accepted)
    assert reported_early == []
    assert rig.accepted == [("slow@example.com", Accepted(server=mail_server.address, reply_code=250))]
    assert len(mail_server.received) == 2


def test_server_that_never_replies_is_given_up_when_the_time_is_over(mail_server: MailServer, driver: str) -> None:
    """The outcome stays unknown; the email is sent again when the time is over."""
    with _rig(mail_server.url, driver, allowed_s=LATE_S) as rig:
        mail_server.at("dot", Stall(), recipient="silent@example.com")
        outcome = rig.send(message_to("silent@example.com"))
        rig.wait_until_none_waits()

    assert isinstance(outcome, OutcomeUnknown)
    assert rig.accepted == []


def test_more_late_replies_than_allowed_are_not_waited_for(mail_server: MailServer, driver: str) -> None:
    """Their emails are retried as late as the others, so a flood of slow replies causes no flood of copies."""
    mail_server.at("dot", DelayedReply(2 * LATE_S))
    with _rig(mail_server.url, driver, connections_max=1) as rig:
        outcomes = [rig.send(message_to(f"p{number}@example.com")) for number in range(2)]
        rig.wait_until_none_waits()

    assert {type(outcome) for outcome in outcomes} == {OutcomeUnknown}
    assert min(outcome.retry_after_s for outcome in outcomes if isinstance(outcome, OutcomeUnknown)) > ALLOWED_S / 2
    assert [recipient for recipient, _ in rig.accepted] == ["p0@example.com"]
    assert max(rig.counts) == 1


def test_close_does_not_wait_for_late_replies(mail_server: MailServer, driver: str) -> None:
    """A worker that stops has recorded the outcomes already."""
    mail_server.at("dot", Stall())
    with _rig(mail_server.url, driver, allowed_s=4 * WAIT_S_MAX) as rig:
        rig.send(message_to("slow@example.com"))
        rig.late.close()

    assert rig.counts[-1] == 0


@pytest.mark.parametrize("behavior", [Disconnect(), ReplyWith(250, "2.0.0 taken")])
def test_reply_in_time_keeps_its_outcome(
    mail_server: MailServer, driver: str, behavior: Disconnect | ReplyWith
) -> None:
    """A connection that ends is no timeout: nothing can come later, so nothing is waited for."""
    mail_server.at("dot", behavior)
    with _rig(mail_server.url, driver) as rig:
        outcome = rig.send(message_to("quick@example.com"))

    expected = (
        OutcomeUnknown(server=mail_server.address, cause="connection_lost")
        if isinstance(behavior, Disconnect)
        else Accepted(server=mail_server.address, reply_code=250)
    )
    assert outcome == expected
    assert rig.counts == []
