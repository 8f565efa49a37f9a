"""The base of all generated models: a field that the document does not name is an error."""

from msgspec import Struct


class StrictStruct(Struct, forbid_unknown_fields=True, kw_only=True):
    """A model of the OpenAPI document; msgspec converts no value from another JSON type."""
