"""Every shape that was ever written is read forever: by upcasters, from bytes that never change."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from domain.events.code import CodeIssued
from domain.events.registry import EVENT_TYPES, topic_of
from domain.events.reservation import UseReserved
from domain.events.upcasters import UPCASTS, Fields, Upcast, upcast_chain
from projections.definitions.tables import reservations
from projections.event_store import codec
from projections.event_store.codec import UnreadableEventError, decode, decoders, encode, topics_of
from projections.event_store.stored_state import read_fields
from projections.transparency_log.tile_log import append_new_events, hash_stored_event
from projections.verification.verify import verify
from tests.schema.event_examples import AT
from tests.support.ledger.ledger_bench import LedgerBench, check_code, done
from tests.support.ledger.rebuilds import NoProgress, read_models, rebuilt

WRITTEN: list[dict[str, Any]] = json.loads(Path(__file__).with_name("former_events.json").read_text(encoding="utf-8"))
"""One event at least as each former version wrote it: topic, stored fields, and how they read today."""

STATUS = list(reservations.TABLE.columns).index("status")


def _named_limit(fields: Fields) -> Fields:
    """The limit had another name."""
    fields["max_uses"] = fields.pop("limit")
    return fields


def _bound_said_otherwise(fields: Fields) -> Fields:
    """Codes said whether they are open, not whether they are bound."""
    fields["bound"] = not fields.pop("open")
    return fields


def _with_language(fields: Fields) -> Fields:
    """Emails had one language."""
    return {**fields, "language": "zh"}


MADE_UP = {
    "CodeMade:1": Upcast("CodeMade:2", _named_limit),
    "CodeMade:2": Upcast("CodeIssued:1", _bound_said_otherwise),
    "UseReserved:0": Upcast("UseReserved:1", _with_language),
}
"""Three former versions that never were: one by two steps and under another name, one by one step."""
BEFORE = "1970-01-01T00:00:00Z"


def test_events_of_former_versions_are_read_as_written() -> None:
    """Who adds an upcaster adds what it was written for, and how that reads: byte for byte an event of today."""
    assert set(UPCASTS) == {written["topic"] for written in WRITTEN}
    for written in WRITTEN:
        topic, state = encode(decode(written["topic"], json.dumps(written["fields"]).encode()))
        assert (written["reads"]["topic"], written["reads"]["fields"]) == (topic, read_fields(state))


def test_former_events_are_read_in_both_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step gets the same fields, texts for ids and times, from a map as from a JSON object."""
    monkeypatch.setattr(codec, "DECODERS", decoders(MADE_UP))
    about = {"at": AT, "actor": "person", "reservation_id": uuid4(), "recipient_id": uuid4(), "deadline": AT}
    in_json, packed = msgspec.json.encode(about), msgspec.msgpack.Encoder(uuid_format="bytes").encode(about)

    assert decode("UseReserved:0", packed) == decode("UseReserved:0", in_json) == UseReserved(**about, language="zh")  # type: ignore[arg-type]  # a dict of mixed values


def test_steps_follow_one_another() -> None:
    current = frozenset(map(topic_of, EVENT_TYPES.values()))

    assert ("CodeIssued:1", [MADE_UP["CodeMade:1"], MADE_UP["CodeMade:2"]]) == upcast_chain(
        "CodeMade:1", current, MADE_UP
    )
    assert upcast_chain("CodeIssued:1", current, MADE_UP) == ("CodeIssued:1", [])


@pytest.mark.parametrize(
    "steps",
    [{"A:1": "B:1", "B:1": "A:1"}, {"A:1": "UseTeleported:1"}],
    ids=["in a ring", "to nowhere"],
)
def test_upcaster_chain_without_an_end_stops_the_start(steps: dict[str, str]) -> None:
    """Rather than the first event that needs it, perhaps years later."""
    with pytest.raises(LookupError, match="no way from 'A:1'"):
        decoders({topic: Upcast(to, dict) for topic, to in steps.items()})


def test_version_without_upcaster_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UseReserved, "TOPIC_VERSION", 2)

    with pytest.raises(LookupError, match="no upcaster for UseReserved:1"):
        decoders({})
    assert "UseReserved:1" in decoders({"UseReserved:1": Upcast("UseReserved:2", dict)})


def test_former_event_with_a_wrong_shape_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "DECODERS", decoders(MADE_UP))

    with pytest.raises(
        UnreadableEventError, match=r"a stored CodeMade:1 does not have the expected fields.*CodeMade:2.*limit"
    ):
        decode("CodeMade:1", b"{}")
    with pytest.raises(UnreadableEventError, match="a stored CodeMade:2 does not have the expected fields"):
        decode("CodeMade:2", b'{"open":true}')
    assert topics_of(CodeIssued) == ["CodeIssued:1"]


@pytest.fixture
def old_log(bench: LedgerBench, monkeypatch: pytest.MonkeyPatch) -> UUID:
    """A stream that begins with events of former versions; their rows are made by a rebuild. Its id."""
    monkeypatch.setattr(codec, "DECODERS", decoders(MADE_UP))
    code_id, reservations = uuid4(), [uuid4(), uuid4()]
    person = f'"actor":"person","recipient_id":"{uuid4()}","deadline":"1970-01-01T00:30:00Z"'
    stored = [
        ("CodeMade:1", f'{{"at":"{BEFORE}","actor":"operator","limit":5,"open":true}}'),
        ("UseReserved:0", f'{{"at":"{BEFORE}","reservation_id":"{reservations[0]}",{person}}}'),
        ("UseReserved:1", f'{{"at":"{BEFORE}","reservation_id":"{reservations[1]}","language":"en",{person}}}'),
        ("UseRefunded:1", f'{{"at":"{BEFORE}","actor":"staff","reservation_id":"{reservations[0]}"'),
    ]
    stored[3] = ("UseRefunded:1", stored[3][1] + ',"cause":"staff","held":"reserved"}')
    other = ("CodeMade:2", f'{{"at":"{BEFORE}","actor":"operator","max_uses":1,"open":false}}')
    with psycopg.connect(bench.database_url) as conn:
        for stream, version, (topic, state) in [
            *((code_id, number, event) for number, event in enumerate(stored, start=1)),
            (uuid4(), 1, other),
        ]:
            conn.execute(
                "INSERT INTO ledger_events (originator_id, originator_version, topic, state) VALUES (%s, %s, %s, %s)",
                (stream, version, topic, state.encode()),
            )
    return code_id


def test_log_of_every_former_version_is_rebuilt_verified_and_written_on(bench: LedgerBench, old_log: UUID) -> None:
    assert rebuilt(bench, apply=True).counts == {"code_balances": {"appear": 2}, "reservations": {"appear": 2}}
    rows = read_models(bench)
    balance = next(row for row in rows["code_balances"] if row[0] == old_log)
    assert (balance[1], *balance[4:8]) == (4, 5, 0, 1, False)

    assert verify(bench.database_url, timedelta(days=99_999), NoProgress(), 9).wrong == 0
    assert [line.version for line in bench.reader.read_history(old_log)] == [1, 2, 3, 4]
    pending_id = next(row[0] for row in rows["reservations"] if row[STATUS] == "live")
    assert done(bench.settle(pending_id)).require_reservation().status == "refunded"
    assert check_code(bench.storage, old_log) == []


def test_upcasting_never_touches_the_proof(bench: LedgerBench, old_log: UUID) -> None:
    """The Merkle log hashes what is stored, so its leaves are those of the bytes of then."""
    stored = bench.rows(
        "SELECT originator_id, originator_version, topic, state FROM ledger_events ORDER BY notification_id"
    )
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        append_new_events(conn)

    hashes = bytes(bench.rows("SELECT hashes FROM merkle_tiles")[0][0])
    assert old_log == stored[0][0]
    assert b"".join(hash_stored_event(row[0].bytes, row[1], row[2], bytes(row[3])) for row in stored) == hashes
