"""Which part of a client's IP address one party controls."""

import ipaddress
from typing import Final

IPV6_SITE_BITS: Final = 64
"""One IPv6 link assigns its addresses freely, so it counts as one client."""
IPV6_NETWORK_BITS: Final = 48
"""The largest network that one end site gets (RFC 6177): 65,536 links."""
TEXT_MAX: Final = 64
"""Longest text that is kept of an address that is not valid; only a broken proxy sends one."""


def client_networks(host: str) -> tuple[str, ...]:
    """Return the part of an IP address that one party controls, and for IPv6 its network; another text unchanged."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return (host[:TEXT_MAX],)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            bits = (IPV6_SITE_BITS, IPV6_NETWORK_BITS)
            return tuple(str(ipaddress.IPv6Network((int(address), length), strict=False)) for length in bits)
        address = address.ipv4_mapped
    return (str(address),)
