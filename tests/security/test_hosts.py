"""Which host names are answered: a page that rebinds its name reads nothing, and no redirect leaves this host."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from starlette.types import Message, Receive, Scope, Send

from api.cli.embedded.data_dir import DataDir
from api.cli.embedded.services.ledger import build_child_environment
from api.http.allowed_hosts import KNOWN_MAX, HostGuard, host_name
from api.settings import ApiSettings
from tests.support.clients.app_client import AppClient
from tests.support.clients.asgi_requests import inside
from tests.support.clients.in_process_app import settings_over, started

EVIL = "evil.example"
PAGES = ("/", "/invite", "/mailbox", "/support", "/api/v1/openapi.json", "/nowhere", "/static/site.css")
PROBED = ("/healthz", "/readyz", "/metrics")


@pytest.fixture
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ApiSettings:
    """Settings as `ledger up` gives them to the API, with a mailbox to look at."""
    (tmp_path / "mailbox").mkdir()
    monkeypatch.setenv("LEDGER_MAILBOX", str(tmp_path / "mailbox"))
    env = build_child_environment(DataDir(tmp_path, 0), 8000, {})
    monkeypatch.setenv("LEDGER_ALLOWED_HOSTS", env["LEDGER_ALLOWED_HOSTS"])
    monkeypatch.setenv("LEDGER_PUBLIC_URL", "https://Redeem.Example.com:8443/there")
    return settings_over(database_url, monkeypatch, tmp_path)


@pytest.fixture
def guarded(settings: ApiSettings) -> Iterator[AppClient]:
    with started(settings) as app_client:
        yield app_client


@pytest.mark.parametrize("path", [*PAGES, *PROBED])
def test_foreign_host_is_refused_on_every_path(guarded: AppClient, path: str) -> None:
    """Also where the name only looks like one of ours; nothing of the page is in the answer."""
    for host in (EVIL, f"{EVIL}:8000", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.7", "[::2]:80"):
        answer = guarded.client.get(path, headers={"Host": host}, follow_redirects=False)

        assert (answer.status_code, answer.json()["code"]) == (400, "HOST_NOT_ALLOWED"), host
        assert "x-request-id" in answer.headers


def test_own_and_loopback_hosts_are_answered(guarded: AppClient) -> None:
    """With whatever port a tunnel gives them."""
    for host in (
        "redeem.example.com",
        "REDEEM.example.com.:8443",
        "localhost:1",
        "a.localhost",
        "127.0.0.1:8000",
        "[::1]:9",
    ):
        assert guarded.client.get("/mailbox", headers={"Host": host}).status_code == 200, host


def test_refused_host_shows_a_page_and_changes_nothing(guarded: AppClient) -> None:
    page = guarded.client.get("/mailbox", headers={"Host": EVIL, "Accept": "text/html"})
    refused = guarded.client.post(
        "/api/v1/public/redeem", json={"email": "a@example.com", "code": "X"}, headers={"Host": EVIL}
    )

    assert page.status_code == 400
    assert "LEDGER_PUBLIC_URL" in page.text
    assert "LEDGER_ALLOWED_HOSTS" in refused.json()["detail"]
    assert refused.json()["code"] == "HOST_NOT_ALLOWED"


@pytest.mark.parametrize("path", ["/invite/", "/invite/?code=A%26B", "//evil.example/invite/", "/api/v1/codes/"])
def test_redirect_stays_on_this_host_whatever_the_host_header_says(app: AppClient, path: str) -> None:
    """Without a public URL every host is answered, so a redirect names none."""
    url = app.client.base_url.join("/").copy_with(raw_path=path.encode())
    answer = app.client.get(url, headers={"Host": EVIL}, follow_redirects=False)
    location = answer.headers.get("location", "")

    assert EVIL not in location
    if path.startswith("//"):
        assert answer.status_code == 404
    else:
        assert answer.status_code == 307
        assert location == path.replace("/?", "?").removesuffix("/")


def test_probes_are_answered_for_any_host_where_only_the_public_url_is_set(
    monkeypatch: pytest.MonkeyPatch, settings: ApiSettings
) -> None:
    """Orchestrators ask by an address, Prometheus by the name of a service; pages are for the public name."""
    monkeypatch.delenv("LEDGER_ALLOWED_HOSTS")
    with started(ApiSettings.from_environment()) as app:
        probed = [app.client.get(path, headers={"Host": "backend:8000"}).status_code for path in PROBED]
        pages = [app.client.get(path, headers={"Host": "backend:8000"}).status_code for path in PAGES]

    assert 400 not in probed
    assert pages == [400] * len(PAGES)
    assert settings.hosts == ["localhost"]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Example.COM:80", "example.com"),
        ("[::1]:8000", "::1"),
        ("example.com.", "example.com"),
        ("兑换.example", "xn--e5q535b.example"),
        ("", ""),
    ],
)
def test_host_name_is_read_without_port_and_in_one_spelling(header: str, name: str) -> None:
    """As browsers send it."""
    assert host_name(header) == name


def test_guard_caches_a_bounded_number_of_headers() -> None:
    """However many ports a caller invents."""
    passed = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        passed.append(scope)

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(_message: Message) -> None:
        """Drop it."""

    async def ask_by_many_ports() -> HostGuard:
        guard = HostGuard(app, frozenset({"here"}), app, app)
        for port in range(KNOWN_MAX + 500):
            await guard({"type": "http", "path": "/", "headers": [(b"host", b"here:%d" % port)]}, receive, send)
        return guard

    guard = asyncio.run(ask_by_many_ports())

    assert len(passed) == KNOWN_MAX + 500
    assert len(guard._known_hosts) == KNOWN_MAX


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [b""],
        [b"a.example", b"a.example"],
        [b"a b.example"],
        [b"user@a.example"],
        [b"a.example/x"],
        [b"a.example:x"],
    ],
)
def test_request_without_exactly_one_valid_host_is_refused(app: AppClient, hosts: list[bytes]) -> None:
    """RFC 9112 3.2, also for probes and where no setting names a host; HTTP/1.0 knew no Host header."""
    answers = [_get(app, path, hosts, "1.1") for path in (*PAGES, *PROBED)]

    assert {(status, body.get("code")) for status, body in answers} == {(400, "HOST_INVALID")}
    assert _get(app, "/healthz", hosts, "1.0")[0] == (400 if hosts else 200)
    assert _get(app, "/healthz", [b"a.example:"], "1.1")[0] == 200


def _get(app: AppClient, path: str, hosts: list[bytes], version: str) -> tuple[int, dict[str, str]]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": version,
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", host) for host in hosts],
    }
    inside(app, lambda: app.client.app(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent)
    is_problem = (b"content-type", b"application/problem+json") in sent[0]["headers"]
    return sent[0]["status"], orjson.loads(body) if is_problem else {}
