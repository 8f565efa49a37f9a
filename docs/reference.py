"""The CLI reference, written from the commands themselves at every build, so that it can't be out of date."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import typer
from typer.core import TyperArgument, TyperGroup, TyperOption

from api.cli.app import app


def write_reference(folder: Path) -> None:
    """Write `cli.md` into a folder, if it isn't the same already."""
    folder.mkdir(exist_ok=True)
    text = "\n".join(_commands()) + "\n"
    target = folder / "cli.md"
    if not target.exists() or target.read_text("utf-8") != text:
        target.write_text(text, encoding="utf-8")


def _commands() -> Iterator[str]:
    group = typer.main.get_command(app)
    if not isinstance(group, TyperGroup):
        raise TypeError("the command line has one command only")
    for name in sorted(group.commands):
        yield from _command((name,), group.commands[name])


def _command(path: tuple[str, ...], command: object) -> Iterator[str]:
    """A command, or a group's commands one after the other."""
    if isinstance(command, TyperGroup):
        for name in sorted(command.commands):
            yield from _command((*path, name), command.commands[name])
        return
    arguments = [item for item in command.params if isinstance(item, TyperArgument)]  # type: ignore[attr-defined]  # typer's commands share no public class
    options = [item for item in command.params if isinstance(item, TyperOption)]  # type: ignore[attr-defined]  # as above
    words = " ".join(("ledger", *path, *(str(item.name).upper() for item in arguments)))
    yield f"## `{words}`\n"
    yield inspect.cleandoc(command.help or "") + "\n"  # type: ignore[attr-defined]  # as above
    for argument in arguments:
        yield f"- `{str(argument.name).upper()}`: {argument.help or 'see above'}"
    for option in options:
        if option.name != "help":
            yield f"- `{'`, `'.join((*option.opts, *option.secondary_opts))}`: {_about(option)}"
    yield ""


def _about(option: TyperOption) -> str:
    default = "" if option.default in (None, "", False, True, ...) or callable(option.default) else option.default
    told = (option.help or "").strip() or "see above"
    return f"{told} Default: `{default}`." if default != "" else told
