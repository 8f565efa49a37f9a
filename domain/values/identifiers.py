"""Normal forms of what a person types: redeem codes and e-mail addresses.

Normal forms are part of identity (digests are taken of them), so a change here would lose every code and
person that is already known. They are for ever.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Protocol

import idna

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Alphabet of native codes: Crockford's base 32 (crockford.com/base32.html), without I, L, O and U."""

CHECK_MODULUS = 37
"""Crockford's check symbol is the number modulo 37; we use only results below 32, which the alphabet can write."""

NATIVE_LENGTH = 20
"""19 random letters carry 95 bits less 0.2 for the redraw (we want 80 or more), one letter is the check."""

GROUP_LENGTH = 4
CODE_LENGTH_MAX = 64
TYPED_LENGTH_MAX = 320
"""Longest text looked at, before normalising. RFC 5321 4.5.3.1: 64 + 1 + 255 octets for an address."""

EMAIL_OCTETS_MAX = 254
"""RFC 5321 4.5.3.1.3 less the angle brackets (RFC 3696 erratum 1690)."""
LOCAL_OCTETS_MAX = 64

_FOLD = str.maketrans("OIL", "011")
_NATIVE = re.compile(f"[{CROCKFORD}]{{{NATIVE_LENGTH}}}")
_AS_DIGITS = str.maketrans(CROCKFORD, "0123456789abcdefghijklmnopqrstuv")
"""To the digits by which Python reads numbers to the base 32."""
_LOCAL = re.compile(r"[^\s\"(),:;<>@\[\\\]\x00-\x20\x7f]+")


class MalformedCodeError(ValueError):
    """This text can't be a code of any system: empty, too long, or with control characters."""


class MalformedEmailError(ValueError):
    """This text is not one e-mail address."""


class RandomSource(Protocol):
    """A source of random letters; `random.Random` and `random.SystemRandom` are such sources."""

    def choices(self, population: str, *, k: int) -> list[str]:
        """Draw `k` letters with replacement."""


def normalize_code(typed: str) -> str:
    """The one text that all spellings of a code share.

    NFKC, trimmed, upper-case, spaces and hyphens out; O/0 and I/L/1 are folded only where that makes a
    native code with a right check letter. Anything else stays as it is: it may be a code of an older system.

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
    """Whether a normal form has the length, the alphabet and the check letter of a code that we issued."""
    if not _NATIVE.fullmatch(text):
        return False
    return _check_value(text[:-1]) == CROCKFORD.index(text[-1])


def generate_code(random_source: RandomSource) -> str:
    """Draw a new native code in normal form; numbers whose check is not one of the 32 letters are drawn again."""
    while True:
        body = "".join(random_source.choices(CROCKFORD, k=NATIVE_LENGTH - 1))
        check = _check_value(body)
        if check < len(CROCKFORD):
            return body + CROCKFORD[check]


def format_code(normal: str) -> str:
    """The form in which a code is shown: native codes in groups of four behind their prefix, others as they are."""
    prefix, native = normal[:-NATIVE_LENGTH], normal[-NATIVE_LENGTH:]
    if not is_native(native):
        return normal
    groups = [native[i : i + GROUP_LENGTH] for i in range(0, NATIVE_LENGTH, GROUP_LENGTH)]
    return "-".join([prefix, *groups] if prefix else groups)


def candidate_codes(normal: str) -> tuple[str, ...]:
    """Texts under which a code may be known: itself, and with the look-alikes folded behind a prefix."""
    if len(normal) <= NATIVE_LENGTH:
        return (normal,)
    folded = normal[:-NATIVE_LENGTH] + normal[-NATIVE_LENGTH:].translate(_FOLD)
    return (normal,) if folded == normal or not is_native(folded[-NATIVE_LENGTH:]) else (normal, folded)


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """An address in two forms: `normal` is who it is, `typed` is where mail goes.

    Attributes:
        normal: Trimmed, NFC, lower-case, domain as IDNA A-label; `+tag` and dots are kept.
        typed: As typed, trimmed.
    """

    normal: str
    typed: str

    @classmethod
    def parse(cls, typed: str) -> "EmailAddress":
        """Read one address.

        Raises:
            MalformedEmailError: It is not exactly one address that SMTP can carry.
        """
        if _PLAIN_ADDRESS.fullmatch(typed) and "xn--" not in (normal := typed.lower()):
            return cls(normal=normal, typed=typed)
        return cls._parse_any(typed)

    @classmethod
    def _parse_any(cls, typed: str) -> "EmailAddress":
        typed = typed.strip() if len(typed) <= TYPED_LENGTH_MAX else ""
        local, at, domain = typed.rpartition("@")
        if not local.isascii():
            local = unicodedata.normalize("NFC", local)
        if not at or not _LOCAL.fullmatch(local) or local[0] == "." or local[-1] == "." or ".." in local:
            raise MalformedEmailError
        if not local.isprintable():
            raise MalformedEmailError
        lowered = unicodedata.normalize("NFC", local.lower())  # of some letters only the small one is composed
        normal = f"{lowered}@{_ascii_domain(domain)}"
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
"""What nearly all addresses look like: nothing is to be trimmed, composed or encoded, and no bound is near."""
_PLAIN_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")


def _ascii_domain(domain: str) -> str:
    """The domain as lower-case A-labels (RFC 5891, UTS 46 mapping); a plain ASCII name takes the short way."""
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
    """Crockford's check: the number that the letters write, modulo 37."""
    return int(body.translate(_AS_DIGITS), len(CROCKFORD)) % CHECK_MODULUS
