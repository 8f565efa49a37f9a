"""The lists of commands, routes and packages in `cli.md`, `api.md` and `architecture.md`, written by `make docs`."""

import ast
import base64
import inspect
from collections.abc import Iterator
from pathlib import Path

import typer
from typer.core import TyperArgument, TyperGroup, TyperOption

from api.cli.app import app
from api.main import create_app
from api.settings import ApiSettings
from projections.terminal.exit_codes import list_exit_codes

DOCS = Path(__file__).parent
MARK = "<!-- What follows is written by `make docs`. -->\n"
ROOMS = ("domain", "projections", "api", "workers", "benchmarks")
NO_KEYS = "1:" + base64.b64encode(bytes(32)).decode()


def render_pages() -> dict[Path, str]:
    """Return each page as it should be: the text above the mark is written manually."""
    lists = {
        DOCS / "cli.md": _command_lines(),
        DOCS / "api.md": _route_lines(),
        DOCS / "architecture.md": _package_lines(),
    }
    return {page: f"{_manual_part(page)}{MARK}\n{chr(10).join(lines).rstrip()}\n" for page, lines in lists.items()}


def _manual_part(page: Path) -> str:
    above, mark, _ = page.read_text("utf-8").partition(MARK)
    if not mark:
        raise ValueError(f"{page} has no line {MARK}")
    return above


def _route_lines() -> Iterator[str]:
    """Every route that a program may ask, in the order of their tags."""
    settings = ApiSettings.model_validate(
        {"DATABASE_URL": "postgresql:///none", "secret_key": "-", "peppers": NO_KEYS, "master_keys": NO_KEYS}
    )
    yield "| route | needs | what it does |"
    yield "|---|---|---|"
    for path, methods in create_app(settings).openapi()["paths"].items():
        for method, route in methods.items():
            scopes = [scope for one in route.get("security", ()) for scope in next(iter(one.values()))]
            needs = f"`{scopes[0]}`" if scopes else ""
            yield f"| `{method.upper()} {path}` | {needs} | {route['summary']} |"


def _package_lines() -> Iterator[str]:
    """Yield every package with its purpose, the first line of its docstring, in the order of the tree."""
    yield "| package | purpose |"
    yield "|---|---|"
    for room in ROOMS:
        for file in sorted((DOCS.parent / room).rglob("__init__.py")):
            docstring = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
            yield f"| `{file.parent.relative_to(DOCS.parent).as_posix()}/` | {docstring.splitlines()[0]} |"


def _command_lines() -> Iterator[str]:
    yield f"Exit codes: {list_exit_codes()}\n"
    group = typer.main.get_command(app)
    if not isinstance(group, TyperGroup):
        raise TypeError("the command line has one command only")
    for name in sorted(group.commands):
        yield from _command_section((name,), group.commands[name])


def _command_section(path: tuple[str, ...], command: object) -> Iterator[str]:
    """A command, or a group's commands one after the other."""
    if isinstance(command, TyperGroup):
        for name in sorted(command.commands):
            yield from _command_section((*path, name), command.commands[name])
        return
    arguments = [parameter for parameter in command.params if isinstance(parameter, TyperArgument)]  # type: ignore[attr-defined]  # typer's commands share no public class
    options = [parameter for parameter in command.params if isinstance(parameter, TyperOption)]  # type: ignore[attr-defined]  # as above
    words = " ".join(("ledger", *path, *(str(parameter.name).upper() for parameter in arguments)))
    yield f"## `{words}`\n"
    yield inspect.cleandoc(command.help or "") + "\n"  # type: ignore[attr-defined]  # as above
    for argument in arguments:
        yield f"- `{str(argument.name).upper()}`: {argument.help or 'see above'}"
    for option in options:
        if option.name != "help":
            yield f"- `{'`, `'.join((*option.opts, *option.secondary_opts))}`: {_describe_option(option)}"
    yield ""


def _describe_option(option: TyperOption) -> str:
    default = "" if option.default in (None, "", False, True, ...) or callable(option.default) else option.default
    description = (option.help or "").strip() or "see above"
    return f"{description} Default: `{default}`." if default != "" else description


if __name__ == "__main__":
    for page, text in render_pages().items():
        page.write_text(text, encoding="utf-8")
