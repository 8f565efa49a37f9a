"""A form that was sent after its session had ended: its page comes back with what was typed, and nothing is done.

Without a session, the answer carries the fields, and asks to sign in. Sent again by that page, or from a page of an
earlier session, the form has no token of this one: the answer is the page of the form, filled in. Only a form that
the browser calls one of our own pages' comes back, so that another site cannot have one filled in.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import Message

from api.i18n.catalogs import translator
from api.web.filled_forms import fill_form
from api.web.rendering import page
from api.web.staff_auth.rendering import find_page_of_form, get_language, own_path, render_error

PAGE_FIELD: Final = "lost_page"
"""Field with the URL of the form's page, which the page that asks to sign in carries."""
SECRETS: Final = frozenset({"password", "old", "new"})
"""Fields that no page carries: passwords."""
CONTENT: Final = frozenset({b"content-length", b"content-type"})


def find_lost_form(request: Request) -> list[tuple[str, str]] | None:
    """Return the fields of a form that one of our pages sent by a press of its button; None of another request."""
    headers, fields = request.headers, getattr(request.state, "sent_form", None)
    is_own = headers.get("sec-fetch-site") == "same-origin" and headers.get("sec-fetch-mode") == "navigate"
    return [field for field in fields if field[0] not in SECRETS] if is_own and fields else None


def ask_to_sign_in(request: Request, fields: Sequence[tuple[str, str]], sign_in_url: str) -> Response:
    """Return the page that carries a form until its sender has signed in again."""
    carried = dict(fields).get(PAGE_FIELD) or find_page_of_form(request)
    fields = [*((name, value) for name, value in fields if name != PAGE_FIELD), (PAGE_FIELD, carried)]
    return page(
        request,
        "support/session_ended.html",
        get_language(request),
        status=403,
        staff=None,
        fields=fields,
        path=request.url.path,
        sign_in_url=sign_in_url,
    )


async def show_again(request: Request, fields: Sequence[tuple[str, str]]) -> Response:
    """Return the page of a form with what was typed; without such a page, an error page that shows it."""
    typed = [(name, value) for name, value in fields if name != PAGE_FIELD]
    url = own_path(dict(fields).get(PAGE_FIELD) or find_page_of_form(request))
    shown = await _read_page(request, url)
    note = translator(get_language(request))("page.support.filled_again")
    filled = None if shown is None else fill_form(shown.text, url, request.url.path, typed, note)
    if shown is None or filled is None:
        return render_error(request, 403, None, None, None, typed=typed)
    return HTMLResponse(filled, 403, shown.headers)


class _NotAPageError(Exception):
    """A route answered with something else, which may be a stream without an end."""


class _ReadPage:
    """The page that a route answers with."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self._body: list[bytes] = []

    @property
    def text(self) -> str:
        """Its text."""
        return b"".join(self._body).decode()

    async def send(self, message: Message) -> None:
        """Read one message of the answer."""
        if message["type"] != "http.response.start":
            self._body.append(message["body"])
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
        if message["status"] != HTTPStatus.OK or not headers.get("content-type", "").startswith("text/html"):
            raise _NotAPageError
        self.headers = {name: value for name, value in headers.items() if name.encode() not in CONTENT}


async def _read_page(request: Request, url: str) -> _ReadPage | None:
    """Ask the route of a page for it, with the cookies of a request; None if it answers with something else."""
    target, read = urlsplit(url), _ReadPage()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        **request.scope,
        "method": "GET",
        "path": target.path,
        "raw_path": target.path.encode(),
        "query_string": target.query.encode(),
        "headers": [header for header in request.scope["headers"] if header[0] not in CONTENT],
        "state": {},
    }
    try:
        await request.app.router(scope, receive, read.send)
    except (_NotAPageError, HTTPException):
        return None
    return read
