"""`ledger key create|list|revoke`: API keys of integrators."""

from datetime import datetime
from typing import Annotated
from uuid import uuid4

import typer

from api.auth.scopes import SCOPES, Scope
from api.cli.arguments import READ_DAYS, parse_id, parse_name
from api.cli.command_index import READS_ONLY, CommandGroup, leaves_no_record
from api.cli.context import Session
from api.cli.printing import JsonFlag, ReasonOption, format_timestamp, print_json
from api.use_cases.administration.create_api_key import ApiKeyRequest, create_api_key, revoke_key
from projections.config.staff_roles import RANK, Role
from projections.read_models.pagination import NEWEST, read_to_end
from projections.repositories.api_keys import ApiKeyRepository, ApiKeyRow
from projections.repositories.audit_log import NO_REASON
from projections.terminal.exit_codes import ExitCode
from projections.terminal.tables import show, table
from projections.terminal.text import say, say_error

key = typer.Typer(cls=CommandGroup, help="Manage the API keys of integrators (scopes: docs/reference/api.md).")


def register(app: typer.Typer) -> None:
    """Register the commands."""
    key.command("create")(create)
    key.command("list")(list_keys)
    key.command("revoke")(revoke)
    app.add_typer(key, name="key")


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Purpose of the key, shown in lists; stored encrypted.")] = "key",
    role: Annotated[str | None, typer.Option(help="Role: viewer, support or admin.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="Scope, instead of a role. May be repeated.")] = None,
    days: Annotated[
        int | None, typer.Option(parser=READ_DAYS, help="Days until the key expires; default: never.")
    ] = None,
    json: JsonFlag = False,
) -> int:
    """Create an API key and print its secret.

    The secret is shown only once; the ledger stores a digest.

    Example: `ledger key create "web shop" --scope codes:issue --scope redeem --days 365`
    """
    request = ApiKeyRequest(parse_name(name, "name"), _role(role, scope), _scopes(scope), days)
    session = Session(context.obj)
    key_id = uuid4()
    with session.open_ledger() as ledger:
        secret = create_api_key(ledger.open_audit_log(), request, key_id)
    if json:
        print_json({"id": key_id, "key": secret, "role": request.role, "scopes": request.scopes or None, "days": days})
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
        print_json([{**key._asdict(), "is_valid": _is_valid(key, now)} for key in keys])
        return 0
    rows = table("id", "created (UTC)", "valid", "name", "grants", fixed=("id", "created (UTC)", "valid"))
    for key in keys:
        valid = "no" if not _is_valid(key, now) else format_timestamp(key.expires_at) if key.expires_at else "yes"
        opens = key.role if key.scopes is None else " ".join(key.scopes)
        rows.add_row(str(key.key_id), format_timestamp(key.created_at), valid, key.name or "-", opens)
    show(rows)
    return 0


def revoke(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(help="ID of the key, as `ledger key list` shows it.")],
    reason: ReasonOption = NO_REASON,
    json: JsonFlag = False,
) -> int:
    """Revoke an API key."""
    parsed_id = parse_id(key_id, "key_id", "is not the ID of a key, as `ledger key list` shows it")
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        is_done = revoke_key(ledger.open_audit_log(), parsed_id, reason)
    if not is_done:
        say_error("there is no such key, or it was revoked before: `ledger key list` shows all keys")
        return ExitCode.REFUSED
    if json:
        print_json({"id": parsed_id, "revoked": True})
    return 0


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


def _is_valid(key: ApiKeyRow, now: datetime) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)
