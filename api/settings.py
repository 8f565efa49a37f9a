"""Settings of the API process, read once at start."""

import ipaddress

from pydantic import field_validator

from projections.config.settings import LedgerSettings, Rates


class ApiSettings(LedgerSettings):
    """The settings with what the HTTP side checks and derives."""

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
