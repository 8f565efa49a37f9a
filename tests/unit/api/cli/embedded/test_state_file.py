import json
from pathlib import Path

import pytest

from api.cli.embedded.environment import read_stack_environment
from api.cli.embedded.state_file import FILE, StackState, read_stack_state, write_stack_state

EARLIER = StackState(
    api="http://127.0.0.1:8000",
    database_url="postgresql://ledger:x@127.0.0.1:20000/ledger",
    redis_url="redis://127.0.0.1:20001/0",
    mailbox=None,
    admin_key="rl_x",
    staff_email="admin@ledger.example",
    staff_password="y",
    demo_code="",
    pid=1,
)


def test_file_of_an_earlier_version_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEDGER_PUBLIC_URL", "LEDGER_SMTP_URL", "LEDGER_MAIL_FROM", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    write_stack_state(tmp_path, EARLIER)
    environment = read_stack_environment(tmp_path)

    assert read_stack_state(tmp_path) == EARLIER
    assert environment["LEDGER_PUBLIC_URL"] == EARLIER["api"]
    assert not {"LEDGER_SMTP_URL", "LEDGER_MAIL_FROM"} & environment.keys()


@pytest.mark.parametrize("content", ["", "[]", json.dumps({"api": "http://127.0.0.1:8000"})])
def test_malformed_file_is_not_a_stack(tmp_path: Path, content: str) -> None:
    write_stack_state(tmp_path, EARLIER)
    assert read_stack_state(tmp_path) is not None
    (tmp_path / FILE).write_text(content, "utf-8")

    assert read_stack_state(tmp_path) is None
