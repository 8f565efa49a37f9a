"""A client with one connection that stays open, and a key for each request, so that asking again is safe."""

import http.client
import json
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import urlsplit

ANSWER_S_MAX = 20.0
HONEST = {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}
"""Answers that ask to come again."""


class KeyedClient:
    """Redeems over one connection; opens another one if it was lost. Use as a context manager."""

    def __init__(self, base: str) -> None:
        address = urlsplit(base)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=ANSWER_S_MAX)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, key: str, body: dict[str, str], path: str = "/api/v1/public/redeem") -> tuple[int, dict[str, Any]]:
        """Redeem once, or ask something else; status 0 if no answer came."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        try:
            self._connection.request("POST", path, json.dumps(body), headers)
            response = self._connection.getresponse()
            document: dict[str, Any] = json.loads(response.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return 0, {}
        except ValueError:
            return 999, {"not": "JSON"}
        return response.status, document
