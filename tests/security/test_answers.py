"""What every route answers besides its content: who may keep it, and which methods its path has."""

from collections import defaultdict

import pytest
from fastapi.routing import iter_route_contexts

from tests.security.matrix import MATRIX, address, is_api
from tests.support.clients.role_clients import RoleClients, Who

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def methods_by_path(role_clients: RoleClients) -> dict[str, set[str]]:
    methods: dict[str, set[str]] = defaultdict(set)
    for route in iter_route_contexts(role_clients.app.client.app.routes):  # type: ignore[attr-defined]  # as any ASGI app
        if route.methods and not (route.path or "").endswith(":path}"):
            methods[route.path or ""] |= route.methods
    for path, own in methods.items():
        if "GET" in own and not is_api(path):
            own.add("HEAD")
    return methods


@pytest.mark.parametrize("who", ["anyone", "viewer", "admin"])
def test_api_answer_is_stored_by_no_cache(role_clients: RoleClients, who: Who) -> None:
    """Notes, reservations and keys of staff, states of reservations, and refusals of them as well."""
    routes = [route.split() for route in MATRIX if is_api(route.split()[1]) and not route.endswith("/stream")]
    asked = [(method, address(path)) for method, path in routes]
    asked += [("GET", "/api/v1/nothing"), ("TRACE", "/api/v1/codes"), ("GET", "/api/v1/codes?limit=x")]

    cacheable = {}
    for method, path in asked:
        answer = role_clients.by_key(who, method, path)
        if answer.headers.get("cache-control") != "no-store":
            cacheable[f"{method} {path}"] = answer.headers.get("cache-control")

    assert len(asked) > 40
    assert cacheable == {}


def test_body_that_is_too_large_is_refused_without_being_stored(role_clients: RoleClients) -> None:
    """This answer is made before any route is looked at."""
    answer = role_clients.ask("POST", "/api/v1/codes", content=b"x" * 1_000_000)

    assert (answer.status_code, answer.headers["cache-control"]) == (413, "no-store")


def test_method_that_a_path_lacks_is_answered_405_with_every_method_it_has(role_clients: RoleClients) -> None:
    """RFC 9110, 15.5.6: on whichever routes those are, for pages as for the API."""
    wrong, by_path = {}, methods_by_path(role_clients)
    for path, methods in by_path.items():
        for method in METHODS:
            if path == "/support/sign-out" and method in methods:
                continue  # it ends the session of this test
            answer = (role_clients.by_key if is_api(path) else role_clients.by_session)("admin", method, address(path))
            is_refused = answer.status_code == 405
            allowed = answer.headers.get("allow")
            if is_refused != (method not in methods) or (is_refused and allowed != ", ".join(sorted(methods))):
                wrong[f"{method} {path}"] = (answer.status_code, allowed)

    assert len(by_path) > 90
    assert wrong == {}


def test_head_of_every_page_is_its_get_without_the_body(role_clients: RoleClients) -> None:
    """RFC 9110, 9.3.2, for monitors and link checkers: the same status and type."""
    paths = [route.split()[1] for route in MATRIX if route.startswith("GET") and not is_api(route.split()[1])]
    differing = {}
    for path in paths:
        if path.endswith("/stream"):
            continue
        get, head = (role_clients.by_session("admin", method, address(path)) for method in ("GET", "HEAD"))
        kinds = [(answer.status_code, answer.headers.get("content-type")) for answer in (get, head)]
        if kinds[0] != kinds[1] or head.text:
            differing[path] = (*kinds, len(head.text))

    assert len(paths) > 60
    assert differing == {}


@pytest.mark.parametrize("path", ["/support/nothing", "/admin/nothing", "/nothing", "/api/v1/nothing"])
@pytest.mark.parametrize("method", METHODS)
def test_path_without_any_route_is_not_found_by_every_method(role_clients: RoleClients, path: str, method: str) -> None:
    """405 would say that another method finds something."""
    assert role_clients.by_session("admin", method, path).status_code == 404


@pytest.mark.parametrize("method", ["DELETE", "POST"])
def test_static_file_is_only_read(role_clients: RoleClients, method: str) -> None:
    """With the methods by which it is."""
    answer = role_clients.ask(method, "/static/ledger.css")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
