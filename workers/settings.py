"""Settings of the worker side, and the rules between them that are checked at start."""

import os
from datetime import timedelta

from pydantic import SecretStr, field_validator, model_validator

from domain.values.identifiers import EmailAddress
from domain.values.quiet_hours import is_quiet_hours
from projections.config.settings import LedgerSettings
from workers.channels.smtp.addresses import MailFrom, MailTokens
from workers.channels.smtp.server_url import SmtpServerUrl, is_null
from workers.mail_reports.report_mailbox_url import MailboxUrl

ROW_LEASE_S_MIN = 90.0
"""Least length of the leases of notices and of emails of hand-outs."""
ROW_LEASE_MARGIN_S = 30.0
"""How much longer they are than those of invitations: reading what the message says takes a part of them."""
SOFT_SHUTDOWN_S = 10.0
"""How long SIGTERM waits for messages that are being sent; containers must allow more before they kill."""


class WorkerSettings(LedgerSettings):
    """The settings with what the sending side checks and derives.

    Raises:
        pydantic.ValidationError: Bounds contradict one another; the message says which and what to change.
    """

    @property
    def longest_send(self) -> timedelta:
        """The longest time that one message takes."""
        return timedelta(seconds=max(self.smtp_timeout_s, self.webhook_timeout_s))

    @property
    def row_lease_s(self) -> float:
        """Length of the leases of notices and of emails of hand-outs, in seconds."""
        return max(ROW_LEASE_S_MIN, self.lease_s + ROW_LEASE_MARGIN_S)

    @field_validator("smtp_url")
    @classmethod
    def _is_mail_server(cls, value: SecretStr) -> SecretStr:
        if not is_null(value.get_secret_value()):
            SmtpServerUrl.parse(value.get_secret_value())
        return value

    @field_validator("mail_from")
    @classmethod
    def _is_sender(cls, value: str) -> str:
        MailFrom.parse(value)
        return value

    @field_validator("bounce_address")
    @classmethod
    def _is_return_path(cls, value: str | None) -> str | None:
        MailTokens.parse(b"", value, None)
        return value

    @field_validator("bounce_mailbox_url")
    @classmethod
    def _is_mailbox(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            MailboxUrl.parse(value.get_secret_value())
        return value

    @field_validator("threshold_mail_to")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None:
            EmailAddress.parse(value)
        return value

    @field_validator("threshold_mail_quiet_hours")
    @classmethod
    def _are_quiet_hours(cls, value: str) -> str:
        if value and not is_quiet_hours(value):
            raise ValueError("must be two different times and a time zone, such as 22:00-08:00 Europe/Berlin")
        return value

    @model_validator(mode="after")
    def _bounds_agree(self) -> "WorkerSettings":
        if self.task_time_limit_s >= self.visibility_timeout_s:
            raise ValueError(
                "LEDGER_TASK_TIME_LIMIT_S must be below LEDGER_VISIBILITY_TIMEOUT_S: "
                "otherwise a second worker would receive a task that is still running"
            )
        if self.smtp_timeout_s >= self.lease_s:
            raise ValueError(
                "LEDGER_SMTP_TIMEOUT_S must be below LEDGER_LEASE_S: a lease must last longer than one send"
            )
        if self.smtp_dot_timeout_s < self.smtp_timeout_s:
            raise ValueError(
                "LEDGER_SMTP_DOT_TIMEOUT_S must be at least LEDGER_SMTP_TIMEOUT_S: "
                "it is the time for the last reply, after which an email is sent again"
            )
        if self.smtp_timeout_s > self.task_time_limit_s / 2:
            raise ValueError(
                "LEDGER_SMTP_TIMEOUT_S must be at most half of LEDGER_TASK_TIME_LIMIT_S: "
                "a message that starts after a third of the limit must finish before its process is killed"
            )
        if self.webhook_timeout_s >= self.lease_s or self.webhook_timeout_s > self.task_time_limit_s / 2:
            raise ValueError(
                "LEDGER_WEBHOOK_TIMEOUT_S must be below LEDGER_LEASE_S and at most half of LEDGER_TASK_TIME_LIMIT_S: "
                "a lease must last longer than one invitation, and a task must finish before its process is killed"
            )
        return self


def worker_name() -> str:
    """Return the name of this worker for events: host and process id."""
    return f"{os.uname().nodename}:{os.getpid()}"
