"""What staff decide at the command line."""

from uuid import UUID

from domain.ports import Outcome, OutcomeUnknown
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import SENT, LedgerBench, done


def reserved(bench: LedgerBench, code: str = "", email: str = "li.wei@example.com") -> UUID:
    return done(bench.redeem(code or bench.issue(), email)).require_reservation().reservation_id


def sent(bench: LedgerBench, code: str = "", outcome: Outcome = SENT) -> UUID:
    reservation_id = reserved(bench, code)
    bench.attempt(reservation_id, outcome)
    return reservation_id


def test_code_is_paused_resumed_changed_and_revoked(bench: LedgerBench, terminal: Terminal) -> None:
    code = bench.issue(3, bound=False)
    for number in range(3):
        reserved(bench, code, f"p{number}@example.com")

    results = [
        terminal.ledger("pause", code, "--note", "checking").out,
        terminal.ledger("pause", code).out,
        terminal.ledger("resume", code).out,
        terminal.ledger("terms", code, "--max-uses", "unlimited").out,
        terminal.ledger("revoke", code).out,
    ]

    assert results == [
        "paused; used 0, reserved 3\n",
        "paused; used 0, reserved 3 (nothing to change)\n",
        "held; used 0, reserved 3\n",
        "active; used 0, reserved 3\n",
        "revoked; used 0, reserved 0\n",
    ]


def test_reservations_are_cancelled_resent_and_corrected(bench: LedgerBench, terminal: Terminal) -> None:
    code = bench.issue(5, bound=False)
    reserved_id, resent_id, wrong = (reserved(bench, code, f"{name}@example.com") for name in ("a", "b", "c"))
    bench.attempt(resent_id)

    cancelled = terminal.ledger("cancel", str(reserved_id), "--note", "double")
    resent = terminal.ledger("resend", str(resent_id), "--json")
    corrected = terminal.ledger("correct-recipient", str(wrong), "d@example.com", "--json")

    assert cancelled.out == "refunded; used 1, reserved 1\n"
    assert (resent.json["state"], resent.json["changed"]) == ("sent", True)
    assert corrected.json["reservation_id"] != str(wrong)
    assert bench.reader.find_email_addresses([UUID(corrected.json["reservation_id"])]).values()


def test_rebind_moves_an_access_to_another_group(bench: LedgerBench, terminal: Terminal) -> None:
    code = bench.issue(2)
    moving = sent(bench, code)

    never = terminal.ledger("terms", code, "--rebinds", "0").status
    wrong = terminal.ledger("terms", code, "--rebinds", "unlimited")
    terms = terminal.ledger("terms", code, "--rebinds", "3").out
    moved = terminal.ledger("rebind", str(moving), "--group", "blue", "--note", "asked", "--json")
    refused = terminal.ledger("rebind", str(moving), "--group", "", "--json")

    assert (never, wrong.status, "or the word usual" in wrong.err) == (0, 2, True)
    assert terms == "active; used 1, reserved 0\n"
    assert (moved.json["state"], moved.json["used_count"], moved.json["reserved"]) == ("reserved", 1, 0)
    assert moved.json["reservation_id"] != str(moving)
    assert refused.status == 2
    history = terminal.ledger("history", code).out
    assert "at most 3 moves to another group" in history
    assert "at most 0 moves to another group" in history


def test_notes_appear_in_the_history(bench: LedgerBench, terminal: Terminal) -> None:
    code = bench.issue()
    reservation_id = reserved(bench, code)

    terminal.ledger("note", code, "sold in a shop")
    terminal.ledger("note", str(reservation_id), "they called")

    shown = terminal.ledger("history", code).out
    assert "sold in a shop" in shown
    assert "they called" in shown


def test_use_is_refunded_once(bench: LedgerBench, terminal: Terminal) -> None:
    code = bench.issue()
    reservation_id = str(sent(bench, code))

    once = terminal.ledger("refund", reservation_id, "--note", "asked by phone", "--json")
    twice = terminal.ledger("refund", reservation_id, "--note", "again")

    assert (once.json["used_count"], twice.status, twice.err.count("\n")) == (0, 4, 1)
    assert "asked by phone" in terminal.ledger("history", code).out


def test_reset_failed_prints_the_lines_of_the_legacy_script(bench: LedgerBench, terminal: Terminal) -> None:
    """The four lines, then that there is nothing to repair."""
    code = terminal.ledger("issue", "--max-uses", "5").out.strip()
    sent(bench, code.replace("-", ""))

    lines = ["当前使用次数：1", "实际成功邀请：1", "最大使用次数：5", "使用次数正确，无需修复"]
    assert terminal.ledger("reset-failed", code).out.splitlines() == [f"代码：{code}", *lines]


def test_terms_preview_and_set_a_limit_below_the_uses(bench: LedgerBench, terminal: Terminal) -> None:
    code = bench.issue(5, bound=False)
    code_id = bench.reader.find_code(code)
    ids = [done(bench.redeem(code, f"p{nth}@example.com")).require_reservation().reservation_id for nth in range(2)]
    limit = ("terms", code, "--max-uses", "1")

    shown = terminal.ledger(*limit, "--preview")
    document = terminal.ledger(*limit, "--preview", "--json").json
    unlimited = terminal.ledger("terms", code, "--preview")
    wrong = terminal.ledger(*limit, "--counting", "some")
    from_now = terminal.ledger(*limit, "--counting", "from_now", "--json").json
    of_all = terminal.ledger(*limit, "--counting", "all", "--json").json

    first, over, last = shown.out.splitlines()
    assert first == "all: limit 1, counted 2, available -1, over the limit 1"
    assert over.startswith(f"  over: reservation {ids[1]} of 20")
    assert last == "from_now: limit 3, counted 2, available 1, over the limit 0"
    assert [choice["over"] for choice in document["choices"]] == [1, 0]
    assert [unlimited.status, wrong.status] == [2, 2]
    assert (from_now["changed"], of_all["changed"]) == (True, True)
    assert bench.rows("SELECT max_uses, reserved FROM code_balances WHERE code_id = %s", code_id) == [(1, 2)]


def test_case_is_listed_and_resolved(own_bench: LedgerBench, terminal: Terminal) -> None:
    reservation_id = sent(own_bench)
    own_bench.bounce(reservation_id)
    listed = terminal.ledger("cases")
    (case,) = terminal.ledger("cases", "--json").json

    resolved = terminal.ledger("resolve", str(reservation_id), "--as", "refunded", "--note", "asked by phone")

    assert (case["cause"], case["reservation_id"], case["closed_at"]) == ("bounced", str(reservation_id), None)
    assert (listed.status, resolved.status) == (0, 0)
    assert str(reservation_id) in listed.out
    assert "bounced after it was counted" in listed.out
    assert "ledger resolve" in listed.out
    assert resolved.out == "refunded; used 0, reserved 0\n"
    assert terminal.ledger("cases").out == "no case is open\n"
    assert "the use is refunded" in terminal.ledger("cases", "--closed").out


def test_resolve_json_names_state_and_counts(bench: LedgerBench, terminal: Terminal) -> None:
    code = bench.issue()
    reservation_id = sent(bench, code, OutcomeUnknown(server="mx:25", cause="connection_lost"))

    ended = terminal.ledger("resolve", str(reservation_id), "--as", "sent", "--note", "has it", "--json")

    assert (ended.json["state"], ended.json["used_count"], ended.json["reserved"]) == ("sent", 1, 0)
    assert "has it" in terminal.ledger("history", code).out
