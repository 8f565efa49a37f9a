"""What a command that only reads works with. It loads neither the command handlers nor the services of the API."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from pathlib import Path
from uuid import UUID

import typer

from api.cli.embedded.environment import read_stack_environment
from api.cli.embedded.secrets_file import FILE as SECRETS
from api.cli.embedded.state_file import read_stack_state
from api.i18n.languages import find_language
from domain.ports import Language
from projections.config.settings import LedgerSettings
from projections.config.unknown_settings import find_ignored_settings
from projections.database.errors import StorageUnavailableError
from projections.read_models.reader import Reader
from projections.storage.read_store import ReadStore
from projections.terminal.text import say_error

KILLED = "the ledger on {folder} was killed: start it again with `ledger up`; no data was lost"


@dataclass(frozen=True, slots=True)
class ReadSession:
    """One run of a command that only reads."""

    data_dir: Path
    _stack_names: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    """Variables that the running stack gave; they are none of the command's own environment."""

    def read_settings(self) -> LedgerSettings:
        """Read the settings as `load_settings` does, after a line on stderr for each that has no effect.

        Raises:
            StorageUnavailableError, pydantic.ValidationError: As `load_settings`.
        """
        for sentence in find_ignored_settings(self.data_dir / SECRETS):
            say_error(sentence)
        return self.load_settings()

    def load_settings(self) -> LedgerSettings:
        """Read the settings of the stack in the data folder; variables that are set take precedence.

        A command that runs on calls it again after the stack was started again: its servers have other ports then.

        Raises:
            StorageUnavailableError: No ledger runs on the folder, and DATABASE_URL names none.
            pydantic.ValidationError: A variable is missing or malformed.
        """
        for name in self._stack_names:
            os.environ.pop(name, None)
        variables = read_stack_environment(self.data_dir)
        self._stack_names.update(variables)
        os.environ.update(variables)
        if not os.environ.get("DATABASE_URL"):
            raise StorageUnavailableError(
                f"no ledger is running on {self.data_dir}: start it with `ledger up`, or set DATABASE_URL and the keys"
            )
        return LedgerSettings.from_environment()

    @contextmanager
    def open_reader(self) -> Iterator[tuple["OpenReader", datetime]]:
        """Open the ledger for reading; return it with the time of the database.

        Raises:
            StorageUnavailableError, SchemaMismatchError, WrongKeysError: As `ReadStore.open`.
        """
        settings = self.read_settings()
        with self.explain_unavailability(), ReadStore.open(settings) as store:
            yield OpenReader(settings, Reader(store)), store.now()

    @contextmanager
    def explain_unavailability(self) -> Iterator[None]:
        """Run a block that opens the ledger; if it is unavailable because its stack was killed, say so.

        Raises:
            StorageUnavailableError: The block raised one.
        """
        try:
            yield
        except StorageUnavailableError:
            if self.was_killed():
                raise StorageUnavailableError(KILLED.format(folder=self.data_dir)) from None
            raise

    def was_killed(self) -> bool:
        """Return whether DATABASE_URL is that of a stack on the data folder that was killed."""
        state = read_stack_state(self.data_dir)
        if state is None or os.environ.get("DATABASE_URL") != state["database_url"]:
            return False
        return not import_module("api.cli.embedded.process.watchdog").is_running(state["pid"])


@dataclass(frozen=True, slots=True)
class OpenReader:
    """A ledger that is open for reading."""

    settings: LedgerSettings
    reader: Reader

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

    @property
    def language(self) -> Language:
        """Language of sentences: that of the locale, else the default."""
        return find_language_of_locale() or self.settings.default_language


def find_language_of_locale() -> Language | None:
    """Return the language that the locale of the environment names; None for one without a catalog."""
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "en" if locale.startswith(("C", "POSIX")) else find_language(locale[:2])
