"""The map of reservations: complete receipts, what they refuse, and what `verify` finds."""

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from domain.commands.reservation.refund import RefundReservation
from projections.event_store.stored_state import read_fields
from projections.rebuild.rebuild import RebuildOptions, rebuild
from projections.transparency_log import reservation_map
from projections.transparency_log.checkpoints import Checkpoint, derive_public_keys, derive_signing_key, sign_head
from projections.transparency_log.merkle import Read, compute_perfect_root, compute_root
from projections.transparency_log.proof_check import ReceiptError, check_proof
from projections.transparency_log.receipts import COMPLETE_FORMAT, FORMAT, read_receipt
from projections.transparency_log.reservation_map import (
    NO_HASH,
    NOW,
    chain_hashes,
    extend_map,
    open_map_reader,
    read_map_progress,
)
from projections.transparency_log.tile_log import append_new_events, hash_event
from projections.verification.map_check import ALL_EVENTS
from tests.fuzz.receipts import LEFT_OUT, both_say, script
from tests.integration.projections.transparency_log.test_receipts import ring, script_says, sent, verified
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.rebuilds import NoProgress

SEED = 2711


@pytest.fixture
def conn(bench: LedgerBench) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        yield conn


def extend_both(conn: psycopg.Connection[Any]) -> None:
    while append_new_events(conn, events_max=97):
        pass
    while extend_map(conn, events_max=61):
        pass


def sign(bench: LedgerBench, conn: psycopg.Connection[Any], minutes: int) -> Checkpoint:
    """Extend both, and sign a checkpoint some minutes from now."""
    extend_both(conn)
    now = bench.storage.recorder.clock.now() + timedelta(minutes=minutes)
    checkpoint = sign_head(conn, derive_signing_key(ring(bench)), now)
    assert checkpoint is not None
    return checkpoint


def refund(bench: LedgerBench, reservation_id: UUID) -> None:
    done(bench.run(RefundReservation(context=bench.context("staff"), reservation_id=reservation_id, cause="staff")))


def places_by_definition(bench: LedgerBench) -> list[bytes]:
    """What each place of the map must hold, from the stored events alone."""
    rows = bench.rows(
        "SELECT originator_id, originator_version, topic, state FROM ledger_events ORDER BY notification_id"
    )
    leaves: dict[str, list[bytes]] = {}
    first: dict[str, int] = {}
    for place, (stream, version, topic, state) in enumerate(rows):
        reservation_id = read_fields(bytes(state)).get("reservation_id")
        if reservation_id:
            first.setdefault(reservation_id, place)
            leaves.setdefault(reservation_id, []).append(hash_event(stream, version, topic, bytes(state)))
    hashes = [NO_HASH] * len(rows)
    for reservation_id, place in first.items():
        hashes[place] = chain_hashes(leaves[reservation_id])
    return hashes


def test_receipt_is_complete_for_a_code_of_a_campaign(bench: LedgerBench, conn: psycopg.Connection[Any]) -> None:
    """The events of the campaign name the reservation too, but the map has only those of the receipt."""
    code = bench.issue(campaign_id=bench.create_campaign(max_uses=3, max_per_person=1))
    reservation_id = done(bench.redeem(code, "li@example.com")).require_reservation().reservation_id
    bench.attempt(reservation_id)
    extend_both(conn)
    refund(bench, reservation_id)
    sign(bench, conn, 1)

    receipt = read_receipt(bench.storage, reservation_id)

    assert receipt is not None
    assert receipt["format"] == COMPLETE_FORMAT
    assert len(receipt["events"]) == 4
    assert verified(bench) == (0, [])
    assert "4 events" in check_proof(json.dumps(receipt), derive_public_keys(ring(bench))[0])


def test_map_holds_the_chained_events_of_each_reservation_however_it_is_extended(
    bench: LedgerBench, conn: psycopg.Connection[Any]
) -> None:
    """In portions, over borders of tiles, with later events of reservations of every earlier portion."""
    choice = random.Random(SEED)
    codes = [bench.issue(None, bound=False) for _ in range(3)]
    pending: list[UUID] = []
    for portion in (1, 2, 250, 100, 1, 200):
        commands = [bench.reserve(choice.choice(codes), f"{uuid4().hex}@example.com") for _ in range(portion)]
        results = bench.storage.ledger.execute(commands)
        pending += [done(result).require_reservation().reservation_id for result in results]
        choice.shuffle(pending)
        for _ in range(min(len(pending), 12)):
            bench.attempt(pending.pop())
        extend_both(conn)
        hashes, read = places_by_definition(bench), open_map_reader(conn, NOW)

        assert [read(0, place) for place in range(len(hashes))] == hashes, f"seed {SEED}"
        assert read_map_progress(conn).size == len(hashes)
        assert compute_root(read, len(hashes)) == compute_root(open_plain_reader(hashes), len(hashes))
    assert len(hashes) > 512


def open_plain_reader(hashes: list[bytes]) -> Read:
    """A function that computes each complete subtree from its leaves."""
    return lambda level, index: compute_perfect_root(hashes[index << level : (index + 1) << level])


def test_complete_receipt_is_refused_without_any_of_its_events(
    bench: LedgerBench, conn: psycopg.Connection[Any]
) -> None:
    """By the command and by the stand-alone script; later events do not change a proof of the signed state."""
    refunded = sent(bench)
    refund(bench, refunded)
    other = sent(bench)
    sign(bench, conn, 0)
    refund(bench, other)
    extend_both(conn)
    receipt, key = read_receipt(bench.storage, refunded), derive_public_keys(ring(bench))[0]
    assert receipt is not None
    count = len(receipt["events"])

    sentence = f"these {count} events are all events of reservation {refunded} in the ledger as of checkpoint 1"
    assert receipt["format"] == COMPLETE_FORMAT
    assert count >= 4
    assert check_proof(json.dumps(receipt), key) == script_says(receipt, key) == sentence
    for at in range(count):
        left_out = {**receipt, "events": receipt["events"][:at] + receipt["events"][at + 1 :]}
        with pytest.raises(ReceiptError, match="not all events"):
            check_proof(json.dumps(left_out), key)
        assert script_says(left_out, key) is None
    at_least = {name: value for name, value in receipt.items() if name != "map_path"} | {"format": FORMAT}
    assert check_proof(json.dumps(at_least), key) == script_says(at_least, key)
    assert check_proof(json.dumps(at_least), key).startswith(f"at least these {count} events")


def test_both_checkers_refuse_receipts_with_an_event_left_out() -> None:
    """One of each place, the first and the last included."""
    standalone = script()

    assert [both_say(json.dumps(receipt), standalone) for receipt in LEFT_OUT] == [None] * 7


def test_receipt_says_at_least_until_the_map_is_signed(bench: LedgerBench, conn: psycopg.Connection[Any]) -> None:
    """While the map catches up, checkpoints are signed without it, and receipts are as in earlier versions."""
    reservation_id = sent(bench)
    append_new_events(conn)
    now, key = bench.storage.recorder.clock.now(), derive_signing_key(ring(bench))
    first = sign_head(conn, key, now)
    receipt = read_receipt(bench.storage, reservation_id)
    sent(bench)
    second = sign(bench, conn, 2)
    complete = read_receipt(bench.storage, reservation_id)

    assert first
    assert first.map_root is None
    assert first.is_number_signed
    assert second.map_root is not None
    assert second.is_number_signed
    assert not second._replace(map_root=None).is_signed
    assert receipt
    assert receipt["format"] == FORMAT
    assert complete
    assert complete["format"] == COMPLETE_FORMAT
    assert verified(bench) == (0, [])


ALTER = "UPDATE reservation_map_tiles SET {0} = set_byte({0}, {1}, get_byte({0}, {1}) # 1) WHERE height = 0"
DAMAGES = {
    "altered place": ALTER.format("hashes", 39),
    "place without a reservation": ALTER.format("hashes", 0),
    "altered signed tile": ALTER.format("signed_hashes", 39),
    "lost tile": "DELETE FROM reservation_map_tiles",
}


@pytest.mark.parametrize("statement", DAMAGES.values(), ids=DAMAGES)
def test_each_kind_of_damage_to_the_map_is_found(
    bench: LedgerBench, conn: psycopg.Connection[Any], statement: str
) -> None:
    """With the rule; an undamaged map passes."""
    for minutes in (0, 2):
        sent(bench)
        sign(bench, conn, minutes)
    sent(bench)
    extend_both(conn)
    assert verified(bench) == (0, [])
    conn.execute(statement.encode())

    assert (ALL_EVENTS, "ReservationMap") in verified(bench)[1]


def test_refund_that_the_map_leaves_out_is_found_and_a_rebuild_restores_it(
    bench: LedgerBench, conn: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer that skips refunds has a wrong map signed: `verify` compares it with the log."""
    reservation_id = sent(bench)
    extend_both(conn)
    refund(bench, reservation_id)
    with monkeypatch.context() as patched:
        patched.setattr(reservation_map, "read_reservation_id", lambda _state: None)
        sign(bench, conn, 0)

    code, findings = verified(bench)
    rebuild(bench.database_url, RebuildOptions(apply=True), NoProgress())
    extend_both(conn)

    assert code == 1
    assert (ALL_EVENTS, "ReservationMap") in findings
    assert verified(bench) == (0, [])
