"""Which mail server to use and how, parsed from a URL."""

import ipaddress
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import SplitResult, unquote, urlsplit

import idna


class Security(Enum):
    """How the connection is encrypted; the value is the URL's scheme."""

    NONE = "smtp"
    STARTTLS = "smtp+starttls"
    TLS = "smtps"


DEFAULT_PORTS = {Security.NONE: 25, Security.STARTTLS: 587, Security.TLS: 465}

FORMS = "smtp://host:port, smtp+starttls://user:password@host:port, smtps://user:password@host:port or null://"


@dataclass(frozen=True, slots=True)
class SmtpServerUrl:
    """A mail server.

    Attributes:
        host: Name in ASCII, or IP address without brackets.
        user: Name to log in with; None to send without login.
    """

    host: str
    port: int
    security: Security
    user: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, url: str) -> "SmtpServerUrl":
        """Parse a URL. No error repeats any part of it, because it may hold a password.

        Raises:
            ValueError: It can't be used; the message is one sentence that says what to write.
        """
        parts, port = _split(url)
        try:
            security = Security(parts.scheme.lower())
        except ValueError:
            raise ValueError(f"The mail server's URL has an unknown scheme: write {FORMS}.") from None
        host = _ascii_host(parts.hostname or "")
        if not host or parts.path not in {"", "/"} or parts.query or parts.fragment:
            raise ValueError(
                f"The mail server's URL must be a host and no path: write {FORMS}, "
                "and percent-encode special characters of the password."
            )
        user, password = _login(parts)
        if user is not None and security is Security.NONE and not _is_loopback(host):
            raise ValueError(
                "The password would be sent unencrypted: write smtp+starttls:// or smtps:// instead of "
                "smtp:// for a mail server that is not on this machine."
            )
        return cls(host, port or DEFAULT_PORTS[security], security, user, password)


def is_null(url: str) -> bool:
    """Return whether the URL names no server: then every message is accepted and dropped."""
    return url.strip().lower().rstrip("/") == "null:"


def _split(url: str) -> tuple[SplitResult, int | None]:
    # urlsplit drops line breaks and tabs silently, so they are refused before it sees them.
    if not url.strip().isprintable() or " " in url.strip():
        raise ValueError(f"The mail server's URL contains white space or control characters: write {FORMS}.")
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        parts, port = SplitResult("", "", "", "", ""), 0
    if port == 0:
        raise ValueError(
            f"The mail server's URL has no valid host or port (1-65535): write {FORMS}, "
            "and percent-encode special characters of the password."
        )
    return parts, port


def _login(parts: SplitResult) -> tuple[str | None, str]:
    if parts.username is None:
        return None, ""
    user, password = unquote(parts.username), unquote(parts.password or "")
    both = user + password
    if not user or not password or not both.isascii() or not both.isprintable():
        raise ValueError(
            "The mail server's login must be user:password@, both percent-encoded and of printable ASCII characters."
        )
    return user, password


def _ascii_host(host: str) -> str:
    if host.isascii():
        return host
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
