import posixpath
import re
from collections.abc import Iterator
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from api.web.public.documentation import FOLDER, list_files, list_sections
from tests.support.clients.in_process_app import settings_over
from tests.support.clients.page_reader import read_page

LINK = re.compile(r"\]\(([^)\s]+)\)")
NO_PROSE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEDGER_PUBLIC_URL", "https://codes.example.com/")
        settings = settings_over(NO_DATABASE, patch, tmp_path_factory.mktemp("settings"))
        app = create_app(settings)
        app.state.services = SimpleNamespace(settings=settings)
        yield TestClient(app, base_url="https://codes.example.com", follow_redirects=False)


def test_each_relative_link_of_a_served_page_leads_to_a_served_file(client: TestClient) -> None:
    waiting, read = {"/docs/index.md", *(guide.path for each in list_sections() for guide in each.guides)}, set()
    while waiting:
        path = waiting.pop()
        answer = client.get(path)
        assert (path, answer.status_code) == (path, 200)
        read.add(path)
        if path.endswith(".md"):
            assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
            links = (link for link in LINK.findall(NO_PROSE.sub("", answer.text)) if not urlsplit(link).scheme)
            targets = {
                posixpath.normpath(posixpath.join(posixpath.dirname(path), urlsplit(link).path)) for link in links
            }
            waiting |= {target for target in targets if posixpath.splitext(target)[1]} - read

    assert {path for path in list_files() if path.endswith(".md")} == {
        path.removeprefix("/docs/") for path in read if path.endswith(".md")
    }
    assert {posixpath.splitext(path)[1] for path in read} == {".md", ".svg", ".webp", ".csv", ".json", ".py"}


@pytest.mark.parametrize(
    "path",
    [
        *("/docs/conf.py", "/docs/pictures.py", "/docs/_build/html/index.md", "/docs/how-to", "/docs/none.md"),
        *("/docs/../README.md", "/docs/%2e%2e/README.md", "/docs/..%2fREADME.md", "/docs/how-to/..%2f..%2fREADME.md"),
        *(
            "/docs//etc/passwd",
            "/docs/%2fetc%2fpasswd",
            "/docs/..%5cREADME.md",
            "/docs/index.md%00",
            "/docs/" + "a" * 5000,
        ),
    ],
)
def test_nothing_else_can_be_read(client: TestClient, path: str) -> None:
    assert (FOLDER.parent / "README.md").exists()

    assert client.get(path).status_code == 404


def test_pages_are_revalidated_like_static_files(client: TestClient) -> None:
    path = "/docs/how-to/webhooks.md"
    page, head = client.get(path), client.head(path)

    assert page.headers["cache-control"] == "no-cache"
    assert client.get(path, headers={"If-None-Match": page.headers["etag"]}).status_code == 304
    assert client.get(path, headers={"If-None-Match": '"another"'}).content == page.content
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", page.headers["etag"])
    assert (refused := client.post(path)).status_code == 405
    assert refused.headers["allow"] == "GET, HEAD"


def test_list_names_each_page_by_its_first_sentence(client: TestClient) -> None:
    """A title, a summary, and sections of links, as https://llmstxt.org has them, with whole addresses."""
    answer = client.get("/llms.txt")

    lines = answer.text.splitlines()
    links = [
        re.fullmatch(r"- \[(.+)\]\(https://codes\.example\.com(/docs/[\w/-]+\.md)\): (.+[.!?])", line) for line in lines
    ]
    guides = [guide for section in list_sections() for guide in section.guides]
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert lines[0] == "# Redemption Ledger"
    assert lines[2].startswith("> Redemption Ledger turns a redeem code and an email address into an invitation")
    assert [link.groups() for link in links if link] == [tuple(guide) for guide in guides]
    assert [line for line in lines if line.startswith("## ")] == [f"## {each.caption}" for each in list_sections()]
    assert {guide.path.removeprefix("/docs/") for guide in guides} | {"index.md"} == {
        path for path in list_files() if path.endswith(".md")
    }


def test_page_of_the_api_links_to_every_guide(client: TestClient) -> None:
    page = read_page(client.get("/docs", headers={"Accept": "text/html"}).text)

    linked = {link.attributes.get("href") for link in page.find_all("a")}
    assert linked >= {"/llms.txt", *(guide.path for each in list_sections() for guide in each.guides)}
    assert client.get("/docs/").headers["location"] == "/docs"


def test_pages_need_no_builder(client: TestClient) -> None:
    index, guide = client.get("/docs/index.md"), client.get("/docs/how-to/external-system.md").text
    pages = [client.get(f"/docs/{name}").text for name in sorted(list_files()) if name.endswith(".md")]

    assert index.headers["content-type"] == "text/markdown; charset=utf-8"
    assert "## Tutorials\n\n- [First redemption](tutorial/first-redemption.md): " in index.text
    assert "```python\n" in guide
    assert "class Team" in guide
    assert [page for page in pages if "```{" in page] == []
