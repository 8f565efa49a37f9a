"""The direct path of a redeem answers as the documented route does, and takes only what it understands."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection, RemoteDisconnected
from typing import Any, NamedTuple
from unittest.mock import Mock

import pytest
import uvicorn
from uvicorn.server import ServerState

from api.http.server.direct_route import DirectRouteProtocol
from api.v1.public.direct_redeem import DirectRedeem
from api.v1.public.redeem import PATH
from projections.storage.group_commit import AsyncGroupCommit
from projections.telemetry.metrics import DIRECT_REQUESTS, ERRORS, REQUESTS
from tests.support.clients.app_client import AppClient
from tests.support.clients.asgi_requests import inside
from tests.support.ledger.code_template import make_template
from tests.support.waiting import WAIT_S_MAX, wait_for

TIMES = 3
"""Repetitions of each request, because some answers differ between the first time and later ones."""
MINE = "0123456789abcdef"
"""A request id of a caller."""
BY_ROUTE = PATH + "?by=route"
"""A query makes the server pass the request on to the application."""

SAME_HEADERS = (
    *("content-type", "content-language", "retry-after", "content-length", "cache-control"),
    *("x-content-type-options", "ratelimit-policy"),
)


class RawResponse(NamedTuple):
    """A response, read to its end."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


class DirectClient:
    """Speaks HTTP to the shared application through the protocol that serves it in production."""

    def __init__(self, port: int) -> None:
        self._port = port

    def post(self, path: str, content: bytes, headers: dict[str, str]) -> RawResponse:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=WAIT_S_MAX)
        try:
            connection.request("POST", path, content, {"Content-Type": "application/json", **headers})
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return RawResponse(response.status, fields, json.loads(response.read()))
        finally:
            connection.close()

    def redeem(self, code: str, email: object = "li.wei@example.com", *, path: str = PATH, **more: Any) -> RawResponse:
        headers = {"accept-language": "zh-CN"} | more.pop("headers", {})
        return self.post(path, json.dumps({"email": email, "code": code, **more}).encode(), headers)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    accepted: list[bool] = []
    begin = DirectRedeem.begin

    def noted(route: DirectRedeem, exchange: Any) -> bool:  # noqa: ANN401 - passed on
        accepted.append(begin(route, exchange))
        return accepted[-1]

    monkeypatch.setattr(DirectRedeem, "begin", noted)
    return accepted


@pytest.fixture
def direct(shared_app: AppClient) -> Iterator[DirectClient]:
    """A client of the shared application, which listens on a port of its own for one test."""
    config = uvicorn.Config(shared_app.client.app, lifespan="off", log_level="critical", proxy_headers=False)
    config.load()
    state = ServerState()

    async def listen() -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: DirectRouteProtocol(config, state, {}), "127.0.0.1", 0)

    server = inside(shared_app, listen)

    async def end() -> None:
        server.close()
        for connection in list(state.connections):
            connection.shutdown()

    yield DirectClient(server.sockets[0].getsockname()[1])
    inside(shared_app, end)


def comparable(response: RawResponse) -> tuple[object, ...]:
    body = dict(response.body)
    for name in ("reservation_id", "status_url", "correction_token", "instance"):
        body.pop(name, None)
    return response.status, body, [response.headers.get(name) for name in SAME_HEADERS]


CASES: list[tuple[str, dict[str, Any]]] = [
    ("new", {}),
    ("english", {"headers": {"accept-language": "en-GB,en;q=0.8"}}),
    ("keyed", {"headers": {"Idempotency-Key": "k1"}}),
    ("a key that is too long", {"headers": {"Idempotency-Key": "k" * 256}}),
    ("an empty key", {"headers": {"Idempotency-Key": ""}}),
    ("no such code", {"code": "NOSUCHCODEOFANYSYSTEM"}),
    ("malformed code", {"code": "\u0007"}),
    ("malformed address", {"email": "nobody"}),
    ("a number as address", {"email": 7}),
    ("again of nothing", {"again": "00000000-0000-4000-8000-000000000000"}),
    ("again that is no id", {"again": "x"}),
    ("more fields", {"surprise": [1, 2, 3]}),
]


@pytest.mark.parametrize(("name", "more"), CASES, ids=[name for name, _ in CASES])
def test_direct_path_answers_as_the_route_does(
    name: str, more: dict[str, Any], shared_app: AppClient, direct: DirectClient, begun: list[bool]
) -> None:
    answers = []
    for path in (PATH, BY_ROUTE):
        code = shared_app.issue(make_template(max_uses=None, bound=False))
        fields: dict[str, Any] = {"code": code, "email": "li.wei@example.com"} | more
        answers.append([comparable(direct.redeem(path=path, **fields)) for _ in range(TIMES)])

    assert answers[0] == answers[1], name
    assert begun == [name not in LEFT_TO_THE_ROUTE] * TIMES


LEFT_TO_THE_ROUTE = {"a key that is too long", "a number as address", "again that is no id"}
"""Requests that the direct path does not understand."""

ODD_BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"email": "a@example.com"}',
    b"\xff\xfe",
    b'{"email": "\\ud800", "code": "x"}',
    b'{"email": "a@example.com", "code": "x", "email": "b@example.com"}',
    b'{"email": "a@example.com", "code": "x", "\\u0063ode": "y"}',
    b'{"email": "a@example.com", "code": "x", "more": {"a": 1, "a": 2}}',
]


@pytest.mark.parametrize("content", ODD_BODIES, ids=range(len(ODD_BODIES)))
def test_malformed_body_is_answered_by_the_route(content: bytes, direct: DirectClient, begun: list[bool]) -> None:
    response = direct.post(PATH, content, {})

    assert (response.status, response.headers["content-type"]) == (422, "application/problem+json")
    assert begun == [False]


ODD_HEADERS: Sequence[tuple[dict[str, str], int]] = (
    ({"Content-Type": "text/plain"}, 422),
    ({"Content-Type": "application/json; charset=utf-8"}, 202),
    ({"Transfer-Encoding": "chunked"}, 202),
    ({"accept-language": "zh", "Accept-Language": "en"}, 202),
)


@pytest.mark.parametrize(("headers", "status"), ODD_HEADERS, ids=range(len(ODD_HEADERS)))
def test_request_with_special_headers_is_answered_by_the_route(
    headers: dict[str, str], status: int, shared_app: AppClient, direct: DirectClient, begun: list[bool]
) -> None:
    """Another media type, a body without a declared length, a header that is there twice."""
    body = json.dumps({"email": "li.wei@example.com", "code": shared_app.issue()}).encode()
    if "Transfer-Encoding" in headers:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)

    assert (direct.post(PATH, body, headers).status, begun) == (status, [False])


def test_request_for_another_host_is_left_to_the_application(
    shared_app: AppClient, direct: DirectClient, begun: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its guard refuses; see `tests/security/test_hosts.py`."""
    app: Any = shared_app.client.app
    monkeypatch.setattr(app.direct_route, "_permits_host", lambda value: value == b"here")
    code = shared_app.issue()
    for host in ("elsewhere", "here"):
        direct.redeem(code, headers={"Host": host})

    assert begun == [False, True]


def test_each_request_is_counted_and_logged_once(
    shared_app: AppClient, direct: DirectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = Mock()
    app: Any = shared_app.client.app
    monkeypatch.setattr(app.direct_route.envelope._lines, "add", lines)
    counted = REQUESTS.labels("redeem", "2xx")
    before, code = counted._value.get(), shared_app.issue()
    direct_before = DIRECT_REQUESTS._value.get()
    responses = [direct.redeem(code, path=path, headers={"X-Request-ID": MINE}) for path in (PATH, BY_ROUTE)]
    wait_for(lambda: counted._value.get() >= before + 2)  # the route logs and counts after its answer was sent
    shown = [{name: value for name, value in call.kwargs.items() if name != "ms"} for call in lines.call_args_list]

    assert counted._value.get() == before + 2
    assert DIRECT_REQUESTS._value.get() == direct_before + 1
    assert [line.pop("outcome") for line in shown] == ["accepted", "known"]
    assert [line.pop("status") for line in shown] == [202, 200]
    assert shown[0] == shown[1]
    assert shown[0]["request_id"] == responses[0].headers["x-request-id"] == MINE
    assert shown[0]["reservation_id"] == responses[0].body["reservation_id"]


@pytest.mark.parametrize("path", [PATH, BY_ROUTE], ids=["direct", "route"])
def test_defect_is_a_problem_document_with_the_request_id(
    path: str, direct: DirectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either way: 500, counted, and the id that the log has."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(AsyncGroupCommit, "submit", broken)
    before = ERRORS.labels("internal_error")._value.get()
    response = direct.redeem("ANYCODE", path=path, headers={"x-request-id": MINE})

    assert (response.status, response.body["code"], response.headers["x-request-id"]) == (500, "INTERNAL", MINE)
    assert response.body["instance"] == f"urn:redemption-ledger:request:{MINE}"
    assert ERRORS.labels("internal_error")._value.get() == before + 1


def test_defect_in_an_error_answer_closes_the_connection_and_fails_no_other_request(
    shared_app: AppClient, direct: DirectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    code = shared_app.issue()
    with monkeypatch.context() as patch:
        patch.setattr("api.v1.public.direct_redeem.problem_answer", broken)
        with pytest.raises(RemoteDisconnected):
            direct.redeem("NOSUCHCODE")

    assert direct.redeem(code).status == 202


@pytest.mark.parametrize("path", [PATH, BY_ROUTE], ids=["direct", "route"])
def test_too_many_concurrent_requests_get_503_with_retry_after(
    path: str, shared_app: AppClient, direct: DirectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, before = shared_app.issue(), shared_app.count("reservations")
    with monkeypatch.context() as patch:
        patch.setattr("projections.storage.group_commit.WAITING_MAX", 0)
        response = direct.redeem(code, path=path)

    assert (response.status, response.body["code"]) == (503, "OVERLOADED")
    assert int(response.headers["retry-after"]) >= 1
    assert shared_app.count("reservations") == before
    assert direct.redeem(code, path=path).status == 202
