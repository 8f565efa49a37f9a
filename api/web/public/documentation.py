"""The documentation at the running server: each page as Markdown below `/docs/`, and their list as `/llms.txt`.

`docs/index.md` says which pages there are and in which order, and each page says in its first sentence what it is for.
"""

import mimetypes
import os
import re
import sysconfig
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from fastapi import APIRouter, FastAPI
from fastapi.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from api.http.allowed_methods import DOCUMENTATION_FILES
from api.web.static_files import StaticAssets

ROOT: Final = Path(__file__).parents[3]
FOLDER: Final = (
    ROOT / "docs"
    if (ROOT / "pyproject.toml").exists()  # a clone; a wheel is installed without it
    else Path(sysconfig.get_path("data"), "share", "redemption-ledger", "docs")
)
SUFFIXES: Final = frozenset({".md", ".svg", ".webp", ".csv", ".json"})
"""Of pages, and of what they show or link to."""
PROGRAMS: Final = frozenset({"check_receipt.py", "invite_system.py"})
"""Programs that pages link to; the others of a clone build the documentation."""
BUILT: Final = "_build"
"""Folder of a clone with the site that `make docs` builds."""
LISTED: Final = re.compile(r"^```\{toctree\}\n:caption: (.+)\n(?::.+\n)*\n((?:.+\n)+?)```$", re.MULTILINE)
INCLUDED: Final = re.compile(r"^```\{literalinclude\} (\S+)\n:language: (\S+)\n(?::.+\n)*```$", re.MULTILINE)
TITLE_AND_LEAD: Final = re.compile(r"^# (.+)\n\n((?:.+\n)+)", re.MULTILINE)
LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]*\)")
SENTENCE: Final = re.compile(r".+?[.!?](?=\s|$)")

mimetypes.add_type("image/webp", ".webp")  # Python names it since 3.13


class Guide(NamedTuple):
    """A page of the documentation.

    Attributes:
        title: Its heading.
        path: Where it is served.
        purpose: Its first sentence.
    """

    title: str
    path: str
    purpose: str


class GuideSection(NamedTuple):
    """Pages of one kind, in the order in which the documentation lists them."""

    caption: str
    guides: Sequence[Guide]


class DocumentationFiles(StaticFiles):
    """The files of the documentation. Others of its folder are not served."""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """Return the full path and the facts of a file; no facts if it is not one of the documentation's."""
        return super().lookup_path(path) if path in list_files() else ("", None)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file; a page in plain Markdown."""
        plain = render_page(path) if path.endswith(".md") and path in list_files() else None
        is_read = plain is not None and scope["method"] in {"GET", "HEAD"}
        return (
            PlainTextResponse(plain, media_type="text/markdown") if is_read else await super().get_response(path, scope)
        )


@cache
def list_files() -> frozenset[str]:
    """Return the paths of all files of the documentation, relative to its folder."""
    files = (path for path in FOLDER.rglob("*") if path.suffix in SUFFIXES or path.name in PROGRAMS)
    return frozenset(str(path.relative_to(FOLDER)) for path in files if BUILT not in path.parts)


@cache
def render_page(name: str) -> str | None:
    """Return a page with links and code where the built site lists pages and includes programs; None if it has neither.

    Raises:
        OSError: There is no such page.
    """
    text = (FOLDER / name).read_text("utf-8")

    def list_pages(block: re.Match[str]) -> str:
        guides = ((path, _read_lead(f"{path}.md")) for path in block[2].split())
        return f"## {block[1]}\n\n" + "\n".join(
            f"- [{title}]({path}.md): {purpose}" for path, (title, _, purpose) in guides
        )

    def include(block: re.Match[str]) -> str:
        return f"```{block[2]}\n{(FOLDER / name).parent.joinpath(block[1]).read_text('utf-8')}```"

    plain = INCLUDED.sub(include, LISTED.sub(list_pages, text))
    return None if plain == text else plain


def read_page(name: str) -> str:
    """Return a page in plain Markdown.

    Raises:
        OSError: There is no such page, or the documentation is not installed.
    """
    return render_page(name) or (FOLDER / name).read_text("utf-8")


@cache
def list_sections() -> Sequence[GuideSection]:
    """Return the pages of the documentation by their kind; none where they are not installed."""
    if not FOLDER.is_dir():
        return ()
    listed = LISTED.findall((FOLDER / "index.md").read_text("utf-8"))
    return [GuideSection(caption, [_read_guide(name) for name in names.split()]) for caption, names in listed]


def _read_guide(name: str) -> Guide:
    title, _, purpose = _read_lead(f"{name}.md")
    return Guide(title, f"{DOCUMENTATION_FILES}/{name}.md", purpose)


def _read_lead(name: str) -> tuple[str, str, str]:
    """Return the heading of a page, its first paragraph, and the first sentence of that.

    Raises:
        ValueError: The page does not begin with them.
    """
    opening = TITLE_AND_LEAD.search((FOLDER / name).read_text("utf-8"))
    if opening is None:
        raise ValueError(f"{name} has no heading with a paragraph below")
    lead = LINK.sub(r"\1", " ".join(opening[2].split()))
    first = SENTENCE.match(lead)
    return opening[1], lead, lead if first is None else first[0]


def render_list(public_url: str) -> str:
    """Return the documentation's pages as llms.txt (https://llmstxt.org) lists them.

    Args:
        public_url: Address of the ledger.
    """
    url = public_url.rstrip("/")
    if not list_sections():
        return "# Redemption Ledger\n\n> The documentation is not installed here.\n"
    title, _, purpose = _read_lead("index.md")
    lines = [
        f"# {title}\n\n> {purpose}\n",
        f"All pages are Markdown. [Frequent questions]({url}{DOCUMENTATION_FILES}/index.md) lead to their answers.\n",
    ]
    for section in list_sections():
        links = (f"- [{guide.title}]({url}{guide.path}): {guide.purpose}\n" for guide in section.guides)
        lines.append(f"## {section.caption}\n\n{''.join(links)}")
    return "\n".join(lines)


def build_router(public_url: str) -> APIRouter:
    """Build the router of `/llms.txt`.

    Args:
        public_url: Address of the ledger.
    """
    router = APIRouter()

    @router.get("/llms.txt")
    def show_list() -> PlainTextResponse:
        return PlainTextResponse(render_list(public_url))

    return router


def mount_documentation(app: FastAPI) -> None:
    """Serve the documentation below /docs."""
    if FOLDER.is_dir():
        files = StaticAssets(DocumentationFiles(directory=FOLDER), have_digests=False)
        app.mount(DOCUMENTATION_FILES, files, name="documentation")
