"""`ledger settings`: every setting with its value, where it came from, and what it does."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer
from pydantic import ValidationError

from api.cli.codes.source_file import open_source_file
from api.cli.command_index import READS_ONLY, leaves_no_record
from api.cli.context import list_settings_errors
from api.cli.embedded.environment import read_stack_variables
from api.cli.embedded.secrets_file import FILE as SECRETS
from api.cli.printing import JsonFlag, print_json
from api.settings import ApiSettings
from projections.config.environment import find_variable, name_of_variable
from projections.config.secret_masking import mask_setting
from projections.config.settings import DEFAULT_DATA_DIR, LedgerSettings
from projections.config.settings_reference import format_default, list_sections
from projections.config.unknown_settings import OTHER_VARIABLES, find_ignored_settings, find_unknown_settings
from projections.config.variables import ENVIRONMENT, Variable, find_faults, parse_variables, read_variables
from projections.terminal.exit_codes import ExitCode
from projections.terminal.tables import show, styled
from projections.terminal.text import say, say_error
from workers.settings import WorkerSettings

DEFAULT: Final = "default"
OTHERS: Final = "Read by others"
LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]+\)")


class ShownSetting(NamedTuple):
    """One setting, and one document of the JSON.

    Attributes:
        value: Without passwords and keys; None if the setting has no value.
        source: `environment`, the path of a file, or `default`.
    """

    name: str
    value: str | None
    source: str
    default: str | None
    description: str


def register(app: typer.Typer) -> None:
    """Register the command."""
    app.command("settings")(show_settings)


@leaves_no_record(READS_ONLY)
def show_settings(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(help="File of NAME=value lines that takes precedence, such as .env; - for standard input."),
    ] = None,
    json: JsonFlag = False,
) -> int:
    """Show every setting: its value, where it came from, and what it does.

    Passwords and keys are masked. With FILE, it shows what a process would read with that file, and checks the file
    before you apply it: mistyped and repeated names, quotes, line ends, malformed values. It changes nothing.

    Exit code 1: a value is missing or malformed, or a name has no effect.

    Example: `docker compose run --rm --no-deps -T migrate settings - < .env`
    """
    variables = _read_variables(context.obj)
    problems, notes = list(find_ignored_settings(context.obj / SECRETS)), list[str]()
    if file is not None:
        text = _read_text(file)
        values = parse_variables(text)
        variables |= {name.upper(): Variable(value, str(file)) for name, value in values.items() if value}
        faults = list(find_faults(text))
        notes = [fault.sentence for fault in faults if fault.is_harmless]
        problems = [fault.sentence for fault in faults if not fault.is_harmless]
        problems += find_unknown_settings(values, in_own_file=True)
    problems += _find_errors(variables)
    sections = _list_settings(variables)
    if json:
        rows = [row._asdict() for shown in sections.values() for row in shown]
        print_json({"settings": rows, "problems": problems, "notes": notes})
    else:
        for heading, shown in sections.items():
            show(styled(heading, "bold"))
            for row in shown:
                say(f"{row.name}={row.value or ''} ({row.source})", f"    {LINK.sub(_text_of_link, row.description)}")
        for sentence in (*notes, *problems):
            say_error(sentence)
    return ExitCode.FINDINGS if problems else ExitCode.OK


def _read_text(file: Path) -> str:
    with open_source_file(file) as source:
        source.seek(0)
        return source.read().decode("utf-8", "replace")


def _text_of_link(link: re.Match[str]) -> str:
    return link[1]


def _read_variables(data_dir: Path) -> dict[str, Variable]:
    """Return the variables that a command on this data folder reads."""
    set_variables = read_variables()
    environment = {name: one for name, one in set_variables.items() if one.source == ENVIRONMENT}
    variables = {**set_variables, **read_stack_variables(data_dir), **environment}
    if not os.environ.get("LEDGER_DATA_DIR") and data_dir != DEFAULT_DATA_DIR.absolute():
        variables["LEDGER_DATA_DIR"] = Variable(str(data_dir), "--data-dir")
    return variables


def _find_errors(variables: Mapping[str, Variable]) -> list[str]:
    """Return a sentence for each value that a component would refuse at its start."""
    sentences: dict[str, None] = {}
    for kind in (ApiSettings, WorkerSettings):
        try:
            kind.from_variables(variables)
        except ValidationError as error:
            sentences |= dict.fromkeys(list_settings_errors(error))
    return list(sentences)


def _list_settings(variables: Mapping[str, Variable]) -> dict[str, list[ShownSetting]]:
    """Return the settings of each section of the reference page, and the other variables that are set."""
    sections = {heading: [_show(field, variables) for field in fields] for heading, fields in list_sections().items()}
    others = [
        ShownSetting(name, variable.value, variable.source, None, description)
        for name, description in OTHER_VARIABLES.items()
        if (variable := variables.get(name)) is not None
    ]
    return {**sections, OTHERS: others} if others else sections


def _show(name: str, variables: Mapping[str, Variable]) -> ShownSetting:
    field = LedgerSettings.model_fields[name]
    variable = name_of_variable(LedgerSettings, name)
    default = mask_setting(field, format_default(field)) or None
    description = field.description or ""
    if (set_variable := find_variable(variables, variable)) is None:
        return ShownSetting(variable, default, DEFAULT, default, description)
    return ShownSetting(variable, mask_setting(field, set_variable.value), set_variable.source, default, description)
