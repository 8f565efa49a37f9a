"""Commands of an operator propose where a second person is needed; they list and reject, and never approve."""

from uuid import UUID

import pytest

from projections.terminal.exit_codes import ExitCode
from tests.support.clients.guarded_app import EVERYTHING
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench, done

pytestmark = pytest.mark.usefixtures("database_url")


@pytest.fixture
def guarded(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("LEDGER_APPROVALS", EVERYTHING)
    monkeypatch.setenv("LEDGER_APPROVAL_REFUND_USES", "0")
    return terminal


def reserve(bench: LedgerBench) -> tuple[UUID, UUID]:
    code = bench.issue(1, group="VIP")
    reservation = done(bench.redeem(code, "li.wei@example.com")).require_reservation()
    return reservation.reservation_id, reservation.code_id


def test_commands_propose_and_change_nothing(bench: LedgerBench, guarded: Terminal) -> None:
    """Each names its proposal; a repeat names the same one. The export writes no file."""
    reservation_id, code_id = reserve(bench)
    sent_id, _ = reserve(bench)
    bench.attempt(sent_id)
    campaign = guarded.ledger("campaign", "create", "Spring", "--json").json["id"]
    before = bench.rows("SELECT count(*) FROM ledger_events")
    commands = [
        ("refund", str(sent_id), "--note", "asked"),
        ("cancel", str(reservation_id), "--note", "asked"),
        ("reset-failed", str(code_id)),
        ("refund-outage", "--from", "2020-01-01", "--to", "2100-01-01", "--include-sent", "--apply"),
        ("change-codes", "revoke", "group:VIP", "--note", "leaked", "--apply"),
        ("campaign", "end", campaign, "--note", "over"),
        ("export", "person", "li.wei@example.com", "--reason", "asked"),
        ("forget", "li.wei@example.com", "--reason", "asked"),
    ]

    ended = [guarded.ledger(*command) for command in commands for _ in range(2)]

    assert [each.status for each in ended] == [ExitCode.REFUSED] * 2 * len(commands)
    assert all("waits for the approval of another person: proposal " in each.err for each in ended)
    assert all(one.err == other.err for one, other in zip(ended[::2], ended[1::2], strict=True))
    assert bench.rows("SELECT count(*) FROM ledger_events") == before
    assert bench.rows("SELECT count(*) FROM approvals") == [(len(commands),)]
    assert bench.rows("SELECT count(*) FROM recipients") == [(1,)]


def test_operator_lists_and_rejects_and_cannot_approve(bench: LedgerBench, guarded: Terminal) -> None:
    bare = guarded.ledger("approvals", "list")
    guarded.ledger("forget", "li.wei@example.com")
    (listed,) = guarded.ledger("approvals", "list", "--json").json
    shown = guarded.ledger("approvals", "list")
    bench.rows("UPDATE approvals SET state = 'approved' RETURNING 1")
    late = guarded.ledger("approvals", "reject", listed["id"], "--note", "no")
    bench.rows("UPDATE approvals SET state = 'waiting' RETURNING 1")

    rejected = guarded.ledger("approvals", "reject", listed["id"], "--note", "wrong person", "--json")

    assert "no proposal is open" in bare.out
    assert (listed["kind"], listed["state"], listed["proposed_by"]) == ("erase_person", "waiting", "operator")
    assert listed["id"] in shown.out
    assert (late.status, rejected.status, rejected.json) == (4, 0, {"id": listed["id"], "state": "rejected"})
    assert guarded.ledger("approvals", "list", "--json").json == []
    assert len(guarded.ledger("approvals", "list", "--closed", "--json").json) == 1
    assert "there are" not in guarded.ledger("approvals", "list", "--closed").out
    assert bench.rows("SELECT act FROM audit ORDER BY audit_id") == [("proposed",), ("rejected",)]


def test_nothing_waits_unless_a_setting_names_it(bench: LedgerBench, terminal: Terminal) -> None:
    reservation_id, _ = reserve(bench)

    assert terminal.ledger("cancel", str(reservation_id), "--note", "asked").status == 0
    assert terminal.ledger("forget", "li.wei@example.com").status == 0
    assert bench.rows("SELECT count(*) FROM approvals") == [(0,)]
