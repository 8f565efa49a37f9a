"""The networks that an API key may be used from, and the network that a request came from.

An IPv4 address that a dual-stack socket reports as IPv6 (`::ffff:203.0.113.7`) is the IPv4 address, here as in a list.
"""

from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal

Network = IPv4Network | IPv6Network
NetworkFault = Literal["networks_number", "network", "network_host"]

NETWORKS_MAX: Final = 50
"""Most networks of one key. Each request with the key looks through them."""
PREFIX_IPV4: Final = 24
"""Bits of an IPv4 address that are recorded of a use: the network, without the machine in it."""
PREFIX_IPV6: Final = 48
"""Likewise of IPv6: the network that a provider assigns to a site."""
_SHOWN_LENGTH_MAX: Final = 50
_MAPPED: Final = IPv6Network("::ffff:0:0/96")


class NetworkError(ValueError):
    """A text is not a list of networks. The message is a sentence whose subject, the field, is left out.

    Attributes:
        name: The network that is wrong, or the one that was probably meant.
    """

    def __init__(self, fault: NetworkFault, detail: str, name: str = "") -> None:
        super().__init__(detail)
        self.fault: NetworkFault = fault
        self.name = name


def parse_network_list(text: str) -> tuple[str, ...]:
    """Read networks in CIDR notation, or single addresses, with spaces, commas or semicolons between them.

    Returns:
        Each of them once, in its usual form; no network for an empty text.

    Raises:
        NetworkError: One of them is not a network, or there are more than `NETWORKS_MAX`.
    """
    words = text.replace(",", " ").replace(";", " ").split()
    if len(words) > NETWORKS_MAX:
        raise NetworkError("networks_number", f"has more than {NETWORKS_MAX} networks", str(NETWORKS_MAX))
    return tuple(dict.fromkeys(str(_parse_network(word)) for word in words))


def is_within(address: str | None, networks: Sequence[Network]) -> bool:
    """Return whether an address lies in one of these networks; False for what is not an address."""
    client = _read_address(address)
    return client is not None and any(client in network for network in networks)


def find_network(address: str | None) -> str | None:
    """Return the network of an address, as it is recorded; None for what is not an address."""
    client = _read_address(address)
    if client is None:
        return None
    prefix = PREFIX_IPV4 if isinstance(client, IPv4Address) else PREFIX_IPV6
    return str(ip_network((client.packed, prefix), strict=False))


def _read_address(address: str | None) -> IPv4Address | IPv6Address | None:
    with suppress(ValueError):
        client = ip_address((address or "").partition("%")[0])
        return getattr(client, "ipv4_mapped", None) or client
    return None


def _parse_network(word: str) -> Network:
    network: Network | None = None
    with suppress(ValueError):
        network = ip_network(word, strict=False)
    if network is None or "%" in word:  # a zone names an interface of this machine
        shown = word[:_SHOWN_LENGTH_MAX]
        detail = f"has {shown!a}, which is not a network such as 203.0.113.0/24 or 2001:db8::/48"
        raise NetworkError("network", detail, shown)
    if network.network_address != ip_address(word.partition("/")[0]):
        detail = f"has {word!a}, an address with the length of a network: write {network}"
        raise NetworkError("network_host", detail, str(network))
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        mapped = IPv4Address(int(network.network_address) & 0xFFFFFFFF)
        return IPv4Network((mapped, network.prefixlen - _MAPPED.prefixlen))
    return network
