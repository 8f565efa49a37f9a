import ast
import inspect

import pytest
import uvicorn
from uvicorn.importer import import_from_string
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.cli.embedded.services import ledger
from api.cli.server import container
from api.http.server import http_protocol
from api.http.server.direct_route import DirectExchange, DirectRouteProtocol

DIRECT, SINGLE = "api/http/server/direct_route.py", "api/http/server/single_write.py"


def sentence(what: str) -> str:
    return f"uvicorn {uvicorn.__version__} changed {what}: adapt {DIRECT} and {SINGLE}"


def test_names_that_the_protocol_uses_are_there() -> None:
    """Else the API starts with uvicorn's protocol, and each redeem request costs more."""
    assert http_protocol.find_missing_names() == [], sentence("these names")
    assert http_protocol.LedgerProtocol is DirectRouteProtocol


def test_every_name_that_is_used_of_the_base_class_is_listed() -> None:
    """A further use would be missed by the check at start."""
    used = set()
    for kind in DirectRouteProtocol.__mro__[: DirectRouteProtocol.__mro__.index(HttpToolsProtocol)]:
        tree = ast.parse(inspect.getsource(kind))
        used |= {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and (_is_self(node.value) or _is_super(node.value))
        }
        used -= set(vars(kind)) - set(dir(HttpToolsProtocol))
    own = {"_route", "_target", "_collected", "whole_writes", "__init__"}

    listed = http_protocol.USED_NAMES[http_protocol.HTTPTOOLS_MODULE, "HttpToolsProtocol"]
    assert used - own == set(listed)


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _is_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


def test_uvicorn_uses_nothing_of_a_cycle_that_an_exchange_lacks() -> None:
    """`DirectExchange` takes the place of its cycle; `body` and `more_body` are those of other requests."""
    tree = ast.parse(inspect.getsource(HttpToolsProtocol))
    read = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "cycle"
        and _is_self(node.value.value)
    }

    assert read == {"disconnected", "keep_alive", "message_event", "response_complete", "body", "more_body"}, sentence(
        "what it uses of a cycle"
    )
    assert read - {"body", "more_body"} <= set(dir(DirectExchange))


def test_status_lines_are_whole_lines() -> None:
    """The direct route writes them."""
    assert httptools_impl.STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n", sentence("STATUS_LINE")


@pytest.mark.parametrize(
    ("owner", "name", "missing"),
    [
        (HttpToolsProtocol, "on_response_complete", "HttpToolsProtocol.on_response_complete"),
        (httptools_impl.RequestResponseCycle, "__init__", "RequestResponseCycle.disconnected"),
        (httptools_impl, "STATUS_LINE", "STATUS_LINE"),
        (httptools_impl, "HttpToolsProtocol", "HttpToolsProtocol"),
    ],
)
def test_protocol_of_uvicorn_is_used_with_a_warning_if_a_name_is_missing(
    owner: object, name: str, missing: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "configure_logs", lambda: None)
    monkeypatch.delattr(owner, name)

    assert http_protocol.choose_protocol() is AutoHTTPProtocol
    (line,) = caplog.records
    assert (line.levelname, line.message) == ("WARNING", "direct route disabled")
    assert f"{http_protocol.HTTPTOOLS_MODULE}.{missing}" in vars(line)["why"]


def test_uvicorn_is_started_with_the_protocol() -> None:
    command = container.COMMANDS["backend"]
    name = command[command.index("--http") + 1]

    assert import_from_string(name) is http_protocol.LedgerProtocol
    assert name in inspect.getsource(ledger.api_program)
