"""HTTP as the clients of a run need it: a lost connection is an answer of its own, and asking again is safe."""

import http.client
import json
import time
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Self

from tests.faults.rigs.retries import retry

REDEEM: Final = "/api/v1/public/redeem"
ANSWER_S_MAX: Final = 20.0
HONEST: Final = {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}
"""Answers that ask to come again."""
UNREADABLE: Final = 999
"""Instead of the status of an answer that must not be."""
NO_HEADERS: Final = MappingProxyType[str, str]({})


class Answer(NamedTuple):
    """A status, 0 if no answer came, and a body: a JSON document, or text if it is none."""

    status: int
    body: Any
    headers: http.client.HTTPMessage = http.client.HTTPMessage()


def send(
    place: str,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] = NO_HEADERS,
    s_max: float = ANSWER_S_MAX,
) -> Answer:
    """Send one request to a host and port, or a URL of both, over a new connection."""
    connection = http.client.HTTPConnection(place.rpartition("/")[2], timeout=s_max)
    try:
        return _exchange(connection, method, path, body, headers)
    finally:
        connection.close()


class KeyedClient:
    """Sends with a key for each request, over one connection; opens another one if it was lost.

    Attributes:
        asked_at: When the last request was sent (Unix time).
    """

    def __init__(self, base: str) -> None:
        self.asked_at = 0.0
        self._connection = http.client.HTTPConnection(base.rpartition("/")[2], timeout=ANSWER_S_MAX)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask_until_answered(self, key: str, body: dict[str, str], path: str = REDEEM) -> tuple[int, dict[str, Any]]:
        """Redeem, or ask something else; status 0 without an answer in WAIT_S_MAX seconds."""
        return retry(partial(self._ask, key, body, path)) or (0, {})

    def _ask(self, key: str, body: dict[str, str], path: str) -> tuple[int, dict[str, Any]] | None:
        self.asked_at = time.time()
        status, answer, _ = _exchange(self._connection, "POST", path, body, {"Idempotency-Key": key})
        if status in {0, *HONEST}:
            return None
        return (status, answer) if isinstance(answer, dict) else (UNREADABLE, {"not": "JSON"})


def _exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: object, headers: Mapping[str, str]
) -> Answer:
    sent = body if body is None or isinstance(body, bytes) else json.dumps(body)
    try:
        connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        raw = response.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return Answer(0, {})
    try:
        return Answer(response.status, json.loads(raw), response.headers)
    except ValueError:
        return Answer(response.status, raw.decode(errors="replace"), response.headers)
