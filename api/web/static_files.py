"""Style sheets, scripts and pictures, served from api/web/static under URLs that change with their content."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from api.http.allowed_methods import STATIC_FILES

STATIC: Final = Path(__file__).with_name("static")
CACHE_LIFETIME_S: Final = 31_536_000
"""A year, the longest that caches support: changed content has another URL."""


@cache
def asset(name: str) -> str:
    """Return the URL of a file of api/web/static, with a digest of its content.

    Raises:
        OSError: There is no such file.
    """
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"{STATIC_FILES}/{name}?v={digest}"


class StaticAssets:
    """Files as an ASGI application: cached for a year under a URL with a digest if they have one, else revalidated."""

    def __init__(self, files: StaticFiles, *, have_digests: bool = True) -> None:
        self._files, self._have_digests = files, have_digests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one file."""
        has_digest = self._have_digests and scope.get("query_string", b"").startswith(b"v=")

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                cache_control = f"public, max-age={CACHE_LIFETIME_S}, immutable" if has_digest else "no-cache"
                headers["Cache-Control"] = cache_control
            await send(message)

        await self._files(scope, receive, with_headers)


def mount_static(app: FastAPI) -> None:
    """Serve api/web/static at /static."""
    app.mount(STATIC_FILES, StaticAssets(StaticFiles(directory=STATIC)), name="static")
