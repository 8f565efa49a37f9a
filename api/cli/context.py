"""What commands share: the ledger beside a running stack, and how they print."""

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
from api.cli.embedded.state_file import decode_snapshot, was_killed
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

KILLED = "the ledger on {folder} was killed and left nothing running: start it again with `ledger up`, nothing is lost"


def print_json(document: object) -> None:
    """One JSON document on stdout."""
    write_document(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_INDENT_2).decode())


def print_json_line(document: object) -> None:
    """One line of JSON Lines on stdout, at once."""
    write_document(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE).decode())


def describe_settings_error(bad: ValidationError) -> str:
    """Which variables are wrong, and how, without their values."""
    parts = []
    for error in bad.errors(include_input=False, include_url=False):
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

    def settings(self) -> LedgerSettings:
        """Settings of the stack in the data folder; variables that are set win.

        Raises:
            StorageUnavailableError: No ledger runs on the folder, and DATABASE_URL names none.
            pydantic.ValidationError: A variable is missing or malformed.
        """
        os.environ.update(read_stack_environment(self.data_dir))
        if not os.environ.get("DATABASE_URL"):
            raise StorageUnavailableError(
                f"no ledger runs on {self.data_dir}: start one with `ledger up`, or set DATABASE_URL and the keys"
            )
        return LedgerSettings()

    @contextmanager
    def open(self, pool_size: int = 2) -> Iterator["OpenLedger"]:
        """The ledger, for one command.

        Args:
            pool_size: Connections that it uses at once at most.

        Raises:
            StorageUnavailableError, SchemaMismatchError, WrongKeysError: As `LedgerStore.open`.
        """
        settings = self.settings()
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
        """Whether the stack of the data folder, if one is meant, ended without a word."""
        state = decode_snapshot(self.data_dir)
        return state is not None and os.environ.get("DATABASE_URL") == state["database_url"] and was_killed(state)


@dataclass(frozen=True, slots=True)
class OpenLedger:
    """An open ledger and who uses it."""

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
        """An operator at the command line; a new request, by whose id a lost commit answer is found again."""
        return Caller(actor="operator", actor_id=f"uid:{os.getuid()}", request_id=f"cli:{secrets.token_hex(8)}")

    def context(self) -> CommandContext:
        """The context of an operator's command."""
        return self.services.context(self.caller())

    def action(self) -> AuditLog:
        """What an operator's change beside the event log needs, for its line in the audit log."""
        return self.services.action(self.caller())

    def now(self) -> datetime:
        """Database time."""
        return self.services.now()

    def code_id(self, text: str) -> UUID:
        """The code that an operator names: by its text as it was issued, or by its id.

        Raises:
            typer.BadParameter: There is none.
        """
        found = self.reader.find_code(text)
        if found is None:
            raise typer.BadParameter("no such code: give its text as it was issued, or its id", param_hint="'code'")
        return found

    def refuse(self, error: ApplicationError) -> int:
        """Print why the ledger refuses; return the exit code of that."""
        if error.code == ReservationUnknown.code:
            say_error("no such reservation: `ledger history CODE --json` names those of a code")
        else:
            say_error(refusal_detail(error.code, self.language, **error.facts))
        return ExitCode.REFUSED

    @property
    def language(self) -> Language:
        """Language of sentences: that of the terminal, else the default."""
        locale = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
        if locale.startswith("zh"):
            return "zh"
        return "en" if locale.startswith(("en", "C", "POSIX")) else self.settings.default_language


def format_timestamp(moment: datetime) -> str:
    """A moment as tables show it: UTC, to the second."""
    return text_of(moment, "%Y-%m-%d %H:%M:%S").removesuffix(" UTC")
