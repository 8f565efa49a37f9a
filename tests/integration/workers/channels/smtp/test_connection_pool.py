"""One process and a mail server that limits connections: messages wait for one that is open, and none is lost."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from domain.ports import Accepted, Outcome, Rejected
from tests.support.channel_builders import MAIL_FROM, message_to
from tests.support.servers.mail_server import DelayedReply, Disconnect, MailServer, ReplyWith, Stage
from tests.support.waiting import wait_for
from workers.channels.smtp import connection_pool
from workers.channels.smtp.addresses import MailFrom
from workers.channels.smtp.channel import SmtpChannel
from workers.channels.smtp.connect import Connector
from workers.channels.smtp.connection_pool import OPENING_MAX, ConnectionPool
from workers.channels.smtp.server_url import SmtpServerUrl

THREADS = 16
LOGIN = ("ledger@example.com", "secret")


class PoolProcess:
    """What one worker process has: threads that share connections, and what it reports of them."""

    def __init__(self, server: MailServer, timeout_s: float = 60.0, url: str = "") -> None:
        self.address = SmtpServerUrl.parse(url or server.url)
        self.timeout_s = timeout_s
        self.refusals: list[Rejected] = []
        self.sizes: list[tuple[int, int]] = []
        self.connections = ConnectionPool(
            Connector.to(self.address, time.monotonic),
            THREADS,
            report=lambda allowed, open_count: self.sizes.append((allowed, open_count)),
            on_refusal=self.refusals.append,
        )

    def send(self, number: int) -> Outcome:
        channel = SmtpChannel(
            self.address,
            sender=MailFrom.parse(MAIL_FROM),
            timeout_s=self.timeout_s,
            connections=self.connections,
        )
        return channel.send(message_to(f"p{number}@example.com"))

    def send_all(self, count: int) -> list[Outcome]:
        with ThreadPoolExecutor(THREADS) as threads:
            return list(threads.map(self.send, range(count)))


@contextmanager
def process(server: MailServer, timeout_s: float = 60.0, url: str = "") -> Iterator[PoolProcess]:
    pool_process = PoolProcess(server, timeout_s, url)
    try:
        yield pool_process
    finally:
        pool_process.connections.drop_idle()


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_messages_wait_for_an_open_connection_when_the_server_limits_them(limit: int) -> None:
    """Sixteen threads, few connections: every email goes out at the first try."""
    with MailServer(connections_max=limit) as server, process(server) as worker:
        outcomes = worker.send_all(40)

        assert {Accepted} == {type(outcome) for outcome in outcomes}
        assert len(server.received) == 40
        assert server.most_at_once <= limit
        assert server.refused == len(worker.refusals) < THREADS
        # Connections that are opened one after the other may be too slow to reach a higher limit.
        assert server.refused > 0 or limit >= 2 * OPENING_MAX
        assert server.refused == 0 or worker.sizes[-1][0] <= limit


def test_worn_out_connection_is_replaced_once_its_server_has_let_it_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a server that limits connections would refuse the new one, and messages would wait for the back-off."""
    monkeypatch.setattr(connection_pool, "MESSAGES_PER_CONNECTION_MAX", 2)
    with MailServer(connections_max=1) as server, process(server) as worker:
        server.at("quit", DelayedReply(0.1))
        outcomes = [worker.send(number) for number in range(7)]

        assert {Accepted} == {type(outcome) for outcome in outcomes}
        assert (server.refused, worker.refusals, server.connections) == (0, [], 4)


def test_refusals_are_few_while_messages_keep_coming() -> None:
    """Once the limit is known it is kept to; a probe for more comes only now and then."""
    with MailServer(connections_max=2) as server, process(server) as worker:
        worker.send_all(40)
        refused = server.refused
        worker.send_all(200)

        assert len(server.received) == 240
        assert server.refused <= refused + 1


@pytest.mark.parametrize(
    ("stage", "behavior"),
    [
        ("banner", ReplyWith(421, "too many connections")),
        ("banner", ReplyWith(554, "no service for you")),
        ("banner", Disconnect()),
        ("ehlo", ReplyWith(421, "too many connections")),
        ("auth", ReplyWith(421, "too many logins")),
        ("auth", ReplyWith(454, "later")),
        ("auth", ReplyWith(535, "wrong")),
        ("mail", ReplyWith(421, "too many connections")),
        ("mail", ReplyWith(530, "log in")),
        ("mail", Disconnect()),
    ],
)
def test_refusal_before_mail_is_about_the_connection(stage: Stage, behavior: ReplyWith | Disconnect) -> None:
    """Whatever is said or not said before the message was heard of: it keeps its attempt, and is never final."""
    with MailServer(login=LOGIN) as server, process(server) as worker:
        server.at(stage, behavior)
        outcome = worker.send(1)

        assert isinstance(outcome, Rejected)
        assert (outcome.about_connection, outcome.final) == (True, False)
        assert worker.refusals == [outcome]
        assert worker.connections.capacity() == 0


@pytest.mark.parametrize(
    ("stage", "behavior"),
    [
        ("mail", ReplyWith(451, "later")),
        ("rcpt", ReplyWith(421, "busy")),
        ("rcpt", Disconnect()),
        ("data", ReplyWith(421, "busy")),
        ("dot", ReplyWith(421, "busy")),
    ],
)
def test_refusal_after_mail_spends_an_attempt(stage: Stage, behavior: ReplyWith | Disconnect) -> None:
    """From then on the server has heard of the message, and the message is what it refuses."""
    with MailServer() as server, process(server) as worker:
        server.at(stage, behavior)
        outcome = worker.send(1)

        assert isinstance(outcome, Rejected)
        assert not outcome.about_connection
        assert worker.refusals == []
        assert worker.connections.capacity() == THREADS


def test_server_that_is_unavailable_is_not_retried_during_its_backoff() -> None:
    """One try for all that wait, then a rest; what comes in it is refused without a connection."""
    server = MailServer()
    server.stop()
    with process(server) as worker:
        outcomes = worker.send_all(100)

    assert all(isinstance(outcome, Rejected) and outcome.about_connection for outcome in outcomes)
    assert len(worker.refusals) < THREADS
    assert worker.connections.capacity() == 0


def test_connections_are_attempted_again_after_the_backoff() -> None:
    """The server is back: emails go out again."""
    with MailServer() as server, process(server) as worker:
        server.at("banner", ReplyWith(421, "busy"), times=1)
        assert isinstance(worker.send(1), Rejected)
        assert worker.connections.capacity() == 0
        wait_for(lambda: worker.connections.capacity() > 0)

        assert {Accepted} == {type(outcome) for outcome in worker.send_all(20)}


def test_idle_connections_make_room_for_another_process() -> None:
    """Where the server limits them, a process that has nothing to send keeps none."""
    with MailServer(connections_max=1) as server, process(server) as first, process(server) as second:
        first.send_all(5)
        refused = second.send(1)
        wait_for(lambda: first.sizes[-1][1] == 0)
        # The server may still count the connection that the first process has just closed.
        wait_for(lambda: second.connections.capacity() > 0 and isinstance(second.send(2), Accepted))

    assert isinstance(refused, Rejected)
    assert refused.about_connection


def test_message_that_gets_no_connection_keeps_its_attempt() -> None:
    """The one connection is slow: a part of the time is waited for it, and the rest of the emails come later."""
    with MailServer(connections_max=1) as server, process(server, timeout_s=2.0) as worker:
        server.at("rcpt", DelayedReply(0.6))
        outcomes = worker.send_all(8)

    waited = [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
    assert any(isinstance(outcome, Accepted) for outcome in outcomes)
    assert waited
    assert {(True, False)} == {(outcome.about_connection, outcome.final) for outcome in waited}


def test_messages_to_a_restarted_server_go_out_immediately() -> None:
    """Kept connections are dead then; each email gets a new one without losing a try."""
    with MailServer() as server, process(server) as worker:
        worker.send_all(40)
        server.drop_connections()
        outcomes = worker.send_all(40)

        assert {Accepted} == {type(outcome) for outcome in outcomes}
        assert len(server.received) == 80
