"""An application on a port of this machine, for browsers and for programs of others."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn

from api.cli.embedded.bounded_wait import wait_until
from api.cli.embedded.tcp_ports import HOST, find_free_port
from api.main import create_app
from api.settings import ApiSettings
from tests.support.passwords import CHEAP
from tests.support.waiting import WAIT_S_MAX


@contextmanager
def serve_site(settings: ApiSettings, name: str | None = None) -> Iterator[str]:
    """Serve a separate application by uvicorn, in a thread; give its URL.

    A process of its own would import for a second of CPU what this one has. `name`: of this machine, by which it is its
    public URL, as passkeys need.
    """
    port = find_free_port()
    if name is not None:
        settings = settings.model_copy(update={"public_url": f"http://{name}:{port}"})
    options = uvicorn.Config(
        create_app(settings), host=HOST, port=port, log_config=None, log_level=logging.ERROR, access_log=False
    )
    server = uvicorn.Server(options)
    thread = threading.Thread(target=server.run, name=f"site-{port}", daemon=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.web.staff_auth.context.password_hasher", lambda: CHEAP)
        thread.start()
        try:
            assert wait_until(lambda: server.started or not thread.is_alive(), WAIT_S_MAX)
            assert server.started
            yield f"http://{name or HOST}:{port}"
        finally:
            server.should_exit = server.force_exit = True
            thread.join(WAIT_S_MAX)
