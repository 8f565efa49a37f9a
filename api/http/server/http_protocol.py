"""The HTTP protocol that uvicorn is started with: the ledger's, or uvicorn's own if a version of it differs inside.

The ledger's protocol extends a class of uvicorn that is no public interface. A version without what it uses would break
each request, and uvicorn's own protocol only costs more CPU time.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dis import get_instructions
from importlib import import_module
from types import FunctionType
from typing import Final

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from projections.telemetry.log_setup import configure_logs

log = logging.getLogger(__name__)

HTTPTOOLS_MODULE: Final = "uvicorn.protocols.http.httptools_impl"
USED_NAMES: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    (HTTPTOOLS_MODULE, "STATUS_LINE"): (),
    (HTTPTOOLS_MODULE, "HttpToolsProtocol"): (
        *("connection_made", "on_headers_complete", "on_body", "on_message_complete", "on_response_complete"),
        *("app", "cycle", "expect_100_continue", "flow", "limit_concurrency", "loop", "parser", "root_path"),
        *("scope", "server_state", "transport", "url"),
    ),
    (HTTPTOOLS_MODULE, "RequestResponseCycle"): ("disconnected", "keep_alive", "message_event", "response_complete"),
    ("uvicorn.protocols.http.flow_control", "FlowControl"): ("write_paused",),
    ("uvicorn.server", "ServerState"): ("default_headers",),
}
"""Objects of uvicorn that `single_write` and `direct_route` use, with their methods and attributes."""


def find_missing_names() -> list[str]:
    """Return the names that this version of uvicorn lacks; none for the version that the lock pins."""
    missing = []
    for (module, name), members in USED_NAMES.items():
        try:
            owner = getattr(import_module(module), name)
        except (ImportError, AttributeError):
            missing.append(f"{module}.{name}")
            continue
        missing += [f"{module}.{name}.{member}" for member in _find_missing_members(owner, members)]
    return missing


def choose_protocol() -> type[asyncio.Protocol]:
    """Return the ledger's protocol; if uvicorn differs inside, log a warning and return uvicorn's."""
    if missing := find_missing_names():
        configure_logs()
        why = f"uvicorn {uvicorn.__version__} lacks {', '.join(missing)}: install the version of the lock"
        log.warning("direct route disabled", extra={"why": why})
        return AutoHTTPProtocol
    from api.http.server.direct_route import DirectRouteProtocol  # noqa: PLC0415 - it needs the names that were checked

    return DirectRouteProtocol


def _find_missing_members(owner: object, members: Sequence[str]) -> list[str]:
    """Return the members that are neither members of a class nor attributes that its methods set."""
    missing = [member for member in members if not hasattr(owner, member)]
    for method in vars(owner).values() if missing else ():
        if missing and isinstance(method, FunctionType):
            attributes = {step.argval for step in get_instructions(method) if step.opname == "STORE_ATTR"}
            missing = [member for member in missing if member not in attributes]
    return missing


LedgerProtocol: Final = choose_protocol()
