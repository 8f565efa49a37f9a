"""Validation of the URLs in settings. No message repeats any part of a URL, because it may hold a password."""

import re
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from projections.config.broker_url import BrokerUrl

DATABASE_FORM = (
    "write postgresql://user:password@host:5432/database, and percent-encode special characters of the password"
)
TRACES_EXTRA = "its packages are missing: install the extra `tracing` (docs/reference/dependencies.md), or unset it"
TRACES_FORM = "write where the collector takes traces by OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces"
ISSUER_FORM = "write the issuer as https://id.example.com/realm; http is for an issuer on this machine only"
PUBLIC_FORM = "write the URL of the pages as users open it, such as https://redeem.example.com"


LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
LOOPBACK_SOURCE: Final = "which could be any ledger"
"""What is wrong with CloudEvents of a loopback URL."""
SET_PUBLIC_URL: Final = "set LEDGER_PUBLIC_URL to the ledger's address, the same for all its processes"
SET_BY_THE_LEDGER: Final = (
    *("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "timezone", "enable_seqscan"),
    *("max_parallel_workers_per_gather", "maintenance_work_mem"),
)
"""Session settings of the ledger's connections, which come after those of a URL and would replace them."""
_SESSION_SETTING: Final = re.compile(r"(?:^|\s)(?:-c\s*|--)([\w-]+)\s*=")


def validate_database_url(url: str) -> str:
    """Return the URI or connection string of a database unchanged.

    Raises:
        ValueError: libpq can't read it, or it sets what the ledger sets itself.
    """
    try:
        parameters = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise ValueError(DATABASE_FORM) from None
    ports = str(parameters.get("port") or "").split(",")
    if not all(not port or (port.isdecimal() and 0 < int(port[:6]) < 1 << 16) for port in ports):
        raise ValueError(DATABASE_FORM)
    if "application_name" in parameters:
        raise ValueError("remove application_name: the ledger finds its own sessions by the names that it gives them")
    for setting in _SESSION_SETTING.findall(str(parameters.get("options") or "")):
        if (name := setting.lower().replace("-", "_")) in SET_BY_THE_LEDGER:
            raise ValueError(f"remove {name} from its options: the ledger sets it for each of its sessions")
    return url


def validate_broker_url(url: str) -> str:
    """Return the URL of the broker unchanged.

    Raises:
        ValueError: It does not name a broker.
    """
    BrokerUrl.parse(url)
    return url


def validate_public_url(url: str) -> str:
    """Return the base URL of links in emails unchanged.

    Raises:
        ValueError: A browser could not open it.
    """
    scheme, host, rest = _split_url(url)
    if scheme not in {"http", "https"} or not host or rest:
        raise ValueError(PUBLIC_FORM)
    return url


def validate_issuer(url: str) -> str:
    """Return the URL of an identity provider unchanged.

    Raises:
        ValueError: It is not an issuer (OpenID Connect Core 1.0, section 2), or others could read what is sent to it.
    """
    _, host, rest = _split_url(url)
    if not host or rest or not is_secure_url(url):
        raise ValueError(ISSUER_FORM)
    return url


def is_secure_url(url: str) -> bool:
    """Return whether no one on the way to the host of a URL reads along: `https`, or `http` on loopback."""
    scheme, host, _ = _split_url(url)
    return scheme == "https" or (scheme == "http" and host in LOOPBACK_HOSTS)


def is_loopback_url(url: str) -> bool:
    """Return whether a URL leads each machine to itself."""
    return _split_url(url)[1] in LOOPBACK_HOSTS


def validate_traces_url(url: str) -> str:
    """Return the URL of a collector of traces unchanged.

    Raises:
        ValueError: No HTTP client could post to it, or the packages of the extra `tracing` are not installed.
    """
    scheme, host, rest = _split_url(url)
    if scheme not in {"http", "https"} or not host or rest:
        raise ValueError(TRACES_FORM)
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise ValueError(TRACES_EXTRA)
    return url


def _split_url(url: str) -> tuple[str, str, str]:
    """Return scheme, host, and the parts that may not follow a path; nothing if the text is not a URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "", "", ""
    if port == 0 or not url.isprintable() or " " in url:
        return "", "", ""
    return parts.scheme, parts.hostname or "", parts.query + parts.fragment
