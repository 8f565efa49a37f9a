"""Every setting of the ledger: its name, type, default, bounds and description.

The reference page and `ledger settings` are written from this module. The settings of the API and of workers add
checks and derived values, and no fields: then every process knows every name.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pydantic import ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator

from domain.policy import WAIT_S_MAX, Policy
from domain.ports import Language
from domain.values.mail.mail_provider import MailProvider, check_hook_secret
from domain.values.quiet_hours import QUIET_HOURS_PATTERN
from domain.webhooks.target_url import Network
from projections.config.approvals import ApprovalPolicy, parse_approval_kinds
from projections.config.database_password import add_password
from projections.config.environment import EnvironmentSettings
from projections.config.staff_roles import parse_group_roles, parse_required_roles
from projections.config.throwaway_list import ThrowawayFile, load_throwaway_domains
from projections.config.url_validation import (
    validate_broker_url,
    validate_database_url,
    validate_issuer,
    validate_public_url,
    validate_traces_url,
)
from projections.vault.key_ring import KeyRing
from projections.vault.vault import Vault

DEFAULT_DATA_DIR = Path(".ledger")
SMTP_TIMEOUT_S_MAX = WAIT_S_MAX / 2
"""The lease of a test email is twice the timeout."""
RATE_MAX: Final = 1_000_000
"""Largest number of messages per hour that a limit may be set to."""


class Rates(NamedTuple):
    """Invitations per hour: for one recipient, for one recipient by `again`, and from one client address."""

    per_recipient: int
    again: int
    per_address: int


RATES: Final = Rates(per_recipient=5, again=3, per_address=100)
"""Defaults of the settings."""


def parse_networks(text: str) -> tuple[Network, ...]:
    """Parse a list of networks separated by commas, such as 10.0.0.0/8,fd00::/8.

    Raises:
        ValueError: One of them is not a network.
    """
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"write networks as 10.0.0.0/8,192.168.1.7/32: {error}") from error


_LIST_PARSERS: Final[Mapping[str, Callable[[str], object]]] = {
    "webhook_allow_private": parse_networks,
    "oidc_roles": parse_group_roles,
    "second_factor": parse_required_roles,
    "approvals": parse_approval_kinds,
}
"""Parsers of settings that are lists in one text, by their names."""


class LedgerSettings(EnvironmentSettings):
    """Settings that are read once at start, in the order of the reference page.

    A description is Markdown; its links are relative to the reference page.

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

    database_url: SecretStr = Field(
        validation_alias="DATABASE_URL",
        description="libpq URI of PostgreSQL; several hosts with `?target_session_attrs=read-write`;"
        " [other parameters](../how-to/database.md#timeouts)",
    )
    database_password_file: Path | None = Field(
        default=None, description="file with the password that `DATABASE_URL` leaves out"
    )
    read_database_url: SecretStr | None = Field(
        default=None,
        description="libpq URI of a standby that answers the feed, the dashboard and exports"
        " ([scaling](../explanation/scaling.md#reports-from-a-standby));"
        " a password that it leaves out is that of `LEDGER_DATABASE_PASSWORD_FILE`",
    )
    read_lag_s_max: float = Field(
        default=5.0,
        gt=0,
        le=3600,
        description="seconds that the standby may be behind; beyond this bound the primary answers. At most 3600",
    )
    owner_database_url: SecretStr | None = Field(
        default=None,
        description="URL of the owner role, used for migrations when `DATABASE_URL` names a least-privilege role."
        " Default: `DATABASE_URL`",
    )
    owner_password_file: Path | None = Field(
        default=None, description="file with the password that `LEDGER_OWNER_DATABASE_URL` leaves out"
    )
    database_wait_s: float = Field(
        default=60.0, ge=0, description="seconds for which `ledger run` waits for the database and its schema"
    )
    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        validation_alias="REDIS_URL",
        description="the broker: Redis or Valkey (`redis://`, `rediss://`), the same with Sentinel (`sentinel://`), or"
        " RabbitMQ (`amqp://`, `amqps://`); [forms](../how-to/deployment.md#choose-a-broker)",
    )
    data_dir: Path = Field(default=DEFAULT_DATA_DIR, description="folder of the embedded ledger")
    disk_path: Path | None = Field(
        default=None,
        description="a path on the disk whose free space `/metrics` shows. Default: the data folder",
    )
    public_url: str = Field(
        default="http://127.0.0.1:8000", description="base of the links in emails, and of `source` of CloudEvents"
    )
    mailbox: Path | None = Field(default=None, description="Maildir of the test mailbox, shown at `/mailbox`")
    forgotten_file: Path | None = Field(
        default=None,
        description="list of the ids of erased people (default: `forgotten.jsonl` in the data folder); a restored"
        " backup erases them again; `ledger backup` copies it",
    )
    backup_passphrase: SecretStr | None = Field(
        default=None,
        description="passphrase under which `ledger backup` stores the keyrings, at least 16 characters; without it"
        " a backup holds no keys. Keep it outside this machine ([backup](../how-to/backup.md))",
    )
    checkpoint_file: Path | None = Field(
        default=None,
        description="file outside the database that keeps a copy of each signed checkpoint; with it a start detects"
        " that an older backup was restored",
    )
    worker_metrics_host: str = Field(
        default="127.0.0.1", description="IP address of the worker's own `/metrics` and `/healthz`"
    )
    worker_metrics_port: int = Field(
        default=9464, ge=0, le=65535, description="port of the worker's own `/metrics` and `/healthz`; 0 for none"
    )

    traces_url: str | None = Field(
        default=None,
        description="where a collector takes traces by OTLP over HTTP, such as `http://collector:4318/v1/traces`;"
        " without it nothing is traced. Needs the [extra](dependencies.md#extra-tracing) `tracing`",
    )
    traces_ratio: float = Field(default=0.01, ge=0, le=1, description="share of the redemptions that is traced, 0 to 1")

    secret_key: SecretStr = Field(description="key of sessions and link tokens")
    peppers: SecretStr = Field(description="keyring of digests, `id:base64,...`, the first is current")
    master_keys: SecretStr = Field(description="keyring of encrypted texts, the same form")

    smtp_url: SecretStr = Field(
        default=SecretStr("smtp://127.0.0.1:25"),
        description="`smtp://`, `smtp+starttls://` or `smtps://`, with an optional `user:password@`;"
        " `null://` drops every email",
    )
    mail_from: str = Field(default="ledger@localhost.localdomain", description="sender of the emails")
    bounce_address: str | None = Field(
        default=None,
        description="address to which mail servers send reports about emails; each email adds a token to its local"
        " part, as in `bounces+TOKEN@example.com` ([bounces](../how-to/bounces.md)). Without it, no report is"
        " recognized",
    )
    bounce_mailbox_url: SecretStr | None = Field(
        default=None,
        description="mailbox from which workers take these reports: `imaps://user:password@host/Folder`,"
        " `imap+starttls://`, `imap://`, `pop3s://` or `pop3://` ([bounces](../how-to/bounces.md#from-a-mailbox))",
    )
    mail_provider: MailProvider | None = Field(
        default=None,
        description="`ses`, `sendgrid`, `mailgun` or `postmark`: the provider that sends the emails and reports by HTTP"
        " what became of them ([bounces](../how-to/bounces.md#from-a-provider))",
    )
    mail_hook_secret: SecretStr | None = Field(
        default=None,
        description="what proves that a report is from that provider: `ses`, the ARN of the topic; `sendgrid`, the"
        " verification key; `mailgun`, the webhook signing key; `postmark`, `user:password`",
    )
    person_rule: Literal["exact", "mailbox"] = Field(
        default="exact",
        description="`person_rule` of campaigns that are created without naming it: `exact`, each email address is a"
        " person; `mailbox`, all spellings of an inbox are one"
        " ([who is one person](../how-to/run-a-campaign.md#who-is-one-person))",
    )
    throwaway_file: ThrowawayFile | None = Field(
        default=None,
        description="file of domain names, one a line, that campaigns treat as throw-away ones in addition to those of"
        " this version; `-name` removes one, `-*` all of them"
        " ([throw-away addresses](../how-to/run-a-campaign.md#throw-away-addresses))",
    )
    bounce_policy: Literal["case", "refund"] = Field(
        default="case",
        description="what the bounce of a sent invitation leads to: `case`, staff decide; `refund`, the use is refunded"
        " if the report proves it, one email was sent, its outcome was never unknown, and no one was shown its link;"
        " otherwise staff decide",
    )
    threshold_mail_to: str | None = Field(
        default=None,
        description="email address that is notified of"
        " [crossed thresholds](../how-to/run-a-campaign.md#learn-in-time-that-uses-run-out), such as that of a list",
    )
    threshold_mail_window_s: float = Field(
        default=900.0,
        ge=0,
        le=86_400,
        description="seconds from the first crossed threshold to that email; all that are crossed until then are in it",
    )
    threshold_mail_quiet_hours: str = Field(
        default="",
        pattern=rf"^$|{QUIET_HOURS_PATTERN}",
        description="hours in which that email waits, such as `22:00-08:00 Europe/Berlin`",
    )
    smtp_timeout_s: float = Field(
        default=20.0,
        gt=0,
        le=SMTP_TIMEOUT_S_MAX,
        description=f"timeout in seconds for one email, at most {SMTP_TIMEOUT_S_MAX:g}; must be less than the lease",
    )
    smtp_dot_timeout_s: float = Field(
        default=600.0,
        gt=0,
        le=WAIT_S_MAX,
        description="seconds in which a mail server may"
        " [reply to the content of an email](../how-to/mail.md#slow-mail-servers); no retry comes earlier."
        f" At least `LEDGER_SMTP_TIMEOUT_S`, at most {WAIT_S_MAX}",
    )
    webhook_timeout_s: float = Field(
        default=15.0,
        gt=0,
        le=60,
        description="timeout in seconds for one message to a [webhook](../how-to/webhooks.md), from the DNS lookup to"
        " the end of the response; must be less than the lease",
    )
    webhook_allow_private: str = Field(
        default="",
        description="networks that webhooks may reach in addition to the public internet, also by `http`:"
        " `10.1.0.0/16,192.168.1.7/32`",
    )
    default_language: Language = Field(
        default="zh",
        description="`zh` or `en`, used if a request names no language;"
        " where one names other languages only, the API uses it too, and pages are in English",
    )

    relay_to: SecretStr | None = Field(
        default=None,
        description="target of `ledger relay` without `--to`: `kafka://HOST:PORT,HOST:PORT/TOPIC` with an optional"
        " `user:password@`, or the https URL of a receiver ([guide](../how-to/relay-events.md))",
    )
    relay_kafka_config: Path | None = Field(
        default=None, description="file with properties of the Kafka client, if no `--kafka-config` is given"
    )
    relay_ca_file: Path | None = Field(
        default=None, description="file with the certificate authorities that Kafka brokers are checked against"
    )
    relay_secret_file: Path | None = Field(
        default=None, description="file with the secrets that sign a relay's requests, if no `--secret-file` is given"
    )

    oidc_issuer: str | None = Field(
        default=None,
        description="URL of the identity provider that staff sign in with, as its discovery document names it"
        " ([single sign-on](../how-to/single-sign-on.md)); `http` on loopback only",
    )
    oidc_client_id: str | None = Field(default=None, description="id of the ledger at the identity provider")
    oidc_client_secret_file: Path | None = Field(
        default=None, description="file with the secret of this client; without it the ledger is a public client"
    )
    oidc_scopes: str = Field(
        default="openid email profile", description="scopes that are asked for, separated by spaces"
    )
    oidc_role_claim: str = Field(
        default="groups",
        description="claim with a person's groups, in the ID token or at the userinfo endpoint; a path such as"
        " `realm_access.roles` is one too",
    )
    oidc_roles: str = Field(
        default="",
        description="roles of these groups: `ledger-admins=admin,helpdesk=support`. Who is in several has the role that"
        " may do the most, and who is in none cannot sign in",
    )
    password_sign_in: Literal["on", "break-glass", "off"] = Field(
        default="on",
        description="who may sign in with a password: `on`, every account that has one; `break-glass`, the one account"
        " of `ledger staff break-glass`; `off`, none",
    )
    approvals: str = Field(
        default="",
        description="actions that wait for the approval of a second person, separated by commas:"
        " `refund,revoke_batch,end_campaign,export_person,erase_person`; none by default"
        " ([approvals](../how-to/approvals.md))",
    )
    approval_refund_uses: int = Field(
        default=10,
        ge=0,
        le=1_000_000,
        description="uses that one person may refund at once, if refunds wait for an approval; 0: every refund waits",
    )
    approval_hours: int = Field(
        default=72, ge=1, le=720, description="hours after which a proposal that waits for an approval expires"
    )

    second_factor: str = Field(
        default="off",
        description="roles whose accounts need a [second factor](../how-to/second-factors.md) in addition to their"
        " password: `admin,support`. Single sign-on is exempt, because the provider decides",
    )

    reservation_ttl_s: int = Field(
        default=1800, ge=1, description="seconds for which a use is reserved for an invitation that is not sent"
    )
    max_attempts: int = Field(default=8, ge=1, le=100, description="attempts for each delivery")
    retry_first_s: float = Field(
        default=5.0,
        gt=0,
        le=WAIT_S_MAX,
        description=f"pause in seconds after the first failed attempt, at most {WAIT_S_MAX}; it doubles",
    )
    retry_longest_s: float = Field(
        default=300.0,
        gt=0,
        le=WAIT_S_MAX,
        description=f"longest pause in seconds between attempts, at most {WAIT_S_MAX}",
    )
    lease_s: int = Field(
        default=60,
        ge=2,
        le=WAIT_S_MAX,
        description=f"seconds for which a worker owns one attempt, at most {WAIT_S_MAX}: a longer lease counts as one"
        " from a clock that was ahead",
    )
    correct_within_s: int = Field(
        default=3600,
        ge=0,
        le=31_536_000,
        description="seconds after sending, and again after a bounce, in which the person may correct the email"
        " address; 0: only before sending; staff always may",
    )
    rebinds_max: int = Field(
        default=1,
        ge=0,
        le=1000,
        description="how often a customer may move an access grant to another group, unless the code's terms say"
        " otherwise",
    )
    rebind_days: int = Field(
        default=15,
        ge=0,
        le=36500,
        description="days after activation in which a customer may move an access grant to another group",
    )
    sweep_s: float = Field(default=3.0, gt=0, description="seconds between sweeps while work is due; else at least 30")

    body_bytes_max: int = Field(default=65_536, ge=1024, description="longest request body in bytes")
    request_wait_s: float = Field(
        default=10.0, gt=0, description="seconds for which a request waits for its commit before it is answered 503"
    )
    rate_limit: Literal["on", "off"] = Field(
        default="on",
        description="`off` switches off every limit: of invitations, redeem requests, notices and the sign-in;"
        " for load tests only",
    )
    invitations_per_recipient: int = Field(
        default=RATES.per_recipient,
        ge=1,
        le=RATE_MAX,
        description="invitations that one email address may get within an hour through redeems, corrections and"
        " rebinds, whatever the code ([rate limits](../explanation/rate-limits.md#invitations))",
    )
    again_per_recipient: int = Field(
        default=RATES.again,
        ge=1,
        le=RATE_MAX,
        description="further uses of one code that one email address may take within an hour by `again`",
    )
    recipients_per_address: int = Field(
        default=RATES.per_address,
        ge=1,
        le=RATE_MAX,
        description="new recipients of open codes within an hour from one client address (IPv6: one /64); redeems by"
        " API key are not counted. Also the email addresses that one client address may"
        " [ask about without redeeming](../explanation/rate-limits.md#who-has-uses)",
    )
    notices_per_recipient: int = Field(
        default=5,
        ge=1,
        le=RATE_MAX,
        description="notices (of a refund, of ending access) that one email address may get within an hour;"
        " further ones wait",
    )
    allowed_hosts: str = Field(
        default="",
        description="host names, separated by commas, that are answered besides loopback names and the host of"
        " `LEDGER_PUBLIC_URL`; `ledger up` sets `localhost` ([host names](../how-to/deployment.md#host-names))",
    )
    trusted_proxies: str = Field(
        default="",
        description="IP addresses and networks, separated by commas, whose `X-Forwarded-For` and `X-Forwarded-Proto`"
        " are trusted; empty: none ([rate limits](../explanation/rate-limits.md#ip-addresses-behind-proxies))",
    )
    worker_concurrency: int = Field(default=2, ge=1, le=64, description="child processes of a worker")
    send_concurrency: int = Field(
        default=24,
        ge=1,
        le=64,
        description="emails that each child process of a worker sends concurrently, which is also its limit of"
        " connections to the mail server; it halves the number when the server refuses one"
        " ([mail connections](../how-to/runbook.md#mail-connections))",
    )
    task_time_limit_s: int = Field(
        default=240,
        ge=10,
        description="seconds before a task is killed; must be less than `LEDGER_VISIBILITY_TIMEOUT_S`",
    )
    visibility_timeout_s: int = Field(
        default=300, ge=15, description="seconds before the broker redelivers a dead worker's message"
    )

    refusals_days: int = Field(
        default=90,
        ge=1,
        le=3650,
        description="days for which rejected requests (digest of the email address, code id, reason) and counts of"
        " unknown codes are kept",
    )
    unaccepted_days: int = Field(
        default=0,
        ge=0,
        le=36_500,
        description="days after which [addresses of people who never accepted"
        " are erased](../how-to/privacy-requests.md#erase-addresses-after-a-time); 0: never",
    )
    mail_days: int = Field(default=30, ge=1, le=3650, description="days for which emails stay in the test mailbox")
    log_bytes_max: int = Field(
        default=10_000_000,
        ge=100_000,
        description="size of a log of `ledger up` in bytes before it is rotated to `NAME.log.1`",
    )

    @field_validator(*_LIST_PARSERS)
    @classmethod
    def _validate_list(cls, value: str, info: ValidationInfo) -> str:
        _LIST_PARSERS[str(info.field_name)](value)
        return value

    @field_validator("oidc_issuer")
    @classmethod
    def _validate_issuer(cls, value: str | None) -> str | None:
        return None if value is None else validate_issuer(value)

    @field_validator("mail_hook_secret")
    @classmethod
    def _validate_hook_secret(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None:
            check_hook_secret(info.data.get("mail_provider"), value.get_secret_value())
        return value

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
        files = {
            "DATABASE_URL": "database_password_file",
            "owner_database_url": "owner_password_file",
            "read_database_url": "database_password_file",  # a standby has the roles of its primary
        }
        for name, file in files.items():
            if isinstance(url := values.get(name), str):
                try:
                    values[name] = add_password(url, values.get(file))
                except ValueError as error:
                    raise ValueError(f"{name if name.isupper() else f'LEDGER_{name.upper()}'}: {error}") from error
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
    def approval_policy(self) -> ApprovalPolicy:
        """What waits for the approval of a second person."""
        kinds, lifetime = parse_approval_kinds(self.approvals), timedelta(hours=self.approval_hours)
        return ApprovalPolicy(kinds, self.approval_refund_uses, lifetime)

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
            bounce_policy=self.bounce_policy,
            throwaway_domains=load_throwaway_domains(self.throwaway_file),
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
