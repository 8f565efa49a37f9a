"""`ledger doctor` about single sign-on: whether staff can sign in, also while the provider does not answer."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clients.terminal import Terminal
from tests.support.servers.databases import execute
from tests.support.servers.identity_provider import SECRET, ScriptedProvider


def check(terminal: Terminal, name: str) -> tuple[str, str]:
    (result,) = [each for each in terminal.ledger("doctor", "--json").json["checks"] if each["name"] == name]
    return result["status"], result["found"]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ScriptedProvider]:
    """One account may use its password."""
    secret = tmp_path / "client-secret"
    secret.write_text(SECRET)
    with ScriptedProvider(time.time) as identity_provider:
        monkeypatch.setenv("LEDGER_OIDC_ISSUER", identity_provider.url)
        monkeypatch.setenv("LEDGER_OIDC_CLIENT_ID", "ledger")
        monkeypatch.setenv("LEDGER_OIDC_CLIENT_SECRET_FILE", str(secret))
        monkeypatch.setenv("LEDGER_OIDC_ROLES", "owners=admin")
        monkeypatch.setenv("LEDGER_PASSWORD_SIGN_IN", "break-glass")
        yield identity_provider


def test_doctor_asks_the_provider(terminal: Terminal, provider: ScriptedProvider) -> None:
    """A provider that does not answer is named before someone has to sign in."""
    answering = check(terminal, "single sign-on")
    provider.answer = lambda _: (503, b"")
    silent = check(terminal, "single sign-on")

    assert (silent[0], answering) == (
        "wrong",
        ("ok", f"{provider.url} answers, and signs with keys that the ledger reads"),
    )


@pytest.mark.usefixtures("provider")
def test_doctor_reminds_of_the_account_of_last_resort(terminal: Terminal, database_url: str) -> None:
    """Without one, no one gets in while the provider does not answer, which is when it is needed."""
    terminal.ledger("staff", "add", "owner@staff.example.com", "--role", "admin", "--link")
    execute(database_url, "UPDATE staff SET password_hash = 'x'")
    before = check(terminal, "break-glass")
    chosen = terminal.ledger("staff", "break-glass", "owner@staff.example.com")
    assert chosen.status == 0, chosen

    assert before == ("reminder", "no account can sign in while the identity provider does not answer")
    assert check(terminal, "break-glass") == ("ok", "one account can sign in with its password")
