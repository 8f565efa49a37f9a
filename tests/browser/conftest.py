"""A real browser in front of the whole API. It is Debian's Chromium without windows, which `.ci/run` installs.

A machine without one runs every other test; where CI is set, these run or the run fails. Each file of tests has one
database and one served application: its tests use its codes only.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, StorageState, expect, sync_playwright

from tests.support.clients.app_client import AppClient
from tests.support.clients.in_process_app import shared_site
from tests.support.clients.served_app import PASSWORD, WAIT_MS, ServedApp
from tests.support.clients.served_site import serve_site
from tests.support.clients.staff_browser import add_staff
from tests.support.optional_packages import find_browser, may_run

CHROMIUM: Final = find_browser()
FOLDER: Final = Path(__file__).parent


collect_ignore_glob = [] if may_run("Chromium") else ["test_*.py"]


@pytest.fixture(scope="module")
def app(postgres_url: str) -> Iterator[AppClient]:
    with shared_site(postgres_url) as app_client:
        yield app_client


@pytest.fixture(scope="module")
def served_app(app: AppClient) -> Iterator[ServedApp]:
    """Another application over the same database as `app`, on a port."""
    for role in ("viewer", "support", "admin"):
        add_staff(app, f"{role}@staff.example.com", role, PASSWORD)
    with serve_site(app.services.settings) as url:
        yield ServedApp(url, app)


class SharedBrowser:
    """One browser for all files of this folder that a process runs in a row."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._browser: Browser | None = None

    def start(self) -> Browser:
        if self._browser is None:
            playwright = self._open.enter_context(sync_playwright())
            # Containers have neither a user namespace for the sandbox nor a large /dev/shm.
            flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
            self._browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
            self._open.callback(self._browser.close)
        return self._browser

    def close(self) -> None:
        self._browser = None
        self._open.close()


SHARED_BROWSER: Final = SharedBrowser()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Iterator[None]:
    """End the browser unless the next test is of this folder too.

    While it runs so does an event loop, next to which tests of other folders can run none.
    """
    try:
        return (yield)
    finally:
        if nextitem is None or not nextitem.path.is_relative_to(FOLDER):
            SHARED_BROWSER.close()


@pytest.fixture(scope="session")
def last_close() -> Iterator[None]:
    """End the browser also when the run stops before its last test."""
    yield
    SHARED_BROWSER.close()


@pytest.fixture
def chromium(last_close: None) -> Browser:  # noqa: ARG001 - it ends what starts here
    """The browser; each test has separate contexts of it."""
    expect.set_options(timeout=WAIT_MS)
    return SHARED_BROWSER.start()


@pytest.fixture(scope="module")
def sessions() -> dict[str, StorageState]:
    """The session of each role, as its first sign-in in a browser left it."""
    return {}


def renew_proofs(app: AppClient) -> None:
    """Make the proof of each session as fresh as if it had just begun: the tests of a file share their sign-ins."""
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE staff_sessions SET proved_at = %s", (app.services.now(),))


@pytest.fixture
def open_tab(
    chromium: Browser, served_app: ServedApp, sessions: dict[str, StorageState]
) -> Iterator[Callable[..., Page]]:
    """A function that opens a tab with its own language, scheme and size, with or without JavaScript."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def open_page(language: str = "en", *, width: int = 1280, staff: str | None = None, **more: Any) -> Page:
        context = chromium.new_context(
            storage_state=sessions.get(staff or ""),
            base_url=served_app.url,
            locale={"en": "en-US", "zh": "zh-CN"}[language],
            viewport={"width": width, "height": 800},
            reduced_motion="reduce",
            **more,
        )
        contexts.append(context)
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request", lambda request: faults.extend([] if request.url.startswith(served_app.url) else [request.url])
        )
        if staff is not None and staff not in sessions:
            served_app.sign_in(page, staff)
            sessions[staff] = context.storage_state()
        renew_proofs(served_app.app)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []
