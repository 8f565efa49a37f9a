"""Reads the Maildir of the mail catcher: a page of emails, one email's parts; deletes the emails to an address."""

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.errors import MessageError
from email.headerregistry import DateHeader
from email.message import EmailMessage
from email.policy import default
from email.utils import parseaddr
from mailbox import Maildir, NoSuchMailboxError
from pathlib import Path
from typing import Final

from domain.values.identifiers import EmailAddress, MalformedEmailError

PAGE_MAX: Final = 50
"""Emails on one page of the list."""
HEAD_BYTES_MAX: Final = 64 * 1024
"""Bytes that are read of each email for the list."""
MAIL_BYTES_MAX: Final = 1024 * 1024
"""Bytes that are read of an email to show it; the rest of a larger one is left out."""

_UNREADABLE = (LookupError, ValueError, TypeError, AttributeError, MessageError)
"""Errors that the standard library raises on malformed headers and bodies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRow:
    """An email in the list."""

    key: str
    subject: str
    to: str
    sender: str
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MailPage:
    """Emails, newest first; `older` is the cursor of the next page, None on the last."""

    lines: list[MailRow]
    older: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One email with its bodies; `is_cut` if it was too large to be read completely."""

    line: MailRow
    text: str | None
    html: str | None
    is_cut: bool


def list_mails(folder: Path, before: str | None = None) -> MailPage:
    """Return one page of emails, newest first; an empty one if the mail catcher has not created its folder yet.

    Args:
        folder: The Maildir.
        before: Cursor: only emails older than this one, which may be deleted by now.
    """
    try:
        box = Maildir(folder, create=False)
        keys = sorted(box.keys(), key=_age, reverse=True)
    except (NoSuchMailboxError, FileNotFoundError):
        return MailPage(lines=[], older=None)
    if before is not None:
        limit = _age(before)
        keys = [key for key in keys if _age(key) < limit]
    lines = [_line(key, head[0]) for key in keys[:PAGE_MAX] if (head := _read(box, key, HEAD_BYTES_MAX))]
    return MailPage(lines=lines, older=keys[PAGE_MAX - 1] if len(keys) > PAGE_MAX else None)


def read_mail(folder: Path, key: str) -> Mail | None:
    """Return one email, or None if the key is unknown. The key is looked up in a list, so it can't leave the folder."""
    try:
        content = _read(Maildir(folder, create=False), key, MAIL_BYTES_MAX)
    except NoSuchMailboxError:
        return None
    if content is None:
        return None
    message, is_cut = content
    return Mail(line=_line(key, message), text=_body(message, "plain"), html=_html(message), is_cut=is_cut)


def delete_mails_to(folder: Path, address: str) -> int:
    """Delete every email to an address (in its normal form) and return how many."""
    try:
        box = Maildir(folder, create=False)
    except NoSuchMailboxError:
        return 0
    deleted = 0
    for key in list(box.keys()):
        head = _read(box, key, HEAD_BYTES_MAX)
        if head and _is_to(_header(head[0], "To"), address):
            box.discard(key)
            deleted += 1
    return deleted


def _is_to(header: str, address: str) -> bool:
    try:
        return EmailAddress.parse(parseaddr(header)[1]).normal == address
    except MalformedEmailError:
        return False


def _age(key: str) -> tuple[int, ...]:
    """Return the numbers in a Maildir name (seconds, microseconds, process, count), by which emails are sorted."""
    return tuple(int(number) for number in re.findall(r"\d+", key)[:4])


def _read(box: Maildir, key: str, bytes_max: int) -> tuple[EmailMessage, bool] | None:
    """Return the beginning of an email and whether there is more; None if it was deleted."""
    try:
        with box.get_file(key) as file:
            raw = file.read(bytes_max + 1)
    except (KeyError, FileNotFoundError):
        return None
    message = message_from_bytes(raw[:bytes_max], EmailMessage, policy=default)
    return message, len(raw) > bytes_max


def _line(key: str, message: EmailMessage) -> MailRow:
    return MailRow(
        key=key,
        subject=_header(message, "Subject"),
        to=_header(message, "To"),
        sender=_header(message, "From"),
        at=_date(message),
    )


def _header(message: EmailMessage, name: str) -> str:
    try:
        return str(message.get(name, ""))
    except _UNREADABLE:
        return ""


def _date(message: EmailMessage) -> datetime | None:
    try:
        header = message.get("Date")
        date = header.datetime if isinstance(header, DateHeader) else None
    except _UNREADABLE:
        return None
    if not isinstance(date, datetime):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _html(message: EmailMessage) -> str | None:
    """Return the HTML with the images of the email in it: a browser can ask for no part of an email."""
    html = _body(message, "html")
    if html is None:
        return None
    for part in message.walk():
        content_id = _header(part, "Content-ID").strip("<> ")
        if content_id and part.get_content_maintype() == "image":
            octets = part.get_payload(decode=True)
            encoded = base64.b64encode(octets if isinstance(octets, bytes) else b"").decode()
            html = html.replace(f"cid:{content_id}", f"data:{part.get_content_type()};base64,{encoded}")
    return html


def _body(message: EmailMessage, kind: str) -> str | None:
    try:
        part = message.get_body((kind,))
        return None if part is None else str(part.get_content())
    except _UNREADABLE:
        return None
