"""Settings of the API process, read once at start."""

import ipaddress
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from projections.settings import LedgerSettings


class ApiSettings(LedgerSettings):
    """What the HTTP side needs beyond storage and policy."""

    rate_limit: Literal["on", "off"] = "on"
    trusted_proxies: str = ""
    allowed_hosts: str = ""
    mailbox: Path | None = None
    body_bytes_max: int = Field(default=65_536, ge=1024)
    request_wait_s: float = Field(default=10.0, gt=0)

    @field_validator("trusted_proxies")
    @classmethod
    def _is_networks(cls, value: str) -> str:
        """Addresses and networks, separated by commas; another text would silently trust nobody."""
        for network in _parts(value):
            ipaddress.ip_network(network)
        return value

    @property
    def hosts(self) -> list[str]:
        """Host names that are answered besides that of the public URL; with none, see `api.hosts`."""
        return _parts(self.allowed_hosts)

    @property
    def proxies(self) -> list[str]:
        """Whose X-Forwarded-For and X-Forwarded-Proto are believed."""
        return _parts(self.trusted_proxies)


def _parts(networks: str) -> list[str]:
    return [part.strip() for part in networks.split(",") if part.strip()]
