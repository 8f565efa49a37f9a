"""`ledger key create|list|show|replace|change|revoke`: API keys of integrators."""

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

import typer

from api.auth.scopes import SCOPES, Scope
from api.cli.arguments import READ_DAYS, number_parser, parse_id, parse_name, parse_networks, parse_time_option
from api.cli.command_index import READS_ONLY, CommandGroup, leaves_no_record
from api.cli.context import Session
from api.cli.printing import JsonFlag, ReasonOption, format_timestamp, print_json
from api.i18n.catalogs import translator
from api.use_cases.administration.create_api_key import (
    OVERLAP_HOURS,
    OVERLAP_HOURS_USUAL,
    ApiKeyRequest,
    CannotReplaceError,
    Replacement,
    create_api_key,
    replace_api_key,
    revoke_key,
    set_key_networks,
)
from projections.config.staff_roles import RANK, Role
from projections.read_models.pagination import NEWEST, read_to_end
from projections.repositories.api_keys import ApiKeyRepository, ApiKeyRow
from projections.repositories.audit_log import NO_REASON
from projections.terminal.exit_codes import ExitCode
from projections.terminal.tables import show, table
from projections.terminal.text import say, say_error

key = typer.Typer(cls=CommandGroup, help="Manage the API keys of integrators (docs/how-to/api-keys.md).")
KeyArgument = Annotated[str, typer.Argument(help="ID of the key, as `ledger key list` shows it.")]
DaysOption = Annotated[int | None, typer.Option(parser=READ_DAYS, help="Days until the key expires.")]
UntilOption = Annotated[str | None, typer.Option(help="Time at which the key expires (ISO 8601; UTC).")]
NoEndOption = Annotated[bool, typer.Option("--no-end", help="Create a key that does not expire.")]
NetworkOption = Annotated[
    list[str] | None,
    typer.Option(help="Network that the key may be used from, such as 203.0.113.0/24. May be repeated; default: any."),
]
NO_SUCH_KEY = "there is no such key, or it was revoked before: `ledger key list` shows all keys"
CANNOT_REPLACE = {
    "revoked": "the key was revoked, so it cannot be replaced: create a new one with `ledger key create`",
    "expired": "the key has expired, so it cannot be replaced: create a new one with `ledger key create`",
    "replaced": "the key was already replaced: `ledger key show` names the new one, which can be replaced",
}


def register(app: typer.Typer) -> None:
    """Register the commands."""
    key.command("create")(create)
    key.command("list")(list_keys)
    key.command("show")(show_key)
    key.command("replace")(replace)
    key.command("change")(change)
    key.command("revoke")(revoke)
    app.add_typer(key, name="key")


def create(  # noqa: PLR0913, PLR0917 - Typer reads the options from the signature
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Purpose of the key, shown in lists; stored encrypted.")] = "key",
    role: Annotated[str | None, typer.Option(help="Role: viewer, support or admin.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="Scope, instead of a role. May be repeated.")] = None,
    days: DaysOption = None,
    until: UntilOption = None,
    no_end: NoEndOption = False,
    network: NetworkOption = None,
    json: JsonFlag = False,
) -> int:
    """Create an API key and print its secret.

    The secret is shown only once; the ledger stores a digest. Without --days, --until or --no-end the key does not
    expire, and a warning says so.

    Example: `ledger key create "web shop" --scope codes:issue --scope redeem --days 365`
    """
    named, role_or_none, scopes = parse_name(name, "name"), _role(role, scope), _scopes(scope)
    networks, is_end_named = parse_networks(network, "--network"), _check_end(days, until, no_end=no_end)
    session = Session(context.obj)
    key_id = uuid4()
    with session.open_ledger() as ledger:
        expires_at = _find_end(days, until, ledger.now())
        request = ApiKeyRequest(named, role_or_none, scopes, expires_at, networks)
        secret = create_api_key(ledger.open_audit_log(), request, key_id)
    if not is_end_named:
        say_error("the key does not expire: name its end with --days or --until, or confirm this with --no-end")
    if json:
        rights = {"role": request.role, "scopes": request.scopes or None}
        end = {"days": days, "expires_at": expires_at}
        print_json({"id": key_id, "key": secret, **rights, **end, "networks": list(networks) or None})
    else:
        say(secret or "")
    return 0


@leaves_no_record(READS_ONLY)
def list_keys(context: typer.Context, json: JsonFlag = False) -> int:
    """List API keys, newest first.

    Secrets are not stored, so they are not shown.
    """
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        read_page = ApiKeyRepository(ledger.storage).list_page
        keys, now = list(read_to_end(read_page, NEWEST, lambda key: (key.created_at, key.key_id))), ledger.now()
    if json:
        print_json([_describe(key, now) for key in keys])
        return 0
    fixed = ("id", "created (UTC)", "valid", "last used (UTC)")
    rows = table("id", "created (UTC)", "valid", "last used (UTC)", "name", "grants", fixed=fixed)
    for key in keys:
        opens = key.role if key.scopes is None else " ".join(key.scopes)
        used = _format_use(key, now)
        created = format_timestamp(key.created_at)
        rows.add_row(str(key.key_id), created, _format_validity(key, now), used, key.name or "-", opens)
    show(rows)
    return 0


@leaves_no_record(READS_ONLY)
def show_key(context: typer.Context, key_id: KeyArgument, json: JsonFlag = False) -> int:
    """Show what an API key opens, its networks, and its last use."""
    parsed_id = _parse_key_id(key_id)
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        key, now = ApiKeyRepository(ledger.storage).find(parsed_id), ledger.now()
    if key is None:
        say_error("there is no such key: `ledger key list` shows all keys")
        return ExitCode.REFUSED
    if json:
        print_json(_describe(key, now))
        return 0
    say_in_words = translator("en")
    scopes = () if key.scopes is None else [scope for scope in SCOPES if scope in key.scopes]
    rows = table("field", "value", fixed=("field",))
    rows.add_row("name", key.name or "-")
    rows.add_row("created (UTC)", format_timestamp(key.created_at))
    rows.add_row("valid", _format_validity(key, now))
    rows.add_row("last used (UTC)", " from ".join(filter(None, [_format_use(key, now), key.used_from])))
    if key.refused_at is not None:
        rows.add_row("last refused (UTC)", f"{format_timestamp(key.refused_at)} from {key.refused_from or 'unknown'}")
    rows.add_row("networks", " ".join(key.networks or ["any"]))
    if key.scopes is None:
        rows.add_row("role", key.role)
    for scope in scopes:
        rows.add_row(scope, say_in_words(f"page.admin.keys.scope.{scope}"))
    for label, other in (("replaces", key.replaces_id), ("replaced by", key.replaced_by)):
        if other is not None:
            rows.add_row(label, str(other))
    show(rows)
    return 0


def replace(
    context: typer.Context,
    key_id: KeyArgument,
    days: DaysOption = None,
    until: UntilOption = None,
    no_end: NoEndOption = False,
    overlap_hours: Annotated[
        int,
        typer.Option(parser=number_parser(OVERLAP_HOURS), help="Hours that the former key stays valid, 1 to 720."),
    ] = OVERLAP_HOURS_USUAL,
    json: JsonFlag = False,
) -> int:
    """Replace an API key by one with the same name, rights and networks.

    Prints the new secret, which is shown only once. Both keys work during the overlap. Name the end of the new key by
    --days, --until or --no-end.
    """
    parsed_id = _parse_key_id(key_id)
    if not _check_end(days, until, no_end=no_end):
        raise typer.BadParameter("name the end of the new key with --days, --until or --no-end")
    session, new_id = Session(context.obj), uuid4()
    with session.open_ledger() as ledger:
        replacement = Replacement(new_id, _find_end(days, until, ledger.now()), overlap_hours)
        try:
            secret = replace_api_key(ledger.open_audit_log(), parsed_id, replacement)
        except CannotReplaceError as error:
            say_error(CANNOT_REPLACE[error.problem])
            return ExitCode.REFUSED
        except LookupError:
            say_error(NO_SUCH_KEY)
            return ExitCode.REFUSED
        former = ApiKeyRepository(ledger.storage).find(parsed_id)
    ends_at = None if former is None else former.expires_at
    if json:
        new = {"id": new_id, "key": secret, "expires_at": replacement.expires_at}
        print_json({**new, "replaces": parsed_id, "former_expires_at": ends_at})
    else:
        say(secret or "")
        if ends_at is not None:
            say_error(f"the former key is valid until {format_timestamp(ends_at)} UTC")
    return 0


def change(
    context: typer.Context,
    key_id: KeyArgument,
    network: NetworkOption = None,
    any_network: Annotated[bool, typer.Option("--any-network", help="Permit requests from any network.")] = False,
    reason: ReasonOption = NO_REASON,
    json: JsonFlag = False,
) -> int:
    """Change the networks that an API key may be used from.

    The new list replaces the former one, and applies from the next request.
    """
    parsed_id, networks = _parse_key_id(key_id), parse_networks(network, "--network")
    if bool(networks) == any_network:
        raise typer.BadParameter("give either --network or --any-network")
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        try:
            is_changed = set_key_networks(ledger.open_audit_log(), parsed_id, networks, reason)
        except LookupError:
            say_error(NO_SUCH_KEY)
            return ExitCode.REFUSED
    if json:
        print_json({"id": parsed_id, "networks": list(networks) or None, "changed": is_changed})
    return 0


def revoke(
    context: typer.Context, key_id: KeyArgument, reason: ReasonOption = NO_REASON, json: JsonFlag = False
) -> int:
    """Revoke an API key."""
    parsed_id = _parse_key_id(key_id)
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        is_done = revoke_key(ledger.open_audit_log(), parsed_id, reason)
    if not is_done:
        say_error(NO_SUCH_KEY)
        return ExitCode.REFUSED
    if json:
        print_json({"id": parsed_id, "revoked": True})
    return 0


def _parse_key_id(text: str) -> UUID:
    return parse_id(text, "key_id", "is not the ID of a key, as `ledger key list` shows it")


def _check_end(days: int | None, until: str | None, *, no_end: bool) -> bool:
    """Return whether the end of a key is named; an error if it is named twice, or is not a time."""
    if (days is not None) + (until is not None) + no_end > 1:
        raise typer.BadParameter("give one of --days, --until and --no-end")
    if until is not None:
        parse_time_option(until, "--until")
    return days is not None or until is not None or no_end


def _find_end(days: int | None, until: str | None, now: datetime) -> datetime | None:
    if until is None:
        return None if days is None else now + timedelta(days=days)
    expires_at = parse_time_option(until, "--until")
    if expires_at <= now:
        raise typer.BadParameter(f"{until!a} is in the past", param_hint="'--until'")
    return expires_at


def _describe(key: ApiKeyRow, now: datetime) -> dict[str, Any]:
    questions = {"is_valid": key.is_valid(now), "is_ending": key.is_ending(now), "is_unused": key.is_unused(now)}
    return {**key._asdict(), **questions}


def _format_validity(key: ApiKeyRow, now: datetime) -> str:
    if not key.is_valid(now):
        return "no"
    if key.expires_at is None:
        return "yes"
    until = format_timestamp(key.expires_at)
    return f"{until}, replaced" if key.replaced_by else f"{until}, ends soon" if key.is_ending(now) else until


def _format_use(key: ApiKeyRow, now: datetime) -> str:
    used = "never" if key.used_at is None else format_timestamp(key.used_at)
    return used + (", unused for 90 days" if key.is_unused(now) else "")


def _role(role: str | None, scopes: list[str] | None) -> Role | None:
    if (role is None) == (not scopes):
        raise typer.BadParameter("give either --role viewer|support|admin or --scope, not both")
    if role is None:
        return None
    if role not in RANK:
        raise typer.BadParameter(f"--role must be viewer, support or admin, not {role}")
    return role  # type: ignore[return-value]  # the keys of RANK are the roles


def _scopes(named: list[str] | None) -> list[Scope]:
    for scope in named or ():
        if scope not in SCOPES:
            raise typer.BadParameter(f"there is no scope {scope}: use {', '.join(SCOPES)}")
    return [scope for scope in SCOPES if scope in (named or ())]
