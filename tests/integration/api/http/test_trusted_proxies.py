"""Who a request comes from: what a proxy of ours says, and never what a client says of itself."""

import asyncio
from pathlib import Path

import pytest
from pydantic import ValidationError
from starlette.types import Message, Receive, Scope, Send

from api.cli.embedded.data_dir import DataDir
from api.cli.embedded.services import ledger
from api.cli.server.container import COMMANDS
from api.http.trusted_proxies import behind_proxies, forwarded_reader
from api.rate_limits.guard import ADDRESS
from api.web.staff_auth.sessions import SIGN_IN
from tests.support.clients.asgi_requests import AsgiResponse, ask, inside
from tests.support.clients.in_process_app import settings_over, started
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff

PROXIES = "127.0.0.1, 172.16.0.0/12"


async def nothing() -> Message:
    return {"type": "http.disconnect"}


async def nowhere(_message: Message) -> None:
    """Give an address on which no program listens."""


def seen(peer: str, trusted: str, *headers: tuple[str, str]) -> tuple[str, str]:
    clients: list[tuple[str, str]] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        clients.append((scope["client"][0], scope["scheme"]))

    scope = {
        "type": "http",
        "client": (peer, 1),
        "scheme": "http",
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }
    networks = [part.strip() for part in trusted.split(",") if part.strip()]

    async def request() -> None:
        await behind_proxies(app, networks)(dict(scope), nothing, nowhere)

    asyncio.run(request())
    if (read_forwarded := forwarded_reader(networks)) is not None:
        read_forwarded(scope)
    assert (scope["client"][0], scope["scheme"]) == clients[0], "the direct route sees the same"
    return clients[0]


@pytest.mark.parametrize(
    ("peer", "trusted", "said", "client"),
    [
        ("203.0.113.1", "", "1.2.3.4", "203.0.113.1"),
        ("127.0.0.1", "", "1.2.3.4", "127.0.0.1"),
        ("203.0.113.1", PROXIES, "1.2.3.4", "203.0.113.1"),
        ("172.18.0.7", PROXIES, "203.0.113.9", "203.0.113.9"),
        ("172.18.0.7", PROXIES, "1.2.3.4, 203.0.113.9", "203.0.113.9"),
        ("172.18.0.7", PROXIES, "1.2.3.4, 203.0.113.9, 127.0.0.1", "203.0.113.9"),
        ("172.18.0.7", PROXIES, "2001:db8::1", "2001:db8::1"),
        ("172.18.0.7", PROXIES, "", "172.18.0.7"),
    ],
)
def test_only_our_proxies_are_trusted(peer: str, trusted: str, said: str, client: str) -> None:
    """And of its list the last address that is none of ours: before it stands whatever the client wrote."""
    scheme = "https" if client != peer else "http"
    headers = (("x-forwarded-for", said), ("x-forwarded-proto", "https"))

    clients = seen(peer, trusted, *headers)

    assert clients[0] == client
    if said:
        assert clients[1] == scheme


def test_forged_address_does_not_help_a_guesser(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LEDGER_TRUSTED_PROXIES", "10.0.0.0/8")
    with started(settings_over(database_url, monkeypatch, tmp_path)) as app:

        async def guesses(peer: str) -> list[AsgiResponse]:
            return [
                await ask(app, peer, f"g{n}@example.com", f"WRONG{n}", headers={"x-forwarded-for": f"192.0.2.{n}"})
                for n in range(2 * ADDRESS.burst)
            ]

        direct = [response.status for response in inside(app, lambda: guesses("203.0.113.1"))]
        proxied = [response.status for response in inside(app, lambda: guesses("10.0.0.2"))]

    assert direct == [400] * 5 + [429] * 15
    assert proxied == [400] * 20


def test_session_names_the_network_that_a_trusted_proxy_reports(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LEDGER_TRUSTED_PROXIES", "10.0.0.0/8")
    networks = []
    with started(settings_over(database_url, monkeypatch, tmp_path)) as app:
        for peer in ("10.0.0.2", "203.0.113.1"):
            browser = StaffBrowser(app, peer)
            add_staff(app, "mei@staff.example.com", "viewer", PASSWORD)
            form = {"token": browser.token(SIGN_IN), "email": "mei@staff.example.com", "password": PASSWORD}
            browser.post(SIGN_IN, form, {"x-forwarded-for": "192.0.2.7"})
            networks += read_page(browser.get("/support/account").text).texts("td", data_label="Signed in from")

    assert networks == ["192.0.2.0/24", "203.0.113.0/24"]


def test_server_itself_trusts_no_proxy(tmp_path: Path) -> None:
    """uvicorn would take any peer on loopback for a proxy."""
    commands = (COMMANDS["backend"], ledger.api_program(DataDir(tmp_path, lock_fd=-1), 1, {}).command)

    assert all("--no-proxy-headers" in command for command in commands)


def test_network_that_is_none_ends_the_start(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Otherwise no proxy would be trusted, and all customers would share its address."""
    monkeypatch.setenv("LEDGER_TRUSTED_PROXIES", "10.0.0.0/8, nginx")

    with pytest.raises(ValidationError, match="trusted_proxies"):
        settings_over(database_url, monkeypatch, tmp_path)
