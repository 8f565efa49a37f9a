"""`ledger change-codes`: counts without --apply, one event for each code with it, refusals by their code."""

from pathlib import Path
from uuid import UUID

from domain.model.hand_out import list_codes_of_line
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench


def test_codes_of_a_group_are_counted_then_paused_once(own_bench: LedgerBench, terminal: Terminal) -> None:
    own_bench.issue()
    codes = [own_bench.issue(group="VIP") for _ in range(5)]
    counted = terminal.ledger("change-codes", "pause", "group:VIP", "--note", "leaked")
    paused = terminal.ledger("change-codes", "pause", "group:VIP", "--note", "leaked", "--apply")
    again = terminal.ledger("change-codes", "pause", "group:VIP", "--note", "leaked", "--apply", "--json")
    history = terminal.ledger("history", codes[0])

    assert (counted.status, "5 active" in counted.out, "nothing was changed" in counted.out) == (0, True, True)
    assert (paused.status, "pause: 5 of 5 codes" in paused.out) == (0, True)
    assert (again.json["codes"], again.json["refused"]) == (5, [])
    assert "leaked" in history.out
    assert own_bench.rows("SELECT count(*) FROM code_balances WHERE is_paused") == [(5,)]
    assert own_bench.rows("SELECT count(*) FROM audit WHERE act = 'changed_codes'") == [(2,)]


def test_revoked_codes_are_refused_and_named(own_bench: LedgerBench, terminal: Terminal) -> None:
    codes = [own_bench.issue(group="VIP") for _ in range(3)]
    terminal.ledger("revoke", codes[0])
    result = terminal.ledger(
        "change-codes", "extend", "group:VIP", "--expires-at", "2099-01-01", "--note", "longer", "--apply"
    )

    assert (result.status, "extend: 2 of 3 codes" in result.out) == (4, True)
    assert result.err.count("CODE_REVOKED") == 1
    assert own_bench.rows("SELECT count(*) FROM code_balances WHERE expires_at IS NOT NULL") == [(2,)]


def test_codes_of_a_line_are_revoked_together(own_bench: LedgerBench, terminal: Terminal, tmp_path: Path) -> None:
    """Named by the first code, and not by another; the codes of other recipients stay."""
    hand_out = terminal.ledger("hand-out", "create", str(own_bench.create_campaign()), "Shops").out.strip()
    file = tmp_path / "list.csv"
    file.write_text("email,count\nshop@example.com,3\nli@example.com,2\n", "utf-8")
    terminal.ledger("hand-out", "add", hand_out, str(file), "--apply")
    rows = terminal.ledger("hand-out", "recipients", hand_out, "--json").json
    line_id, other_id = (UUID(row["code_id"]) for row in rows)
    for code_id in (line_id, other_id):
        own_bench.hand_out_code(code_id)

    more = terminal.ledger("change-codes", "revoke", f"line:{list_codes_of_line(line_id, 3)[1]}")
    counted = terminal.ledger("change-codes", "revoke", f"line:{line_id}", "--note", "shop closed")
    revoked = terminal.ledger("change-codes", "revoke", f"line:{line_id}", "--note", "shop closed", "--apply")
    states = [row["state"] for row in terminal.ledger("hand-out", "recipients", hand_out, "--json").json]

    assert (more.status, counted.status, "3 active" in counted.out) == (4, 0, True)
    assert (revoked.status, "revoke: 3 of 3 codes" in revoked.out) == (0, True)
    assert own_bench.rows("SELECT count(*) FROM code_balances WHERE revoked_by IS NOT NULL") == [(3,)]
    assert states == ["expired", "sent"]
