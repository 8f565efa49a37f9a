"""The sender of messages, as SMTP carries it."""

import re
from dataclasses import dataclass
from email.header import Header
from email.utils import getaddresses

import idna

HEADER_LINE_MAX = 76
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


def _phrase(name: str) -> str:
    if not name.isascii():
        return Header(name, "utf-8", maxlinelen=HEADER_LINE_MAX).encode(linesep="\r\n")
    escaped = name.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'
