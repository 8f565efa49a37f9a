"""Who a client's address stands for: the part of it that one party controls."""

import ipaddress
from typing import Final

IPV6_SITE_BITS: Final = 64
"""One IPv6 link hands out addresses at will, so it counts as one."""
IPV6_NETWORK_BITS: Final = 48
"""The most that one end site gets (RFC 6177): 65,536 links."""
TEXT_MAX: Final = 64
"""Of an address that is none; only a broken proxy sends one."""


def client_networks(host: str) -> tuple[str, ...]:
    """The part of an address that one party controls, and for IPv6 the network around it; another text as it is."""
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
