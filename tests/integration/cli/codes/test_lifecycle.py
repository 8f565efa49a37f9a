"""What staff decide at the command line."""

from uuid import UUID, uuid4

import pytest

from domain.commands.delivery.accept_invite import AcceptInvite
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench, done


def reserved(bench: LedgerBench, code: str, email: str = "li.wei@example.com") -> UUID:
    return done(bench.redeem(code, email)).require_reservation().reservation_id


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
    reserved_id, sent, wrong = (reserved(bench, code, f"{name}@example.com") for name in ("a", "b", "c"))
    bench.attempt(sent)

    cancelled = terminal.ledger("cancel", str(reserved_id), "--note", "double")
    resent = terminal.ledger("resend", str(sent), "--json")
    corrected = terminal.ledger("correct-recipient", str(wrong), "d@example.com", "--json")

    assert cancelled.out == "refunded; used 1, reserved 1\n"
    assert (resent.json["state"], resent.json["changed"]) == ("sent", True)
    assert corrected.json["reservation_id"] != str(wrong)
    assert bench.reader.find_email_addresses([UUID(corrected.json["reservation_id"])]).values()


def test_rebind_moves_an_access_to_another_group(bench: LedgerBench, terminal: Terminal) -> None:
    code = bench.issue(2)
    sent = reserved(bench, code)
    bench.attempt(sent)

    never = terminal.ledger("terms", code, "--rebinds", "0").status
    wrong = terminal.ledger("terms", code, "--rebinds", "unlimited")
    terms = terminal.ledger("terms", code, "--rebinds", "3").out
    moved = terminal.ledger("rebind", str(sent), "--group", "blue", "--note", "asked", "--json")
    refused = terminal.ledger("rebind", str(sent), "--group", "", "--json")

    assert (never, wrong.status, "or the word usual" in wrong.err) == (0, 2, True)
    assert terms == "active; used 1, reserved 0\n"
    assert (moved.json["state"], moved.json["used_count"], moved.json["reserved"]) == ("reserved", 1, 0)
    assert moved.json["reservation_id"] != str(sent)
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


def test_refund_revokes_the_access_on_request(bench: LedgerBench, terminal: Terminal) -> None:
    reservation_id = reserved(bench, bench.issue())
    bench.attempt(reservation_id)

    terminal.ledger("refund", str(reservation_id), "--note", "asked", "--revoke-access")

    assert bench.rows("SELECT topic FROM ledger_events ORDER BY notification_id DESC LIMIT 1") == [("AccessRevoked:1",)]


def test_refund_of_an_accepted_use_requires_an_access_option(bench: LedgerBench, terminal: Terminal) -> None:
    reservation_id = reserved(bench, bench.issue())
    bench.attempt(reservation_id)
    bench.run(AcceptInvite(context=bench.context(), reservation_id=reservation_id, delivery=1, case_id=uuid4()))

    refused = terminal.ledger("refund", str(reservation_id), "--note", "asked")
    terminal.ledger("refund", str(reservation_id), "--note", "asked", "--keep-access")

    assert (refused.status, "--keep-access" in refused.err) == (4, True)
    assert bench.rows("SELECT topic FROM ledger_events ORDER BY notification_id DESC LIMIT 1") == [("UseRefunded:1",)]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("pause", "no-such-code"), 2, "no such code"),
        (("cancel", "x"), 2, "reservation id"),
        (("correct-recipient", "00000000-0000-0000-0000-000000000001", "nonsense"), 2, "is not one email address"),
        (("resend", "00000000-0000-0000-0000-000000000001"), 4, "no such reservation"),
    ],
)
def test_wrong_action_ends_in_one_line_and_its_exit_code(
    bench: LedgerBench, terminal: Terminal, arguments: tuple[str, ...], status: int, words: str
) -> None:
    bench.issue()

    ended = terminal.ledger(*arguments)

    assert (ended.status, ended.out) == (status, "")
    assert words.lower() in ended.err.lower()


def test_terms_refuses_a_limit_below_the_used_and_reserved_uses(bench: LedgerBench, terminal: Terminal) -> None:
    """So that one knows which limit is possible."""
    code = bench.issue(3, bound=False)
    reserved(bench, code, "a@example.com")
    reserved(bench, code, "b@example.com")

    ended = terminal.ledger("terms", code, "--max-uses", "1")

    assert ended.status == 4
    assert ended.err.startswith("Uses that are used or reserved: 2.")


def test_group_named_like_an_email_address_is_refused(bench: LedgerBench, terminal: Terminal) -> None:
    result = terminal.ledger("issue", "--max-uses", "1", "--group", "li.wei@example.com")

    assert (result.status, "is an email address, which events may not hold" in result.err) == (2, True)
    assert bench.rows("SELECT count(*) FROM ledger_events") == [(0,)]


def test_terms_preview_and_set_a_limit_below_the_uses(bench: LedgerBench, terminal: Terminal) -> None:
    code = bench.issue(5, bound=False)
    ids = [done(bench.redeem(code, f"p{nth}@example.com")).require_reservation().reservation_id for nth in range(2)]
    limit = ("terms", code, "--max-uses", "1")

    shown = terminal.ledger(*limit, "--preview")
    document = terminal.ledger(*limit, "--preview", "--json").json
    unlimited = terminal.ledger("terms", code, "--preview")
    refused, wrong = terminal.ledger(*limit), terminal.ledger(*limit, "--counting", "some")
    from_now = terminal.ledger(*limit, "--counting", "from_now", "--json").json
    of_all = terminal.ledger(*limit, "--counting", "all", "--json").json

    first, over, last = shown.out.splitlines()
    assert first == "all: limit 1, counted 2, available -1, over the limit 1"
    assert over.startswith(f"  over: reservation {ids[1]} of 20")
    assert last == "from_now: limit 3, counted 2, available 1, over the limit 0"
    assert [choice["over"] for choice in document["choices"]] == [1, 0]
    assert [unlimited.status, refused.status, wrong.status] == [2, 4, 2]
    assert (from_now["changed"], of_all["changed"]) == (True, True)
    assert bench.rows("SELECT max_uses, reserved FROM code_balances") == [(1, 2)]
