"""The vault: the only place of code texts, email addresses and free text.

A row has a random id, an HMAC-SHA-256 digest under a pepper (to find it by its text) and the text encrypted with
AES-256-GCM (RFC 5116; 96-bit random nonce; the row's kind and id are associated data, so that one row cannot replace
another). Digests and encrypted texts name their keys, so keys are rotated by rewriting rows.
"""

import hmac
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module
from typing import Any, Literal, NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct
from msgspec.structs import replace

from domain.values.code_strength import CodeStrength, classify_code
from domain.values.identifiers import EmailAddress, MalformedEmailError, candidate_codes, normalize_code
from domain.values.keyed_hash import KeyedHash
from domain.values.persons.mailboxes import find_mailbox
from projections.vault.key_ring import KeyRing
from projections.vault.random_source import RANDOM

log = logging.getLogger(__name__)

SearchableKind = Literal["code", "recipient", "staff", "identity"]
"""Kinds of rows that are found by the digest of their text."""
SealedKind = Literal["text", "factor", "state"]
"""Kinds of encrypted texts that are found only by their id: free text, second factors, and what a browser keeps."""
RowKind = SearchableKind | SealedKind | Literal["client", "mailbox"]
NONCE_BYTES = 12
TEXT_BYTES_MAX = 4096
"""Longest free text that is stored; a longer reply of a mail server is cut."""


CACHED_CODES_MAX = 4_096
"""Spellings of codes whose digests a process caches: computing them is a tenth of a redeem's work."""
MAILBOX_BYTES = 15
"""Length of digests of mailboxes: 120 bits, and the longest that an entry of an index holds in 24 bytes."""
CLIENT_BYTES = 16
"""Length of digests that are only in memory, by the thousand."""
SUFFIX_LENGTH = 4
"""Last characters of a code that staff see and may search by."""


class SealBrokenError(Exception):
    """An encrypted text can't be opened, or its row can't be trusted: a key is not in the ring, or it was altered."""


class DigestMismatchError(SealBrokenError):
    """The digest of a row is not that of its text: one of them was altered, or is another row's."""


class EncryptedText(Struct, frozen=True):
    """An encrypted text and the id of the key that decrypts it."""

    sealed: bytes
    key_id: int


class SearchableRow(NamedTuple):
    """A stored row that is found by digest, as its table holds it."""

    row_id: UUID
    digest: bytes
    pepper_id: int
    sealed: bytes
    key_id: int

    @classmethod
    def from_columns(cls, columns: Sequence[Any]) -> "SearchableRow":
        """Make a row of the five columns that a driver returns."""
        row_id, digest, pepper_id, sealed, key_id = columns
        return cls(row_id, bytes(digest), pepper_id, bytes(sealed), key_id)


class SearchableDraft(Struct, frozen=True):
    """A text that is found by digest: an email address, a code or an identity.

    `pepper_id` names the pepper of the first digest, `normal` is the text in normal form, `suffix` is what may be shown
    of a code, its last characters, and `peppers` make the digests of a mailbox.
    """

    new_id: UUID
    digests: Sequence[bytes]
    pepper_id: int
    seal: Callable[[], EncryptedText]
    normal: str
    suffix: str = ""
    peppers: Sequence[KeyedHash] = ()

    @property
    def domain(self) -> str:
        """The domain of an email address as its A-label. It is worked out only for terms that name domains."""
        return self.normal.rpartition("@")[2]

    @property
    def mailbox(self) -> str:
        """The mailbox behind an email address."""
        return find_mailbox(self.normal)

    @property
    def mailbox_digests(self) -> Sequence[bytes]:
        """Digests of the mailbox. They are worked out for new recipients, and for campaigns that count by mailbox."""
        text = _digest_input("mailbox", self.mailbox)
        return tuple([keyed.digest(text)[:MAILBOX_BYTES] for keyed in self.peppers])


@dataclass(frozen=True, slots=True)
class PrivateText:
    """Free text about a reservation or a code; encrypted immediately, found only by its id."""

    text_id: UUID
    reservation_id: UUID | None
    content: EncryptedText


class CodeInput(NamedTuple):
    """Digests of a typed code, and how hard the code would be to guess."""

    digests: tuple[bytes, ...]
    shape: CodeStrength


class Vault:
    """Digests, encrypts and decrypts; it holds the keyrings and no connection."""

    def __init__(
        self, peppers: KeyRing, master_keys: KeyRing, random_bytes: Callable[[int], bytes] = RANDOM.draw_bytes
    ) -> None:
        self._peppers = peppers
        self._master = master_keys
        self._ciphers = {key_id: AESGCM(key) for key_id, key in master_keys.keys.items()}
        self._random = random_bytes
        order = [peppers.current, *(i for i in peppers.keys if i != peppers.current)]
        self._by_pepper = {key_id: KeyedHash(peppers.keys[key_id]) for key_id in order}
        self._keyed = list(self._by_pepper.values())
        self.typed_code = lru_cache(maxsize=CACHED_CODES_MAX)(self._parse_code)

    @property
    def current_key_ids(self) -> tuple[int, int]:
        """Ids of the pepper and of the master key of new rows."""
        return self._peppers.current, self._master.current

    @property
    def rings(self) -> dict[str, KeyRing]:
        """Both rings by the name under which their check values are stored."""
        return {"pepper": self._peppers, "master": self._master}

    def draft_recipient(self, address: EmailAddress, new_id: UUID) -> SearchableDraft:
        """Draft a recipient: digests of the normal form, and the typed form to encrypt if it is new."""
        return self._draft_row("recipient", address.normal, address.typed, new_id)

    def draft_code(self, normal: str, new_id: UUID) -> SearchableDraft:
        """Draft a code by its normal form."""
        return replace(self._draft_row("code", normal, normal, new_id), suffix=code_suffix(normal))

    def draft_staff(self, address: EmailAddress, new_id: UUID) -> SearchableDraft:
        """Draft a staff account by its email address."""
        return self._draft_row("staff", address.normal, address.typed, new_id)

    def draft_identity(self, issuer: str, subject: str, new_id: UUID) -> SearchableDraft:
        """Draft the account of a person at an identity provider; neither part contains a space before the subject."""
        text = f"{issuer} {subject}"
        return self._draft_row("identity", text, text, new_id)

    def seal_text(self, text: str, text_id: UUID, reservation_id: UUID | None = None) -> PrivateText:
        """Encrypt free text about a reservation or a code, cut to 4,096 bytes of UTF-8."""
        cut = text.encode(errors="replace")[:TEXT_BYTES_MAX].decode(errors="ignore")
        return PrivateText(text_id, reservation_id, self.seal("text", text_id, cut))

    def seal(self, kind: RowKind, row_id: UUID, text: str) -> EncryptedText:
        """Encrypt the text of one row under the current master key."""
        key_id = self._master.current
        nonce = self._random(NONCE_BYTES)
        sealed = nonce + self._ciphers[key_id].encrypt(nonce, text.encode(), _associated_data(kind, row_id))
        return EncryptedText(sealed, key_id)

    def open(self, kind: SearchableKind, row: SearchableRow, *, may_lack_pepper: bool = False) -> str:
        """Decrypt the text of a row that is found by digest, and compare the two.

        Email is sent to the text, and recipients are looked up by the digest. Without the comparison, write access to
        the table would be enough to have one person's invitations sent to another.

        Args:
            kind: What the row is of.
            row: The stored row.
            may_lack_pepper: Skip the comparison if the digest's pepper is not in the ring.

        Raises:
            SealBrokenError: The text cannot be decrypted, or the digest's pepper is not in the ring.
            DigestMismatchError: The digest is not that of the text.
        """
        text = self._decrypt(kind, row.row_id, row.sealed, row.key_id)
        keyed = self._by_pepper.get(row.pepper_id)
        if keyed is None and may_lack_pepper:
            return text
        if keyed is None:
            raise SealBrokenError(f"pepper {row.pepper_id} is not in LEDGER_PEPPERS")
        digest = keyed.digest(_digest_input(kind, normalize_text(kind, text)))
        if not hmac.compare_digest(digest, row.digest):
            raise DigestMismatchError(
                f"the digest of the {kind} of row {row.row_id} does not match its text: run `ledger verify`"
            )
        return text

    def read_text(self, kind: SearchableKind, columns: Sequence[Any]) -> str | None:
        """Return the text of a row; None without a row (an outer join), or if it is broken.

        A broken row is logged and counted, and no email is sent to it. Where it must stop the work, use `open`.

        Args:
            kind: Kind of the row.
            columns: Id, digest, pepper id, encrypted text and key id.
        """
        if columns[0] is None:
            return None
        try:
            return self.open(kind, SearchableRow.from_columns(columns))
        except SealBrokenError as error:
            why = str(error)
        # A command that prints a history has no other use for metrics, which take a third of its start to load.
        import_module("projections.telemetry.metrics").ERRORS.labels("vault_error").inc()
        log.error("vault row refused", extra={"kind": kind, "row_id": str(columns[0]), "why": why})
        return None

    def open_text(self, row_id: UUID, sealed: bytes, key_id: int, *, kind: SealedKind = "text") -> str:
        """Decrypt a text that is found only by its id.

        Raises:
            SealBrokenError: The key is not in the ring, or the row was altered or belongs to another id.
        """
        return self._decrypt(kind, row_id, bytes(sealed), key_id)

    def _decrypt(self, kind: RowKind, row_id: UUID, sealed: bytes, key_id: int) -> str:
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            message = f"master key {key_id} is not in LEDGER_MASTER_KEYS"
            raise SealBrokenError(message)
        try:
            return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _associated_data(kind, row_id)).decode()
        except InvalidTag as error:
            message = f"the encrypted {kind} of row {row_id} was altered"
            raise SealBrokenError(message) from error

    def compute_digests(self, kind: RowKind, normal: str) -> tuple[bytes, ...]:
        """Return the digests under every pepper, that of the current one first."""
        text = _digest_input(kind, normal)
        return tuple([keyed.digest(text) for keyed in self._keyed])

    def compute_mailbox_digests(self, address: EmailAddress) -> tuple[bytes, ...]:
        """Return the digests of the mailbox behind an address under every pepper, that of the current one first."""
        text = _digest_input("mailbox", find_mailbox(address.normal))
        return tuple([keyed.digest(text)[:MAILBOX_BYTES] for keyed in self._keyed])

    def digest_mailbox(self, address: EmailAddress, pepper_id: int | None = None) -> bytes:
        """Digest the mailbox behind an email address, under the current pepper or another one of the ring."""
        keyed = self._by_pepper[self._peppers.current if pepper_id is None else pepper_id]
        return keyed.digest(_digest_input("mailbox", find_mailbox(address.normal)))[:MAILBOX_BYTES]

    def digest_client(self, site: str) -> bytes:
        """Digest the network of a client's IP address, for limits that processes share."""
        return self.compute_digests("client", site)[0][:CLIENT_BYTES]

    def _parse_code(self, typed: str) -> CodeInput:
        """Parse a typed code: its digests, also of its other spelling, and its strength.

        Raises:
            MalformedCodeError: It cannot be a code.
        """
        normal = normalize_code(typed)
        digests = tuple(digest for text in candidate_codes(normal) for digest in self.compute_digests("code", text))
        return CodeInput(digests, classify_code(normal))

    def _draft_row(self, kind: RowKind, normal: str, text: str, new_id: UUID) -> SearchableDraft:
        return SearchableDraft(
            new_id=new_id,
            digests=self.compute_digests(kind, normal),
            pepper_id=self._peppers.current,
            seal=partial(self.seal, kind, new_id, text),
            normal=normal,
            peppers=self._keyed,
        )


def code_suffix(normal: str) -> str:
    """Return the last four characters of a code's normal form; at most half of a short legacy code."""
    return normal[len(normal) - min(SUFFIX_LENGTH, len(normal) // 2) :]


def normalize_text(kind: SearchableKind, text: str) -> str:
    """Return the form of a stored text that is digested; codes are stored in it.

    Raises:
        SealBrokenError: The row should hold an email address, and does not.
    """
    if kind in {"code", "identity"}:
        return text
    try:
        return EmailAddress.parse(text).normal
    except MalformedEmailError as error:
        raise SealBrokenError(f"a row of a {kind} does not hold an email address") from error


def _digest_input(kind: RowKind, normal: str) -> bytes:
    return kind.encode() + b"\0" + normal.encode()


def _associated_data(kind: RowKind, row_id: UUID) -> bytes:
    return kind.encode() + row_id.bytes
