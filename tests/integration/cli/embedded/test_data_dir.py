"""A data folder serves one `ledger up` at a time, of its own version, and keeps its secrets."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from api.cli.embedded import secrets_file
from api.cli.embedded.data_dir import open_data_dir
from api.cli.embedded.environment import read_stack_environment
from api.cli.embedded.first_credentials import read_credentials
from api.cli.embedded.secrets_file import load_secrets
from api.cli.embedded.stack_error import StackError
from api.cli.embedded.state_file import StackState, delete_stack_state, write_stack_state
from api.cli.embedded.tcp_ports import HOST, find_free_port
from api.cli.embedded.up import run_up
from projections.config.variables import BROKER_PASSWORD
from projections.vault.key_ring import KeyRing
from tests.support.waiting import WAIT_S_MAX

STATE = StackState(
    api="http://127.0.0.1:8000",
    database_url="postgresql://ledger:x@127.0.0.1:20000/ledger",
    redis_url="redis://127.0.0.1:20001/0",
    mailbox="/somewhere/mailbox",
    admin_key="rl_x",
    staff_email="admin@ledger.example",
    staff_password="y",
    demo_code="",
    pid=1,
    public_url="https://ledger.example",
    smtp_url="smtp://127.0.0.1:20002",
    mail_from="ledger@ledger.example",
)


@pytest.fixture(autouse=True)
def clear_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of the person who runs the tests count for nothing here."""
    for name in list(os.environ):
        if name.startswith("LEDGER_") or name in {"DATABASE_URL", "REDIS_URL"}:
            monkeypatch.delenv(name)


def test_second_up_on_a_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_data_dir(tmp_path):
        assert run_up(tmp_path, find_free_port(), demo=False) == 2

    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert f"another `ledger up` (pid {os.getpid()}) is running on {tmp_path}" in message


def test_up_waits_for_the_watchdog_of_a_killed_run(tmp_path: Path) -> None:
    """The guardian of a killed run holds the lock until nothing runs any more; then the folder is free."""
    with subprocess.Popen(["/bin/true"]) as gone:
        gone.wait()
    with open_data_dir(tmp_path) as folder:
        (tmp_path / "lock").write_text(f"{gone.pid}\n")
        watchdog = subprocess.Popen(["/bin/sleep", "0.5"], pass_fds=(folder.lock_fd,))
    with open_data_dir(tmp_path):
        assert watchdog.wait(WAIT_S_MAX) == 0
        assert f"{os.getpid()}\n" == (tmp_path / "lock").read_text()


def test_port_in_use_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "version").write_text("1\n")
    write_stack_state(tmp_path, STATE)
    with socket.create_server((HOST, 0)) as other_server:
        port = other_server.getsockname()[1]
        assert run_up(tmp_path, port, demo=False) == 2

    message = capsys.readouterr().err
    assert f"port {port} on {HOST} is in use by another program: choose another with --port\n" == message
    assert not (tmp_path / "ledger.json").exists()


def test_folder_of_another_layout_version_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "version").write_text("99\n")

    assert run_up(tmp_path, find_free_port(), demo=False) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "created by another version (layout '99', this one uses '1')" in message


def test_foreign_folder_is_refused_and_unchanged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is made or cleared in it, even if it has names that we use."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").touch()

    assert run_up(tmp_path, find_free_port(), demo=False) == 2
    assert "is not empty (it holds run) and not a data folder of the ledger" in capsys.readouterr().err
    assert [tmp_path / "run"] == list(tmp_path.iterdir())
    assert (tmp_path / "run" / "precious").exists()


def test_folder_that_cannot_be_created_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()

    assert run_up(tmp_path / "file" / "x", find_free_port(), demo=False) == 2
    assert "choose another --data-dir" in capsys.readouterr().err


def test_secrets_are_generated_once_with_mode_600(tmp_path: Path) -> None:
    secrets = load_secrets(tmp_path)

    assert secrets == load_secrets(tmp_path)
    assert (tmp_path / secrets_file.FILE).stat().st_mode & 0o777 == 0o600
    assert KeyRing.parse(secrets["LEDGER_PEPPERS"]).current == 1
    assert secrets["LEDGER_PEPPERS"] != secrets["LEDGER_MASTER_KEYS"]


def test_secrets_of_the_environment_take_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before and after the file is made, and they are not copied into it."""
    monkeypatch.setenv("LEDGER_PEPPERS", "given")
    assert load_secrets(tmp_path)["LEDGER_PEPPERS"] == "given"
    assert "given" not in (tmp_path / secrets_file.FILE).read_text()
    monkeypatch.setenv("LEDGER_SECRET_KEY", "given too")

    assert (
        load_secrets(tmp_path)["LEDGER_PEPPERS"],
        load_secrets(tmp_path)["LEDGER_SECRET_KEY"],
    ) == ("given", "given too")


@pytest.mark.parametrize(
    ("left", "lacks"),
    [
        (b"", "LEDGER_SECRET_KEY, LEDGER_PEPPERS, LEDGER_MASTER_KEYS, LEDGER_POSTGRES_PASSWORD"),
        (b"LEDGER_SECRET_KEY=x\nLEDGER_PEPPERS=1:x\nLEDGER_MASTER_KEYS=1:x\n", "LEDGER_POSTGRES_PASSWORD"),
        (b"\x80\xff\nLEDGER_SECRET_KEY=x\nLEDGER_PEP", "LEDGER_PEPPERS, LEDGER_MASTER_KEYS, LEDGER_POSTGRES_PASSWORD"),
    ],
)
def test_truncated_secrets_file_is_refused(tmp_path: Path, left: bytes, lacks: str) -> None:
    load_secrets(tmp_path)
    (tmp_path / "postgres").mkdir()
    (tmp_path / secrets_file.FILE).write_bytes(left)

    with pytest.raises(StackError, match=rf"secrets\.env lacks {lacks}: restore it from a copy"):
        load_secrets(tmp_path)

    assert left == (tmp_path / secrets_file.FILE).read_bytes()


def test_older_folder_gets_its_missing_passwords(tmp_path: Path) -> None:
    """Those that can be set at any start; its own keys and the password of its database stay."""
    secrets = load_secrets(tmp_path)
    (tmp_path / "postgres").mkdir()
    path = tmp_path / secrets_file.FILE
    kept_lines = [line for line in path.read_text().splitlines() if "BROKER" not in line]
    path.write_text("\n".join(kept_lines) + "\n")
    again = load_secrets(tmp_path)

    assert len(again.pop(BROKER_PASSWORD)) >= 32
    assert secrets.pop(BROKER_PASSWORD)
    assert secrets == again
    assert load_secrets(tmp_path)[BROKER_PASSWORD] in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("left", [b"garbage", b"[]", b'{"admin_key": "x"}', b"\xff"])
def test_damaged_first_start_file_is_reported(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "first-start.json").write_bytes(left)

    with pytest.raises(StackError, match=r"first-start\.json is damaged: delete it"):
        read_credentials(tmp_path)


def test_missing_secrets_of_existing_data_are_not_generated_again(tmp_path: Path) -> None:
    """New keys could not open the data that is there."""
    (tmp_path / "postgres").mkdir()

    with pytest.raises(StackError, match=r"secrets\.env is missing, but .* restore that file from a copy"):
        load_secrets(tmp_path)


def test_environment_of_a_running_stack_holds_urls_and_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets what the stack wrote and the secrets, but for what the environment sets already."""
    secrets = load_secrets(tmp_path)
    write_stack_state(tmp_path, STATE)
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere")

    assert {
        "DATABASE_URL": STATE["database_url"],
        "LEDGER_CHECKPOINT_FILE": str(tmp_path / "checkpoints.jsonl"),
        "LEDGER_DATA_DIR": str(tmp_path),
        "LEDGER_MAILBOX": STATE["mailbox"],
        "LEDGER_PUBLIC_URL": STATE["public_url"],
        "LEDGER_SMTP_URL": STATE["smtp_url"],
        "LEDGER_MAIL_FROM": STATE["mail_from"],
        **{name: secrets[name] for name in ("LEDGER_SECRET_KEY", "LEDGER_PEPPERS", "LEDGER_MASTER_KEYS")},
    } == read_stack_environment(tmp_path)
    assert (tmp_path / "ledger.json").stat().st_mode & 0o777 == 0o600


def test_environment_without_a_running_stack_holds_the_folder_only(tmp_path: Path) -> None:
    delete_stack_state(tmp_path)

    assert {"LEDGER_DATA_DIR": str(tmp_path)} == read_stack_environment(tmp_path)
