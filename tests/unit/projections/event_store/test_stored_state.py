from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from projections.event_store.stored_state import pack, read_fields, search_field, state_decoder

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
