"""The Merkle log over real events: follower, checkpoints, receipts, and each kind of damage."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from projections.transparency_log.checkpoint_file import sign_and_write
from projections.transparency_log.checkpoints import (
    Checkpoint,
    derive_public_keys,
    derive_signing_key,
    format_former_text,
    format_signed_text,
    list_checkpoints,
    sign_head,
)
from projections.transparency_log.merkle import (
    EMPTY_ROOT,
    compute_consistency_path,
    compute_perfect_root,
    compute_root,
    hash_node,
    is_consistent,
)
from projections.transparency_log.proof_check import ReceiptError, check_proof
from projections.transparency_log.receipts import NotYetSignedError, read_consistency, read_receipt
from projections.transparency_log.tile_log import (
    append_new_events,
    find_leaf_index,
    hash_event,
    open_subtree_reader,
    read_tree_size,
)
from projections.vault.key_ring import KeyRing
from projections.verification.merkle_check import ExternalEvidence
from projections.verification.run import run_verify
from tests.fuzz.receipts import SCRIPT, compare, script
from tests.support.ledger.ledger_bench import LedgerBench, done

OTHER = KeyRing(1, {1: b"o" * 32})


@pytest.fixture
def conn(bench: LedgerBench) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        yield conn


def sent(bench: LedgerBench, code: str | None = None) -> UUID:
    reservation = done(bench.redeem(code or bench.issue(), f"{uuid4().hex}@example.com")).require_reservation()
    bench.attempt(reservation.reservation_id)
    return reservation.reservation_id


def ring(bench: LedgerBench) -> KeyRing:
    return bench.storage.vault.rings["master"]


def signed(bench: LedgerBench, conn: psycopg.Connection[Any], minutes: int = 0) -> Checkpoint:
    """Follow and sign, some minutes from now."""
    append_new_events(conn)
    now = bench.storage.recorder.clock.now() + timedelta(minutes=minutes)
    checkpoint = sign_head(conn, derive_signing_key(ring(bench)), now)
    assert checkpoint is not None
    return checkpoint


def leaves(bench: LedgerBench) -> list[bytes]:
    rows = bench.rows(
        "SELECT originator_id, originator_version, topic, state FROM ledger_events ORDER BY notification_id"
    )
    return [hash_event(stream, version, topic, bytes(state)) for stream, version, topic, state in rows]


def plain_root(hashes: list[bytes]) -> bytes:
    """The definition of RFC 6962 2.1."""
    if len(hashes) < 2:
        return hashes[0] if hashes else EMPTY_ROOT
    middle = 1 << ((len(hashes) - 1).bit_length() - 1)
    return hash_node(plain_root(hashes[:middle]), plain_root(hashes[middle:]))


def verified(bench: LedgerBench) -> tuple[int, list[tuple[str, str]]]:
    out, keys = StringIO(), ExternalEvidence(derive_public_keys(ring(bench)))
    code = run_verify(bench.database_url, timedelta(1), 99, keys, as_json=True, out=out, err=StringIO())
    return code, [(finding["rule"], finding["type"]) for finding in json.loads(out.getvalue())["findings"]]


def damage(bench: LedgerBench, statement: str) -> None:
    with psycopg.connect(bench.database_url) as conn:
        conn.execute("ALTER TABLE ledger_events DISABLE TRIGGER USER")
        conn.execute(statement.encode())
        conn.execute("ALTER TABLE ledger_events ENABLE TRIGGER USER")


def test_follower_s_root_is_that_of_the_events(bench: LedgerBench, conn: psycopg.Connection[Any]) -> None:
    """In portions of any size, over several tiles, always the root that RFC 6962 defines; each event has its leaf.

    A reader that was opened before it grew sees the same.
    """
    early_reader = open_subtree_reader(conn)
    codes = [bench.issue(None, bound=False) for _ in range(3)]
    for portion in (1, 2, 300, 100, 1, 260):
        commands = [bench.reserve(codes[n % 3], f"{uuid4().hex}@example.com") for n in range(portion)]
        bench.storage.ledger.execute(commands)
        while append_new_events(conn, events_max=97):
            pass
        hashes = leaves(bench)

        assert len(hashes) == read_tree_size(conn).size
        assert plain_root(hashes) == compute_root(open_subtree_reader(conn), len(hashes))
        assert plain_root(hashes) == compute_root(early_reader, len(hashes))
    positions = [row[0] for row in bench.rows("SELECT notification_id FROM ledger_events ORDER BY 1")]
    assert list(range(len(hashes))) == [find_leaf_index(conn, position) for position in positions]
    assert compute_perfect_root(hashes[256:512]) == open_subtree_reader(conn)(8, 1)
    assert find_leaf_index(conn, positions[-1] + 1) is None


def test_checkpoint_is_signed_once_a_minute_if_there_is_news(
    bench: LedgerBench, conn: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """Nothing for an empty log, too early or without news; the file outside has the same line."""
    key, now, file = derive_signing_key(ring(bench)), bench.storage.recorder.clock.now(), tmp_path / "checkpoints"
    assert sign_and_write(conn, key, now, file) is None
    sent(bench)
    append_new_events(conn)
    first = sign_and_write(conn, key, now, file)
    assert sign_and_write(conn, key, now + timedelta(minutes=2), file) is None
    sent(bench)
    append_new_events(conn)
    assert sign_and_write(conn, key, now + timedelta(seconds=5), file) is None
    second = sign_and_write(conn, key, now + timedelta(minutes=2), file)

    assert first
    assert second
    assert [first, second] == list_checkpoints(conn, 0, 9)
    assert [json.loads(line)["size"] for line in file.read_text().splitlines()] == [4, 8]
    assert first.is_signed
    assert not first._replace(size=5).is_signed
    path = compute_consistency_path(open_subtree_reader(conn), first.size, second.size)
    assert is_consistent(first.size, second.size, first.root, second.root, path)


def test_receipt_proves_its_events_and_nothing_altered(bench: LedgerBench, conn: psycopg.Connection[Any]) -> None:
    """As it is it holds; with any value altered, another key or another reservation it proves nothing."""
    reservation_id = sent(bench)
    with pytest.raises(NotYetSignedError):
        read_receipt(bench.storage, reservation_id)
    sent(bench)
    signed(bench, conn)
    sent(bench)
    signed(bench, conn, minutes=2)
    key = derive_public_keys(ring(bench))[0]
    receipt = read_receipt(bench.storage, reservation_id)
    assert receipt is not None
    text = json.dumps(receipt)

    sentence = f"at least these 3 events of reservation {reservation_id} are in the ledger as of checkpoint 1"
    assert sentence == check_proof(text, key)
    assert receipt["checkpoint"]["number"] == 1
    assert read_receipt(bench.storage, uuid4()) is None
    for alter in ALTERATIONS:
        altered = json.loads(text)
        alter(altered)
        with pytest.raises(ReceiptError):
            check_proof(json.dumps(altered), key)
        assert script_says(altered, key) is None
    with pytest.raises(ReceiptError, match="another key"):
        check_proof(text, derive_public_keys(OTHER)[0])
    with pytest.raises(ReceiptError, match="cannot be read"):
        check_proof("{", key)
    assert sentence == script_says(receipt, key)
    assert script_says(receipt, derive_public_keys(OTHER)[0]) is None


def test_later_checkpoint_is_proved_to_hold_the_earlier(bench: LedgerBench, conn: psycopg.Connection[Any]) -> None:
    """The events of one are the first of the other; with a root of something else, or the other way round, not."""
    for minutes in (0, 2):
        sent(bench)
        signed(bench, conn, minutes)
    key = derive_public_keys(ring(bench))[0]
    proof = read_consistency(bench.storage, 1, 2)
    assert proof is not None

    assert check_proof(json.dumps(proof), key) == "the 4 events of checkpoint 1 are the first of the 8 of checkpoint 2"
    with pytest.raises(ReceiptError, match="does not hold what checkpoint 1 held"):
        check_proof(json.dumps({**proof, "path": proof["path"][1:]}), key)
    with pytest.raises(ReceiptError, match="signature"):
        check_proof(json.dumps({**proof, "old": {**proof["old"], "size": 3}}), key)
    assert [read_consistency(bench.storage, *pair) for pair in ((2, 1), (1, 3))] == [None, None]


def _alter_state(receipt: dict[str, Any]) -> None:
    state = base64.b64decode(receipt["events"][0]["state"]).replace(b"person", b"worker")
    receipt["events"][0]["state"] = base64.b64encode(state).decode()


ALTERATIONS: list[Callable[[dict[str, Any]], object]] = [
    _alter_state,
    lambda receipt: receipt["events"][1].update(version=9),
    lambda receipt: receipt["events"][1].update(topic="InviteSent:1"),
    lambda receipt: receipt["events"][1].update(leaf_index=0),
    lambda receipt: receipt["events"][0]["path"].pop(),
    lambda receipt: receipt["checkpoint"].update(size=5),
    lambda receipt: receipt["checkpoint"].update(at="2026-01-01T00:00:00+00:00"),
    lambda receipt: receipt.update(reservation_id=str(uuid4())),
]


def script_says(receipt: dict[str, Any], key: bytes) -> str | None:
    """What the stand-alone script says that a receipt proves; None: nothing."""
    try:
        said: str = script().check(json.dumps(receipt), base64.b64encode(key).decode())
    except ValueError:
        return None
    return said


@pytest.fixture
def receipt(bench: LedgerBench, conn: psycopg.Connection[Any]) -> dict[str, Any]:
    reservation_id = sent(bench)
    signed(bench, conn)
    signed_receipt = read_receipt(bench.storage, reservation_id)
    assert signed_receipt is not None
    return signed_receipt


def both_refuse(bench: LedgerBench, receipt: dict[str, Any]) -> bool:
    """Whether neither checker takes it."""
    key = derive_public_keys(ring(bench))[0]
    with pytest.raises(ReceiptError):
        check_proof(json.dumps(receipt), key)
    return script_says(receipt, key) is None


def test_receipt_with_repeated_events_is_refused(bench: LedgerBench, receipt: dict[str, Any]) -> None:
    """One event five times would read as five events."""
    receipt["events"] = [receipt["events"][0]] * 5

    assert both_refuse(bench, receipt)


def test_receipt_with_events_out_of_order_is_refused(bench: LedgerBench, receipt: dict[str, Any]) -> None:
    """A refund before the sending would tell another story."""
    receipt["events"].reverse()

    assert both_refuse(bench, receipt)


def test_receipt_with_another_checkpoint_number_is_refused(bench: LedgerBench, receipt: dict[str, Any]) -> None:
    """The number is part of what is signed."""
    receipt["checkpoint"]["number"] = 999_999

    assert both_refuse(bench, receipt)


def test_receipt_with_its_time_written_differently_is_refused_by_both_checkers(
    bench: LedgerBench, receipt: dict[str, Any]
) -> None:
    """The signature covers the text of the time, not the time."""
    receipt["checkpoint"]["at"] = receipt["checkpoint"]["at"].replace("+00:00", "Z")

    assert both_refuse(bench, receipt)


def test_receipt_with_a_member_that_is_not_checked_is_refused(bench: LedgerBench, receipt: dict[str, Any]) -> None:
    """A remark next to what is proved would look proved."""
    receipt["events"][0]["note"] = "paid in full"

    assert both_refuse(bench, receipt)


def test_receipt_with_events_left_out_proves_only_those_it_holds(bench: LedgerBench, receipt: dict[str, Any]) -> None:
    """An outsider can't see what is missing, so the sentence does not promise more."""
    del receipt["events"][1:]

    assert (script_says(receipt, derive_public_keys(ring(bench))[0]) or "").startswith("at least these 1 events of")


def test_checkpoint_of_an_earlier_version_holds_and_its_unsigned_number_is_not_shown(
    bench: LedgerBench, conn: psycopg.Connection[Any]
) -> None:
    """It is verified and given in receipts as before; only the number is left out."""
    reservation_id = sent(bench)
    append_new_events(conn)
    size, position = read_tree_size(conn)
    at, key = bench.storage.recorder.clock.now(), derive_signing_key(ring(bench))
    root, public = compute_root(open_subtree_reader(conn), size), key.public_key().public_bytes_raw()
    old = Checkpoint(1, size, position, root, at, public, key.sign(format_former_text(size, root, at.isoformat())))
    conn.execute(
        "INSERT INTO checkpoints (size, position, root, at, public_key, signature) VALUES (%s, %s, %s, %s, %s, %s)",
        old[1:-1],
    )
    receipt = read_receipt(bench.storage, reservation_id)
    assert receipt is not None

    sentence = check_proof(json.dumps(receipt), public)

    assert "number" not in receipt["checkpoint"]
    assert sentence.endswith(f"are in the ledger as of the checkpoint of {at.isoformat()} over {size} events")
    assert sentence == script_says(receipt, public)
    # A receipt that the earlier version gave out names the number; a changed one is worth as little as that one.
    receipt["checkpoint"]["number"] = 999_999
    assert sentence == check_proof(json.dumps(receipt), public) == script_says(receipt, public)
    assert verified(bench) == (0, [])
    sent(bench)
    assert signed(bench, conn, minutes=2).number == 2


def test_both_checkers_say_the_same_of_altered_receipts() -> None:
    """Altered as documents and as texts; `make soak` gives them 100,000."""
    counts = compare(4_000, 3)

    assert min(counts["accepted"], counts["refused"]) > 500


def test_script_is_short_and_imports_nothing_of_ours() -> None:
    """Anybody can read it through."""
    text = SCRIPT.read_text()

    assert len([line for line in text.splitlines() if line.strip()]) <= 140
    assert not any(f"{verb} {package}" in text for verb in ("import", "from") for package in ("projections", "domain"))


UNALTERED = "proof: events are what the Merkle log says"
MOVED = "UPDATE ledger_events SET notification_id = {} WHERE notification_id = {}"
REORDERED = ";".join(MOVED.format(to, place) for place, to in ((4, 99), (5, 4), (99, 5)))
"""Two events of different codes: no stream shows it."""
DAMAGES = {
    "flipped byte": (
        "UPDATE ledger_events SET state = overlay(state PLACING 'P'::bytea FROM 30) WHERE notification_id = 3",
        (UNALTERED, "InviteAttempted"),
    ),
    "deleted event": ("DELETE FROM ledger_events WHERE notification_id = 3", (UNALTERED, "InviteSent")),
    "reordered pair": (REORDERED, (UNALTERED, "CodeIssued")),
    "truncated tail": ("DELETE FROM ledger_events WHERE notification_id > 4", (UNALTERED, "MerkleLog")),
    "altered tile": (
        "UPDATE merkle_tiles SET hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1)",
        (UNALTERED, "CodeIssued"),
    ),
    "altered root": (
        "UPDATE checkpoints SET root = set_byte(root, 0, get_byte(root, 0) # 1)",
        ("proof: checkpoints are signed and hold", "Checkpoint"),
    ),
}


@pytest.mark.parametrize(("statement", "named"), DAMAGES.values(), ids=DAMAGES)
def test_each_kind_of_damage_is_found(
    bench: LedgerBench, conn: psycopg.Connection[Any], statement: str, named: tuple[str, str]
) -> None:
    """Exit code 1, with the rule and the event at which it shows; an undamaged log passes."""
    sent(bench)
    sent(bench)
    signed(bench, conn)
    assert verified(bench) == (0, [])
    damage(bench, statement)

    code, findings = verified(bench)

    assert code == 1
    assert named in findings


def test_checkpoint_of_another_key_or_of_a_later_state_is_found(
    bench: LedgerBench, conn: psycopg.Connection[Any]
) -> None:
    """Signed with another key: found though the signature itself is right. So is one that holds more than the log."""
    sent(bench)
    checkpoint = signed(bench, conn)
    at, key = checkpoint.at + timedelta(minutes=5), derive_signing_key(OTHER)
    forged = key.sign(format_signed_text(2, 99, checkpoint.root, at.isoformat()))
    conn.execute(
        "INSERT INTO checkpoints (size, position, root, at, public_key, signature) VALUES (99, 99, %s, %s, %s, %s)",
        (checkpoint.root, at, key.public_key().public_bytes_raw(), forged),
    )

    assert verified(bench) == (1, [("proof: checkpoints are signed and hold", "Checkpoint")])
