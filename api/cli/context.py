"""What commands share: the settings and the open ledger, and how they print."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

import orjson
import typer
from pydantic import ValidationError

from api.cli.embedded.environment import read_stack_environment
from api.cli.embedded.state_file import read_stack_state, was_stack_killed
from api.errors import ApplicationError
from api.i18n.messages import refusal_detail
from api.use_cases.services import Caller, LedgerServices, SweepDispatcher
from domain.commands.context import CommandContext
from domain.errors import ReservationUnknown
from domain.ports import Language
from domain.values.timestamps import text_of
from projections.config.settings import LedgerSettings
from projections.database.errors import StorageUnavailableError
from projections.read_models.reader import Reader
from projections.repositories.audit_log import AuditLog
from projections.storage.bootstrap import LedgerStore
from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import say_error, write_document

KILLED = "the ledger on {folder} was killed: start it again with `ledger up`; no data was lost"


def print_json(document: object) -> None:
    """Print one JSON document on stdout."""
    write_document(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_INDENT_2).decode())


def print_json_line(document: object) -> None:
    """Print one line of JSON Lines on stdout, unbuffered."""
    write_document(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE).decode())


def describe_settings_error(invalid: ValidationError) -> str:
    """Return which variables are wrong, and why, without their values."""
    parts = []
    for error in invalid.errors(include_input=False, include_url=False):
        name = str(error["loc"][0]) if error["loc"] else ""
        variable = name if name.isupper() or not name else f"LEDGER_{name.upper()}"
        if error["type"] == "missing":
            parts.append(f"{variable} is missing: set it, or name the file that holds it in LEDGER_SECRETS_FILE")
        else:
            why = error["msg"].removeprefix("Value error, ")
            parts.append(f"{variable}: {why}" if variable else why)
    return "settings: " + "; ".join(parts)


SETTLING_COMMANDS_MAX = 100_000
"""More than a revoked code needs: 100 reservations each."""


@dataclass(frozen=True, slots=True)
class Session:
    """One run of the command line."""

    data_dir: Path

    def read_settings(self) -> LedgerSettings:
        """Read the settings of the stack in the data folder; variables that are set take precedence.

        Raises:
            StorageUnavailableError: No ledger runs on the folder, and DATABASE_URL names none.
            pydantic.ValidationError: A variable is missing or malformed.
        """
        os.environ.update(read_stack_environment(self.data_dir))
        if not os.environ.get("DATABASE_URL"):
            raise StorageUnavailableError(
                f"no ledger is running on {self.data_dir}: start it with `ledger up`, or set DATABASE_URL and the keys"
            )
        return LedgerSettings.from_environment()

    @contextmanager
    def open_ledger(self, pool_size: int = 2) -> Iterator["OpenLedger"]:
        """Open the ledger for one command.

        Args:
            pool_size: Maximum number of connections.

        Raises:
            StorageUnavailableError, SchemaMismatchError, WrongKeysError: As `LedgerStore.open`.
        """
        settings = self.read_settings()
        try:
            storage = LedgerStore.open(settings, pool_size=pool_size)
        except StorageUnavailableError:
            if self.was_killed():
                raise StorageUnavailableError(KILLED.format(folder=self.data_dir)) from None
            raise
        with storage:
            reader = Reader(storage)
            reader.ping()
            services = LedgerServices(
                storage=storage,
                reader=reader,
                dispatcher=SweepDispatcher(),
                new_id=uuid4,
                settling_commands_max=SETTLING_COMMANDS_MAX,
            )
            yield OpenLedger(settings, services)

    def was_killed(self) -> bool:
        """Whether DATABASE_URL is that of a stack on the data folder that was killed."""
        state = read_stack_state(self.data_dir)
        return state is not None and os.environ.get("DATABASE_URL") == state["database_url"] and was_stack_killed(state)


@dataclass(frozen=True, slots=True)
class OpenLedger:
    """An open ledger, used by an operator."""

    settings: LedgerSettings
    services: LedgerServices

    @property
    def storage(self) -> LedgerStore:
        """The store."""
        return self.services.storage

    @property
    def reader(self) -> Reader:
        """The reader of codes and reservations."""
        return self.services.reader

    def caller(self) -> Caller:
        """Return the operator as caller of a new request, by whose id a lost answer to a commit is found again."""
        return Caller(actor="operator", actor_id=f"uid:{os.getuid()}", request_id=f"cli:{secrets.token_hex(8)}")

    def create_context(self) -> CommandContext:
        """Create the context of an operator's command."""
        return self.services.context(self.caller())

    def open_audit_log(self) -> AuditLog:
        """Open the audit log for changes by an operator."""
        return self.services.action(self.caller())

    def now(self) -> datetime:
        """Database time."""
        return self.services.now()

    def find_code_id(self, text: str) -> UUID:
        """Find a code by its text as it was issued, or by its id.

        Raises:
            typer.BadParameter: There is no such code.
        """
        code_id = self.reader.find_code(text)
        if code_id is None:
            raise typer.BadParameter(
                "there is no such code: enter the code as it was issued, or its ID", param_hint="'code'"
            )
        return code_id

    def report_refusal(self, error: ApplicationError) -> int:
        """Print why the ledger refuses; return the exit code of that."""
        if error.code == ReservationUnknown.code:
            say_error("there is no such reservation: `ledger history CODE --json` lists the reservations of a code")
        else:
            say_error(refusal_detail(error.code, self.language, **error.facts))
        return ExitCode.REFUSED

    @property
    def language(self) -> Language:
        """Language of sentences: that of the locale, else the default."""
        locale = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
        if locale.startswith("zh"):
            return "zh"
        return "en" if locale.startswith(("en", "C", "POSIX")) else self.settings.default_language


def format_timestamp(timestamp: datetime) -> str:
    """Return a timestamp as tables show it: UTC, to the second."""
    return text_of(timestamp, "%Y-%m-%d %H:%M:%S").removesuffix(" UTC")
