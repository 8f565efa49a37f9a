"""`ledger staff ...`: who may sign in and how, from the first admin on."""

import secrets
from collections.abc import Callable
from typing import Annotated
from uuid import UUID, uuid4

import typer

from api.auth.passwords import password_hasher
from api.cli.arguments import parse_email
from api.cli.command_index import READS_ONLY, CommandGroup, leaves_no_record
from api.cli.context import Session
from api.cli.printing import JsonFlag, ReasonOption, format_timestamp, print_json
from api.use_cases.administration.single_sign_on import choose_break_glass, connect_account
from api.use_cases.administration.staff_accounts import add_staff, remove_staff, set_new_password, set_staff_role
from projections.config.staff_roles import RANK
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
    staff.command("break-glass")(break_glass)
    staff.command()(connect)
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


def break_glass(
    context: typer.Context,
    email: Annotated[str | None, typer.Argument(help="Email address of the account.")] = None,
    none: Annotated[bool, typer.Option("--none", help="There is to be no such account.")] = False,
    json: JsonFlag = False,
) -> int:
    """Choose the account that keeps its password under single sign-on.

    It may sign in while the identity provider does not answer. There is one such account; the former one loses the
    right. It needs a password.

    Example: `ledger staff break-glass li.wei@example.com`
    """
    if none == (email is not None):
        raise typer.BadParameter("name an account, or write --none", param_hint="'EMAIL'")
    if email is not None:
        return _change(
            Session(context.obj),
            email,
            choose_break_glass,
            {"break_glass": True} if json else None,
            refusal="this account has no password: `ledger staff password` sets one",
        )
    with Session(context.obj).open_ledger() as ledger:
        was_changed = choose_break_glass(ledger.open_audit_log(), None)
    if json:
        print_json({"removed": was_changed})
    return 0


def connect(
    context: typer.Context,
    email: Email,
    subject: Annotated[str, typer.Argument(help="Claim `sub` of the person at the identity provider.")],
    json: JsonFlag = False,
) -> int:
    """Connect an account with a person at the identity provider.

    Its password ends.

    Staff do this themselves at /support/account; use it where passwords are switched off.

    Example: `ledger staff connect li.wei@example.com 3f1c6f2e-8a0b-4b7e-9a8f-0c6a2d1e5b77`
    """
    session = Session(context.obj)
    issuer = session.read_settings().oidc_issuer
    if issuer is None:
        say_error("no identity provider is set up: set LEDGER_OIDC_ISSUER first")
        return ExitCode.REFUSED
    return _change(
        session,
        email,
        lambda audit_log, staff_id: connect_account(audit_log, staff_id, issuer, subject),
        {"connected": True} if json else None,
        refusal="this account, or this person, is connected already",
    )


def _change(
    session: Session,
    email: str,
    change: Callable[[AuditLog, UUID], bool],
    document: dict[str, object] | None,
    refusal: str | None = None,
) -> int:
    """Change one account; `document` holds the fields of the JSON output besides id and email.

    `refusal` says why an account was not changed that is there.
    """
    address = parse_email(email)
    with session.open_ledger() as ledger:
        account = StaffSessionRepository(ledger.storage).find_credentials(address)
        try:
            was_changed = account is not None and change(ledger.open_audit_log(), account.staff_id)
            if account is not None and not was_changed and refusal is not None:
                say_error(refusal)
                return ExitCode.REFUSED
            if account is None or not was_changed:
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
