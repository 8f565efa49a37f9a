"""A browser in the support console: it keeps cookies, fills in forms, and shows redirects instead of following them."""

import re
from collections.abc import Mapping, Sequence
from html import unescape
from typing import Any, cast
from uuid import UUID, uuid4

from domain.values.identifiers import EmailAddress, normalize_code
from projections.sql.repositories import RepositoriesSql
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.passwords import CHEAP

PASSWORD = "correct horse battery staple"
TOKEN = re.compile(r'name="token" value="(\w+)"')


class StaffBrowser:
    def __init__(self, app: AppClient, address: str = "testclient") -> None:
        self.app = app
        self.cookies: dict[str, str] = {}
        self.address = address

    def get(self, path: str, **params: Any) -> AppResponse:
        return self._request("GET", path, **({"params": params} if params else {}))

    def post(
        self, path: str, form: Mapping[str, str | Sequence[str]], headers: dict[str, str] | None = None
    ) -> AppResponse:
        """Send a form as it is given; a field may repeat."""
        return self._request("POST", path, data=form, headers=headers or {})

    def token(self, page: str = "/support") -> str:
        match = TOKEN.search(self.get(page).text)
        assert match is not None
        return match[1]

    def submit(self, path: str, page: str | None = None, **form: str) -> AppResponse:
        """Fill in the form of a page and send it."""
        return self.post(path, {"token": self.token(page or "/support"), **form})

    def search(self, typed: str) -> AppResponse:
        """Search, and go to the list of results if there is one."""
        answer = self.submit("/support/search", q=typed)
        location = answer.headers.get("location", "")
        return self.get(location) if location.startswith("/support/search/") else answer

    def post_file(
        self, path: str, name: str, data: bytes, form: dict[str, str], page: str | None = None
    ) -> AppResponse:
        form = {"token": self.token(page or path), **form}
        return self._request("POST", path, data=form, files={"file": (name, data)})

    def sign_in(self, email: str, password: str, path: str = "/support/sign-in") -> AppResponse:
        return self.submit(path, path, email=email, password=password)

    def _request(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> AppResponse:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        client = self.app.client
        client._transport.client = (self.address, 50_000)  # type: ignore[attr-defined]  # of Starlette's client
        client.cookies.clear()
        sent = {
            "accept": "text/html",
            "accept-language": "en",
            **(headers or {}),
            **({"cookie": cookie} if cookie else {}),
        }
        answer = client.request(method, path, headers=sent, follow_redirects=False, **more)
        for line in answer.headers.get_list("set-cookie"):
            name, value = line.split(";")[0].split("=", 1)
            if "Max-Age=0" in line:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return cast("AppResponse", answer)


def add_staff(app: AppClient, email: str, role: str, password: str) -> UUID:
    """A member of staff, or a new password for one."""
    services = app.services
    draft = services.storage.vault.draft_staff(EmailAddress.parse(email), uuid4())
    sealed = draft.seal()
    row = (draft.new_id, draft.digests[0], draft.pepper_id, sealed.sealed, sealed.key_id, CHEAP.hash(password), role)
    with services.storage.datastore.get_connection() as conn:
        conn.execute(RepositoriesSql.upsert_staff, (*row, services.now()))
    return draft.new_id


def code_id_of(app: AppClient, text: str) -> UUID:
    code_id = app.services.reader.find_code(normalize_code(text))
    assert code_id is not None
    return code_id


def heading(answer: AppResponse) -> str:
    match = re.search(r"<h1[^>]*>(.*?)</h1>", answer.text, re.DOTALL)
    assert match is not None
    return unescape(re.sub(r"<[^>]+>", "", match[1])).strip()


def balances(answer: AppResponse) -> list[tuple[int, ...]]:
    """Used, reserved and free of each line, in the page's order."""
    cells = re.findall(r"<dd>(\d+)(?:<small>|</dd>)", answer.text.partition('id="lines"')[2])
    numbers = [int(cell) for cell in cells]
    return [tuple(numbers[at : at + 3]) for at in range(0, len(numbers), 3)]


def read_history_pages(browser: StaffBrowser, path: str) -> list[AppResponse]:
    """Open a page with a history and the pages that follow; `path` has the query of the first one."""
    pages = [browser.get(path)]
    while (more := re.search(r'href="(\?[^"]*place=\d+)#lines"', pages[-1].text)) is not None:
        pages.append(browser.get(path.partition("?")[0] + unescape(more[1])))
    return pages


def read_audit_log(browser: StaffBrowser) -> str:
    """The pages of the audit log, the newest first."""
    pages = [browser.get("/support/audit").text]
    while (older := re.search(r'href="(\?place=\d+)"', pages[-1])) is not None:
        pages.append(browser.get(f"/support/audit{older[1]}").text)
    return "".join(pages)


def find_raw_keys(page: str) -> list[str]:
    """Find keys of the catalog that a page shows instead of their text."""
    return re.findall(r">\s*((?:page|state|event|refusal)\.[a-z_.]+)\s*<", page)
