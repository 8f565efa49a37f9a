"""The mail catcher's emails in the browser. An email's HTML is shown in a sandboxed frame with a separate policy."""

import re
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup, escape
from starlette.concurrency import run_in_threadpool

from api.mail_sink.maildir import list_mails, read_mail
from api.web.errors import error_page
from api.web.rendering import choose_language, page
from api.web.security_headers import MAIL_POLICY, security_headers
from domain.ports import Language

KEY_LENGTH_MAX: Final = 255
"""Longest file name on common file systems."""

_LINK: Final = re.compile(r"https?://[^\s<>\"'，。；）】]+[^\s<>\"'，。；）】.,;:!?)]")
_HEAD: Final = re.compile(r"<head(\s[^>]*)?>", re.IGNORECASE)


def build_router(folder: Path, default_language: Language) -> APIRouter:
    """Build the router of `/mailbox`, one email, and one email's HTML.

    Args:
        folder: The Maildir.
        default_language: Language of browsers that name none.
    """
    router = APIRouter(prefix="/mailbox")

    @router.get("")
    async def list_page(
        request: Request, before: Annotated[str | None, Query(max_length=KEY_LENGTH_MAX)] = None
    ) -> Response:
        listing = await run_in_threadpool(list_mails, folder, before)
        language = choose_language(request, default_language)
        return page(
            request, "mailbox.html", language, mails=listing.lines, older=listing.older, is_first=before is None
        )

    @router.get("/{key}")
    async def show_email(request: Request, key: str) -> Response:
        language = choose_language(request, default_language)
        email = await run_in_threadpool(read_mail, folder, key)
        if email is None:
            return error_page(request, 404, "NOT_FOUND", language)
        return page(request, "email.html", language, mail=email, text=link_urls(email.text or ""))

    @router.get("/{key}/html")
    async def show_html(request: Request, key: str) -> Response:
        email = await run_in_threadpool(read_mail, folder, key)
        if email is None or email.html is None:
            return error_page(request, 404, "NOT_FOUND", choose_language(request, default_language))
        return HTMLResponse(_open_links_in_tabs(email.html), headers=security_headers(MAIL_POLICY))

    return router


def link_urls(text: str) -> Markup:
    """Return plain text as HTML with clickable links."""
    parts, end = [], 0
    for match in _LINK.finditer(text):
        parts += [escape(text[end : match.start()]), _anchor(match[0])]
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])


def _anchor(url: str) -> Markup:
    return Markup('<a href="{0}" target="_blank" rel="noopener">{0}</a>').format(url)


def _open_links_in_tabs(html: str) -> str:
    """Return the email with links that open in a new tab, because our pages refuse to be framed."""
    base = '<base target="_blank">'
    head = _HEAD.search(html)
    return f"{html[: head.end()]}{base}{html[head.end() :]}" if head else base + html
