import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TypeVar
from uuid import UUID

import pytest

from api.errors import ApplicationError
from api.web.support.history import history_watch
from api.web.support.history.history_watch import HistoryView, HistoryViewer, HistoryWatch, News
from api.web.support.statement_query import StatementParams
from domain.ports import Language
from projections.config.staff_roles import Role
from tests.support.waiting import WAIT_S_MAX, in_event_loop

CODE, OTHER = UUID(int=1), UUID(int=2)
T = TypeVar("T")
U = TypeVar("U")


def view_of(code_id: UUID, role: Role = "viewer", language: Language = "en") -> HistoryView:
    return HistoryView(StatementParams().to_query(code_id), role, language)


class FakeSource:
    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.versions = {CODE: 1, OTHER: 1}
        self.roles: dict[bytes, str] = {}
        self.is_available = True
        self.failed = asyncio.Event()

    def read_versions(self, code_ids: Collection[UUID]) -> Mapping[UUID, int]:
        self.calls["versions"] += 1
        if not self.is_available:
            self.failed.set()
            raise ApplicationError("UNAVAILABLE")
        return {code_id: self.versions[code_id] for code_id in code_ids}

    def read_roles(self, sessions: Collection[bytes]) -> Mapping[bytes, str]:
        self.calls["roles"] += 1
        return {session: self.roles.get(session, "viewer") for session in sessions if session != b"ended"}

    def render(self, view: HistoryView) -> News:
        self.calls["render"] += 1
        version = self.versions[view.query.code_id]
        return News(version, f"{view.query.code_id.int} {view.role} {view.language} at {version}")


async def run_directly(function: Callable[[T], U], argument: T) -> U:
    return function(argument)


@contextmanager
def watching() -> Iterator[tuple[FakeSource, HistoryWatch, Callable[[HistoryView, bytes], HistoryViewer]]]:
    """A watch whose own looks are far apart, so that the test looks, and what adds viewers to it."""
    source = FakeSource()
    watch = HistoryWatch(source, run_directly)
    with ExitStack() as viewers:
        yield source, watch, lambda view, session: viewers.enter_context(watch.join(view, session, 1))


@pytest.mark.parametrize("count", [1, 200])
@in_event_loop
async def test_queries_and_renderings_do_not_grow_with_viewers(count: int) -> None:
    with watching() as (source, watch, join):
        viewers = [join(view_of(CODE), b"%d" % n) for n in range(count)]
        await watch.look()
        source.versions[CODE] = 4
        await watch.look()
        await watch.look()
        news = [await viewer.wait(WAIT_S_MAX) for viewer in viewers]
        assert news == [News(4, "1 viewer en at 4")] * count
        assert len(watch) == count

    assert source.calls == {"versions": 3, "roles": 1, "render": 1}


@in_event_loop
async def test_each_view_is_rendered_once() -> None:
    with watching() as (source, watch, join):
        source.roles[b"s"] = "support"
        views = [view_of(CODE), view_of(CODE, language="zh"), view_of(CODE, "support"), view_of(OTHER)]
        viewers = [join(v, b"s" if v.role == "support" else b"v") for v in views * 2]
        source.versions[CODE] = 2
        await watch.look()
        assert [news and news.text for viewer in viewers[:4] for news in [viewer.news]] == [
            "1 viewer en at 2",
            "1 viewer zh at 2",
            "1 support en at 2",
            None,
        ]

    assert source.calls == {"versions": 1, "roles": 1, "render": 3}


@in_event_loop
async def test_slow_viewer_is_sent_the_newest_only() -> None:
    with watching() as (source, watch, join):
        viewer = join(view_of(CODE), b"v")
        for version in (2, 3, 4):
            source.versions[CODE] = version
            await watch.look()
        assert await viewer.wait(WAIT_S_MAX) == News(4, "1 viewer en at 4")
        assert await viewer.wait(0) is None
        assert not viewer.has_ended


@pytest.mark.parametrize(("session", "role"), [(b"ended", "viewer"), (b"demoted", "support")])
@in_event_loop
async def test_viewer_ends_with_session_or_role(session: bytes, role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_watch, "SESSIONS_S", 0)
    with watching() as (_, watch, join):
        viewers = [join(view_of(CODE, role), session), join(view_of(CODE), b"v")]
        await watch.look()
        assert await viewers[0].wait(WAIT_S_MAX) is None
        assert [viewer.has_ended for viewer in viewers] == [True, False]


@in_event_loop
async def test_watch_looks_only_while_there_are_viewers_and_survives_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_watch, "LOOK_S", 0.001)
    with watching() as (source, watch, _):
        for version in (2, 3):
            source.is_available, source.failed = False, asyncio.Event()
            with watch.join(view_of(CODE), b"v", 1) as viewer:
                await source.failed.wait()
                source.versions[CODE], source.is_available = version, True
                assert await viewer.wait(WAIT_S_MAX) == News(version, f"1 viewer en at {version}")
            assert len(watch) == 0
            looking = watch._looking
            assert looking is not None
            await looking
            assert asyncio.all_tasks() == {asyncio.current_task()}, "something still looks"
