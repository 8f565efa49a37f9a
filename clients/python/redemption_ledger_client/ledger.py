"""The two clients, of which one is for threads and one for asyncio."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from types import TracebackType
from typing import Self, TypeVar
from uuid import UUID

import httpx2

from redemption_ledger_client.api_version import API_VERSION
from redemption_ledger_client.async_operations import AsyncOperations
from redemption_ledger_client.calls import Attempts, Call
from redemption_ledger_client.errors import LogRestoredError
from redemption_ledger_client.models import EventPage, EventView
from redemption_ledger_client.operations import Operations

T = TypeVar("T")
TIMEOUT_S = 20.0
"""A request waits up to 10 s for its commit, so an answer may take longer than 10 s."""
RETRY_FOR_S = 60.0
WAIT_S_MAX = 30
"""How long the API holds back the answer to a request for new events, at most."""


class Ledger(Operations):
    """Client for threads. Each group of operations is an attribute, such as `codes`.

    Args:
        url: Address of the ledger, without `/api/v1`.
        key: API key; None for public operations alone.
        language: Language of `message` and `detail`: `en` or `zh`.
        timeout_s: Seconds to wait for an answer.
        retry_for_s: Seconds after the beginning of a call within which its last attempt begins; 0: one attempt. After a
            lost answer, a call is repeated only if that has no further effect, as with an `Idempotency-Key`.
        http: A client of httpx2 with other settings, such as a proxy. Close it yourself.

    Raises:
        ValueError: The URL or the key is missing or invalid, such as an empty setting.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        language: str = "en",
        timeout_s: float = TIMEOUT_S,
        retry_for_s: float = RETRY_FOR_S,
        http: httpx2.Client | None = None,
    ) -> None:
        super().__init__(self._send)
        self._url, self._headers = _read_url(url), _headers_of(key, language)
        self._timeout_s, self._retry_for_s = timeout_s, retry_for_s
        self._own, self._http = http is None, http or httpx2.Client()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._own:
            self._http.close()

    def follow_events(
        self,
        after: int = 0,
        *,
        wait_s: int = WAIT_S_MAX,
        types: Sequence[str] | None = None,
        code_id: UUID | str | None = None,
        campaign_id: UUID | str | None = None,
    ) -> Iterator[EventView]:
        """Yield the events after a position, oldest first, and wait for new ones.

        Store `position` of an event together with what you derive from it, and continue there.

        Args:
            after: The position; 0: from the beginning.
            wait_s: Seconds of one request for new events, up to 30. 0: end at the end of the log.
            types: Only events of these types.
            code_id: Only events of this code.
            campaign_id: Only events of this campaign.

        Raises:
            LogRestoredError: The log ends before the position.
        """
        events = self.events
        while True:
            page = events.list_events(after=after, wait=wait_s, type=types, code_id=code_id, campaign_id=campaign_id)
            _require_position(page, after)
            yield from page.events
            after = page.next
            if not (page.more or wait_s):
                return

    def request(self, call: Call) -> httpx2.Response:
        """Return the answer to a call, which is repeated as its operation permits.

        Operations are built on it. Use it for headers of an answer, such as its `ETag`.

        Raises:
            ProblemError: The API refused the request.
            UnreachableError: No answer came.
            ValueError: A path parameter is empty or only dots.
        """
        attempts = Attempts(call, self._retry_for_s)
        while True:
            try:
                response = self._http.request(**call.arguments(self._url, self._headers, self._timeout_s))
            except httpx2.RequestError as error:
                pause = attempts.after_error(error)
            else:
                answered = attempts.after_answer(response)
                if answered is None:
                    return response
                pause = answered
            time.sleep(pause)

    def _send(self, call: Call, returns: type[T]) -> T:
        return call.read_answer(self.request(call), returns)


class AsyncLedger(AsyncOperations):
    """Client for asyncio. Arguments and operations are those of `Ledger`."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        language: str = "en",
        timeout_s: float = TIMEOUT_S,
        retry_for_s: float = RETRY_FOR_S,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        super().__init__(self._send)
        self._url, self._headers = _read_url(url), _headers_of(key, language)
        self._timeout_s, self._retry_for_s = timeout_s, retry_for_s
        self._own, self._http = http is None, http or httpx2.AsyncClient()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._own:
            await self._http.aclose()

    async def follow_events(
        self,
        after: int = 0,
        *,
        wait_s: int = WAIT_S_MAX,
        types: Sequence[str] | None = None,
        code_id: UUID | str | None = None,
        campaign_id: UUID | str | None = None,
    ) -> AsyncIterator[EventView]:
        """Yield events as `Ledger.follow_events` does."""
        events = self.events
        while True:
            page = await events.list_events(
                after=after, wait=wait_s, type=types, code_id=code_id, campaign_id=campaign_id
            )
            _require_position(page, after)
            for event in page.events:
                yield event
            after = page.next
            if not (page.more or wait_s):
                return

    async def request(self, call: Call) -> httpx2.Response:
        """Return the answer to a call as `Ledger.request` does."""
        attempts = Attempts(call, self._retry_for_s)
        while True:
            try:
                response = await self._http.request(**call.arguments(self._url, self._headers, self._timeout_s))
            except httpx2.RequestError as error:
                pause = attempts.after_error(error)
            else:
                answered = attempts.after_answer(response)
                if answered is None:
                    return response
                pause = answered
            await asyncio.sleep(pause)

    async def _send(self, call: Call, returns: type[T]) -> T:
        return call.read_answer(await self.request(call), returns)


def _read_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"The URL of the ledger must begin with http:// or https://, and is {url!r}.")
    return url.rstrip("/")


def _headers_of(key: str | None, language: str) -> dict[str, str]:
    if key is not None and not re.fullmatch("[!-~]+", key):
        raise ValueError("The API key must be printable ASCII characters without spaces. Pass None for no key.")
    headers = {"accept-language": language, "user-agent": f"redemption-ledger-client/{API_VERSION}"}
    return headers if key is None else headers | {"authorization": f"Bearer {key}"}


def _require_position(page: EventPage, after: int) -> None:
    if page.newest < after:
        raise LogRestoredError(after, page.newest)
