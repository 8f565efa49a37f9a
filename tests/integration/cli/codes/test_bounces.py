"""`ledger bounces take`: what a mail server pipes, recorded once; and what it answers, so that nothing is lost."""

import io
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from domain.commands.campaign.waiting_list import JoinWaitingList
from domain.values.mail.mail_token import MailKind, MailRef, mail_token
from tests.support.clients.terminal import CommandResult, Terminal
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.settings import settings_for
from tests.unit.workers.mail_reports.reports import VACATION, status_report


def token_of(bench: LedgerBench, subject_id: UUID, kind: MailKind = "invite") -> str:
    """Return the token of the first email about a reservation or a code."""
    secret = settings_for(bench.database_url).secret_key.get_secret_value().encode()
    return mail_token(secret, MailRef(kind, subject_id, 1), datetime.now(UTC))


def sent_invitation(bench: LedgerBench, email: str = "li@example.com") -> UUID:
    reservation_id = done(bench.redeem(bench.issue(), email)).require_reservation().reservation_id
    bench.attempt(reservation_id)
    return reservation_id


def handed_out_code(bench: LedgerBench) -> UUID:
    bench.create_hand_out()
    ((code_id,),) = bench.rows("SELECT code_id FROM hand_out_recipients")
    bench.hand_out_code(code_id)
    return UUID(str(code_id))


def count_rows(bench: LedgerBench) -> list[tuple[int]]:
    """Return the numbers of events and of private texts."""
    return bench.rows("SELECT count(*) FROM ledger_events UNION ALL SELECT count(*) FROM private_texts")


def take(terminal: Terminal, folder: Path, content: bytes, *options: str) -> CommandResult:
    file = folder / "report.eml"
    file.write_bytes(content)
    return terminal.ledger("bounces", "take", str(file), *options)


def test_report_is_recorded_once_and_says_so(own_bench: LedgerBench, terminal: Terminal, tmp_path: Path) -> None:
    reservation_id = sent_invitation(own_bench)
    content = status_report(token=token_of(own_bench, reservation_id))

    first = take(terminal, tmp_path, content, "--json")
    again = take(terminal, tmp_path, content, "--json")
    words = take(terminal, tmp_path, content)

    assert first.json == {"taken": True, "reservation_id": str(reservation_id), "event": "InviteBounced"}
    assert again.json == {"taken": False, "reservation_id": str(reservation_id), "why": "known"}
    assert (words.status, "it was recorded before" in words.err) == (0, True)
    assert own_bench.rows("SELECT cause FROM suppressed_addresses") == [("mailbox_unknown",)]


def test_report_about_a_handed_out_code_names_the_code(
    own_bench: LedgerBench, terminal: Terminal, tmp_path: Path
) -> None:
    """Its email is one of the code, not of a reservation."""
    code_id = handed_out_code(own_bench)

    answer = take(terminal, tmp_path, status_report(token=token_of(own_bench, code_id, "hand_out")), "--json").json

    assert answer == {"taken": True, "code_id": str(code_id), "event": "HandOutBounced"}


def test_report_about_an_offer_names_the_place(own_bench: LedgerBench, terminal: Terminal, tmp_path: Path) -> None:
    campaign_id = own_bench.create_campaign(max_uses=1, waiting_hours=24)
    code = own_bench.issue(9, bound=False, campaign_id=campaign_id)
    own_bench.redeem(code, "first@example.com")
    own_bench.storage.ledger.execute_one(JoinWaitingList(redeem=own_bench.reserve(code, "li@example.com")))
    ((place_id,),) = own_bench.rows("SELECT place_id FROM waiting_places")
    content = status_report(token=token_of(own_bench, place_id, "offer"))

    answers = [take(terminal, tmp_path, content, "--json").json for _ in range(2)]

    assert answers == [
        {"taken": True, "place_id": str(place_id), "event": "WaitingListLeft"},
        {"taken": False, "place_id": str(place_id), "why": "known"},
    ]
    assert own_bench.rows("SELECT waiting FROM campaigns") == [(None,)]
    assert own_bench.rows("SELECT cause FROM suppressed_addresses") == [("mailbox_unknown",)]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (VACATION.format(token="x").encode(), "no_report"),
        (status_report(token="a" * 47), "no_token"),
        (b"\0\xff" * 1000, "no_report"),
        (b"", "no_report"),
    ],
)
def test_message_that_reports_nothing_is_answered_like_one_that_does(
    terminal: Terminal, tmp_path: Path, content: bytes, why: str
) -> None:
    """A server that gets another answer would report it."""
    result = take(terminal, tmp_path, content, "--json")

    assert (result.status, result.json) == (0, {"taken": False, "why": why})


def test_email_of_another_database_is_unknown(bench: LedgerBench, terminal: Terminal, tmp_path: Path) -> None:
    """Its token was made with the same secret."""
    content = status_report(token=token_of(bench, UUID(int=3)))

    assert take(terminal, tmp_path, content, "--json").json["why"] == "unknown"


def test_report_about_an_erased_person_is_not_stored(
    own_bench: LedgerBench, terminal: Terminal, tmp_path: Path
) -> None:
    """It quotes their address; it is answered like one about an unknown email."""
    invited, handed_out = sent_invitation(own_bench, "gone@example.com"), handed_out_code(own_bench)
    tokens = [token_of(own_bench, invited), token_of(own_bench, handed_out, "hand_out")]
    (erased,) = own_bench.rows("SELECT recipient_id FROM hand_out_recipients")
    assert terminal.ledger("forget", "gone@example.com", "--reason", "asked").status == 0
    with psycopg.connect(own_bench.database_url) as conn:
        conn.execute("DELETE FROM recipients WHERE recipient_id = %s", erased)
    before = count_rows(own_bench)

    answers = [take(terminal, tmp_path, status_report(token=token), "--json").json["why"] for token in tokens]

    assert answers == ["unknown", "unknown"]
    assert count_rows(own_bench) == before


def test_report_is_read_from_stdin_to_its_end(
    own_bench: LedgerBench, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender that can't write all of it would take that for a failure."""
    content = io.BytesIO(status_report(token=token_of(own_bench, sent_invitation(own_bench))) + b"x" * 3_000_000)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content))

    assert terminal.ledger("bounces", "take", "--json").json["event"] == "InviteBounced"
    assert content.read() == b""


def test_server_repeats_a_report_while_the_database_is_unavailable(
    own_bench: LedgerBench, terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while a setting is wrong: nothing is lost."""
    content = status_report(token=token_of(own_bench, sent_invitation(own_bench)))
    monkeypatch.setenv("DATABASE_URL", "postgresql://ledger:x@127.0.0.1:1/ledger?connect_timeout=1")
    unavailable = take(terminal, tmp_path, content)
    monkeypatch.delenv("LEDGER_SECRET_KEY")
    wrong = take(terminal, tmp_path, content)

    assert [unavailable.status, wrong.status] == [75, 75]
