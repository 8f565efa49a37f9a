"""Normal forms of what a user types: redeem codes and email addresses.

Digests are taken of normal forms, so a change here would lose every stored code and recipient. They never change.
"""

import re
import unicodedata
from typing import Protocol

import idna
from msgspec import Struct

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Alphabet of native codes: Crockford's base 32 (crockford.com/base32.html), without I, L, O and U."""

CHECK_MODULUS = 37
"""Crockford's check symbol is the number modulo 37; we use only results below 32, which the alphabet can write."""

NATIVE_LENGTH = 20
"""19 random characters carry 95 bits less 0.2 for the redraw (80 are enough); one more is the check character."""

GROUP_LENGTH = 4
CODE_LENGTH_MAX = 64
TYPED_LENGTH_MAX = 320
"""Longest text that is read, before normalizing. RFC 5321 4.5.3.1: 64 + 1 + 255 octets for an email address."""

EMAIL_OCTETS_MAX = 254
"""RFC 5321 4.5.3.1.3 less the angle brackets (RFC 3696 erratum 1690)."""
LOCAL_OCTETS_MAX = 64

_FOLD = str.maketrans("OIL", "011")
_NATIVE = re.compile(f"[{CROCKFORD}]{{{NATIVE_LENGTH}}}")
_AS_DIGITS = str.maketrans(CROCKFORD, "0123456789abcdefghijklmnopqrstuv")
"""Translates Crockford's characters to the digits by which Python reads numbers to the base 32."""
_LOCAL = re.compile(r"[^\s\"(),:;<>@\[\\\]\x00-\x20\x7f]+")


class MalformedCodeError(ValueError):
    """This text can't be a code of any system: empty, too long, or with control characters."""


class MalformedEmailError(ValueError):
    """This text is not one email address."""


class RandomSource(Protocol):
    """A source of random characters; `random.Random` and `random.SystemRandom` are such sources."""

    def choices(self, population: str, *, k: int) -> list[str]:
        """Draw `k` characters with replacement."""


def normalize_code(typed: str) -> str:
    """Return the one text that all spellings of a code share.

    NFKC, trimmed, upper-case, without spaces and hyphens. O/0 and I/L/1 are folded only if that gives a native code
    with a valid check character. Any other text stays as it is: it may be a legacy code.

    Raises:
        MalformedCodeError: The text is empty, longer than 64 characters, or holds control characters.
    """
    if len(typed) > TYPED_LENGTH_MAX:
        raise MalformedCodeError
    text = typed if typed.isascii() else unicodedata.normalize("NFKC", typed)
    text = text.strip().upper()
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join(c for c in text if unicodedata.category(c) not in {"Zs", "Pd"})
    text = text.replace(" ", "").replace("-", "")
    if not text.isascii():  # what stood around a space may be one letter now
        text = unicodedata.normalize("NFKC", text)
    if not 1 <= len(text) <= CODE_LENGTH_MAX or not text.isprintable():
        raise MalformedCodeError
    if len(text) == NATIVE_LENGTH and is_native(folded := text.translate(_FOLD)):
        return folded
    return text


def is_native(text: str) -> bool:
    """Return whether a normal form has the length, the alphabet and the check character of a native code."""
    if not _NATIVE.fullmatch(text):
        return False
    return _check_value(text[:-1]) == CROCKFORD.index(text[-1])


def generate_code(random_source: RandomSource) -> str:
    """Return a new native code in normal form.

    A number whose check value is not one of the 32 characters is drawn again.
    """
    while True:
        body = "".join(random_source.choices(CROCKFORD, k=NATIVE_LENGTH - 1))
        check = _check_value(body)
        if check < len(CROCKFORD):
            return body + CROCKFORD[check]


def format_code(normal: str) -> str:
    """Return a code as it is shown: native codes in groups of four behind their prefix, others unchanged."""
    prefix, native = normal[:-NATIVE_LENGTH], normal[-NATIVE_LENGTH:]
    if not is_native(native):
        return normal
    groups = [native[i : i + GROUP_LENGTH] for i in range(0, NATIVE_LENGTH, GROUP_LENGTH)]
    return "-".join([prefix, *groups] if prefix else groups)


def candidate_codes(normal: str) -> tuple[str, ...]:
    """Return the texts under which a code may be stored: itself, and with look-alikes folded behind a prefix."""
    if len(normal) <= NATIVE_LENGTH:
        return (normal,)
    folded = normal[:-NATIVE_LENGTH] + normal[-NATIVE_LENGTH:].translate(_FOLD)
    return (normal,) if folded == normal or not is_native(folded[-NATIVE_LENGTH:]) else (normal, folded)


class EmailAddress(Struct, frozen=True):
    """An email address in two forms: `normal` identifies the recipient, `typed` is where the email is sent.

    Attributes:
        normal: Trimmed, NFC, lower-case, domain as IDNA A-label; `+tag` and dots are kept.
        typed: As typed, trimmed.
    """

    normal: str
    typed: str

    @property
    def domain(self) -> str:
        """The domain as its A-label, by which terms admit or deny the address."""
        return self.normal.rpartition("@")[2]

    @property
    def envelope(self) -> str:
        """The address as SMTP carries it: local part as typed, domain as its A-label."""
        return f"{self.typed.rpartition('@')[0]}@{self.domain}"

    @classmethod
    def parse(cls, typed: str) -> "EmailAddress":
        """Read one email address.

        Raises:
            MalformedEmailError: It is not exactly one address that SMTP can carry.
        """
        if _PLAIN_ADDRESS.fullmatch(typed) and "xn--" not in (normal := typed.lower()):
            return cls(normal=normal, typed=typed)
        return cls._parse_any(typed)

    @classmethod
    def _parse_any(cls, typed: str) -> "EmailAddress":
        if len(typed) > TYPED_LENGTH_MAX:
            raise MalformedEmailError
        typed = typed.strip()
        local, at, domain = typed.rpartition("@")
        if not local.isascii():
            local = unicodedata.normalize("NFC", local)
        if not at or not _LOCAL.fullmatch(local) or local[0] == "." or local[-1] == "." or ".." in local:
            raise MalformedEmailError
        if not local.isprintable():
            raise MalformedEmailError
        lowered = unicodedata.normalize("NFC", local.lower())  # of some letters only the small one is composed
        normal = f"{lowered}@{domain_to_ascii(domain)}"
        try:
            too_long = len(local.encode()) > LOCAL_OCTETS_MAX or len(normal.encode()) > EMAIL_OCTETS_MAX
        except UnicodeEncodeError as error:
            raise MalformedEmailError from error
        if too_long:
            raise MalformedEmailError
        return cls(normal=normal, typed=typed)


_PLAIN_ADDRESS = re.compile(
    r"(?=.{1,64}@.{1,189}\Z)[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
"""Form of nearly all addresses: nothing has to be trimmed, composed or encoded, and no limit is near."""
_PLAIN_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")


def domain_to_ascii(domain: str) -> str:
    """Return a domain as lower-case A-labels (RFC 5891, UTS 46 mapping); a plain ASCII name needs no mapping.

    Raises:
        MalformedEmailError: It is not a domain name of at least two labels.
    """
    lowered = domain.lower()
    if not lowered.isascii() or "xn--" in lowered:
        try:
            lowered = idna.encode(lowered, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise MalformedEmailError from error
    if not _PLAIN_DOMAIN.fullmatch(lowered):
        raise MalformedEmailError
    return lowered


def _check_value(body: str) -> int:
    """Return Crockford's check value: the number that the characters write, modulo 37."""
    return int(body.translate(_AS_DIGITS), len(CROCKFORD)) % CHECK_MODULUS
