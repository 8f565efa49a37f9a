"""The tools over stdin and stdout, for a client on the machine of the ledger: the API without its port."""

import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import Any

from fastapi import FastAPI

from api.auth.scopes import SCOPES
from api.http.dependencies import Identity, identify_key
from api.use_cases.services import Caller, Services


def serve(app: FastAPI, secret: str | None, new_caller: Callable[[], Caller]) -> None:
    """Serve one client until it closes stdin.

    Args:
        app: The API, which is started.
        secret: The API key of the client; None for the operator, who has every tool.
        new_caller: Returns the operator as caller of a new request.

    Raises:
        ApplicationError: UNAUTHORIZED; FORBIDDEN, the key is bound to networks.
        StorageUnavailableError, SchemaMismatchError, WrongKeysError: As `LedgerStore.open`.
    """
    asyncio.run(_serve(app, secret, new_caller))


async def _serve(app: FastAPI, secret: str | None, new_caller: Callable[[], Caller]) -> None:
    async with app.router.lifespan_context(app):
        services: Services = app.state.services

        async def identify() -> Identity:
            caller = new_caller()
            if secret is None:
                return Identity(caller=caller, scopes=frozenset(SCOPES), role="admin")
            return await identify_key(services, secret, caller.request_id, None)

        await identify()
        protocol: Any = import_module("api.mcp.mcp_protocol")
        language = services.settings.default_language
        server = protocol.build_server(await app.state.questions(), identify, language, app.version)
        await protocol.serve_stdio(server)
