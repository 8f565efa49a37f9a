"""The pages of groups: texts and branding of their emails, preview and test, acceptance page, and channel."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Final, Literal, NamedTuple
from urllib.parse import quote

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, Response

from api.errors import ApplicationError
from api.http.pagination import Page
from api.i18n.languages import LANGUAGES
from api.schemas.groups import (
    SUBJECT_LENGTH_MAX,
    TARGET_LENGTH_MAX,
    TEXT_LENGTH_MAX,
    find_unknown_variables,
    is_redirect_target,
)
from api.schemas.parsing import SEVERAL_LINES, find_email, parse_email
from api.use_cases.administration.batches import save_group
from api.use_cases.administration.group_branding import change_branding
from api.use_cases.run_blocking import run_blocking
from api.web.admin.context import AdminContext, AdminContextDep, InvitationPreview, admin_page
from api.web.admin.group_branding import read_branding_form
from api.web.admin.group_channel import change_channel, load_channel, renew_channel_secret, sent_settings
from api.web.admin.uploads import UPLOAD_S_MAX, SentFile, read_sent_file
from api.web.forms import NAME_LENGTH_MAX, FormDep, FormFields
from api.web.rendering import see_other
from api.web.security_headers import MAIL_POLICY, security_headers
from api.web.staff_auth.sessions import Admin, AdminWithForm, SupportRoute
from api.web.staff_auth.staff import Staff
from domain.ports import Accepted, Language, OutboundMessage, Outcome, Rejected, RetryLater
from domain.values.group_name import is_group_name
from domain.values.identifiers import EmailAddress
from projections.repositories.groups import InvitationTexts, InviteGroup

PER_PAGE: Final = 50
EXTRA_WAIT_S: Final = 5.0
"""Seconds that a test may take in addition to the channel's timeout."""
NO_ERRORS: Final[Mapping[str, str]] = {}

BRANDING_PATH: Final = "/admin/groups/branding"

router = APIRouter(prefix="/admin/groups", route_class=SupportRoute)
EXAMPLE_RECIPIENT: Final = parse_email("li.wei@example.com")
"""Recipient of previews, which do not show it."""
TestStatus = Literal["saved", "sent", "failed", "unsure", "address"]


@router.get("")
def list_groups(
    request: Request,
    admin: AdminContextDep,
    staff: Admin,
    after: Annotated[str, Query(max_length=NAME_LENGTH_MAX)] = "",
    name: Annotated[str, Query(max_length=NAME_LENGTH_MAX)] = "",
) -> Response:
    """List all groups by name, or go to the group that was typed."""
    if typed_name := name.strip():
        return see_other(f"/admin/groups/one?{_query(typed_name)}")
    stored = admin.groups.list_page(after, PER_PAGE + 1)
    page = Page.of(stored, PER_PAGE, lambda row: row.name)
    return admin_page(request, "groups.html", staff, groups=page.rows, next=page.next, is_first=not after)


@router.get("/one")
def show_group(
    request: Request,
    admin: AdminContextDep,
    staff: Admin,
    name: Annotated[str, Query(min_length=1, max_length=NAME_LENGTH_MAX)],
    done: Annotated[str, Query(max_length=10)] = "",
) -> Response:
    """Show one group's settings, and its invitations as recipients see them."""
    group = _load_group(admin, name)
    return _render(request, admin, staff, group, message=_Message(done if done == "saved" else ""))


@router.post("/one")
def save(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    fields: FormDep,
    name: Annotated[str, Query(min_length=1, max_length=NAME_LENGTH_MAX)],
) -> Response:
    """Save a group's settings."""
    group = _parse_form(fields, name)
    if fields.errors:
        return _render(request, admin, staff, group, errors=fields.errors)
    audit_log = admin.services.open_audit_log(staff.caller())
    save_group(audit_log, admin.groups, group)
    return see_other(f"/admin/groups/one?{_query(name)}&done=saved")


@router.post("/branding")
async def save_branding(
    request: Request,
    admin: AdminContextDep,
    staff: Admin,
    name: Annotated[str, Query(max_length=NAME_LENGTH_MAX)] = "",
) -> Response:
    """Change the logo and the color of a group's emails. The form's token is checked before anything else."""
    form = await read_sent_file(request, admin)
    return await run_blocking(UPLOAD_S_MAX, _save_branding, request, admin, staff, name, form)


def _save_branding(request: Request, admin: AdminContext, staff: Staff, name: str, form: SentFile) -> Response:
    group = _load_group(admin, name)
    changes, errors = read_branding_form(form)
    if errors:
        return _render(request, admin, staff, group, errors=errors, accent=form.values.get("accent", ""))
    change_branding(admin.services.open_audit_log(staff.caller()), name, changes)
    return see_other(f"/admin/groups/one?{_query(name)}&done=saved")


@router.post("/channel")
def save_channel(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    name: Annotated[str, Query(min_length=1, max_length=NAME_LENGTH_MAX)],
    fields: FormDep,
) -> Response:
    """Choose the channel of a group's invitations; the secret of a new channel is shown once."""
    group = _load_group(admin, name)
    secret = change_channel(admin, staff, name, fields)
    if fields.errors:
        kind = admin.services.channel_kinds[fields.values["channel"]]
        group = replace(group, channel=kind.name, channel_settings=sent_settings(kind, fields.values))
        return _render(request, admin, staff, group, errors=fields.errors)
    if secret is None:
        return see_other(f"/admin/groups/one?{_query(name)}&done=saved")
    return _render(request, admin, staff, _load_group(admin, name), message=_Message("saved", secret=secret))


@router.post("/secret")
def new_secret(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    name: Annotated[str, Query(min_length=1, max_length=NAME_LENGTH_MAX)],
) -> Response:
    """Generate a new secret for a group's channel and show it once."""
    group = _load_group(admin, name)
    secret = renew_channel_secret(admin, staff, group)
    return _render(request, admin, staff, group, message=_Message(secret=secret))


@router.get("/letter")
def show_email(
    admin: AdminContextDep,
    _: Admin,
    name: Annotated[str, Query(min_length=1, max_length=NAME_LENGTH_MAX)],
    language: Language,
) -> Response:
    """Show the HTML of a group's invitation, for the frame on its page."""
    group = _load_group(admin, name)
    preview = admin.preview_sender.preview(_test_invitation(admin, group, language, EXAMPLE_RECIPIENT))
    return HTMLResponse(preview.html, 200, security_headers(MAIL_POLICY))


@router.post("/test")
async def send_test(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    name: Annotated[str, Query(min_length=1, max_length=NAME_LENGTH_MAX)],
    language: Annotated[Language, Form()],
    to: Annotated[str, Form()] = "",
) -> Response:
    """Send a group's invitation to an email address and show the mail server's answer."""
    settings = admin.services.settings
    wait_s = max(settings.smtp_timeout_s, settings.webhook_timeout_s) + EXTRA_WAIT_S
    return await run_blocking(wait_s, _send_test, request, admin, staff, name, language, to)


def _send_test(request: Request, admin: AdminContext, staff: Staff, name: str, language: Language, to: str) -> Response:
    group = _load_group(admin, name)
    if (address := find_email(to)) is None:
        return _render(request, admin, staff, group, message=_Message("address", to))
    admin.services.limit_test_messages(staff.caller())
    outcome = admin.preview_sender.send(_test_invitation(admin, group, language, address))
    admin.support.audit(staff.caller(), "sent_test", None, f"group: {name}")
    status, reply = _describe_outcome(outcome)
    return _render(request, admin, staff, group, message=_Message(status, to, reply))


class _Message(NamedTuple):
    """What the page of a group shows in addition to its settings: the result of a test, a new secret."""

    done: str = ""
    to: str = ""
    reply: str = ""
    secret: str | None = None


def _parse_form(fields: FormFields, name: str) -> InviteGroup:
    words = {
        language: InvitationTexts(
            fields.text(f"subject_{language}", SUBJECT_LENGTH_MAX),
            fields.text(f"text_{language}", TEXT_LENGTH_MAX, pattern=SEVERAL_LINES).replace("\r\n", "\n"),
        )
        for language in LANGUAGES
    }
    for field_name in (f"{kind}_{language}" for kind in ("subject", "text") for language in LANGUAGES):
        if unknown := find_unknown_variables(fields.values.get(field_name, "")):
            fields.errors.setdefault(field_name, "group_variable:" + ", ".join(f"{{{each}}}" for each in unknown))
    target = fields.text("accept_target", TARGET_LENGTH_MAX)
    if target and not is_redirect_target(target):
        fields.errors["accept_target"] = "target"
    takes_rebinds = bool(fields.text("takes_rebinds", 3))
    return InviteGroup(
        name=name, zh=words["zh"], en=words["en"], accept_target=target or None, takes_rebinds=takes_rebinds
    )


def _load_group(admin: AdminContext, name: str) -> InviteGroup:
    if not is_group_name(name):
        raise ApplicationError("NOT_FOUND")
    stored = admin.groups.find(name)
    takes_rebinds = admin.groups.accepts_rebinds(name)
    return replace(stored or InviteGroup(name=name), takes_rebinds=takes_rebinds)


def _test_invitation(
    admin: AdminContext, group: InviteGroup, language: Language, recipient: EmailAddress
) -> OutboundMessage:
    """Return the invitation as a recipient would get it.

    Its link leads to the redeem page, because nothing was reserved.
    """
    services, words = admin.services, group.texts_in(language)
    test_id = services.new_id()
    return OutboundMessage(
        reservation_id=test_id,
        template="invite",
        message_id=f"<{test_id}.test@{services.settings.mail_from.rpartition('@')[2].strip('> ') or 'localhost'}>",
        recipient=recipient,
        language=language,
        link=f"{services.settings.public_url.rstrip('/')}/invite",
        written_at=services.now(),
        group=group.name,
        subject=words.subject,
        text=words.text,
        branding=admin.groups.find_branding(group.name),
        is_test=True,
    )


def _describe_outcome(outcome: Outcome) -> tuple[TestStatus, str]:
    if isinstance(outcome, Accepted):
        return "sent", outcome.server
    if isinstance(outcome, Rejected):
        return "failed", outcome.reply or outcome.reason
    if isinstance(outcome, RetryLater):
        return "failed", outcome.reason
    return "unsure", outcome.server


def _render(
    request: Request,
    admin: AdminContext,
    staff: Staff,
    group: InviteGroup,
    *,
    errors: Mapping[str, str] = NO_ERRORS,
    message: _Message | None = None,
    accent: str | None = None,
) -> Response:
    branding = admin.groups.find_branding(group.name)
    message = message or _Message()
    previews: dict[Language, InvitationPreview] = {
        language: admin.preview_sender.preview(_test_invitation(admin, group, language, EXAMPLE_RECIPIENT))
        for language in LANGUAGES
    }
    return admin_page(
        request,
        "group.html",
        staff,
        status=422 if errors or message.done == "address" else 200,
        group=group,
        query=_query(group.name),
        previews=previews,
        errors=errors,
        test_status=message.done,
        reply=message.reply,
        to=message.to or staff.address,
        secret=message.secret,
        channel=load_channel(admin, group),
        branding=branding,
        accent=branding.accent or "" if accent is None else accent,
        lengths={"subject": SUBJECT_LENGTH_MAX, "text": TEXT_LENGTH_MAX, "target": TARGET_LENGTH_MAX},
    )


def _query(name: str) -> str:
    return f"name={quote(name, safe='')}"
