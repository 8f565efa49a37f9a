"""Keyrings: several keys by id, of which the first is current."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

KEY_BYTES = 32
KEY_ID_MAX = 32767
_CHECK_TEXT = b"redemption-ledger key check value"


class KeyRingError(ValueError):
    """The text is not a keyring. The message names the expected form, never the content."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by id.

    Attributes:
        current: Id of the key that new rows use.
        keys: Every key that rows may still use, 32 bytes each.
    """

    current: int
    keys: Mapping[int, bytes]

    @classmethod
    def parse(cls, text: str) -> "KeyRing":
        """Read `id:base64[,id:base64...]`; the first is current.

        Raises:
            KeyRingError: Another form, an id twice, or a key that is not 32 bytes long.
        """
        keys: dict[int, bytes] = {}
        for part in text.split(","):
            number, colon, encoded = part.strip().partition(":")
            try:
                key_id, key = int(number), base64.b64decode(encoded, validate=True)
            except (ValueError, binascii.Error) as error:
                raise KeyRingError(_FORM) from error
            if not colon or not 1 <= key_id <= KEY_ID_MAX or key_id in keys or len(key) != KEY_BYTES:
                raise KeyRingError(_FORM)
            keys[key_id] = key
        return cls(current=next(iter(keys)), keys=keys)

    def check_values(self) -> dict[int, bytes]:
        """Return a value per key that shows whether another ring holds the same key, and nothing else about it."""
        return {key_id: hmac.digest(key, _CHECK_TEXT, hashlib.sha256)[:16] for key_id, key in self.keys.items()}


_FORM = "write the keyring as id:base64[,id:base64...], with unique ids from 1 and keys of 32 bytes"
