"""Lookup of a host's addresses with a timeout, which the system's resolver does not have."""

import contextlib
import ipaddress
import socket
import threading

AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]


def resolve(host: str, port: int, wait_s: float) -> list[AddressInfo]:
    """Return the addresses of a host, in the order in which to try them; none if the lookup took too long."""
    addresses: list[AddressInfo] = []

    def look_up() -> None:
        with contextlib.suppress(OSError, UnicodeError):
            addresses.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))

    try:
        ipaddress.ip_address(host)
    except ValueError:
        thread = threading.Thread(target=look_up, name="resolve", daemon=True)
        thread.start()
        thread.join(wait_s)
    else:
        look_up()
    return list(addresses)
