"""`ledger settings`: values with their sources, masked secrets, and what is wrong with a file before it is applied."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from api.cli.embedded.state_file import StackState, write_stack_state
from projections.config.unknown_settings import OTHER_VARIABLES, setting_names
from projections.terminal.exit_codes import ExitCode
from tests.support.clients.terminal import CommandResult, Terminal

KEY = "Nk5XRmR5VGFCY0RlRmdIaUprTG1Ob1BxUnNUdVZ3WHk="
SETTINGS = {
    "DATABASE_URL": "postgresql://run:sekret@db.example/ledger",
    "LEDGER_SECRET_KEY": "sekret-session",
    "LEDGER_PEPPERS": f"1:{KEY}",
    "LEDGER_MASTER_KEYS": f"2:{KEY}",
}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """A shell with the settings that a process needs, and no others."""
    for name in (*setting_names(), *OTHER_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**SETTINGS, "LEDGER_DATA_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    return Terminal(capsys)


def rows(result: CommandResult) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in result.json["settings"]}


def test_settings_shows_each_value_with_its_source_and_meaning(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "more.env").write_text("LEDGER_LEASE_S=75\nLEDGER_SWEEP_S=9\n")
    monkeypatch.setenv("LEDGER_SECRETS_FILE", str(tmp_path / "more.env"))
    monkeypatch.setenv("LEDGER_SWEEP_S", "4.5")

    result = terminal.ledger("settings", "--json")
    shown = rows(result)

    assert (result.status, result.json["problems"], result.err) == (0, [], "")
    assert [*shown] == [*setting_names(), "LEDGER_SECRETS_FILE"]
    sources = {name: (shown[name]["value"], shown[name]["source"]) for name in ("LEDGER_LEASE_S", "LEDGER_SWEEP_S")}
    assert sources == {
        "LEDGER_LEASE_S": ("75", str(tmp_path / "more.env")),
        "LEDGER_SWEEP_S": ("4.5", "environment"),
    }
    assert shown["LEDGER_MAX_ATTEMPTS"] == {
        "name": "LEDGER_MAX_ATTEMPTS",
        "value": "8",
        "source": "default",
        "default": "8",
        "description": "attempts for each delivery",
    }


def test_settings_prints_lines_that_grep_finds(terminal: Terminal) -> None:
    """Name, value and source stand on one line, the meaning below it, without the targets of links."""
    result = terminal.ledger("settings")
    lines = result.out.splitlines()

    assert (result.status, result.err) == (0, "")
    at = lines.index("LEDGER_WEBHOOK_TIMEOUT_S=15 (default)")
    assert lines[at + 1].startswith("    timeout in seconds for one message to a webhook, from the DNS lookup")
    assert "LEDGER_READ_DATABASE_URL= (default)" in lines


def test_settings_masks_secrets(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In text and JSON, of the environment and of files; of a URL the password alone."""
    monkeypatch.setenv("LEDGER_SMTP_URL", "smtp+starttls://sender:sek/ret#p@ss@mail.example:587")
    monkeypatch.setenv("REDIS_URL", "sentinel://:sekret@s1:26379/0?master_name=x&sentinel_password=sekret")
    monkeypatch.setenv("LEDGER_TRACES_URL", "https://user:sekret@collector.example/v1/traces")
    file = tmp_path / "new.env"
    file.write_text("LEDGER_OWNER_DATABASE_URL='host=db user=o password=sekret'\nLEDGER_MASTER_KEYS=sekret\n")

    result, document = terminal.ledger("settings", str(file)), terminal.ledger("settings", str(file), "--json")
    shown = rows(document)

    assert not any(secret in result.out + result.err + document.out for secret in ("sek", KEY))
    assert {name: shown[name]["value"] for name in ("DATABASE_URL", "LEDGER_SMTP_URL", "REDIS_URL")} == {
        "DATABASE_URL": "postgresql://run:***@db.example/ledger",
        "LEDGER_SMTP_URL": "smtp+starttls://sender:***@mail.example:587",
        "REDIS_URL": "sentinel://:***@s1:26379/0?master_name=x&sentinel_password=***",
    }
    assert shown["LEDGER_TRACES_URL"]["value"] == "https://user:***@collector.example/v1/traces"
    assert shown["LEDGER_OWNER_DATABASE_URL"]["value"] == shown["LEDGER_PEPPERS"]["value"] == "***"
    assert "LEDGER_OWNER_DATABASE_URL=*** (" in result.out


def test_settings_names_the_files_of_a_running_stack(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As every other command reads them."""
    for name in ("DATABASE_URL", "LEDGER_SECRET_KEY"):
        monkeypatch.delenv(name)
    state: StackState = {
        "api": "http://127.0.0.1:1", "database_url": "postgresql://ledger:sekret@127.0.0.1:1/ledger",
        "redis_url": "redis://127.0.0.1:1/0", "mailbox": None, "admin_key": "", "staff_email": "", "staff_password": "",
        "demo_code": "", "pid": 1,
    }  # fmt: skip
    write_stack_state(tmp_path, state)
    (tmp_path / "secrets.env").write_text("LEDGER_SECRET_KEY=sekret\nLEDGER_LEASE=75\n")

    result = terminal.ledger("settings", "--json")
    shown = rows(result)

    assert shown["DATABASE_URL"]["source"] == shown["REDIS_URL"]["source"] == str(tmp_path / "ledger.json")
    assert shown["LEDGER_SECRET_KEY"]["source"] == str(tmp_path / "secrets.env")
    assert shown["LEDGER_PEPPERS"]["source"] == shown["LEDGER_DATA_DIR"]["source"] == "environment"
    assert result.json["problems"] == [
        f"{tmp_path}/secrets.env: LEDGER_LEASE is not a setting, did you mean LEDGER_LEASE_S?"
    ]
    assert result.status == ExitCode.FINDINGS


def test_settings_shows_everything_although_a_value_is_missing_or_malformed(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is needed most."""
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("LEDGER_SEND_CONCURRENCY", "many")
    monkeypatch.setenv("LEDGER_TRUSTED_PROXIES", "nginx")

    result = terminal.ledger("settings")

    assert (result.status, len(result.out.splitlines()) > 2 * len(setting_names())) == (ExitCode.FINDINGS, True)
    assert result.err.splitlines() == [
        "DATABASE_URL is missing: set it, or name the file that holds it in LEDGER_SECRETS_FILE",
        "LEDGER_TRUSTED_PROXIES: 'nginx' does not appear to be an IPv4 or IPv6 network",
        "LEDGER_SEND_CONCURRENCY: Input should be a valid integer, unable to parse string as an integer",
    ]


BAD_LINES = [
    (b"LEDGER_LEASE_S=75\n", [], []),
    (b"", [], []),
    (b"\xef\xbb\xbf# a comment\n\n  export LEDGER_LEASE_S = 75\n", [], []),
    (b"LEDGER_SMTP_TIME_S=45\n", ["LEDGER_SMTP_TIME_S is not a setting, did you mean LEDGER_SMTP_TIMEOUT_S?"], []),
    (b"SMTP_URL=null://\n", ["SMTP_URL is not a setting, did you mean LEDGER_SMTP_URL?"], []),
    (b"LEDGER_LEASE_S=75\nledger_lease_s=90\n", ["line 2 sets LEDGER_LEASE_S again: line 1 has no effect"], []),
    (b"LEDGER_LEASE_S='75'\n", [], ["line 1: the quotes are not part of the value of LEDGER_LEASE_S"]),
    (b"LEDGER_LEASE_S=75\r\n", [], ["the lines end in CRLF, which is not part of a value"]),
    (
        b"LEDGER_MAIL_FROM='a@b.example\n",
        ["line 1: the quote that begins the value of LEDGER_MAIL_FROM does not end on the line"],
        [],
    ),
    (b"LEDGER_LEASE_S: 75\n", ["line 1 is not NAME=value: it has no effect"], []),
    (
        b"LEDGER_SECRET_KEY=pa$word\n",
        ["line 1: Compose replaces $ and the name after it: write the value of LEDGER_SECRET_KEY in single quotes"],
        [],
    ),
    (
        b"LEDGER_SECRET_KEY=pass #word\n",
        ["line 1: Compose takes what follows # for a comment: write the value of LEDGER_SECRET_KEY in single quotes"],
        [],
    ),
    (
        b"LEDGER_SEND_CONCURRENCY=many\n",
        ["LEDGER_SEND_CONCURRENCY: Input should be a valid integer, unable to parse string as an integer"],
        [],
    ),
    (
        b"LEDGER_LEASE_S=10\n",
        ["LEDGER_SMTP_TIMEOUT_S must be below LEDGER_LEASE_S: a lease must last longer than one send"],
        [],
    ),
    (
        b"LEDGER_DATABASE_PASSWORD_FILE=/nowhere\nDATABASE_URL=postgresql://run@db.example/ledger\n",
        ["DATABASE_URL: the password file /nowhere cannot be read (No such file or directory): correct its path"],
        [],
    ),
    (b"\xff\x00=1\n", ["line 1 is not NAME=value: it has no effect"], []),
]


@pytest.mark.parametrize(("content", "problems", "notes"), BAD_LINES, ids=lambda value: repr(value)[:40])
def test_settings_checks_a_file_before_it_is_applied(
    terminal: Terminal, tmp_path: Path, content: bytes, problems: list[str], notes: list[str]
) -> None:
    file = tmp_path / "new.env"
    file.write_bytes(content)

    result = terminal.ledger("settings", str(file), "--json")

    assert (result.json["problems"], result.json["notes"]) == (problems, notes)
    assert result.status == (ExitCode.FINDINGS if problems else 0)
    assert terminal.ledger("settings", str(file)).err.splitlines() == [*notes, *problems]
    assert file.read_bytes() == content


def test_settings_shows_the_values_that_a_file_would_give(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lines take precedence, as those of a new `.env` will; the file may come on stdin."""
    monkeypatch.setenv("LEDGER_LEASE_S", "75")
    standard_input = io.TextIOWrapper(io.BytesIO(b"LEDGER_LEASE_S=91\r\nLEDGER_SWEEP_S=\r\n"))
    monkeypatch.setattr(sys, "stdin", standard_input)

    shown = rows(terminal.ledger("settings", "-", "--json"))

    assert (shown["LEDGER_LEASE_S"]["value"], shown["LEDGER_LEASE_S"]["source"]) == ("91", "-")
    assert (shown["LEDGER_SWEEP_S"]["value"], shown["LEDGER_SWEEP_S"]["source"]) == ("3", "default")


def test_settings_reports_a_file_that_cannot_be_read(terminal: Terminal, tmp_path: Path) -> None:
    result = terminal.ledger("settings", str(tmp_path / "none.env"))

    assert (result.status, result.out) == (ExitCode.USAGE, "")
    assert "none.env cannot be read (No such file or directory)" in result.err
