"""The sender of messages, as SMTP carries it."""

import re
from dataclasses import dataclass
from email.header import Header
from email.utils import getaddresses

import idna

from domain.ports import OutboundMessage
from domain.values.mail.mail_provider import MailProvider, token_header
from domain.values.mail.mail_token import TOKEN_CHARS, mail_token

HEADER_LINE_MAX = 76
LOCAL_PART_MAX = 64
"""Octets of a local part (RFC 5321, 4.5.3.1.1)."""
_ADDRESS = re.compile(r"[!#-'*+\-./0-9=?A-Z^-~]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})")


@dataclass(frozen=True, slots=True)
class MailFrom:
    """The sender of messages.

    Attributes:
        address: The address in ASCII, for the envelope.
        header: The value of the From header, in ASCII.
    """

    address: str
    header: str

    @classmethod
    def parse(cls, mail_from: str) -> "MailFrom":
        """Read `address` or `Name <address>`; an international domain becomes its A-label.

        Raises:
            ValueError: It is not one address that every mail server can carry.
        """
        addresses = getaddresses([mail_from]) if mail_from.isprintable() else []
        name, address = addresses[0] if len(addresses) == 1 else ("", "")
        local, at, domain = address.rpartition("@")
        if not domain.isascii():
            try:
                domain = idna.encode(domain, uts46=True).decode("ascii")
            except idna.IDNAError:
                domain = ""
        if not _ADDRESS.fullmatch(address := f"{local}{at}{domain}"):
            raise ValueError(
                "LEDGER_MAIL_FROM must be one address with an ASCII local part, such as ledger@example.com "
                "or Ledger <ledger@example.com>."
            )
        return cls(address=address, header=f"{_phrase(name)} <{address}>" if name else address)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailTokens:
    """How each message names itself by a token, so that a report about it can be believed.

    Attributes:
        secret: Key of the tokens.
        bounce_address: Local part and domain, in ASCII, of the address to which reports are sent; None without one.
        provider: The provider that reports by HTTP; None without one.
    """

    secret: bytes
    bounce_address: tuple[str, str] | None = None
    provider: MailProvider | None = None

    @classmethod
    def parse(cls, secret: bytes, bounce_address: str | None, provider: MailProvider | None) -> "MailTokens | None":
        """Return how messages name themselves; None if no report would ever name one.

        Raises:
            ValueError: The address is none, or its local part leaves no room for a token.
        """
        if bounce_address is None:
            return None if provider is None else cls(secret=secret, provider=provider)
        local, _, domain = MailFrom.parse(bounce_address).address.rpartition("@")
        if "+" in local or len(local) > LOCAL_PART_MAX - TOKEN_CHARS - 1:
            raise ValueError(
                "LEDGER_BOUNCE_ADDRESS must be an address such as bounces@example.com, whose local part has no `+` and"
                f" at most {LOCAL_PART_MAX - TOKEN_CHARS - 1} characters: each email adds its token."
            )
        return cls(secret=secret, bounce_address=(local, domain), provider=provider)

    def token_of(self, message: OutboundMessage) -> str:
        """Return the token of a message, the same on every attempt."""
        return mail_token(self.secret, message.ref, message.written_at)

    def return_path(self, token: str) -> str | None:
        """Return the envelope sender that names a message (VERP); None if reports come by HTTP only."""
        if self.bounce_address is None:
            return None
        local, domain = self.bounce_address
        return f"{local}+{token}@{domain}"

    def headers(self, token: str) -> dict[str, str]:
        """Return the headers that name a message to the provider."""
        return {} if self.provider is None else dict([token_header(self.provider, token)])


def xtext(text: str) -> str:
    """Encode a parameter of an SMTP command (RFC 3461, 4)."""
    return "".join(char if "!" <= char <= "~" and char not in "+=" else f"+{ord(char):02X}" for char in text)


def _phrase(name: str) -> str:
    if not name.isascii():
        return Header(name, "utf-8", maxlinelen=HEADER_LINE_MAX).encode(linesep="\r\n")
    escaped = name.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'
