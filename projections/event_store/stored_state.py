"""How the state of an event is stored: a MessagePack map from field names to values.

Ids are 16 bytes and times are timestamps, so a state takes 0.6 times the bytes of the JSON object that former releases
wrote. Those objects are read forever, since the log is never rewritten: the first byte tells the two forms apart.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import msgspec

Kind = TypeVar("Kind")
Decode = Callable[[bytes], Kind]
Fields = dict[str, Any]

JSON_BEGINS: Final = b"{"
"""A MessagePack map begins with a byte from 0x80 on."""
RESERVATION_ID_BEGINS: Final = b"\xaereservation_id\xc4\x10"
"""What precedes the 16 bytes of the id in a MessagePack map. No text and no other id of a map can hold these bytes."""
_packer = msgspec.msgpack.Encoder(uuid_format="bytes")
_unpack = msgspec.msgpack.Decoder(Fields).decode
_parse = msgspec.json.Decoder(Fields).decode


def pack(event: msgspec.Struct) -> bytes:
    """Return the state of an event; fields at their default are left out.

    A time that UTC cannot write, which only a log of former releases can hold, makes it a JSON object.
    """
    try:
        return _packer.encode(event)
    except OverflowError:
        return msgspec.json.encode(event)


class FieldSearch(NamedTuple):
    """The bytes of one field with its value in a state, in both forms."""

    packed: bytes
    json: bytes


def state_decoder(kind: type[Kind]) -> Decode[Kind]:
    """Return a function that decodes states as a structure, which may have fewer fields than the event."""
    unpack, parse = msgspec.msgpack.Decoder(kind).decode, msgspec.json.Decoder(kind).decode

    def decode_state(state: bytes) -> Kind:
        return parse(state) if state[:1] == JSON_BEGINS else unpack(state)

    return decode_state


def read_fields(state: bytes) -> Fields:
    """Return the stored fields as JSON writes them: ids and times are text.

    Raises:
        msgspec.DecodeError: The state is neither a MessagePack map nor a JSON object.
    """
    if state[:1] == JSON_BEGINS:
        return _parse(state)
    return {name: _to_json_value(value) for name, value in _unpack(state).items()}


def search_field(name: str, value: str | int | UUID) -> FieldSearch:
    """Return the bytes that a state with this field and value contains.

    The JSON form of a number is also the beginning of longer numbers.
    """
    text = msgspec.json.encode({name: value})
    return FieldSearch(_packer.encode(name) + _packer.encode(value), text.removeprefix(b"{").removesuffix(b"}"))


def _to_json_value(value: object) -> object:
    if isinstance(value, bytes):
        return str(UUID(bytes=value))
    if isinstance(value, datetime):
        return msgspec.to_builtins(value)
    if isinstance(value, list):
        return [_to_json_value(element) for element in value]
    if isinstance(value, dict):
        return {name: _to_json_value(element) for name, element in value.items()}
    return value
