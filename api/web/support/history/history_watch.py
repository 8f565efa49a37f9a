"""New events of the histories that are open in browsers: looked for once for all viewers of a process.

Each look is one query for the newest versions of all open codes, however many viewers there are. What a viewer is sent
is rendered once for all with the same view. Every few looks, one more query finds the sessions that have ended.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

from api.errors import ApplicationError
from api.web.support.statement_query import StatementQuery
from domain.ports import Language
from projections.config.staff_roles import Role

LOOK_S: Final = 1.0
"""Seconds from the end of a look to the next one."""
SESSIONS_S: Final = 5.0
"""Seconds after which the sessions of all viewers are checked again."""


class HistoryView(NamedTuple):
    """What a viewer has open. Viewers with equal views are sent the same."""

    query: StatementQuery
    role: Role
    language: Language


class News(NamedTuple):
    """A view as it was rendered at a version."""

    version: int
    text: str


@dataclass(eq=False, slots=True)
class HistoryViewer:
    """One open stream.

    Attributes:
        session: Digest of the session's token.
        version: Up to which the viewer has been sent.
        news: What it is to be sent next: only the newest, so a slow viewer takes no memory.
        has_ended: Whether its session has ended, or has another role now.
    """

    view: HistoryView
    session: bytes
    version: int
    news: News | None = None
    has_ended: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self, seconds: float) -> News | None:
        """Return the newest news, or None if there is none in time or the session has ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()
        news, self.news = self.news, None
        return news

    def notify(self, news: News) -> None:
        """Let it be sent this, in place of what it was not sent yet."""
        self.version, self.news = news.version, news
        self._changed.set()

    def end(self) -> None:
        """End its stream."""
        self.has_ended = True
        self._changed.set()


class HistorySource(Protocol):
    """Where news come from. Each call blocks."""

    def read_versions(self, code_ids: Collection[UUID]) -> Mapping[UUID, int]:
        """Return the version of each code's newest event."""

    def read_roles(self, sessions: Collection[bytes]) -> Mapping[bytes, str]:
        """Return the role of each of these sessions that has not ended."""

    def render(self, view: HistoryView) -> News:
        """Return a view as it is now."""


class HistoryWatch:
    """The viewers of one process. It looks while there are any. Not thread-safe.

    Args:
        source: Where news come from.
        run_blocking: Calls what blocks; raises `ApplicationError` if the database is unavailable.
    """

    def __init__(self, source: HistorySource, run_blocking: Callable[..., Any]) -> None:
        self._source, self._run_blocking = source, run_blocking
        self._viewers: set[HistoryViewer] = set()
        self._looking: asyncio.Task[None] | None = None
        self._sessions_due = 0.0

    def __len__(self) -> int:
        """Return how many viewers there are."""
        return len(self._viewers)

    @contextmanager
    def join(self, view: HistoryView, session: bytes, version: int) -> Iterator[HistoryViewer]:
        """Add a viewer that has been sent everything up to a version."""
        viewer = HistoryViewer(view, session, version)
        self._viewers.add(viewer)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_while_viewed())
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)

    async def _look_while_viewed(self) -> None:
        while self._viewers:
            with suppress(ApplicationError):
                await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Look once: for sessions that have ended, and for new events.

        Raises:
            ApplicationError: UNAVAILABLE.
        """
        if time.monotonic() >= self._sessions_due:
            await self._end_sessions()
            self._sessions_due = time.monotonic() + SESSIONS_S
        viewers = list(self._viewers)
        if not viewers:
            return
        code_ids = {viewer.view.query.code_id for viewer in viewers}
        versions = await self._run_blocking(self._source.read_versions, code_ids)
        behind: dict[HistoryView, list[HistoryViewer]] = {}
        for viewer in viewers:
            if viewer.version < versions.get(viewer.view.query.code_id, 0):
                behind.setdefault(viewer.view, []).append(viewer)
        for view, waiting in behind.items():
            news = await self._run_blocking(self._source.render, view)
            for viewer in waiting:
                viewer.notify(news)

    async def _end_sessions(self) -> None:
        viewers = list(self._viewers)
        if viewers:
            roles = await self._run_blocking(self._source.read_roles, {viewer.session for viewer in viewers})
            for viewer in viewers:
                if roles.get(viewer.session) != viewer.view.role:
                    viewer.end()
