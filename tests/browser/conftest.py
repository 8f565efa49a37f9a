"""A real browser in front of the whole API. It is Debian's Chromium, which `.ci/run` installs.

A machine without one runs every other test; where CI is set, these run or the run fails. Each file of tests has one
database and one served application: its tests use codes of their own.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, StorageState, expect, sync_playwright

from tests.support.clients.app_client import AppClient
from tests.support.clients.in_process_app import shared_site
from tests.support.clients.served_app import PASSWORD, WAIT_MS, ServedApp
from tests.support.clients.served_site import serve_site
from tests.support.clients.staff_browser import add_staff

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

collect_ignore_glob = [] if CHROMIUM or os.environ.get("CI") else ["test_*.py"]


@pytest.fixture(scope="module")
def app(postgres_url: str) -> Iterator[AppClient]:
    """The application over a database of this file's own."""
    with shared_site(postgres_url) as app_client:
        yield app_client


@pytest.fixture(scope="module")
def served_app(app: AppClient) -> Iterator[ServedApp]:
    """Another application over the same database as `app`, on a port."""
    for role in ("viewer", "support", "admin"):
        add_staff(app, f"{role}@staff.example.com", role, PASSWORD)
    with serve_site(app.services.settings) as url:
        yield ServedApp(url, app)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a file: while it runs so does an event loop, next to which tests of other files can run none."""
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        # Containers have neither a user namespace for the sandbox nor a large /dev/shm.
        flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def sessions() -> dict[str, StorageState]:
    """The session of each role, as its first sign-in in a browser left it."""
    return {}


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
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []
