"""Settings of the API process, read once at start."""

import ipaddress
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import Field, field_validator

from projections.config.settings import LedgerSettings

RATE_MAX: Final = 1_000_000
"""Largest number of invitations per hour that a limit may be set to."""


class Rates(NamedTuple):
    """Invitations per hour: for one recipient, for one recipient by `again`, and from one client address."""

    per_recipient: int
    again: int
    per_address: int


RATES: Final = Rates(per_recipient=5, again=3, per_address=100)
"""Defaults of the settings."""


class ApiSettings(LedgerSettings):
    """Settings of the HTTP side in addition to storage and policy."""

    invitations_per_recipient: int = Field(default=RATES.per_recipient, ge=1, le=RATE_MAX)
    again_per_recipient: int = Field(default=RATES.again, ge=1, le=RATE_MAX)
    recipients_per_address: int = Field(default=RATES.per_address, ge=1, le=RATE_MAX)
    trusted_proxies: str = ""
    allowed_hosts: str = ""
    mailbox: Path | None = None
    body_bytes_max: int = Field(default=65_536, ge=1024)
    request_wait_s: float = Field(default=10.0, gt=0)

    @field_validator("trusted_proxies")
    @classmethod
    def _is_networks(cls, value: str) -> str:
        """Check addresses and networks, separated by commas; another text would silently trust no proxy."""
        for network in _parts(value):
            ipaddress.ip_network(network)
        return value

    @property
    def hosts(self) -> list[str]:
        """Host names that are answered in addition to that of the public URL.

        Without any, see `api.http.allowed_hosts`.
        """
        return _parts(self.allowed_hosts)

    @property
    def invitation_rates(self) -> Rates:
        """Limits of invitations per hour."""
        return Rates(self.invitations_per_recipient, self.again_per_recipient, self.recipients_per_address)

    @property
    def proxies(self) -> list[str]:
        """Networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted."""
        return _parts(self.trusted_proxies)


def _parts(networks: str) -> list[str]:
    return [part.strip() for part in networks.split(",") if part.strip()]
