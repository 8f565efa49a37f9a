"""`ledger receipt`, `check-receipt`, `public-key`: what an outsider gets and how it is checked."""

import base64
import json
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench, done
from workers.maintenance.log_follower import update_log

pytestmark = pytest.mark.usefixtures("database_url")


def sent(bench: LedgerBench) -> str:
    reservation = done(bench.redeem(bench.issue(), "li.wei@example.com")).require_reservation()
    bench.attempt(reservation.reservation_id)
    return str(reservation.reservation_id)


def followed(bench: LedgerBench, file: Path | None = None) -> int:
    """What beat does every two seconds."""
    return update_log(bench.storage, bench.storage.recorder.clock.now(), file)


def test_receipt_is_checked_with_the_public_key(bench: LedgerBench, terminal: Terminal, tmp_path: Path) -> None:
    reservation_id = sent(bench)
    early = terminal.ledger("receipt", reservation_id)
    follower = followed(bench, tmp_path / "checkpoints")
    command_result = terminal.ledger("receipt", reservation_id)
    key = terminal.ledger("public-key").out.strip()
    (file := tmp_path / "receipt.json").write_text(command_result.out)

    checked = terminal.ledger("check-receipt", str(file), "--public-key", key)

    assert (early.status, follower) == (4, 4)
    assert (command_result.status, checked.status) == (0, 0)
    assert (
        f"these 3 events are all events of reservation {reservation_id} in the ledger as of checkpoint 1" in checked.out
    )
    assert "li.wei" not in command_result.out
    assert len((tmp_path / "checkpoints").read_text().splitlines()) == 1
    assert [key] == terminal.ledger("public-key", "--json").json["public_keys"]
    assert terminal.ledger("receipt", str(uuid4())).status == 2
    (file := tmp_path / "proof.json").write_text(terminal.ledger("consistency", "1", "1").out)
    assert terminal.ledger("check-receipt", str(file), "--public-key", key).status == 0
    assert terminal.ledger("consistency", "1", "2").status == 2


def test_altered_receipt_is_invalid(bench: LedgerBench, terminal: Terminal, tmp_path: Path) -> None:
    reservation_id = sent(bench)
    followed(bench)
    document = terminal.ledger("receipt", reservation_id).json
    key = document["checkpoint"]["public_key"]
    document["events"][0]["version"] = 7
    (file := tmp_path / "receipt.json").write_text(json.dumps(document))

    wrong = terminal.ledger("check-receipt", str(file), "--public-key", key, "--json")
    other = terminal.ledger("check-receipt", str(file), "--public-key", base64.b64encode(b"x" * 32).decode())

    assert (wrong.status, wrong.json["valid"]) == (1, False)
    assert "is not in the ledger as of checkpoint 1" in wrong.json["why"]
    assert other.status == 1
    assert "signed with another key" in other.err
    assert terminal.ledger("check-receipt", str(file), "--public-key", "x").status == 2


def test_merkle_log_consumes_new_events_only(bench: LedgerBench) -> None:
    sent(bench)

    assert [followed(bench), followed(bench)] == [4, 0]
    sent(bench)
    assert followed(bench) == 4
