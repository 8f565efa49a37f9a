"""Every link of every page as each role: none leads to an error, no form is for a higher role, nothing is revealed."""

import re
from collections import Counter
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest

from tests.security.audited import AUDITED, AuditedApp, prepare, send, send_handed_out_code
from tests.security.matrix import MATRIX, Role, is_api
from tests.support.clients.page_reader import Element, read_page
from tests.support.clients.role_clients import ROLES, RoleClients, Who

PAGES_OF_A_SHAPE: Final = 8
"""How many pages are opened whose URLs differ only in ids and values."""
RANK: Final[dict[Role, int]] = {"anyone": 0, "viewer": 1, "support": 2, "admin": 3}
ID: Final = re.compile(r"/([0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{64}|[0-9]+)(?=/|$)")
OPENED_OTHERWISE: Final = {
    *("/support/codes/{code_id}/proofs", "/support/codes/{code_id}/stream", "/support/codes/{code_id}/version"),
    *("/admin/campaigns/{campaign_id}/proofs", "/admin/hand-outs/{hand_out_id}/progress"),
    *("/support/approvals", "/support/approvals/{approval_id}"),  # where actions wait for a second person
    "/support/approvals/{approval_id}/reject",
    "/admin/staff/{staff_id}/role",  # the form of the account leads to it
    "/admin/campaigns/{campaign_id}/waiting-list/{place_id}",  # linked while a person waits
    "/support/account/factors/{factor_id}/remove",  # linked on the page of an account with a second factor
    "/admin/batches/{batch_id}/stop",  # linked while the batch works
    "/admin/batches/{batch_id}/rejected",  # linked if a line was rejected
    "/support/reservations/{reservation_id}/receipt",  # linked after the next checkpoint of the log
    *("/support/codes", "/support/search/{search_id}", "/support/tries/{digest}", "/support/{_path}", "/admin/{_path}"),
}
"""Pages that scripts ask for, that only a search leads to, or that answer for paths without a page."""
OPENED_BY_CHANCE: Final = {
    "/admin/campaigns/{campaign_id}/balance",
    "/support/people/{recipient_id}/allow-emails",
    "/support/hand-outs/{hand_out_id}/recipients/{code_id}/resend",
}
"""Linked if one of the people whose pages are opened is the one whose address bounced, or may get a code again.

Or if one of the campaigns that are opened has a use.
"""


class Route(NamedTuple):
    method: str
    path: str
    role: Role

    @classmethod
    def of(cls, route: str, role: Role) -> "Route":
        method, path = route.split()
        return cls(method, path, role)

    def matches(self, path: str) -> bool:
        return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", self.path), path) is not None


ROUTES: Final = sorted((Route.of(*line) for line in MATRIX.items()), key=lambda route: route.path.count("{"))
"""The fewest placeholders first."""


class Walk(NamedTuple):
    """The paths that a role reaches, and the defects as (page, what it leads to, why)."""

    paths: set[str]
    defects: set[tuple[str, str, str]]


@pytest.fixture(scope="module")
def audited_app(role_clients: RoleClients) -> AuditedApp:
    """An application after one of each request that changes something."""
    audited_app = AuditedApp(role_clients)
    for route in AUDITED.keys() - {"POST /support/sign-out"}:
        if is_api(route.split()[1]):
            continue
        path, more = prepare(audited_app, route)
        send(audited_app, route, path, more)
    for make in (
        AuditedApp.parked,
        AuditedApp.sent,
        AuditedApp.opted_out,
        AuditedApp.suppressed,
        AuditedApp.failed,
        send_handed_out_code,
    ):
        make(audited_app)
    code = audited_app.code(max_uses=1)
    for number in range(3):
        audited_app.app.redeem(audited_app.text, f"refused-{number}@example.com")
    audited_app.ask("POST", f"/api/v1/codes/{code}/join-campaign", json={"campaign": audited_app.campaign()})
    return audited_app


def find_route(method: str, path: str) -> Route | None:
    """Return the route of a path; None without one."""
    return next((route for route in ROUTES if route.method == method and route.matches(path)), None)


def shape_of(target: str) -> str:
    """Return a URL without ids and values."""
    url = urlsplit(target)
    return ID.sub("/*", url.path) + "".join(f"?{name}" for name in sorted({name for name, _ in parse_qsl(url.query)}))


def list_targets(page: Element) -> list[str]:
    """Return the URLs that a page leads to or loads, without other sites and the page itself in another language."""
    targets = [
        element.attributes.get("href" if element.tag == "a" else "action" if element.tag == "form" else "src", "")
        for element in page.find_all("a", "iframe", "form")
        if element.tag != "form" or element.attributes.get("method", "get") == "get"
    ]
    return [target for target in targets if re.match("[/?]", target) and "lang=" not in target]


def walk(audited_app: AuditedApp, who: Who) -> Walk:
    """Open the console as a role, and every page that its pages lead to."""
    shapes, waiting, result = Counter[str](), [("", "/support")], Walk({"/support"}, set())
    reached = {"/support"}
    while waiting:
        origin, target = waiting.pop(0)
        answer = audited_app.role_clients.by_session(who, "GET", target)
        if answer.status_code >= 400 or "sign-in" in answer.headers.get("location", ""):
            result.defects.add((origin, target, str(answer.status_code)))
        if any(secret in answer.text for secret in audited_app.secrets):
            result.defects.add((origin, target, "an email address or a code in plain text"))
        page = read_page(answer.text if answer.headers.get("content-type", "").startswith("text/html") else "")
        for form in page.find_all("form", method="post"):
            action = urlsplit(urljoin(target, form.attributes.get("action", ""))).path
            route = find_route("POST", action)
            if route is None or RANK[route.role] > RANK[who]:
                result.defects.add((target, action, "form"))
        for link in list_targets(page):
            following = urljoin(target, link).partition("#")[0]
            if following not in reached and shapes[shape_of(following)] < PAGES_OF_A_SHAPE:
                reached.add(following)
                result.paths.add(urlsplit(following).path)
                shapes[shape_of(following)] += 1
                waiting.append((target, following))
    return result


@pytest.mark.parametrize("who", ROLES)
def test_no_page_links_to_an_error_offers_a_form_of_a_higher_role_or_reveals(audited_app: AuditedApp, who: Who) -> None:
    """After one of each request that changes something, so that pages of every kind have content."""
    paths, defects = walk(audited_app, who)
    readable = {
        route.path
        for route in ROUTES
        if route.method == "GET" and route.path.startswith(("/admin", "/support")) and 0 < RANK[route.role] <= RANK[who]
    }
    linked = {route.path for path in paths if (route := find_route("GET", path)) is not None}

    assert defects == set()
    assert readable - linked - OPENED_BY_CHANCE == OPENED_OTHERWISE & readable
