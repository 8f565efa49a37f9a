"""Commands of operators that change or reveal something next to the event log leave a line in the audit log."""

from pathlib import Path

import pytest

from projections.repositories.staff_sessions import AuditRow, StaffSessionRepository
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench, done

NEW = "new@staff.example.com"
ADMIN = "admin@staff.example.com"


def audited(bench: LedgerBench) -> list[AuditRow]:
    """Lines, oldest first."""
    return StaffSessionRepository(bench.storage).list_audit_page(2**62, 100)[::-1]


@pytest.fixture
def filled(bench: LedgerBench, terminal: Terminal) -> str:
    """A person with a reservation, a staff member and a key, whose id it gives."""
    done(bench.redeem(bench.issue(), "li.wei@example.com"))
    for email, role in ((ADMIN, "admin"), (NEW, "viewer")):
        terminal.ledger("staff", "add", email, "--role", role)
    return str(terminal.ledger("key", "create", "reports", "--role", "viewer", "--json").json["id"])


def test_commands_that_change_or_reveal_are_in_the_audit_log(
    bench: LedgerBench, terminal: Terminal, filled: str, tmp_path: Path
) -> None:
    """By an operator, with what was changed; a command that did nothing leaves none."""
    before = len(audited(bench))
    commands = (
        ("changed_role", ("staff", "role", NEW, "support")),
        ("reset_password", ("staff", "password", NEW)),
        ("removed_staff", ("staff", "remove", NEW)),
        ("revoked_key", ("key", "revoke", filled)),
        ("exported_codes", ("export", "codes", "--output", str(tmp_path / "codes.csv"))),
        ("exported_emails", ("export", "reservations", "--emails", "--output", str(tmp_path / "emails.csv"))),
        ("exported_person", ("export", "person", "li.wei@example.com", "--output", str(tmp_path / "person.json"))),
        ("exported_vault", ("export", "vault", "--output", str(tmp_path / "vault.jsonl"))),
        ("exported_keys", ("keys", "export", "--output", str(tmp_path / "keys.env"))),
        ("forgot_person", ("forget", "li.wei@example.com", "--reason", "asked")),
    )
    for _, command in commands:
        ended = terminal.ledger(*command)
        assert ended.status == 0, (command, ended.err)

    lines = audited(bench)[before:]

    assert [action for action, _ in commands] == [line.act for line in lines]
    assert {(None, None)} == {(line.staff_id, line.key_id) for line in lines}
    assert lines[0].reason == "role: viewer -> support"
    again = terminal.ledger("key", "revoke", filled), terminal.ledger("staff", "remove", NEW)
    assert [ended.status for ended in again] == [4, 4]
    assert len(commands) == len(audited(bench)) - before
