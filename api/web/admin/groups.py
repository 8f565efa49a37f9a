"""Groups: the words of their letters in each language, where an accepted invitation leads, preview and test."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Final, Literal, NamedTuple
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.errors import ApplicationError
from api.i18n.catalogs import LANGUAGES
from api.use_cases.administration.batches import save_group
from api.web.admin.context import LetterView, Office, TheOffice
from api.web.admin.forms import NAME_LENGTH_MAX, Fields, admin_page, gone_to
from api.web.admin.group_channel import change_channel, channel_view, renew_channel_secret
from api.web.security_headers import MAIL_POLICY, security_headers
from api.web.staff_auth.sessions import ActingAdmin, Admin, Staff, SupportRoute
from domain.ports import Accepted, Language, OutboundMessage, Outcome, Rejected, RetryLater
from domain.values.group_name import group_name_error
from domain.values.identifiers import EmailAddress, MalformedEmailError
from projections.repositories.groups import InvitationTexts, InviteGroup

PER_PAGE: Final = 50
SUBJECT_LENGTH_MAX: Final = 200
TEXT_LENGTH_MAX: Final = 5_000
TARGET_LENGTH_MAX: Final = 2_000
SPARE_S: Final = 5.0
"""What a test may take beyond the time that its channel has."""
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts that may be reached without TLS: nothing leaves the machine."""
_TARGET: Final = re.compile(r"[!-~]+")

NO_FAULTS: Final[Mapping[str, str]] = {}

router = APIRouter(prefix="/admin/groups", route_class=SupportRoute)
Told = Literal["saved", "sent", "failed", "unsure", "address"]


@router.get("")
async def groups(
    request: Request,
    office: TheOffice,
    staff: Admin,
    after: Annotated[str, Query(max_length=NAME_LENGTH_MAX)] = "",
    name: Annotated[str, Query(max_length=NAME_LENGTH_MAX)] = "",
) -> Response:
    """All groups by name; one that is typed in is gone to."""
    if wanted := name.strip():
        return RedirectResponse(f"/admin/groups/one?{_query(wanted)}", 303)
    found = await office.services.read(lambda: office.groups.list_page(after, PER_PAGE + 1))
    more = found[PER_PAGE - 1].name if len(found) > PER_PAGE else None
    return admin_page(request, "groups.html", staff, groups=found[:PER_PAGE], next=more, is_first=not after)


@router.get("/one")
async def group_page(
    request: Request,
    office: TheOffice,
    staff: Admin,
    name: Annotated[str, Query(min_length=1, max_length=NAME_LENGTH_MAX)],
    done: Annotated[str, Query(max_length=10)] = "",
) -> Response:
    """One group's settings, and its letters as they would arrive."""
    group = await _group(office, name)
    return await _page(request, office, staff, group, said=_Said(done if done == "saved" else ""))


@router.post("/one")
async def save(
    request: Request,
    office: TheOffice,
    staff: ActingAdmin,
    name: Annotated[str, Query(min_length=1, max_length=NAME_LENGTH_MAX)],
) -> Response:
    """Keep the settings."""
    form = await request.form()
    fields = Fields({key: value for key, value in form.items() if isinstance(value, str)})
    group = _read(fields, name)
    if fields.faults:
        return await _page(request, office, staff, group, faults=fields.faults)
    action = office.services.action(staff.caller(None))
    await office.services.read(lambda: save_group(action, office.groups, group))
    return gone_to(f"/admin/groups/one?{_query(name)}&done=saved")


@router.post("/channel")
async def save_channel(
    request: Request,
    office: TheOffice,
    staff: ActingAdmin,
    name: Annotated[str, Query(min_length=1, max_length=NAME_LENGTH_MAX)],
    channel: Annotated[str, Form()] = "",
    channel_url: Annotated[str, Form()] = "",
) -> Response:
    """Choose how the group's invitations go out; the secret of a new channel is shown this once."""
    group = await _group(office, name)
    fields = Fields({"channel": channel, "channel_url": channel_url})
    secret = await change_channel(office, staff, name, fields)
    if fields.faults:
        group = replace(group, channel="webhook", channel_url=channel_url)
        return await _page(request, office, staff, group, faults=fields.faults)
    if secret is None:
        return gone_to(f"/admin/groups/one?{_query(name)}&done=saved")
    return await _page(request, office, staff, await _group(office, name), said=_Said("saved", secret=secret))


@router.post("/secret")
async def new_secret(
    request: Request,
    office: TheOffice,
    staff: ActingAdmin,
    name: Annotated[str, Query(min_length=1, max_length=NAME_LENGTH_MAX)],
) -> Response:
    """A new secret of the group's channel, shown this once."""
    group = await _group(office, name)
    secret = await renew_channel_secret(office, staff, group)
    return await _page(request, office, staff, group, said=_Said(secret=secret))


@router.get("/letter")
async def letter(
    office: TheOffice,
    _: Admin,
    name: Annotated[str, Query(min_length=1, max_length=NAME_LENGTH_MAX)],
    language: Language,
) -> Response:
    """The HTML of a group's letter, for the frame on its page."""
    group = await _group(office, name)
    view = office.post.preview(_letter(office, group, language, "li.wei@example.com"))
    headers = {**security_headers(MAIL_POLICY), "Cache-Control": "no-store"}
    return HTMLResponse(view.html, 200, headers)


@router.post("/test")
async def send_test(
    request: Request,
    office: TheOffice,
    staff: ActingAdmin,
    name: Annotated[str, Query(min_length=1, max_length=NAME_LENGTH_MAX)],
    language: Annotated[Language, Form()],
    to: Annotated[str, Form()] = "",
) -> Response:
    """Send the letter to an address, now, and say what the mail server said."""
    group = await _group(office, name)
    try:
        address = EmailAddress.parse(to)
    except MalformedEmailError:
        return await _page(request, office, staff, group, said=_Said("address", to))
    letter = _letter(office, group, language, address.typed)
    settings = office.services.settings
    longest_s = max(settings.smtp_timeout_s, settings.webhook_timeout_s) + SPARE_S
    outcome = await office.services.read(lambda: office.post.send(letter), longest_s)
    action = office.services.action(staff.caller(None))
    await office.services.read(lambda: action.record("sent_test", None, f"group: {name}"))
    told, reply = _told(outcome)
    return await _page(request, office, staff, group, said=_Said(told, to, reply))


class _Said(NamedTuple):
    """What a page says beside what is set: what was done, the test's address and answer, a secret shown once."""

    done: str = ""
    to: str = ""
    reply: str = ""
    secret: str | None = None


def is_target(text: str) -> bool:
    """Whether accepted invitations may lead there: an absolute https address; http on this machine only."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)
    return bool(_TARGET.fullmatch(text)) and is_safe and bool(host) and "@" not in parts.netloc and "\\" not in text


def _read(fields: Fields, name: str) -> InviteGroup:
    words = {
        language: InvitationTexts(
            fields.text(f"subject_{language}", SUBJECT_LENGTH_MAX),
            fields.text(f"text_{language}", TEXT_LENGTH_MAX, is_line=False).replace("\r\n", "\n"),
        )
        for language in LANGUAGES
    }
    target = fields.text("accept_target", TARGET_LENGTH_MAX)
    if target and not is_target(target):
        fields.faults["accept_target"] = "target"
    takes_rebinds = bool(fields.text("takes_rebinds", 3))
    return InviteGroup(
        name=name, zh=words["zh"], en=words["en"], accept_target=target or None, takes_rebinds=takes_rebinds
    )


async def _group(office: Office, name: str) -> InviteGroup:
    if group_name_error(name) is not None:
        raise ApplicationError("NOT_FOUND")
    found = await office.services.read(lambda: office.groups.find(name))
    takes_rebinds = await office.services.read(lambda: office.groups.accepts_rebinds(name))
    return replace(found or InviteGroup(name=name), takes_rebinds=takes_rebinds)


def _letter(office: Office, group: InviteGroup, language: Language, recipient: str) -> OutboundMessage:
    """The invitation as a member would get it; the link leads to the redeem page, for nothing was reserved."""
    services, words = office.services, group.texts_in(language)
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
        is_test=True,
    )


def _told(outcome: Outcome) -> tuple[Told, str]:
    if isinstance(outcome, Accepted):
        return "sent", outcome.server
    if isinstance(outcome, Rejected):
        return "failed", outcome.reply or outcome.reason
    if isinstance(outcome, RetryLater):
        return "failed", outcome.reason
    return "unsure", outcome.server


async def _page(
    request: Request,
    office: Office,
    staff: Staff,
    group: InviteGroup,
    *,
    faults: Mapping[str, str] = NO_FAULTS,
    said: _Said | None = None,
) -> Response:
    said = said or _Said()
    letters: dict[Language, LetterView] = {
        language: office.post.preview(_letter(office, group, language, staff.address)) for language in LANGUAGES
    }
    return admin_page(
        request,
        "group.html",
        staff,
        status=422 if faults or said.done == "address" else 200,
        group=group,
        query=_query(group.name),
        letters=letters,
        faults=faults,
        done=said.done,
        reply=said.reply,
        to=said.to or staff.address,
        secret=said.secret,
        channel=await channel_view(office, group),
        lengths={"subject": SUBJECT_LENGTH_MAX, "text": TEXT_LENGTH_MAX, "target": TARGET_LENGTH_MAX},
    )


def _query(name: str) -> str:
    return f"name={quote(name, safe='')}"
