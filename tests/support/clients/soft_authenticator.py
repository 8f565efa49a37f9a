"""An authenticator in software: it answers WebAuthn challenges as a browser with a passkey does, or in a wrong way."""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from html import unescape
from typing import Any, Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import encode_cbor

from tests.support.clients.app_client import AppResponse
from tests.support.clients.page_reader import read_page

PRESENT: Final = 0x01
VERIFIED: Final = 0x04
ATTESTED: Final = 0x40


def to_text(data: bytes) -> str:
    """Base64 as in WebAuthn's JSON."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class SoftAuthenticator:
    """One passkey. Change a field to have it answer wrongly.

    Attributes:
        counter: Of the next signature; it rises by one each time, unless `counts` is False.
    """

    origin: str = "https://testserver"
    rp_id: str = "testserver"
    is_verified: bool = True
    counts: bool = True
    counter: int = 1
    user_id: bytes = b""
    credential_id: bytes = b"a credential of a test"
    key: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))

    def create(self, options: dict[str, Any]) -> str:
        """The answer to `navigator.credentials.create`."""
        self.user_id = urlsafe_b64decode(options["user"]["id"] + "==")
        numbers = self.key.public_key().public_numbers()
        key = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        length = len(self.credential_id).to_bytes(2)
        attested = UUID(int=0).bytes + length + self.credential_id + encode_cbor(key)
        data = self._data(ATTESTED) + attested
        attestation = encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer(self._client_data("webauthn.create", options), attestationObject=to_text(attestation))

    def get(self, options: dict[str, Any]) -> str:
        """The answer to `navigator.credentials.get`."""
        client_data, data = self._client_data("webauthn.get", options), self._data(0)
        signature = self.key.sign(data + hashlib.sha256(client_data).digest(), ECDSA(SHA256()))
        parts = {"authenticatorData": to_text(data), "signature": to_text(signature)}
        if self.user_id:  # an authenticator that does not store who it is for leaves it out
            parts["userHandle"] = to_text(self.user_id)
        return self._answer(client_data, **parts)

    def _data(self, flags: int) -> bytes:
        flags |= PRESENT | (VERIFIED if self.is_verified else 0)
        count, self.counter = self.counter, self.counter + self.counts
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + count.to_bytes(4)

    def _client_data(self, kind: str, options: dict[str, Any]) -> bytes:
        return json.dumps({"type": kind, "challenge": options["challenge"], "origin": self.origin}).encode()

    def _answer(self, client_data: bytes, **response: str) -> str:
        name = to_text(self.credential_id)
        parts = {"clientDataJSON": to_text(client_data), **response}
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": parts})


def read_passkey_form(answer: AppResponse) -> tuple[dict[str, Any], dict[str, str]]:
    """The options in the form for a passkey, and its hidden fields."""
    form = read_page(answer.text).find("form", class_="passkey")
    hidden = {field.attributes["name"]: field.attributes["value"] for field in form.find_all("input", type="hidden")}
    return json.loads(unescape(form.attributes["data-options"])), hidden
