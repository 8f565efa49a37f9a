"""`ledger staff add|list|role|password|remove`: who may sign in, from the first admin on."""

import secrets
from collections.abc import Callable
from typing import Annotated
from uuid import UUID, uuid4

import typer

from api.auth.passwords import password_hasher
from api.auth.scopes import RANK
from api.cli.arguments import parse_email
from api.cli.command_index import READS_ONLY, CommandGroup, leaves_no_record
from api.cli.context import Session
from api.cli.printing import JsonFlag, ReasonOption, format_timestamp, print_json
from api.use_cases.administration.staff_accounts import add_staff, remove_staff, set_new_password, set_staff_role
from projections.read_models.pagination import OLDEST, read_to_end
from projections.repositories.audit_log import NO_REASON, AuditLog
from projections.repositories.staff_accounts import LastAdminError, StaffAccountRepository
from projections.repositories.staff_sessions import StaffSessionRepository
from projections.terminal.exit_codes import ExitCode
from projections.terminal.tables import show, table
from projections.terminal.text import say, say_error

PASSWORD_BYTES = 15
"""120 bits, as 20 characters that are typed once and then changed."""

Email = Annotated[str, typer.Argument(help="Email address for signing in.")]

staff = typer.Typer(cls=CommandGroup, help="Manage staff accounts (as a page: /admin/staff).")


def register(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (add, role, password, remove):
        staff.command()(command)
    staff.command("list")(list_staff)
    app.add_typer(staff, name="staff")


def add(
    context: typer.Context,
    email: Email,
    role: Annotated[str, typer.Option(help="Role: viewer, support or admin.")],
    json: JsonFlag = False,
) -> int:
    """Add a staff account and print its first password.

    The password is shown only once. Staff change it at /support/account.

    Example: `ledger staff add li.wei@example.com --role support`
    """
    address, checked_role = parse_email(email), _role(role)
    session = Session(context.obj)
    first = secrets.token_urlsafe(PASSWORD_BYTES)
    with session.open_ledger() as ledger:
        draft = ledger.storage.vault.draft_staff(address, uuid4())
        staff_id = add_staff(ledger.open_audit_log(), draft, password_hasher().hash(first), checked_role)
        if staff_id is None:
            say_error(
                "a staff account has this email address already: use `ledger staff role` or `ledger staff password`"
            )
            return ExitCode.REFUSED
    if json:
        print_json({"id": staff_id, "email": address.typed, "role": checked_role, "password": first})
    else:
        say(first)
    return 0


@leaves_no_record(READS_ONLY)
def list_staff(context: typer.Context, json: JsonFlag = False) -> int:
    """List staff accounts, oldest first."""
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        read_page = StaffAccountRepository(ledger.storage).list_page
        accounts = list(read_to_end(read_page, OLDEST, lambda account: (account.created_at, account.staff_id)))
    if json:
        listed = [(account.staff_id, account.address, account.role, account.created_at) for account in accounts]
        print_json([dict(zip(("id", "email", "role", "created_at"), account, strict=True)) for account in listed])
        return 0
    rows = table("since (UTC)", "role", "email", fixed=("since (UTC)", "role"))
    for account in accounts:
        rows.add_row(format_timestamp(account.created_at), account.role, account.address)
    show(rows)
    return 0


def role(
    context: typer.Context,
    email: Email,
    role: Annotated[str, typer.Argument(help="Role: viewer, support or admin.")],
    json: JsonFlag = False,
) -> int:
    """Change the role of a staff account.

    Takes effect with the next request.
    """
    checked_role = _role(role)
    return _change(
        Session(context.obj),
        email,
        lambda action, staff_id: set_staff_role(action, staff_id, checked_role),
        {"role": checked_role} if json else None,
    )


def password(context: typer.Context, email: Email, reason: ReasonOption = NO_REASON, json: JsonFlag = False) -> int:
    """Set a new password for a staff account and print it.

    The password is shown only once. All sessions of the account end.
    """
    new = secrets.token_urlsafe(PASSWORD_BYTES)
    status = _change(
        Session(context.obj),
        email,
        lambda action, staff_id: set_new_password(action, staff_id, password_hasher().hash(new), reason),
        {"password": new} if json else None,
    )
    if status == 0 and not json:
        say(new)
    return status


def remove(context: typer.Context, email: Email, reason: ReasonOption = NO_REASON, json: JsonFlag = False) -> int:
    """Remove a staff account and end its sessions.

    Its actions stay in the audit log.
    """
    return _change(
        Session(context.obj),
        email,
        lambda action, staff_id: remove_staff(action, staff_id, reason),
        {"removed": True} if json else None,
    )


def _change(
    session: Session,
    email: str,
    change: Callable[[AuditLog, UUID], bool],
    document: dict[str, object] | None,
) -> int:
    """Change one account; `document` holds the fields of the JSON output besides id and email."""
    address = parse_email(email)
    with session.open_ledger() as ledger:
        account = StaffSessionRepository(ledger.storage).find_credentials(address)
        try:
            if account is None or not change(ledger.open_audit_log(), account.staff_id):
                say_error("no staff account has this email address: `ledger staff list` shows all accounts")
                return ExitCode.REFUSED
        except LastAdminError:
            say_error("this is the last admin: first add another with `ledger staff add EMAIL --role admin`")
            return ExitCode.REFUSED
    if document is not None:
        print_json({"id": account.staff_id, "email": address.typed, **document})
    return 0


def _role(text: str) -> str:
    if text not in RANK:
        raise typer.BadParameter("must be viewer, support or admin", param_hint="'--role'")
    return text
