import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.web.rendering import LANGUAGE_COOKIE, TEMPLATES, mark_times
from api.web.static_files import STATIC, asset
from domain.ports import Language
from tests.support.clients.page_reader import read_page
from tests.support.page_budget import PAGE_BYTES_MAX
from tests.support.stub_use_cases import GOOD_TOKEN, RESERVATION, StubUseCases, client_of

CORRECT = f"/r/{RESERVATION}/correct"
PATHS = [
    "/",
    "/invite",
    f"/r/{RESERVATION}",
    CORRECT,
    "/r/unknown",
    f"/a/{GOOD_TOKEN}",
    "/a/bad",
    "/opt-out/bad",
    "/mailbox",
    "/nowhere",
]


@pytest.fixture
def browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    return client_of(StubUseCases(), monkeypatch, tmp_path / "mailbox")


@pytest.mark.parametrize("path", PATHS)
def test_every_page_forbids_unneeded_browser_features(browser: TestClient, path: str) -> None:
    headers = browser.get(path).headers

    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["referrer-policy"] == "same-origin"
    assert headers["vary"] == "Accept-Language, Cookie"


@pytest.mark.parametrize("path", PATHS)
def test_every_page_is_small_and_loads_nothing_from_elsewhere(browser: TestClient, path: str) -> None:
    text = browser.get(path).text
    names = {"guilloche.svg", *re.findall(r'(?:src|href)="/static/([\w.-]+)', text)}

    assert len(text.encode()) + sum((STATIC / name).stat().st_size for name in names) < PAGE_BYTES_MAX
    assert re.findall(r'(?:src|href|action)="(?:https?:)?//[^"]*', text) == []


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_nothing_is_inline(template: Path) -> None:
    """The policy would stop it."""
    text = template.read_text("utf-8")

    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=)", text) == []


@pytest.mark.parametrize("path", PATHS)
def test_every_page_names_its_language_and_the_other(browser: TestClient, path: str) -> None:
    """For fonts, voices and the switch."""
    text = browser.get(path, headers={"Accept-Language": "en"}).text

    page = read_page(text)
    assert page.find("html").attributes["lang"] == "en"
    (other,) = [each for each in page.find_all("a", "button") if each.attributes.get("lang") == "zh-Hans"]
    assert (other.attributes.get("href") or other.attributes["formaction"]).endswith("?lang=zh")
    assert len(page.find_all("h1")) == 1


@pytest.mark.parametrize(
    ("query", "cookie", "header", "expected"),
    [
        ("en", "zh", "zh", "en"),
        ("fr", "en", "zh", "en"),
        (None, "en", "zh", "en"),
        (None, "fr", "en", "en"),
        (None, None, "en-GB,zh;q=0.5", "en"),
        (None, None, "fr-FR,de;q=0.5", "en"),
        (None, None, None, "zh"),
    ],
)
def test_language_is_the_last_one_chosen(
    client: TestClient, query: str | None, cookie: str | None, header: str | None, expected: Language
) -> None:
    """In the address, else in the cookie, else the browser's language, else the default; nonsense is skipped."""
    client.cookies = {LANGUAGE_COOKIE: cookie} if cookie else {}
    headers = {"Accept-Language": header} if header else {"Accept-Language": ""}

    response = client.get("/invite", params={"lang": query} if query else {}, headers=headers)

    assert response.headers["content-language"] == expected


def test_chosen_language_is_remembered(client: TestClient) -> None:
    chosen = client.get("/invite?lang=en").headers["set-cookie"]
    client.cookies = {}

    assert chosen.startswith(f"{LANGUAGE_COOKIE}=en;")
    assert "HttpOnly" in chosen
    assert "SameSite=lax" in chosen
    assert "set-cookie" not in client.get("/invite").headers


def test_switch_keeps_the_rest_of_the_address(client: TestClient) -> None:
    text = client.get("/invite", params={"code": "A&B", "lang": "zh"}).text

    assert read_page(text).find("button", lang="en").attributes["formaction"] == "/invite?code=A%26B&lang=en"


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [("GET", "/nowhere", 404, "找不到"), ("DELETE", "/invite", 405, "不")],
)
def test_faults_are_pages_for_browsers(client: TestClient, method: str, path: str, status: int, says: str) -> None:
    response = client.request(method, path)

    assert response.status_code == status
    assert says in read_page(response.text).find("h1").text
    assert read_page(response.text).find_all(href="/invite")


@pytest.mark.parametrize(
    ("path", "accept"), [("/api/v1/public/nowhere", "text/html"), ("/nowhere", "application/json"), ("/nowhere", "")]
)
def test_faults_are_documents_for_machines(client: TestClient, path: str, accept: str) -> None:
    response = client.get(path, headers={"Accept": accept})

    assert response.headers["content-type"] == "application/json"


def test_static_files_are_kept_under_an_address_of_their_content(client: TestClient) -> None:
    versioned, asked = client.get(asset("ledger.css")), client.get("/static/ledger.css")

    assert "immutable" in versioned.headers["cache-control"]
    assert asked.headers["cache-control"] == "no-cache"
    assert client.get("/static/../main.py").status_code == 404
    assert client.get("/static/%2e%2e/main.py").status_code == 404


def test_crawlers_and_browsers_get_the_files_that_they_ask_for(client: TestClient) -> None:
    robots, icon = client.get("/robots.txt"), client.get("/favicon.ico")

    assert robots.text == "User-agent: *\nAllow: /docs\nAllow: /llms.txt\nDisallow: /\n"
    assert robots.headers["content-type"].startswith("text/plain")
    assert client.get(icon.headers["location"]).headers["content-type"] == "image/svg+xml"


def test_times_in_a_sentence_are_marked_and_everything_else_is_escaped() -> None:
    marked = mark_times("until 2026-11-27 16:02 UTC, <b>said</b> mx")

    time = '<time datetime="2026-11-27T16:02Z" data-form="minute">2026-11-27 16:02 UTC</time>'
    assert marked == f"until {time}, &lt;b&gt;said&lt;/b&gt; mx"
    assert mark_times("at 12:00 UTC") == "at 12:00 UTC"
