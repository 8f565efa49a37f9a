"""The parts of reference pages that are derived from code: commands, settings, routes, problem codes, logs, columns."""

import base64
import inspect
import re
import runpy
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer
import yaml
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from msgspec import structs
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from api.auth.scopes import GRANTS, SCOPES
from api.cli.app import app
from api.cli.command_index import INDEX_FILE, render_index
from api.code_import.row_parser import COLUMNS, IGNORED_COLUMNS
from api.http.problems import status_of
from api.i18n.catalogs import catalog_paths, translator
from api.main import collect_tools, create_app
from api.schemas.events.event_schemas import Schema, describe_members, read_members, read_optional_members
from api.settings import ApiSettings
from domain.commands.reservation.reserve import ReserveUse
from domain.events.event import Event
from domain.events.registry import EVENT_TYPES, topic_of
from projections.config.environment import name_of_variable
from projections.config.settings import LedgerSettings
from projections.config.settings_reference import format_default, list_sections
from projections.config.staff_roles import RANK
from projections.config.unknown_settings import OTHER_VARIABLES
from projections.terminal.exit_codes import list_exit_codes

DOCS = Path(__file__).parent
MARK = "<!-- What follows is written by `make docs`. -->\n"
END = "<!-- What precedes is written by `make docs`. -->\n"
ALERTS = "deploy/prometheus/alerts.yml"
SHARED = 5
"""From so many commands on, an option or argument that has the same words in each is described once."""
NO_KEYS = "1:" + base64.b64encode(bytes(32)).decode()


def render_pages() -> dict[Path, str]:
    """Return each page, and the index of commands, as it should be. Text outside of marks is written manually."""
    lists = {
        DOCS / "reference/cli.md": _command_lines(),
        DOCS / "reference/api.md": _route_lines(),
        DOCS / "reference/problem-codes.md": _problem_lines(),
        DOCS / "reference/events.md": _event_lines(),
        DOCS / "reference/logs.md": runpy.run_path(str(DOCS / "log_events.py"))["log_event_lines"](),
        DOCS / "reference/roles-and-scopes.md": _access_lines(),
        DOCS / "how-to/import-codes.md": _column_lines(),
        DOCS / "how-to/runbook.md": _alert_lines(),
        DOCS / "reference/settings.md": _setting_lines(),
        DOCS / "reference/tools.md": _tool_lines(),
    }
    return {INDEX_FILE: render_index(), **{page: _render_page(page, lines) for page, lines in lists.items()}}


def _render_page(page: Path, lines: Iterator[str]) -> str:
    above, mark, rest = page.read_text("utf-8").partition(MARK)
    if not mark:
        raise ValueError(f"{page} has no line {MARK}")
    _, end, below = rest.partition(END)
    return f"{above}{MARK}\n{chr(10).join(lines).rstrip()}\n" + (f"\n{END}{below}" if end else "")


def _alert_lines() -> Iterator[str]:
    """Yield every alert with its severity, its section of the runbook, and the first command there."""
    yield "| alert | severity | condition | first command |"
    yield "|---|---|---|---|"
    for group in yaml.safe_load((DOCS.parent / ALERTS).read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            notes = rule["annotations"]
            condition = f"[{notes['summary']}](#{notes['runbook_url'].partition('#')[2]})"
            command = notes["first_command"].replace("|", "\\|")
            yield f"| `{rule['alert']}` | {rule['labels']['severity']} | {condition} | `{command}` |"


def _application() -> FastAPI:
    """Return the application without a database behind it."""
    return create_app(
        ApiSettings.model_validate(
            {"DATABASE_URL": "postgresql:///none", "secret_key": "-", "peppers": NO_KEYS, "master_keys": NO_KEYS}
        )
    )


def _api_routes() -> Iterator[tuple[str, str, str]]:
    """Yield every operation of the JSON API with its scope, if it needs one, and its summary, in the order of tags."""
    for path, methods in _application().openapi()["paths"].items():
        for method, route in methods.items():
            scopes = [scope for one in route.get("security", ()) for scope in next(iter(one.values()))]
            yield f"{method.upper()} {path}", scopes[0] if scopes else "", route["summary"]


def _route_lines() -> Iterator[str]:
    yield "| route | needs | what it does |"
    yield "|---|---|---|"
    for operation, scope, summary in _api_routes():
        yield f"| `{operation}` | {f'`{scope}`' if scope else ''} | {summary} |"


def _access_lines() -> Iterator[str]:
    """Yield the roles of every scope, and the roles of every staff page."""
    say = translator("en")
    yield f"| scope | in words | {' | '.join(RANK)} |"
    yield f"|---|---|{'---|' * len(RANK)}"
    for scope in sorted(SCOPES, key=lambda scope: min(RANK[role] for role in RANK if scope in GRANTS[role])):
        granted = ["yes" if scope in GRANTS[role] else "" for role in RANK]
        words = say(f"page.admin.keys.scope.{scope}")
        yield f"| `{scope}` | {words} | {' | '.join(granted)} |"
    roles: dict[str, dict[str, str]] = {}
    for path, method, role in _page_routes():
        roles.setdefault(path, {})[method] = role
    yield "\n## Pages\n"
    yield "The least role that opens a page, and the least role that may send its form.\n"
    yield "| page | open | send |"
    yield "|---|---|---|"
    for path in sorted(roles):
        yield f"| `{path}` | {roles[path].get('GET', '')} | {roles[path].get('POST', '')} |"


def _page_routes() -> Iterator[tuple[str, str, str]]:
    """Yield path, method and least role of every route for staff who are signed in."""
    for route in iter_route_contexts(_application().routes):
        dependant = getattr(route, "dependant", None)
        role = _least_role(dependant) if isinstance(dependant, Dependant) else None
        if role and "{_path" not in (path := str(route.path)):
            yield from ((path, method, role) for method in route.methods or ())


def _least_role(dependant: Dependant) -> str | None:
    """Return the role that `require_role` of a page checks, if there is one."""
    for dependency in dependant.dependencies:
        call: object = dependency.call
        while inspect.isfunction(call):
            enclosed = inspect.getclosurevars(call).nonlocals
            if "role" in enclosed:
                return str(enclosed["role"])
            call = enclosed.get("inner")
        if role := _least_role(dependency):
            return role
    return None


def _column_lines() -> Iterator[str]:
    """Yield every column of an import, as the import page words it."""
    say = translator("en")
    yield "| column | what it holds |"
    yield "|---|---|"
    for name in COLUMNS:
        yield f"| `{name}` | {say(f'page.admin.import.column.{name}')} |"
    ignored = ", ".join(f"`{name}`" for name in sorted(IGNORED_COLUMNS))
    yield f"\nThese columns of exports and of files with rejected lines are ignored: {ignored}."


REFUSAL_KEY = re.compile(r'^msgid "refusal\.([A-Z_]+)\.(\w+)"$', re.MULTILINE)


def _problem_lines() -> Iterator[str]:
    """Yield every problem code with its status, its meaning and its variants, as the English catalog words them."""
    say = translator("en")
    yield "## Order of the refusals of a redeem request\n"
    yield "A malformed request is refused before all of these. If several apply, the response has the first:\n"
    for place, refusal in enumerate(ReserveUse.refusals, start=1):
        yield f"{place}. [`{refusal.code}`](#{refusal.code.lower()})"
    yield ""
    keys = [key for path in catalog_paths("en") for key in REFUSAL_KEY.findall(path.read_text("utf-8"))]
    for code in sorted({code for code, _ in keys}):
        variants = sorted({name for owner, name in keys if owner == code and not name.startswith("title")} - {"detail"})
        texts = [say(key) for name in ("detail", *variants) if say.knows(key := f"refusal.{code}.{name}")]
        yield f"## `{code}`\n"
        yield f"**{status_of(code)}: {say(f'refusal.{code}.title')}**\n"
        yield from (f"- {text}" for text in texts)
        yield ""


def _event_lines() -> Iterator[str]:
    """Yield every event type with its topic, its meaning and its fields."""
    shared = {field.name for field in structs.fields(Event)}
    yield "## Every event\n"
    yield from _field_lines(Event, skip=set())
    for event in EVENT_TYPES.values():
        yield f"\n## `{topic_of(event)}`\n"
        yield inspect.cleandoc(event.__doc__ or "").partition("\n\nAttributes:")[0] + "\n"
        yield from _field_lines(event, skip=shared)


def _field_lines(event: type[Event], skip: set[str]) -> Iterator[str]:
    """Yield the table of the fields that a struct declares or inherits."""
    meanings, optional = describe_members(event), read_optional_members(event)
    members = {name: schema for name, schema in read_members(event).items() if name not in skip}
    if members:
        yield "| field | type | meaning |"
        yield "|---|---|---|"
    for name, schema in members.items():
        yield f"| `{name}` | {_type_name(schema)}{', optional' if name in optional else ''} | {meanings[name]} |"


def _type_name(schema: Schema) -> str:
    """Name a type as a reader of JSON knows it."""
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "array":
        return f"array of {_type_name(schema['items'])}"
    return str(schema.get("format", schema["type"]))


def _setting_lines() -> Iterator[str]:
    """Yield every setting with its default, section by section, and the variables that are read in addition."""
    for section, fields in list_sections().items():
        yield f"## {section}\n"
        yield "| variable | default | what it is |"
        yield "|---|---|---|"
        for name in fields:
            field = LedgerSettings.model_fields[name]
            default = f"`{text}`" if (text := format_default(field)) else ""
            shown = "required" if field.is_required() else default
            yield f"| `{name_of_variable(LedgerSettings, name)}` | {shown} | {field.description} |"
        yield ""
    yield "## Read by others\n"
    yield "| variable | what it is |"
    yield "|---|---|"
    yield from (f"| `{name}` | {description} |" for name, description in OTHER_VARIABLES.items())


def _tool_lines() -> Iterator[str]:
    """Yield every tool of assistants with its scopes, its arguments and what it does."""
    yield "| tool | scopes | arguments | what it does |"
    yield "|---|---|---|---|"
    for tool in collect_tools().list_visible(frozenset(SCOPES)):
        scopes = ", ".join(f"`{scope}`" for scope in sorted(tool.scopes)) or "any key"
        names = [f"`{name}`" if name in tool.required else f"[`{name}`]" for name in tool.parameters]
        yield f"| `{tool.name}` | {scopes} | {', '.join(names)} | {tool.title} |"
    yield "\nArguments in brackets can be left out."


def _command_lines() -> Iterator[str]:
    """Yield the exit codes, what many commands share, and a section for each command."""
    group = typer.main.get_command(app)
    if not isinstance(group, TyperGroup):
        raise TypeError("the command line has one command only")
    commands = list(_list_commands((), group))
    counts = Counter(line for _, command in commands for line in _parameter_lines(command))
    shared = sorted(line for line, count in counts.items() if count >= SHARED)
    yield f"Exit codes: {list_exit_codes()}\n"
    yield "## Arguments and options of many commands\n"
    yield "Sections of commands only name these options.\n"
    yield from shared
    yield ""
    for path, command in commands:
        yield from _command_section(path, command, shared)


def _list_commands(path: tuple[str, ...], group: TyperGroup) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    """Yield each command with its words, by name."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, TyperGroup):
            yield from _list_commands((*path, name), command)
        elif isinstance(command, TyperCommand):
            yield (*path, name), command


def _command_section(path: tuple[str, ...], command: TyperCommand, shared: Sequence[str]) -> Iterator[str]:
    """Yield the section of a command."""
    arguments = (parameter for parameter in command.params if isinstance(parameter, TyperArgument))
    words = " ".join(("ledger", *path, *(str(parameter.name).upper() for parameter in arguments)))
    yield f"## `{words}`\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    lines = list(_parameter_lines(command))
    yield from (line for line in lines if line not in shared)
    if names := [line[2:].partition(":")[0] for line in lines if line in shared and line.startswith("- `-")]:
        yield f"- Also {', '.join(names)}."
    yield ""


def _parameter_lines(command: TyperCommand) -> Iterator[str]:
    """Yield a line for each argument, then for each option."""
    for parameter in command.params:
        if isinstance(parameter, TyperArgument):
            yield f"- `{str(parameter.name).upper()}`: {parameter.help or 'see above'}"
    for parameter in command.params:
        if isinstance(parameter, TyperOption) and parameter.name != "help":
            yield f"- `{'`, `'.join((*parameter.opts, *parameter.secondary_opts))}`: {_describe_option(parameter)}"


def _describe_option(option: TyperOption) -> str:
    default = "" if option.default in (None, "", False, True, ...) or callable(option.default) else option.default
    description = (option.help or "").strip() or "see above"
    return f"{description} Default: `{default}`." if default != "" else description


if __name__ == "__main__":
    INDEX_FILE.write_text(render_index(), encoding="utf-8")  # first: the command line reads it
    for page, text in render_pages().items():
        page.write_text(text, encoding="utf-8")
