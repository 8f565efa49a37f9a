"""`ledger cases` and `ledger resolve`."""

from uuid import UUID

from domain.ports import OutcomeUnknown
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench, done

LOST = OutcomeUnknown(server="mx:25", cause="connection_lost")


def bounced(bench: LedgerBench) -> UUID:
    reservation_id = done(bench.redeem(bench.issue(), "li.wei@example.com")).require_reservation().reservation_id
    bench.attempt(reservation_id)
    bench.bounce(reservation_id)
    return reservation_id


def test_case_is_listed_and_resolved(bench: LedgerBench, terminal: Terminal) -> None:
    reservation_id = bounced(bench)
    listed = terminal.ledger("cases")

    resolved = terminal.ledger("resolve", str(reservation_id), "--as", "refunded", "--note", "asked by phone")

    assert (listed.status, resolved.status) == (0, 0)
    assert str(reservation_id) in listed.out
    assert "bounced after it was counted" in listed.out
    assert "ledger resolve" in listed.out
    assert resolved.out == "refunded; used 0, reserved 0\n"
    assert terminal.ledger("cases").out == "no case is open\n"
    assert "the use is refunded" in terminal.ledger("cases", "--closed").out


def test_cases_json_lists_each_case(bench: LedgerBench, terminal: Terminal) -> None:
    reservation_id = bounced(bench)

    (case,) = terminal.ledger("cases", "--json").json

    assert (case["cause"], case["reservation_id"], case["closed_at"]) == ("bounced", str(reservation_id), None)


def test_resolve_json_names_state_and_counts(bench: LedgerBench, terminal: Terminal) -> None:
    reservation_id = done(bench.redeem(bench.issue(), "li.wei@example.com")).require_reservation().reservation_id
    bench.attempt(reservation_id, LOST)

    ended = terminal.ledger("resolve", str(reservation_id), "--as", "sent", "--note", "has it", "--json")

    assert (ended.json["state"], ended.json["used_count"], ended.json["reserved"]) == ("sent", 1, 0)
    (text_id,) = bench.rows("SELECT text_id FROM private_texts")[0]
    assert bench.reader.find_private_text(text_id) == "has it"


def test_resolve_refuses_in_one_line(bench: LedgerBench, terminal: Terminal) -> None:
    reservation_id = done(bench.redeem(bench.issue(), "li.wei@example.com")).require_reservation().reservation_id

    refused = terminal.ledger("resolve", str(reservation_id), "--as", "sent", "--note", "?")

    assert refused.status == 4
    assert "no case to resolve" in refused.err
    assert refused.out == ""
    assert terminal.ledger("resolve", "x", "--as", "sent", "--note", "?").status == 2
    assert terminal.ledger("resolve", str(reservation_id), "--as", "lost", "--note", "?").status == 2
