"""`ledger group show|branding`: how the emails of a group look."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from api.cli.arguments import parse_group
from api.cli.command_index import READS_ONLY, CommandGroup, leaves_no_record
from api.cli.context import Session
from api.cli.printing import JsonFlag, print_json
from api.schemas.groups import BrandingView, view_of_branding
from api.use_cases.administration.group_branding import change_branding
from domain.values.email_branding import LOGO_BYTES_MAX, BrandingError, parse_accent, parse_logo
from projections.repositories.groups import GroupRepository
from projections.terminal.text import say

T = TypeVar("T")
NONE: Final = "none"
NameArgument = Annotated[str, typer.Argument(metavar="GROUP", help="Name of the group.")]

group = typer.Typer(cls=CommandGroup, help="Show and change how the emails of a group look.")


def register(app: typer.Typer) -> None:
    """Register the commands."""
    group.command()(show)
    group.command()(branding)
    app.add_typer(group, name="group")


@leaves_no_record(READS_ONLY)
def show(context: typer.Context, name: NameArgument, json: JsonFlag = False) -> int:
    """Show the logo and the color of a group's emails.

    With --json, the logo is included in base64.
    """
    checked = _parse_name(name)
    with Session(context.obj).open_ledger() as ledger:
        view = view_of_branding(checked, GroupRepository(ledger.storage).find_branding(checked))
    return _print(view, json=json)


def branding(
    context: typer.Context,
    name: NameArgument,
    logo: Annotated[
        str | None,
        typer.Option(
            help="File of a PNG, JPEG or GIF image, at most 65,536 bytes and 600 × 200 pixels; 'none' removes the logo."
        ),
    ] = None,
    accent: Annotated[
        str | None,
        typer.Option(
            help="Color of the button and of the line at the top, such as '#1f5fbf'; 'none' removes the color."
        ),
    ] = None,
    json: JsonFlag = False,
) -> int:
    """Change the logo or the color of a group's emails.

    Settings without an option stay unchanged. Workers use the change within 10 seconds. Previews are at /admin/groups.

    Example: `ledger group branding VIP --logo logo.png --accent '#1f5fbf'`
    """
    checked, changes = _parse_name(name), dict[str, Any]()
    if logo is not None:
        changes["logo"] = None if logo == NONE else _parse("--logo", logo, lambda file: parse_logo(_read_file(file)))
    if accent is not None:
        changes["accent"] = None if accent == NONE else _parse("--accent", accent, parse_accent)
    if not changes:
        raise typer.BadParameter("name what changes: --logo or --accent")
    with Session(context.obj).open_ledger() as ledger:
        view = view_of_branding(checked, change_branding(ledger.open_audit_log(), checked, changes))
    return _print(view, json=json)


def _parse_name(text: str) -> str:
    name = parse_group(text)
    if name is None:
        raise typer.BadParameter("the name of the group must not be empty")
    return name


def _parse(option: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except BrandingError as error:
        raise typer.BadParameter(f"{text!a} {error}", param_hint=option) from error


def _read_file(name: str) -> bytes:
    """Return the content of a file, or as much of it as shows that it is too large."""
    try:
        with Path(name).open("rb") as file:
            return file.read(LOGO_BYTES_MAX + 1)
    except OSError as error:
        raise typer.BadParameter(f"{name!a} cannot be read ({error.strerror})", param_hint="--logo") from error


def _print(view: BrandingView, *, json: bool) -> int:
    if json:
        print_json(view.model_dump())
        return 0
    logo = NONE
    if view.logo is not None:
        logo = f"{view.logo.media_type}, {view.logo.width} × {view.logo.height} pixels, {view.logo.bytes:,} bytes"
    say(f"logo: {logo}", f"color: {view.accent or NONE}")
    return 0
