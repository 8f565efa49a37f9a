"""Settings of the API process, read once at start."""

import ipaddress
from typing import Self

from pydantic import SecretStr, field_validator, model_validator

from projections.config.settings import LedgerSettings, Rates
from projections.config.staff_roles import parse_required_roles
from projections.repositories.staff_sessions import StaffMember


class ApiSettings(LedgerSettings):
    """The settings with what the HTTP side checks and derives."""

    @field_validator("trusted_proxies")
    @classmethod
    def _is_networks(cls, value: str) -> str:
        """Check addresses and networks, separated by commas; another text would silently trust no proxy."""
        for network in _parts(value):
            ipaddress.ip_network(network)
        return value

    @model_validator(mode="after")
    def _check_sign_on(self) -> Self:
        """Check that staff can sign in as these settings say."""
        if self.oidc_issuer is None:
            if self.password_sign_in != "on":  # noqa: S105 - a mode, no password
                raise ValueError("LEDGER_PASSWORD_SIGN_IN: without LEDGER_OIDC_ISSUER it must be on")
            return self
        if not self.oidc_client_id:
            raise ValueError("LEDGER_OIDC_CLIENT_ID: write the id that the identity provider gave to the ledger")
        if not self.oidc_roles:
            raise ValueError("LEDGER_OIDC_ROLES: write which group has which role, as ledger-admins=admin")
        if "openid" not in self.oidc_scopes.split():
            raise ValueError("LEDGER_OIDC_SCOPES: add openid, without which there is no ID token")
        self.read_client_secret()
        return self

    @property
    def admits_passwords(self) -> bool:
        """Whether anyone may sign in with a password."""
        return self.password_sign_in != "off"  # noqa: S105 - a mode, no password

    @property
    def admits_one_password(self) -> bool:
        """Whether only the account of last resort may sign in with its password."""
        return self.password_sign_in == "break-glass"  # noqa: S105 - a mode, no password

    def must_add_factor(self, member: StaffMember) -> bool:
        """Return whether the account of a session may do nothing before it has a second factor."""
        return not member.has_second_factor and member.role in parse_required_roles(self.second_factor)

    def read_client_secret(self) -> SecretStr | None:
        """Return the secret of the ledger at the identity provider; None for a public client.

        Raises:
            ValueError: Its file cannot be read.
        """
        if self.oidc_client_secret_file is None:
            return None
        try:
            return SecretStr(self.oidc_client_secret_file.read_text(encoding="utf-8").strip())
        except OSError as error:
            raise ValueError(
                f"LEDGER_OIDC_CLIENT_SECRET_FILE: {self.oidc_client_secret_file} cannot be read ({error.strerror})"
            ) from error

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
