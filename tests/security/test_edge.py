"""What every answer carries, what no request may exceed, and what the proxy in front holds to."""

import re
from pathlib import Path

import pytest

from api.schemas.groups import BODY_BYTES_MAX as BRANDING_BYTES_MAX
from api.schemas.redemption_batch import BODY_BYTES_MAX as BATCH_BYTES_MAX
from api.use_cases.redeem_batch import BATCH_S_MAX
from api.v1 import group_branding
from api.v1.codes.code_import import BODY_BYTES_MAX as IMPORT_BYTES_MAX
from api.v1.codes.code_import import IMPORT_S_MAX
from api.v1.codes.code_import import PATH as IMPORT_API
from api.v1.event_feed import WAIT_S_MAX
from api.v1.hand_outs import UPLOAD_BYTES_MAX, UPLOAD_PATH, UPLOAD_S_MAX
from api.v1.reservations.redemption_batches import PATH as BATCH
from api.web.admin.code_import import FILE_BYTES_MAX
from api.web.admin.code_import import PATH as IMPORT_PAGE
from api.web.admin.groups import BRANDING_PATH
from api.web.admin.hand_outs.recipient_pages import FILE_BYTES_MAX as LIST_BYTES_MAX
from api.web.admin.hand_outs.recipient_pages import UPLOAD_PATH as UPLOAD_PAGE
from api.web.static_files import asset
from tests.security.matrix import MATRIX, address, is_api
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.role_clients import RoleClients

ROOT = Path(__file__).parents[2]
NGINX = (ROOT / "deploy" / "nginx.conf").read_text("utf-8")
NGINX_MAIN = (ROOT / "deploy" / "nginx-main.conf").read_text("utf-8")
LARGE = {
    IMPORT_PAGE: FILE_BYTES_MAX,
    IMPORT_API: IMPORT_BYTES_MAX,
    BATCH: BATCH_BYTES_MAX,
    UPLOAD_PATH: UPLOAD_BYTES_MAX,
    UPLOAD_PAGE: LIST_BYTES_MAX,
    BRANDING_PATH: BRANDING_BYTES_MAX,
    group_branding.PATH: BRANDING_BYTES_MAX,
}
"""Routes with a bound of their own: the application knows the same."""
CHANGING = [route.split() for route in MATRIX if not route.startswith("GET")]


def every_get(role_clients: RoleClients) -> dict[str, AppResponse]:
    paths = [route.split()[1] for route in MATRIX if route.startswith("GET")]
    return {
        path: (role_clients.by_key if is_api(path) else role_clients.by_session)("admin", "GET", address(path))
        for path in paths
        if not path.endswith("/stream")
    }


def test_every_response_has_headers_for_the_browser(role_clients: RoleClients) -> None:
    """Pages: nothing inline, nothing from elsewhere, in no foreign frame. Everything: of the type that it names."""
    answers = every_get(role_clients)
    pages = {path: answer for path, answer in answers.items() if "text/html" in answer.headers.get("content-type", "")}

    assert len(pages) > 30
    for path, answer in pages.items():
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "script-src 'self'" in policy or "sandbox" in policy, path
        assert "frame-ancestors 'none'" in policy or path.endswith("/letter"), path
    for path, answer in answers.items():
        assert answer.headers["cache-control"] == "no-store" or path in {"/", "/invite"}, path
    answers[asset("ledger.css")] = role_clients.ask("GET", asset("ledger.css"))
    for path, answer in answers.items():
        assert answer.headers.get("x-content-type-options") == "nosniff", path


def test_pages_load_nothing_from_elsewhere(role_clients: RoleClients) -> None:
    """No script, style, picture, font or form of another origin, the API's own reference included."""
    references = {
        path: re.findall(r'(?:src|href|action)="(?:https?:)?//[^"]*', answer.text)
        for path, answer in every_get(role_clients).items()
        if "text/html" in answer.headers.get("content-type", "")
    }

    assert {path: links for path, links in references.items() if links} == {}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_https_is_remembered_where_there_is_https(app: AppClient, scheme: str) -> None:
    """By pages and API alike; over plain HTTP it would be a lie."""
    answers = [app.client.get(f"{scheme}://testserver{path}") for path in ("/invite", "/api/v1/codes", "/nowhere")]
    policies = [answer.headers.get("strict-transport-security") for answer in answers]

    assert policies == ["max-age=31536000" if scheme == "https" else None] * 3


@pytest.mark.parametrize(("method", "path"), CHANGING, ids=str)
def test_no_route_reads_a_body_over_the_bound(app: AppClient, method: str, path: str) -> None:
    """413 before anything else is looked at, the caller included; files of codes and batches have their own bounds."""
    answer = app.client.request(method, address(path), content=b"x" * 65_537, headers={"accept": "application/json"})

    assert (answer.status_code == 413) != (path in LARGE)


def test_invalid_length_does_not_avoid_the_bound(app: AppClient) -> None:
    """A length that is no number counts as none, and then what arrives is counted."""
    pieces = (b"A" * 10_000 for _ in range(20))
    answer = app.client.post("/api/v1/public/redeem", content=pieces, headers={"Content-Length": "1e3"})

    assert answer.status_code == 413


@pytest.mark.parametrize(
    "line",
    [
        "client_header_timeout 10s;",
        "client_body_timeout 10s;",
        "send_timeout 30s;",
        "client_max_body_size 64k;",
        "large_client_header_buffers 4 16k;",
        "limit_req zone=clicks burst=200 nodelay;",
        "limit_conn streams 20;",
        "limit_conn addresses 200;",
        "location = /metrics { return 404; }",
    ],
)
def test_proxy_bounds_slow_and_greedy_clients(line: str) -> None:
    """nginx reads requests whole before the backend sees them: a slow client holds a connection of nginx, no worker."""
    assert line in NGINX
    assert "proxy_request_buffering off" not in NGINX


def locations() -> dict[str, str]:
    """The blocks of nginx.conf that answer requests, by what they match; none of them holds another."""
    return dict(re.findall(r"^    location (\S+(?: \S+)??) \{(.*?)\}$", NGINX, re.MULTILINE | re.DOTALL))


def test_location_with_its_own_connection_limit_repeats_that_of_the_server() -> None:
    """nginx inherits none of a server's connection limits where a location names one."""
    limited = {match: block for match, block in locations().items() if "limit_conn " in block}

    assert [match for match in limited if match.endswith("/stream$")]
    assert [match for match, block in limited.items() if "limit_conn addresses 200;" not in block] == []
    assert NGINX.count("    limit_conn addresses 200;\n") == len(limited) + 1


def test_proxy_has_connections_for_many_clients_and_closes_idle_ones_soon() -> None:
    """More than one client may use, and the file that says so is mounted wherever nginx runs."""
    connections = int(re.findall(r"worker_connections (\d+);", NGINX_MAIN)[0])
    keepalive_s = int(re.findall(r"keepalive_timeout (\d+)s;", NGINX_MAIN)[0])
    mounted = [(ROOT / path).read_text("utf-8") for path in ("compose.yaml", "deploy/ha/compose.yaml")]

    assert connections > 10 * int(re.findall(r"limit_conn addresses (\d+);", NGINX)[0])
    assert keepalive_s <= 15
    assert "reset_timedout_connection on;" in NGINX_MAIN
    assert ["nginx-main.conf:/etc/nginx/nginx.conf:ro" in text for text in mounted] == [True, True]


def test_proxy_accepts_the_sizes_of_the_application() -> None:
    """A file of codes and a batch of the API's size, and a wait, an import or a batch of the API's length."""
    ours = dict(re.findall(r"location = (/[\w/-]+) \{ (.*) \}", NGINX))
    (wait_s,) = re.findall(r"^    proxy_read_timeout (\d+)s", NGINX, re.MULTILINE)

    for path, bytes_max in LARGE.items():
        assert int(re.findall(r"client_max_body_size (\d+)m", ours[path])[0]) * 2**20 >= bytes_max, path
    assert int(re.findall(r"proxy_read_timeout (\d+)s", ours[UPLOAD_PATH])[0]) > UPLOAD_S_MAX
    assert int(wait_s) > BATCH_S_MAX
    assert int(re.findall(r"proxy_read_timeout (\d+)s", ours[IMPORT_API])[0]) > IMPORT_S_MAX
    assert int(re.findall(r"proxy_read_timeout (\d+)s", ours["/api/v1/events"])[0]) > WAIT_S_MAX


def test_proxy_tells_a_browser_no_header_twice() -> None:
    """What nginx adds for all, it takes from the backend's answers."""
    added = set(re.findall(r"add_header ([\w-]+) ", NGINX)) - {"Content-Security-Policy", "Retry-After"}
    hidden = set(re.findall(r"proxy_hide_header ([\w-]+);", NGINX))

    assert added == hidden
