"""Looking for what must not be found: a secret in any form, in everything that a ledger writes."""

import base64
import binascii
import http.cookiejar
import re
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Self

from redis import Redis, RedisError

from api.cli.embedded.services.binaries import find_postgres_program
from tests.support.waiting import WAIT_S_MAX

_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}){12,}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
_TOKEN = re.compile(r'name="token" value="(\w+)"')
CHARACTERS_MIN = 9
"""A shorter text is found by chance."""


def open_data_dir(data: bytes) -> bytes:
    """The data, and after it whatever is written in hex or base64 within it, in plain text."""
    return b"\n".join([data, *_decoded(data)])


def found_in(data: bytes, secrets: Mapping[str, str]) -> set[str]:
    """Names of the secrets that are in the data, whatever their case; both may be encoded."""
    haystack = open_data_dir(data).lower()
    return {name for name, secret in secrets.items() if any(form in haystack for form in forms(secret))}


def forms(secret: str) -> set[bytes]:
    """A secret as it may stand somewhere, in small letters: clear, in hex, in base64 at any offset, in an address."""
    assert len(secret) >= CHARACTERS_MIN, secret
    raw = secret.encode()
    encodings = {raw, raw.hex().encode(), urllib.parse.quote(secret, safe="").encode()}
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + raw).rstrip(b"=")
        # What the neighbors have a part in is cut off.
        inner = text[-(-offset * 8 // 6) : len(text) - (1 if (len(raw) + offset) % 3 else 0)]
        encodings |= {inner, inner.translate(bytes.maketrans(b"+/", b"-_"))}
    return {form.lower() for form in encodings}


def dump(database_url: str) -> bytes:
    arguments = ("--data-only", "--inserts", f"--dbname={database_url}")
    return subprocess.run(
        [find_postgres_program("pg_dump"), *arguments], check=True, capture_output=True, timeout=WAIT_S_MAX
    ).stdout


def kept_by_broker(client: "Redis") -> bytes:
    return b"\n".join(key + b" " + (client.dump(key) or b"") for key in client.scan_iter())


class CommandMonitor:
    """Hears every command that a Redis gets: messages to workers among them."""

    def __init__(self, redis_url: str) -> None:
        self._client = Redis.from_url(redis_url)
        self._heard: list[bytes] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._monitor = self._client.monitor()  # type: ignore[no-untyped-call]  # redis-py has no types here
        self._monitor.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def heard(self) -> bytes:
        return b"\n".join(self._heard) + kept_by_broker(self._client)

    def _listen(self) -> None:
        try:
            for command in self._monitor.listen():
                self._heard.append(str(command["command"]).encode())
        except (RedisError, OSError, ValueError):
            return


class CookieBrowser:
    """A browser: it keeps cookies, and sends forms with their tokens."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
        self._opener.addheaders = [("Accept", "text/html"), ("Accept-Language", "en")]

    def get(self, path: str) -> str:
        return self._open(path, None)

    def submit(self, path: str, page: str, **form: str) -> str:
        """Fill in the form of a page and send it; the page that it leads to."""
        token = _TOKEN.search(self.get(page))
        assert token is not None
        return self._open(path, urllib.parse.urlencode({"token": token[1], **form}).encode())

    def _open(self, path: str, body: bytes | None) -> str:
        try:
            with self._opener.open(self.base + path, body, timeout=WAIT_S_MAX) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()


def _decoded(data: bytes) -> Iterator[bytes]:
    for run in _HEX.findall(data):
        yield bytes.fromhex(run.decode())
    for run in _BASE64.findall(data):
        try:
            yield base64.b64decode(
                run + b"=" * (-len(run) % 4), altchars=b"-_" if b"-" in run or b"_" in run else b"+/"
            )
        except binascii.Error:
            continue
