"""What commands share: the settings and the open ledger, and how they print."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from pydantic import ValidationError

from api.cli.read_session import OpenReader, ReadSession
from api.errors import ApplicationError
from api.i18n.messages import refusal_detail
from api.use_cases.services import Caller, LedgerServices, SweepDispatcher
from domain.commands.context import CommandContext
from domain.errors import ReservationUnknown
from domain.ports import Language
from projections.read_models.reader import Reader
from projections.repositories.audit_log import AuditLog
from projections.storage.bootstrap import LedgerStore
from projections.vault.random_source import RANDOM


def describe_settings_error(invalid: ValidationError) -> str:
    """Return which variables are wrong, and why, without their values."""
    return "settings: " + "; ".join(list_settings_errors(invalid))


def list_settings_errors(invalid: ValidationError) -> list[str]:
    """Return a sentence for each variable that is wrong, without its value."""
    parts = []
    for error in invalid.errors(include_input=False, include_url=False):
        name = str(error["loc"][0]) if error["loc"] else ""
        variable = name if name.isupper() or not name else f"LEDGER_{name.upper()}"
        if error["type"] == "missing":
            parts.append(f"{variable} is missing: set it, or name the file that holds it in LEDGER_SECRETS_FILE")
        else:
            why = error["msg"].removeprefix("Value error, ")
            parts.append(f"{variable}: {why}" if variable else why)
    return parts


SETTLING_COMMANDS_MAX = 100_000
"""More than a revoked code needs: 100 reservations each."""


class CommandRefusedError(Exception):
    """The ledger refuses what a command asks for. The message says why and what to do, in the operator's language."""


def describe_refusal(error: ApplicationError, language: Language) -> str:
    """Return why the ledger refuses what a command asks for, and what to do."""
    if error.code == ReservationUnknown.code:
        return "there is no such reservation: `ledger history CODE --json` lists the reservations of a code"
    return refusal_detail(error.code, language, **error.facts)


def create_operator() -> Caller:
    """Return the operator as caller of a new request, by whose id a lost answer to a commit is found again."""
    return Caller(actor="operator", actor_id=f"uid:{os.getuid()}", request_id=f"cli:{secrets.token_hex(8)}")


@dataclass(frozen=True, slots=True)
class Session(ReadSession):
    """One run of a command that changes something, or that reads with the services of the API."""

    @contextmanager
    def open_ledger(self, pool_size: int = 2) -> Iterator["OpenLedger"]:
        """Open the ledger for one command.

        Args:
            pool_size: Maximum number of connections.

        Raises:
            StorageUnavailableError, SchemaMismatchError, WrongKeysError: As `LedgerStore.open`.
            CommandRefusedError: The block raised an `ApplicationError`.
        """
        settings = self.read_settings()
        with self.explain_unavailability():
            storage = LedgerStore.open(settings, pool_size=pool_size)
        with storage:
            reader = Reader(storage)
            reader.ping()
            services = LedgerServices(
                storage=storage,
                reader=reader,
                dispatcher=SweepDispatcher(),
                approvals=settings.approval_policy,
                new_id=uuid4,
                new_ordered_id=RANDOM.draw_ordered_uuid,
                settling_commands_max=SETTLING_COMMANDS_MAX,
            )
            ledger = OpenLedger(settings, reader, services)
            try:
                yield ledger
            except ApplicationError as error:
                raise CommandRefusedError(describe_refusal(error, ledger.language)) from error


@dataclass(frozen=True, slots=True)
class OpenLedger(OpenReader):
    """An open ledger, used by an operator."""

    services: LedgerServices

    @property
    def storage(self) -> LedgerStore:
        """The store."""
        return self.services.storage

    def caller(self) -> Caller:
        """Return the operator as caller of a new request."""
        return create_operator()

    def create_context(self) -> CommandContext:
        """Create the context of an operator's command."""
        return self.services.context(self.caller())

    def open_audit_log(self) -> AuditLog:
        """Open the audit log for changes by an operator."""
        return self.services.open_audit_log(self.caller())

    def now(self) -> datetime:
        """Database time."""
        return self.services.now()
