"""Which addresses the ledger may send to: a URL from a user must not reach our private network (SSRF).

Checked twice: the text when it is set, and each address that its host's name resolves to, every time before anything is
sent. Only addresses of the public internet are targets, unless the operator allows a network by name.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

import idna

URL_LENGTH_MAX: Final = 2_000
PORTS: Final = {"https": 443, "http": 80}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
TargetFault = Literal["form", "scheme", "login", "host", "private"]

_PLAIN: Final = re.compile(r"[!-~]+")
_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?")
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
"""A last label like this makes a host an IPv4 address in one of its old notations (octal, hexadecimal, short)."""

_LOOPBACK: Final = (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1"))
"""What `localhost` and every name below it stand for, whatever a resolver answers (RFC 6761 6.3)."""
_PRIVATE_NAMES: Final = (".local", ".internal", ".home.arpa")
"""Ends of names that no resolver of the public internet answers (RFC 6762, ICANN 2024, RFC 8375)."""

_GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")
"""The IPv6 range that is assigned for use on the internet (RFC 4291 2.4)."""
_NOT_PUBLIC: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # IETF protocol assignments; a cloud's metadata service lives here
        "168.63.129.16/32",  # the host of another cloud's machines
        "198.18.0.0/15",  # benchmarks
        "224.0.0.0/3",  # multicast and reserved
        "2001::/23",  # IETF protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)
_CARRIES_V4: Final = (
    # Networks of IPv6 whose addresses stand for one of IPv4, and how many bits follow it.
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),  # mapped (RFC 4291)
    (ipaddress.IPv6Network("::/96"), 0),  # compatible (RFC 4291, deprecated)
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 0),  # translated (RFC 2765)
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64 (RFC 6052)
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4 (RFC 3056)
)


class TargetError(ValueError):
    """The URL is not a permitted target. `fault`: form, scheme, login, host or private."""

    def __init__(self, fault: TargetFault) -> None:
        super().__init__(fault)
        self.fault: TargetFault = fault


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send. `host` is a name in ASCII or an IP address without brackets; `path` includes the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Host and port as in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @classmethod
    def parse(cls, url: str, allowed: Sequence[Network] = ()) -> "Target":
        """Read a URL.

        Args:
            url: https, or http if any network is allowed (which one is checked before sending).
            allowed: Networks in addition to the public ones.

        Raises:
            TargetError: It is not a URL, or names an address that is not a permitted target.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise TargetError("form") from error
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        is_plain = url.isprintable() and _PLAIN.fullmatch(path) and not set(url) & set(" \\#")
        if len(url) > URL_LENGTH_MAX or not is_plain or port == 0:
            raise TargetError("form")
        if parts.scheme != "https" and not (parts.scheme == "http" and allowed):
            raise TargetError("scheme")
        if "@" in parts.netloc:
            raise TargetError("login")
        return cls(parts.scheme, _host(host, parts.scheme, allowed), port or PORTS[parts.scheme], path)


def may_reach(address: Address, scheme: str, allowed: Sequence[Network]) -> bool:
    """Return whether we may send to an IP address: a public one by https, or one of an allowed network."""
    plain = inner(address)
    if any(one in network for network in allowed for one in (address, plain) if one.version == network.version):
        return True
    return scheme == "https" and is_public(plain)


def is_public(address: Address) -> bool:
    """Return whether an IP address is on the public internet.

    An IPv6 address that stands for an IPv4 address is not.
    """
    if address.version == 6 and address not in _GLOBAL_V6:  # noqa: PLR2004 - the version's number is its name
        return False
    if any(address in network for network in _NOT_PUBLIC if network.version == address.version):
        return False
    return address.is_global


def inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for; any other address unchanged."""
    for network, bits_after in _CARRIES_V4:
        if isinstance(address, ipaddress.IPv6Address) and address in network:
            return ipaddress.IPv4Address(int(address) >> bits_after & 0xFFFF_FFFF)
    return address


def _host(host: str, scheme: str, allowed: Sequence[Network]) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = _name(host)
        if not _may_name(name.removesuffix("."), scheme, allowed):
            raise TargetError("private") from None
        return name
    if not may_reach(address, scheme, allowed):
        raise TargetError("private")
    return str(address)


def _may_name(name: str, scheme: str, allowed: Sequence[Network]) -> bool:
    """Return whether a name can stand for a permitted address, as far as the name itself says so."""
    if name == "localhost" or name.endswith(".localhost"):
        return any(may_reach(address, scheme, allowed) for address in _LOOPBACK)
    return bool(allowed) or ("." in name and not name.endswith(_PRIVATE_NAMES))


def _name(host: str) -> str:
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except idna.IDNAError as error:
            raise TargetError("host") from error
    if not _NAME.fullmatch(host) or _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]):
        raise TargetError("host")
    return host.lower()
