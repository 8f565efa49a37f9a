"""A call of one operation, when it is repeated, and how its answer is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from types import NoneType
from typing import Any, TypeVar, cast
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx2
import msgspec

from redemption_ledger_client.errors import ProblemError, UnreachableError, UnreadableError

T = TypeVar("T")
Value = str | int | bool | UUID | datetime | Sequence[str] | None
PAUSE_S = 1.0
PAUSE_S_MAX = 60.0
ATTEMPTS_MAX = 8
LOST_ANSWERS = (500, 502, 503, 504)
"""Statuses after which the request may have taken effect."""
UNSAFE_IDS = ("", ".", "..")
"""Path parameters that would lead to another operation: they are no names in a URL."""


@dataclass(frozen=True)
class Call:
    """A request of one operation.

    Attributes:
        method: HTTP method.
        path: Path with the names of its parameters in braces.
        parameters: Values of those names.
        query: Query parameters; None is not sent.
        headers: Further headers; None is not sent.
        body: A model, which is sent as JSON, or text.
        content_type: Type of the body.
        media: Type of the answer; empty if it has no body.
        is_repeatable: Whether a repeat has no further effect. A GET is repeatable without it.
        gone_is_done: Whether the call is done if a repeat after a lost answer says that nothing is there.
        takes_key: Whether the operation takes an `Idempotency-Key`, which makes it repeatable.
        random_key: What is sent to an operation that takes a key if `headers` has none.
    """

    method: str
    path: str
    parameters: Mapping[str, UUID | str] = field(default_factory=dict)
    query: Mapping[str, Value] = field(default_factory=dict)
    headers: Mapping[str, str | None] = field(default_factory=dict)
    body: msgspec.Struct | str | bytes | None = None
    content_type: str = "application/json"
    media: str = "application/json"
    is_repeatable: bool = False
    gone_is_done: bool = False
    takes_key: bool = False
    random_key: str = field(default_factory=lambda: str(uuid4()))

    @property
    def can_repeat(self) -> bool:
        """Whether the call may be sent again after its answer was lost."""
        return self.takes_key or self.is_repeatable or self.method == "GET"

    def arguments(self, url: str, headers: Mapping[str, str], timeout_s: float) -> dict[str, Any]:
        """Return what the HTTP library is called with: an answer may wait as long as the query asks for.

        Raises:
            ValueError: A path parameter is empty or only dots.
        """
        ids = {name: str(value) for name, value in self.parameters.items()}
        if unsafe := [name for name, value in ids.items() if value in UNSAFE_IDS]:
            raise ValueError(f"{self.method} {self.path}: {unsafe[0]} must not be {ids[unsafe[0]]!r}.")
        wait = self.query.get("wait")
        keyed = {"idempotency-key": self.random_key} if self.takes_key else {}
        typed = {} if self.body is None else {"content-type": self.content_type}
        named = {name: value for name, value in self.headers.items() if value is not None}
        return {
            "method": self.method,
            "url": url + self.path.format_map({name: quote(value, safe="") for name, value in ids.items()}),
            "params": {name: _to_text(value) for name, value in self.query.items() if value is not None},
            "headers": {**headers, **keyed, **typed, **named},
            "content": msgspec.json.encode(self.body) if isinstance(self.body, msgspec.Struct) else self.body,
            "timeout": timeout_s + (wait if isinstance(wait, int) else 0),
            "follow_redirects": False,
        }

    def read_answer(self, response: httpx2.Response, returns: type[T]) -> T:
        """Return the body of an answer that ended the call.

        Raises:
            UnreadableError: It is not an answer of the API.
        """
        media = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.is_success and media != self.media:
            raise UnreadableError(response, f"its type is {media or 'missing'}, and not {self.media or 'empty'}")
        if returns is NoneType:
            return cast("T", None)
        if returns is str:
            return cast("T", response.text)
        try:
            return msgspec.json.decode(response.content, type=returns)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise UnreadableError(response, str(error)) from error


class Attempts:
    """The attempts of one call: says after each how long to pause before the next, within `retry_for_s` in total."""

    def __init__(self, call: Call, retry_for_s: float) -> None:
        self._call, self._pause_s, self._count = call, PAUSE_S, 0
        self._ends, self._may_be_done = monotonic() + retry_for_s, False

    def after_error(self, error: httpx2.RequestError) -> float:
        """Return the pause after a request without an answer; raise UnreachableError after the last."""
        was_never_sent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
        self._may_be_done |= not was_never_sent
        pause = self._next_pause(None) if was_never_sent or self._call.can_repeat else None
        if pause is None:
            raise UnreachableError(f"{self._call.method} {self._call.path}: {error or type(error).__name__}") from error
        return pause

    def after_answer(self, response: httpx2.Response) -> float | None:
        """Return the pause after an answer, or None if the call is done; raise ProblemError for a final refusal."""
        if response.is_success:
            return None
        error = ProblemError(response, _read_retry_after(response))
        if error.code == "NOT_FOUND" and self._call.gone_is_done and self._may_be_done:
            return None
        was_not_done = error.status == httpx2.codes.TOO_MANY_REQUESTS or error.code == "OVERLOADED"
        is_lost = error.status in LOST_ANSWERS and not was_not_done
        self._may_be_done |= is_lost
        pause = self._next_pause(error.retry_after_s) if was_not_done or (is_lost and self._call.can_repeat) else None
        if pause is None:
            raise error
        return pause

    def _next_pause(self, asked_s: float | None) -> float | None:
        self._count += 1
        pause = self._pause_s if asked_s is None else asked_s
        self._pause_s = min(2 * self._pause_s, PAUSE_S_MAX)
        return pause if self._count < ATTEMPTS_MAX and monotonic() + pause < self._ends else None


def _to_text(value: Value) -> str | list[str]:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, str | int | UUID) else list(value or ())


def _read_retry_after(response: httpx2.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - parsedate_to_datetime(response.headers["date"])).total_seconds())
    except (KeyError, TypeError, ValueError):
        return None
