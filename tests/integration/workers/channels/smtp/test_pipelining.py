"""Envelopes that are sent together (RFC 2920), and what a refusal within them leaves behind."""

import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import pytest

from domain.ports import Accepted, Channel, Outcome, Rejected
from tests.support.channel_builders import MAIL_FROM, MESSAGE, TIMEOUT_S, LoopedChannel, message_to
from tests.support.servers.mail_server import MailServer, ReplyWith
from tests.support.waiting import WAIT_S_MAX
from workers.channels.default_channel import open_channel

TOGETHER = b"DATA\r\n"
"""The end of an envelope that was sent together."""
UNKNOWN = "unknown@example.com"


def _open_waiting(url: str) -> Channel:
    return open_channel(url, mail_from=MAIL_FROM, timeout_s=TIMEOUT_S)


def _open_looped(url: str) -> Channel:
    return LoopedChannel(url, TIMEOUT_S)


@pytest.fixture(params=[_open_waiting, _open_looped])
def open_to(request: pytest.FixtureRequest) -> Callable[[str], Channel]:
    driver: Callable[[str], Channel] = request.param
    return driver


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that a test plays manually."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        yield server


def _play(listener: socket.socket, offers: str, steps: Sequence[tuple[bytes, str]]) -> bytes:
    """Serve one connection, and return what came after the last step until the client left.

    Args:
        listener: The server.
        offers: What the answer to EHLO offers.
        steps: How what is read must end, and the answer.
    """
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(30)
        connection.sendall(b"220 ready\r\n")
        for end, answer in [(b"\r\n", f"250-hello\r\n250 {offers}\r\n"), *steps]:
            said = b""
            while not said.endswith(end):
                said += connection.recv(65536) or end
            connection.sendall(answer.encode())
        rest = b""
        while octets := connection.recv(65536):
            rest += octets
        return rest


def _send_to(
    listener: socket.socket, open_to: Callable[[str], Channel], offers: str, steps: Sequence[tuple[bytes, str]]
) -> tuple[Outcome, bytes]:
    with ThreadPoolExecutor(1) as threads:
        rest: Future[bytes] = threads.submit(_play, listener, offers, steps)
        with closing(open_to(f"smtp://127.0.0.1:{listener.getsockname()[1]}")) as channel:
            outcome = channel.send(MESSAGE)
        return outcome, rest.result(WAIT_S_MAX)


def test_envelope_is_sent_together_when_the_server_offers_pipelining(
    listener: socket.socket, open_to: Callable[[str], Channel]
) -> None:
    """The server answers nothing before the last of the three lines, and the message arrives."""
    steps = [(TOGETHER, "250 sender\r\n250 recipient\r\n354 go ahead\r\n"), (b"\r\n.\r\n", "250 taken\r\n")]
    outcome, rest = _send_to(listener, open_to, "PIPELINING", steps)

    server = f"127.0.0.1:{listener.getsockname()[1]}"
    assert (Accepted(server=server, reply_code=250), b"QUIT\r\n") == (outcome, rest)


def test_content_is_never_sent_to_a_server_that_refused_the_recipient(
    listener: socket.socket, open_to: Callable[[str], Channel]
) -> None:
    """A server that waits for content without a recipient gets none, and the connection ends."""
    steps = [(TOGETHER, "250 sender\r\n550 5.1.1 no such user\r\n354 go ahead\r\n")]
    outcome, rest = _send_to(listener, open_to, "PIPELINING", steps)

    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.reply_code, rest) == ("address_refused", 550, b"")


def test_connection_is_kept_when_all_lines_of_a_refused_envelope_were_answered(
    open_to: Callable[[str], Channel],
) -> None:
    """After a refused recipient, the next message goes over the same connection."""
    with MailServer() as server, closing(open_to(server.url)) as channel:
        server.pipelining = True
        server.at("rcpt", ReplyWith(550, "5.1.1 no such user"), recipient=UNKNOWN)
        refused, accepted = channel.send(message_to(UNKNOWN)), channel.send(MESSAGE)

        assert (type(refused), type(accepted), server.connections) == (Rejected, Accepted, 1)
        assert server.message_ids() == [MESSAGE.message_id]
