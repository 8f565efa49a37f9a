"""Settings that every process of the ledger shares: storage, keys, and the policy of redemptions."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from domain.policy import WAIT_S_MAX, Policy
from domain.ports import Language
from domain.webhooks.target_url import Network
from projections.config.environment import EnvironmentSettings
from projections.config.url_validation import (
    validate_broker_url,
    validate_database_url,
    validate_public_url,
    validate_traces_url,
)
from projections.vault.key_ring import KeyRing
from projections.vault.vault import Vault

DEFAULT_DATA_DIR = Path(".ledger")
SMTP_TIMEOUT_S_MAX = WAIT_S_MAX / 2
"""The lease of a test email is twice the timeout."""


def add_password(url: str, file: str | Path | None) -> str:
    """Return the URL with the password that a file holds, if a file is named.

    Raises:
        OSError: The file can't be read.
        ValueError: The URL can't be read.
    """
    if not file:
        return url
    return make_conninfo(validate_database_url(url), password=Path(file).read_text(encoding="utf-8").strip())


def read_password(url: str) -> str:
    """Return the password of a database URL; an empty text if it has none."""
    return str(conninfo_to_dict(url).get("password") or "")


def parse_networks(text: str) -> tuple[Network, ...]:
    """Parse a list of networks separated by commas, such as 10.0.0.0/8,fd00::/8.

    Raises:
        ValueError: One of them is not a network.
    """
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"write networks as 10.0.0.0/8,192.168.1.7/32: {error}") from error


class LedgerSettings(EnvironmentSettings):
    """Settings that are read once at start from the environment.

    `DATABASE_URL` and `REDIS_URL` have these names; all others begin with `LEDGER_`. LEDGER_SECRETS_FILE may name a
    file of `NAME=value` lines, and LEDGER_DATABASE_PASSWORD_FILE one with the password that DATABASE_URL leaves out. If
    DATABASE_URL is a role of least privilege, LEDGER_OWNER_DATABASE_URL (with LEDGER_OWNER_PASSWORD_FILE) names the
    owner of the tables.

    Raises:
        pydantic.ValidationError: A value is missing or malformed; the message names the variable.
    """

    model_config = ConfigDict(
        frozen=True,
        populate_by_name=True,
        extra="ignore",
        # They may hold passwords and keys, and a traceback would print them.
        hide_input_in_errors=True,
    )

    database_url: SecretStr = Field(validation_alias="DATABASE_URL")
    redis_url: SecretStr = Field(default=SecretStr("redis://127.0.0.1:6379/0"), validation_alias="REDIS_URL")
    database_password_file: Path | None = None
    read_database_url: SecretStr | None = None
    read_lag_s_max: float = Field(default=5.0, gt=0, le=3600)
    owner_database_url: SecretStr | None = None
    owner_password_file: Path | None = None
    database_wait_s: float = Field(default=60.0, ge=0)
    data_dir: Path = DEFAULT_DATA_DIR
    disk_path: Path | None = None
    checkpoint_file: Path | None = None
    forgotten_file: Path | None = None
    secret_key: SecretStr
    peppers: SecretStr
    master_keys: SecretStr
    default_language: Language = "zh"
    public_url: str = "http://127.0.0.1:8000"
    mail_from: str = "ledger@localhost.localdomain"

    reservation_ttl_s: int = Field(default=1800, ge=1)
    max_attempts: int = Field(default=8, ge=1, le=100)
    lease_s: int = Field(default=60, ge=2, le=WAIT_S_MAX)
    retry_first_s: float = Field(default=5.0, gt=0, le=WAIT_S_MAX)
    retry_longest_s: float = Field(default=300.0, gt=0, le=WAIT_S_MAX)
    correct_within_s: int = Field(default=3600, ge=0, le=31_536_000)
    rebinds_max: int = Field(default=1, ge=0, le=1000)
    rebind_days: int = Field(default=15, ge=0, le=36500)
    sweep_s: float = Field(default=3.0, gt=0)
    smtp_url: SecretStr = SecretStr("smtp://127.0.0.1:25")
    smtp_timeout_s: float = Field(default=20.0, gt=0, le=SMTP_TIMEOUT_S_MAX)
    smtp_dot_timeout_s: float = Field(default=600.0, gt=0, le=WAIT_S_MAX)
    webhook_timeout_s: float = Field(default=15.0, gt=0, le=60)
    webhook_allow_private: str = ""
    traces_url: str | None = None
    traces_ratio: float = Field(default=0.01, ge=0, le=1)

    @field_validator("webhook_allow_private")
    @classmethod
    def _validate_networks(cls, value: str) -> str:
        parse_networks(value)
        return value

    rate_limit: Literal["on", "off"] = "on"
    notices_per_recipient: int = Field(default=5, ge=1, le=1_000_000)
    refusals_days: int = Field(default=90, ge=1, le=3650)
    mail_days: int = Field(default=30, ge=1, le=3650)
    log_bytes_max: int = Field(default=10_000_000, ge=100_000)

    @field_validator("peppers", "master_keys")
    @classmethod
    def _validate_key_ring(cls, value: SecretStr) -> SecretStr:
        KeyRing.parse(value.get_secret_value())
        return value

    @field_validator("database_url", "owner_database_url", "read_database_url")
    @classmethod
    def _validate_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            validate_database_url(value.get_secret_value())
        return value

    @field_validator("redis_url")
    @classmethod
    def _validate_broker_url(cls, value: SecretStr) -> SecretStr:
        validate_broker_url(value.get_secret_value())
        return value

    @field_validator("public_url")
    @classmethod
    def _validate_public_url(cls, value: str) -> str:
        return validate_public_url(value)

    @field_validator("traces_url")
    @classmethod
    def _validate_traces_url(cls, value: str | None) -> str | None:
        return validate_traces_url(value) if value else None

    @model_validator(mode="before")
    @classmethod
    def _read_passwords(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Put the passwords of files into their URLs, so that no other code reads the files."""
        for file, name in (("database_password_file", "DATABASE_URL"), ("owner_password_file", "owner_database_url")):
            if isinstance(url := values.get(name), str):
                values[name] = add_password(url, values.get(file))
        # A standby has the roles of its primary.
        if isinstance(url := values.get("read_database_url"), str) and not read_password(validate_database_url(url)):
            values["read_database_url"] = add_password(url, values.get("database_password_file"))
        return values

    @property
    def owner_url(self) -> str:
        """libpq URI of the role that owns the tables: the runtime role if no other is named."""
        return (self.owner_database_url or self.database_url).get_secret_value()

    @property
    def read_url(self) -> str | None:
        """libpq URI of the standby that answers reports; None without one."""
        return None if self.read_database_url is None else self.read_database_url.get_secret_value()

    @property
    def policy(self) -> Policy:
        """The settings as the domain's policy."""
        return Policy(
            reservation_ttl_s=self.reservation_ttl_s,
            attempts_max=self.max_attempts,
            lease_s=self.lease_s,
            retry_first_s=self.retry_first_s,
            retry_longest_s=self.retry_longest_s,
            correct_within_s=self.correct_within_s,
            rebinds_max=self.rebinds_max,
            rebind_days=self.rebind_days,
        )

    @property
    def webhook_networks(self) -> tuple[Network, ...]:
        """Networks that webhooks may reach in addition to the public internet."""
        return parse_networks(self.webhook_allow_private)

    @property
    def notices_hourly_max(self) -> int | None:
        """How many notices a recipient may get within an hour; None without a limit."""
        return self.notices_per_recipient if self.rate_limit == "on" else None

    @property
    def monitored_path(self) -> Path:
        """Path on the disk whose free space is monitored: the embedded database is in the data folder."""
        return self.disk_path or self.data_dir

    @property
    def erased_ids_path(self) -> Path:
        """File of erased recipient ids, which must not be part of the database's backups."""
        return self.forgotten_file or self.data_dir / "forgotten.jsonl"

    def open_vault(self) -> Vault:
        """Return a vault over the two keyrings."""
        return Vault(KeyRing.parse(self.peppers.get_secret_value()), KeyRing.parse(self.master_keys.get_secret_value()))
