"""The one way out: to the address that was looked at and no other, within bounds of time and size."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from trustme import CA

from projections.config.settings import parse_networks
from tests.support.servers.webhook_receiver import ScriptedReply, WebhookReceiver
from tests.support.waiting import WAIT_S_MAX
from workers.http_client.client import BODY_BYTES_MAX, NotSentError, PinnedHttpClient, UnansweredError
from workers.http_client.dns import AddressInfo

LOOPBACK = parse_networks("127.0.0.0/8")


@pytest.fixture
def server() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiver:
        yield receiver


def names(*addresses: str, asked: list[str] | None = None) -> Callable[[str, int, float], Sequence[AddressInfo]]:
    """A resolver to whom every name stands for these addresses."""

    def resolve(host: str, port: int, _: float) -> Sequence[AddressInfo]:
        if asked is not None:
            asked.append(host)
        resolved: list[AddressInfo] = []
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            where = (address, port, 0, 0) if ":" in address else (address, port)
            resolved.append((family, socket.SOCK_STREAM, 0, "", where))
        return resolved

    return resolve


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["fe80::1%lo"],
        ["10.0.0.1"],
        ["93.184.215.14", "127.0.0.1"],
        ["224.0.0.1"],
    ],
)
def test_name_that_leads_inside_is_not_followed(addresses: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One such address among others is enough; nothing is connected."""
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it connected"))

    with pytest.raises(NotSentError, match="target_refused"):
        PinnedHttpClient((), 5.0, resolve=names(*addresses)).post("https://hooks.example.com/", {}, b"{}")


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/", "https://127.1/", "http://hooks.example.com/", "https://a@b.example/"]
)
def test_address_that_is_none_is_refused_before_it_is_looked_up(url: str) -> None:
    """The text alone says so."""
    asked: list[str] = []

    with pytest.raises(NotSentError, match="target_refused"):
        PinnedHttpClient((), 5.0, resolve=names("93.184.215.14", asked=asked)).post(url, {}, b"{}")
    assert asked == []


def test_name_is_looked_up_once_and_kept(server: WebhookReceiver) -> None:
    """The connection goes to the address that was checked; the Host header is the name's."""
    asked: list[str] = []
    poster = PinnedHttpClient(LOOPBACK, 20.0, resolve=names("127.0.0.1", asked=asked))

    answer = poster.post(f"http://hooks.example.com:{server.port}/in", {"webhook-id": "1"}, b"{}")

    (request,) = server.received
    assert (answer.status, asked) == (204, ["hooks.example.com"])
    assert request.headers["host"] == f"hooks.example.com:{server.port}"
    assert (request.headers["webhook-id"], request.headers["accept-encoding"]) == ("1", "identity")


def test_tls_is_of_the_name_though_the_address_is_pinned(trusted: CA) -> None:
    """SNI and the certificate's check use the name; another name's certificate is refused before anything is said."""
    for name, is_his in (("hooks.example.com", True), ("other.example.com", False)):
        with WebhookReceiver(trusted.issue_cert(name)) as server:
            poster = PinnedHttpClient(LOOPBACK, 20.0, resolve=names("127.0.0.1"))
            url = f"https://hooks.example.com:{server.port}/"
            if is_his:
                assert poster.post(url, {}, b"{}").status == 204
            else:
                with pytest.raises(NotSentError, match="tls_failed"):
                    poster.post(url, {}, b"{}")
            assert len(server.received) == int(is_his)


def test_dead_address_leaves_time_for_the_next(server: WebhookReceiver) -> None:
    """Names often stand for several."""
    poster = PinnedHttpClient(LOOPBACK, 20.0, resolve=names("127.0.0.9", "127.0.0.1"))

    assert poster.post(f"http://hooks.example.com:{server.port}/", {}, b"{}").status == 204


def test_name_without_addresses_is_out_of_reach() -> None:
    """So is one whose server is not there."""
    with pytest.raises(NotSentError, match="unreachable"):
        PinnedHttpClient((), 5.0, resolve=names()).post("https://hooks.example.com/", {}, b"{}")


def test_no_redirect_is_followed(server: WebhookReceiver) -> None:
    """It is an answer like any other."""
    server.then(ScriptedReply(307, headers={"Location": server.url}))

    assert PinnedHttpClient(LOOPBACK, 20.0).post(server.url, {}, b"{}").status == 307
    assert len(server.received) == 1


def test_page_is_fetched_by_get(server: WebhookReceiver) -> None:
    """Without a body; the response to anything but success is none."""
    server.then(ScriptedReply(200, body=b"certificate"), ScriptedReply(404, body=b"none"))
    client = PinnedHttpClient(LOOPBACK, 20.0)

    assert [client.fetch(server.url), client.fetch(server.url)] == [b"certificate", None]
    assert [(request.method, request.body) for request in server.received] == [("GET", b""), ("GET", b"")]


def test_page_that_cannot_be_reached_or_is_not_public_is_none() -> None:
    """The caller asks again later."""
    assert PinnedHttpClient((), 5.0, resolve=names("127.0.0.1")).fetch("https://sns.eu-west-1.amazonaws.com/") is None
    assert PinnedHttpClient(LOOPBACK, 5.0, resolve=names()).fetch("http://hooks.example.com/") is None


@pytest.mark.parametrize(("length", "is_read"), [(BODY_BYTES_MAX, True), (BODY_BYTES_MAX + 1, False)])
def test_answer_has_a_greatest_length(server: WebhookReceiver, length: int, is_read: bool) -> None:
    """More is not read."""
    server.then(ScriptedReply(200, b"x" * length))
    if is_read:
        assert len(PinnedHttpClient(LOOPBACK, 20.0).post(server.url, {}, b"{}").body) == length
        return
    with pytest.raises(UnansweredError, match="bad_reply"):
        PinnedHttpClient(LOOPBACK, 20.0).post(server.url, {}, b"{}")


def test_stalled_handshake_is_not_an_unknown_outcome() -> None:
    """Nothing was said yet, and time for the answer was kept."""
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NotSentError, match="unreachable"):
        PinnedHttpClient(LOOPBACK, 0.5).post(f"https://127.0.0.1:{silent.getsockname()[1]}/", {}, b"{}")


def test_no_proxy_of_the_environment_is_asked(server: WebhookReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would connect where we may not."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert PinnedHttpClient(LOOPBACK, 20.0).post(server.url, {}, b"{}").status == 204


def test_one_poster_is_enough_for_many_threads(server: WebhookReceiver) -> None:
    """It keeps nothing between messages."""
    poster, statuses = PinnedHttpClient(LOOPBACK, 10.0), []

    def post() -> None:
        statuses.append(poster.post(server.url, {}, b"{}").status)

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S_MAX)
    assert statuses == [204] * 8
