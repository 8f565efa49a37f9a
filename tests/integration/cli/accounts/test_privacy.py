"""`ledger export person`: everything about one person and only about them, with a reason, and recorded."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from domain.ports import Rejected
from projections.repositories.audit_log import OPERATOR, AuditLog
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench, done

pytestmark = pytest.mark.usefixtures("database_url")

LI, WANG = "Li.Wei@example.com", "wang.fang@example.com"
REFUSED = Rejected(
    server="mx:25", reason="temporary", final=False, reply_code=451, reply="<li.wei@example.com> is busy"
)


def filled(bench: LedgerBench) -> tuple[str, str]:
    """Two people on two codes: what one has, the other is refused."""
    first, second = bench.issue(1, bound=False), bench.issue(1, bound=False)
    theirs = done(bench.redeem(first, LI)).require_reservation().reservation_id
    bench.attempt(theirs, REFUSED)
    bench.redeem(second, WANG)
    bench.redeem(second, LI)
    bench.redeem(first, WANG)
    now = bench.storage.recorder.clock.now()
    AuditLog(bench.storage, OPERATOR, now, uuid4).record("unmasked_email", theirs, "they called")
    return first, second


def test_export_person_holds_everything_of_one_person_only(
    bench: LedgerBench, terminal: Terminal, tmp_path: Path
) -> None:
    first, second = filled(bench)
    file = tmp_path / "person.json"

    ended = terminal.ledger(
        "export", "person", "li.wei@EXAMPLE.com", "--reason", "asked by letter", "--output", str(file)
    )

    text = file.read_text("utf-8")
    document = json.loads(text)
    (person,) = document["people"]
    (reservation,) = person["reservations"]
    assert (ended.status, ended.out, file.stat().st_mode & 0o777) == (0, "", 0o600)
    assert person["email_as_typed"] == LI
    assert [event["type"] for event in reservation["events"]] == ["UseReserved", "InviteAttempted", "InviteFailed"]
    assert reservation["events"][-1]["text"] == "<li.wei@example.com> is busy"
    assert [first[-4:], second[-4:]] == [reservation["code_ends"], document["refused_tries"][0]["code_ends"]]
    assert [(entry["act"], entry["reason"]) for entry in person["done_by_staff"]] == [("unmasked_email", "they called")]
    assert not [private for private in (first, second, WANG, "wang") if private in text]
    assert bench.rows("SELECT act, subject_id IS NOT NULL FROM audit WHERE act = 'exported_person'") == [
        ("exported_person", True)
    ]
    assert "asked by letter" not in text


def test_export_person_is_empty_for_an_unknown_or_erased_person(bench: LedgerBench, terminal: Terminal) -> None:
    filled(bench)
    stranger = terminal.ledger("export", "person", "nobody@example.com", "--json")
    terminal.ledger("forget", LI)
    forgotten = terminal.ledger("export", "person", LI)

    assert [stranger.json["people"], forgotten.json["people"]] == [[], []]
    assert [stranger.json["refused_tries"], forgotten.json["refused_tries"]] == [[], []]
    assert "no person has this email address" in stranger.err
    assert terminal.ledger("export", "person", "no address").status == 2
    assert bench.rows("SELECT count(*) FROM audit WHERE act = 'exported_person' AND subject_id IS NULL") == [(2,)]


def test_retention_counts_what_would_be_erased_and_changes_nothing(bench: LedgerBench, terminal: Terminal) -> None:
    reservation_id = done(bench.redeem(bench.issue(), "li@example.com")).require_reservation().reservation_id
    bench.attempt(reservation_id)

    printed, machine = (
        terminal.ledger("retention", "--days", "1"),
        terminal.ledger("retention", "--days", "1", "--json"),
    )
    unset = terminal.ledger("retention")

    assert "        1  kept: the last change was since then" in printed.out
    assert machine.json == {"days": 1, "is_on": False, "due": 0, "kept": {"recent": 1}}
    assert (unset.status, "LEDGER_UNACCEPTED_DAYS" in unset.err) == (2, True)
    assert bench.rows("SELECT count(*) FROM recipients") == [(1,)]
