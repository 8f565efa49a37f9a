"""The index of the commands: their names, modules and help lines, so that a command loads no module of another one.

A run imports only the module of its command. `ledger --help` reads the index and imports none.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import typer
from typer._click.core import Command, Context
from typer._click.formatting import HelpFormatter
from typer.core import TyperGroup

from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import say

FAMILIES: Final = (
    "api.cli.server.up_and_migrate",
    "api.cli.server.container",
    "api.cli.server.show_settings",
    "api.cli.server.serve_assistant",
    "api.cli.server.relay",
    "api.cli.codes.codes",
    "api.cli.codes.history",
    "api.cli.codes.what_if",
    "api.cli.codes.cases",
    "api.cli.codes.lifecycle",
    "api.cli.codes.change_codes",
    "api.cli.codes.refund_outage",
    "api.cli.codes.campaigns",
    "api.cli.codes.hand_outs",
    "api.cli.codes.groups",
    "api.cli.codes.bounces",
    "api.cli.configuration",
    "api.cli.maintenance.import_legacy",
    "api.cli.codes.import_codes",
    "api.cli.accounts.privacy",
    "api.cli.accounts.approvals",
    "api.cli.doctor.command",
    "api.cli.doctor.engine",
    "api.cli.maintenance.rebuild_verify",
    "api.cli.maintenance.future_times",
    "api.cli.maintenance.receipts",
    "api.cli.accounts.key_rings",
    "api.cli.accounts.api_keys",
    "api.cli.accounts.staff",
    "api.cli.maintenance.transfer",
    "api.cli.backup.command",
    "api.cli.server.exec_command",
)
"""Modules with commands, in the order of `ledger --help`. Each has a function `register(app)`."""

READS_ONLY: Final = "it only reads, and reveals nothing that is recorded"
WITHOUT_RECORD: Final = "leaves_no_record"
"""Attribute of the function of such a command: why."""
F = TypeVar("F", bound=Callable[..., Any])

INDEX_FILE: Final = Path(__file__).with_name("command_index.txt")
"""One line for each command: name, module, first paragraph of its help. `make docs` writes it."""


def leaves_no_record(why: str) -> Callable[[F], F]:
    """Declare that a command leaves neither a line in the audit log nor an event, and why.

    Every other command changes or reveals something, and `tests/integration/cli/test_audit_log.py` looks for it.
    """

    def declare(command: F) -> F:
        setattr(command, WITHOUT_RECORD, why)
        return command

    return declare


class IndexedCommand(NamedTuple):
    """A command, or a group of commands, that is not loaded yet."""

    name: str
    module: str
    help: str


def read_index() -> dict[str, IndexedCommand]:
    """Read the index file; commands by their names."""
    commands = (IndexedCommand(*line.split("\t")) for line in INDEX_FILE.read_text("utf-8").splitlines())
    return {command.name: command for command in commands}


def render_index() -> str:
    """Return the text of the index file: loads every command. Groups follow the commands, as Typer lists them."""
    loaded = [(name, module, command) for module in FAMILIES for name, command in load_family(module).items()]
    loaded.sort(key=lambda row: isinstance(row[2], TyperGroup))
    return "".join(f"{name}\t{module}\t{_first_paragraph(command.help)}\n" for name, module, command in loaded)


@cache
def load_family(module: str) -> dict[str, Command]:
    """Import a module and return the commands that it registers, by their names."""
    family = typer.Typer(rich_markup_mode=None)
    import_module(module).register(family)
    return dict(typer.main.get_group(family).commands)


class CommandGroup(TyperGroup):
    """A group that shows its help if no command is named, and each command's first paragraph whole in it."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Parse the options of the group; without any argument, print the help and exit."""
        if not args and not ctx.resilient_parsing:  # a shell asks for completions, with nothing typed yet
            say(*ctx.get_help().splitlines())
            ctx.exit(ExitCode.USAGE)
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write one paragraph for each command."""
        names = self.list_commands(ctx)
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.summarize(name)) for name in names])

    def summarize(self, name: str) -> str:
        """Return the first paragraph of a command's help."""
        return _first_paragraph(self.commands[name].help)


class IndexedGroup(CommandGroup):
    """The command `ledger`: a subcommand is imported when it is looked up, and listed in the help without that."""

    def __init__(self, **attributes: Any) -> None:
        self._index = read_index()
        super().__init__(**attributes)
        self.commands = _LoadedOnLookup(self._index)  # type: ignore[assignment]  # Typer only reads it

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002 - the base class reads the context
        """Return the names of the index."""
        return list(self._index)

    def summarize(self, name: str) -> str:
        """Return the line of the index."""
        return self._index[name].help


class _LoadedOnLookup(Mapping[str, Command]):
    """Commands by name. Iterating over names imports nothing."""

    def __init__(self, index: Mapping[str, IndexedCommand]) -> None:
        self._index = index
        self._loaded: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._loaded:
            self._loaded.update(load_family(self._index[name].module))
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)


def _first_paragraph(text: str | None) -> str:
    return " ".join(inspect.cleandoc(text or "").partition("\n\n")[0].split())
