"""Which mailbox holds reports and how to reach it, parsed from a URL."""

from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

Scheme = Literal["imaps", "imap+starttls", "imap", "pop3s", "pop3"]
PORTS: Final[dict[Scheme, int]] = {"imaps": 993, "imap+starttls": 143, "imap": 143, "pop3s": 995, "pop3": 110}
FORMS: Final = "imaps://user:password@host/Folder, imap+starttls://, imap://, pop3s:// or pop3://"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class MailboxUrl:
    """A mailbox. `folder`: of an IMAP server; INBOX if the URL names none."""

    scheme: Scheme
    host: str
    port: int
    user: str = field(repr=False)
    password: str = field(repr=False)
    folder: str = "INBOX"

    @classmethod
    def parse(cls, url: str) -> "MailboxUrl":
        """Parse a URL. No error repeats any part of it, because it holds a password.

        Raises:
            ValueError: It can't be used; the message is one sentence that says what to write.
        """
        try:
            parts = urlsplit(url.strip())
            port = parts.port
        except ValueError:
            raise ValueError(f"LEDGER_BOUNCE_MAILBOX_URL has no valid host or port: write {FORMS}") from None
        scheme = next((each for each in PORTS if each == parts.scheme.lower()), None)
        if scheme is None or not parts.hostname or not parts.username or not parts.password or not url.isprintable():
            raise ValueError(
                f"LEDGER_BOUNCE_MAILBOX_URL must name user, password and host: write {FORMS}, and percent-encode"
                " special characters of the password"
            )
        if scheme in {"imap", "pop3"} and parts.hostname not in _LOOPBACK:
            raise ValueError(
                "LEDGER_BOUNCE_MAILBOX_URL would send the password unencrypted: write imaps://, imap+starttls:// or"
                " pop3s:// for a server that is not on this machine"
            )
        folder = unquote(parts.path.strip("/")) or "INBOX"
        if scheme.startswith("pop3") and folder != "INBOX":
            raise ValueError("LEDGER_BOUNCE_MAILBOX_URL names a folder, and POP3 has none: write imaps:// or no folder")
        return cls(
            scheme, parts.hostname, port or PORTS[scheme], unquote(parts.username), unquote(parts.password), folder
        )
