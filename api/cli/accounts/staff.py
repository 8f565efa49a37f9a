"""`ledger staff ...`: who may sign in and how, from the first admin on."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID, uuid4

import typer

from api.cli.arguments import parse_email
from api.cli.command_index import READS_ONLY, CommandGroup, leaves_no_record
from api.cli.context import OpenLedger, Session
from api.cli.printing import JsonFlag, ReasonOption, format_timestamp, print_json
from api.use_cases.administration.single_sign_on import choose_break_glass, connect_account
from api.use_cases.administration.staff_accounts import (
    NOTHING_LOST,
    LostAccess,
    remove_factors,
    remove_staff,
    set_staff_role,
)
from api.use_cases.administration.staff_links import NewLink, invite_staff, repeat_invitation, reset_password
from api.use_cases.administration.staff_mail import LinkMail, link_url, send_link
from domain.values.identifiers import EmailAddress
from projections.config.staff_roles import RANK
from projections.read_models.pagination import OLDEST, read_to_end
from projections.repositories.audit_log import NO_REASON, AuditLog
from projections.repositories.staff_accounts import LastAdminError, StaffAccountRepository
from projections.repositories.staff_links import StaffLinkRepository
from projections.repositories.staff_sessions import StaffSessionRepository
from projections.terminal.exit_codes import ExitCode
from projections.terminal.tables import show, table
from projections.terminal.text import say, say_error

NO_ACCOUNT = "no staff account has this email address: `ledger staff list` shows all accounts"

Email = Annotated[str, typer.Argument(help="Email address for signing in.")]
LinkOption = Annotated[bool, typer.Option("--link", help="Print the link instead of sending it.")]

staff = typer.Typer(cls=CommandGroup, help="Manage staff accounts (as a page: /admin/staff).")


def register(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (add, invite, role, password, remove):
        staff.command()(command)
    staff.command("remove-factors")(remove_second_factors)
    staff.command("break-glass")(break_glass)
    staff.command()(connect)
    staff.command("list")(list_staff)
    app.add_typer(staff, name="staff")


def add(
    context: typer.Context,
    email: Email,
    role: Annotated[str, typer.Option(help="Role: viewer, support or admin.")],
    link: LinkOption = False,
    json: JsonFlag = False,
) -> int:
    """Invite a staff member by an email with a link.

    The link works once, for 24 hours: its user chooses a password there. It is printed instead of sent with --link, for
    the first admin, and if the mail server does not accept the email. With --json, `link` is null if it was sent.

    Example: `ledger staff add li.wei@example.com --role support`
    """
    address, checked_role = parse_email(email), _role(role)
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        is_first = checked_role == "admin" and not StaffAccountRepository(ledger.storage).has_admin_who_can_sign_in()
        draft = ledger.storage.vault.draft_staff(address, uuid4())
        new_link = invite_staff(ledger.open_audit_log(), draft, checked_role)
        if new_link is None:
            say_error("a staff account has this email address already: use `ledger staff invite`, `role` or `password`")
            return ExitCode.REFUSED
        url = _deliver(ledger, new_link, address, is_printed=link or is_first)
    return _report_link(new_link, url, {"email": address.typed, "role": checked_role} if json else None)


def invite(context: typer.Context, email: Email, link: LinkOption = False, json: JsonFlag = False) -> int:
    """Send an invitation again that is not accepted.

    The former link stops working. The new one works once, for 24 hours.
    """
    return _renew(Session(context.obj), email, repeat_invitation, is_printed=link, as_json=json)


@leaves_no_record(READS_ONLY)
def list_staff(context: typer.Context, json: JsonFlag = False) -> int:
    """List staff accounts, oldest first."""
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        read_page = StaffAccountRepository(ledger.storage).list_page
        accounts = list(read_to_end(read_page, OLDEST, lambda account: (account.created_at, account.staff_id)))
    if json:
        print_json(
            [
                {
                    "id": account.staff_id,
                    "email": account.address,
                    "role": account.role,
                    "created_at": account.created_at,
                    "invitation_expires_at": account.invitation and account.invitation.expires_at,
                }
                for account in accounts
            ]
        )
        return 0
    rows = table("since (UTC)", "role", "invited until", "email", fixed=("since (UTC)", "role", "invited until"))
    for account in accounts:
        until = format_timestamp(account.invitation.expires_at) if account.invitation else "-"
        rows.add_row(format_timestamp(account.created_at), account.role, until, account.address)
    show(rows)
    return 0


def role(
    context: typer.Context,
    email: Email,
    role: Annotated[str, typer.Argument(help="Role: viewer, support or admin.")],
    reason: ReasonOption = NO_REASON,
    json: JsonFlag = False,
) -> int:
    """Change the role of a staff account.

    Takes effect with the next request. A lower role ends all sessions of the account, and revokes the API keys that it
    created and that open more than the role.
    """
    checked_role = _role(role)
    return _change(
        Session(context.obj),
        email,
        lambda action, staff_id: set_staff_role(action, staff_id, checked_role, reason),
        {"role": checked_role} if json else None,
    )


def password(
    context: typer.Context,
    email: Email,
    reason: ReasonOption = NO_REASON,
    link: LinkOption = False,
    json: JsonFlag = False,
) -> int:
    """Send a staff member a link for a new password.

    The current password stops working, and all sessions of the account end. The link works once, for one hour. It is
    printed instead of sent with --link, and if the mail server does not accept the email.
    """
    return _renew(
        Session(context.obj),
        email,
        lambda action, staff_id: reset_password(action, staff_id, reason),
        is_printed=link,
        as_json=json,
    )


def remove(context: typer.Context, email: Email, reason: ReasonOption = NO_REASON, json: JsonFlag = False) -> int:
    """Remove a staff account.

    Its sessions end, and the API keys that it created are revoked. Its actions stay in the audit log.
    """
    return _change(
        Session(context.obj),
        email,
        lambda action, staff_id: remove_staff(action, staff_id, reason),
        {"removed": True} if json else None,
    )


def remove_second_factors(
    context: typer.Context, email: Email, reason: ReasonOption = NO_REASON, json: JsonFlag = False
) -> int:
    """Remove the second factors of a staff account whose user lost the device.

    Its recovery codes stop working too, and its sessions end. The password stays.

    Example: `ledger staff remove-factors li.wei@example.com --reason "lost phone"`
    """
    return _change(
        Session(context.obj),
        email,
        lambda action, staff_id: remove_factors(action, staff_id, reason),
        {"factors_removed": True} if json else None,
        refusal="this account has no second factor",
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
            lambda audit_log, staff_id: NOTHING_LOST if choose_break_glass(audit_log, staff_id) else None,
            {"break_glass": True} if json else None,
            refusal="this account has no password: `ledger staff password EMAIL --link` prints a link for one",
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
        lambda audit_log, staff_id: NOTHING_LOST if connect_account(audit_log, staff_id, issuer, subject) else None,
        {"connected": True} if json else None,
        refusal="this account, or this person, is connected already",
    )


def _renew(
    session: Session,
    email: str,
    create: Callable[[AuditLog, UUID], NewLink | None],
    *,
    is_printed: bool,
    as_json: bool,
) -> int:
    """Create a link for an account, and send or print it."""
    address = parse_email(email)
    with session.open_ledger() as ledger:
        account = StaffSessionRepository(ledger.storage).find_credentials(address)
        new_link = None if account is None else create(ledger.open_audit_log(), account.staff_id)
        if account is None:
            say_error(NO_ACCOUNT)
            return ExitCode.REFUSED
        if new_link is None:
            say_error(
                "use `ledger staff invite` while an invitation is not accepted, and `ledger staff password` afterwards"
            )
            return ExitCode.REFUSED
        url = _deliver(ledger, new_link, address, is_printed=is_printed)
    return _report_link(new_link, url, {"email": address.typed} if as_json else None)


def _deliver(ledger: OpenLedger, link: NewLink, address: EmailAddress, *, is_printed: bool) -> str | None:
    """Send a link; return its URL if it is to be printed instead, or the mail server did not accept the email."""
    from workers.mail_preview import MailPreviewer  # noqa: PLC0415 - only a command that sends needs the channels

    if not is_printed:
        mail = LinkMail(link, address, ledger.language, uuid4())
        sender = MailPreviewer(ledger.settings, ledger.storage)
        if send_link(ledger.storage, ledger.settings, sender, mail, ledger.now()) == "sent":
            return None
        say_error("the mail server did not accept the email: pass on this link, which works once")
    StaffLinkRepository(ledger.storage).record_mail(link.digest, "printed")
    return link_url(ledger.settings, link)


def _report_link(link: NewLink, url: str | None, document: dict[str, object] | None) -> int:
    """Print a link that was not sent; `document` holds the fields of the JSON output besides those of the link."""
    if document is not None:
        sent = {"sent": url is None, "link": url, "expires_at": link.expires_at}
        print_json({"id": link.staff_id, **document, **sent})
    elif url is not None:
        say(url)
    else:
        say_error(f"sent; the link works once, until {format_timestamp(link.expires_at)} UTC")
    return 0


def _change(
    session: Session,
    email: str,
    change: Callable[[AuditLog, UUID], LostAccess | None],
    document: dict[str, object] | None,
    refusal: str | None = None,
) -> int:
    """Change one account; `document` holds fields of the JSON output, which also names the account and what it lost.

    `refusal` says why an account was not changed that is there.
    """
    address = parse_email(email)
    with session.open_ledger() as ledger:
        account = StaffSessionRepository(ledger.storage).find_credentials(address)
        try:
            lost = None if account is None else change(ledger.open_audit_log(), account.staff_id)
            if account is None or lost is None:
                say_error(NO_ACCOUNT if account is None or refusal is None else refusal)
                return ExitCode.REFUSED
        except LastAdminError:
            say_error("this is the last admin: first add another with `ledger staff add EMAIL --role admin`")
            return ExitCode.REFUSED
    if document is not None:
        ended = {"sessions_ended": lost.sessions, "keys_revoked": lost.keys}
        print_json({"id": account.staff_id, "email": address.typed, **document, **ended})
    elif lost != NOTHING_LOST:
        say_error(f"ended sessions: {lost.sessions}; revoked API keys: {lost.keys}")
    return 0


def _role(text: str) -> str:
    if text not in RANK:
        raise typer.BadParameter("must be viewer, support or admin", param_hint="'--role'")
    return text
