from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import msgspec
import pytest

from domain.events.reservation import InviteSent
from domain.working_set import Recorded
from projections.definitions.projection import Merge, Projection, Row, RowMerger
from projections.event_store.stored_state import pack, read_fields, search_field, state_decoder
from projections.read_models.balance_trace import SAMPLES_MAX, BalanceSample, BalanceTrace
from projections.replay.invariant_observer import NO_ADDRESS, InvariantObserver
from projections.sql.table import Table

AT = datetime(2026, 11, 24, 12, 0, 0, 123456, UTC)
R = UUID("00000000-0000-0000-0000-000000000001")
FIELDS = {"at": AT, "reservation_id": R, "delivery": 2, "moved": [R, {"by": R, "at": AT}], "known": None}
PACKED, JSON = msgspec.msgpack.Encoder(uuid_format="bytes").encode(FIELDS), msgspec.json.encode(FIELDS)


class _Named(msgspec.Struct):
    reservation_id: UUID
    delivery: int = 1


class _Worked(msgspec.Struct):
    actor_id: str | int
    attempt: int = 1


def test_both_forms_have_the_same_fields() -> None:
    fields = read_fields(PACKED)

    assert fields == read_fields(JSON)
    assert fields["moved"] == [str(R), {"by": str(R), "at": "2026-11-24T12:00:00.123456Z"}]


@pytest.mark.parametrize("state", [PACKED, JSON], ids=["packed", "json"])
def test_decoder_reads_the_named_fields_of_both_forms(state: bytes) -> None:
    assert state_decoder(_Named)(state) == _Named(R, 2)


@pytest.mark.parametrize("value", ["worker", 'a "quoted" name', 5, 200, 70_000])
def test_field_is_found_by_its_bytes_in_both_forms(value: str | int) -> None:
    """The same name with another value is not found in a map."""
    search = search_field("actor_id", value)
    other = f"{value}0" if isinstance(value, str) else value * 10

    assert search.packed in pack(_Worked(value))
    assert search.json in msgspec.json.encode(_Worked(value))
    assert search.packed not in pack(_Worked(other))


@pytest.mark.parametrize("state", [b"", b"\xff\x00{", b"not json", b"[]", b"{"])
def test_bytes_that_are_not_a_state_are_reported(state: bytes) -> None:
    """The error is the library's, which callers translate."""
    with pytest.raises(msgspec.DecodeError):
        read_fields(state)


LOOKS_LIKE_ONE = UUID(bytes=b"li.wei@mail.orgg")
"""An id whose bytes match the pattern of an address."""


@pytest.mark.parametrize("write", [pack, msgspec.json.encode], ids=["packed", "json"])
@pytest.mark.parametrize(("server", "address_count"), [("mx.example.com:25", 0), ("li.wei@example.com", 1)])
def test_address_is_found_in_texts_alone(write: Callable[[object], bytes], server: str, address_count: int) -> None:
    at = datetime(2026, 11, 24, 12, tzinfo=UTC)
    event = InviteSent(at=at, actor="worker", reservation_id=LOOKS_LIKE_ONE, attempt=1, server=server)
    observer = InvariantObserver()

    observer.check_stored((bytes(16), 1, 1, "InviteSent:1", write(event)))

    assert observer.counts[NO_ADDRESS] == address_count
    assert [finding.rule for finding in observer.findings] == [NO_ADDRESS] * address_count


class Sums(Projection):
    table = Table("sums", key=("group_name", "day"), columns={"group_name": "text", "sent": "bigint", "day": "text"})
    state = None

    def apply(self, before: None, recorded: Recorded, after: None) -> Iterable[Row]:
        del before, recorded, after
        return ()


@pytest.mark.parametrize(
    ("merge", "rows", "merged"),
    [
        (Merge.ADD, [("a", 1, "mon"), ("a", 2, "tue"), ("a", 3, "mon")], [("a", 4, "mon"), ("a", 2, "tue")]),
        (Merge.REPLACE, [("a", 1, "mon"), ("a", 3, "mon")], [("a", 3, "mon")]),
        (Merge.COMPLETE, [("a", 1, "mon"), ("a", None, "mon")], [("a", 1, "mon")]),
    ],
)
def test_rows_of_one_key_are_merged(merge: Merge, rows: list[Row], merged: list[Row]) -> None:
    merger = RowMerger(type("Merged", (Sums,), {"merge": merge})(), rows)

    assert merger.take() == merged
    assert merger.take() == []


START = datetime(2026, 11, 27, tzinfo=UTC)


def sample(version: int, used: int) -> BalanceSample:
    return BalanceSample(version, START + timedelta(seconds=version), used, 0, None, None)


def test_each_change_is_sampled_while_they_are_few() -> None:
    trace = BalanceTrace()
    for version, used in enumerate([0, 0, 1, 1, 2, 1], start=1):
        trace.add(sample(version, used))

    assert [(each.version, each.used) for each in trace.list_samples()] == [(1, 0), (3, 1), (5, 2), (6, 1)]
    assert trace.changes == 4


@pytest.mark.parametrize("seed", range(3))
def test_samples_are_bounded_and_keep_peak_and_end(seed: int) -> None:
    random = Random(seed)
    trace, used, walk = BalanceTrace(), 0, []
    for version in range(1, 12_345):
        used = max(0, used + random.choice([-1, 1]))
        walk.append(used)
        trace.add(sample(version, used))
        if version == 5_000:
            halfway = trace.copy()
            samples = halfway.list_samples()

    versions = [each.version for each in trace.list_samples()]
    assert len(versions) <= 2 * SAMPLES_MAX + 1
    assert versions == sorted(set(versions)), seed
    assert max(each.used for each in trace.list_samples()) == max(walk), seed
    assert trace.list_samples()[-1].used == used
    assert halfway.list_samples() == samples
