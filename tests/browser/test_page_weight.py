"""How much a browser loads for the heaviest pages: the page, and every file and every proof that follows it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import Page, Request

from api.cli.embedded.bounded_wait import wait_until
from api.web.support.code_page import LINES_PER_PAGE
from api.web.support.history.balance_chart import STEPS_MAX
from projections.transparency_log.checkpoints import derive_signing_key, sign_head
from projections.transparency_log.tile_log import append_new_events
from tests.support.clients.served_app import ServedApp
from tests.support.clients.staff_browser import code_id_of
from tests.support.ledger.code_template import make_template
from tests.support.page_budget import PAGE_BYTES_MAX

LOAD_S = 30
LOADED = "Object.keys(JSON.parse(document.getElementById('proof-data').textContent)).length"

pytestmark = pytest.mark.night(of="browser")

Tab = Callable[..., Page]


@pytest.fixture(scope="module")
def busy_code(served_app: ServedApp) -> str:
    """The id of a code with as many steps as a chart has, a full page of lines, and a signed checkpoint over them."""
    app = served_app.app
    code = app.issue(make_template(max_uses=500, bound=False))
    for number in range(STEPS_MAX // 2):
        app.attempt(served_app.reserve(code, f"person.{number}@example.com"))
    storage = app.services.storage
    with storage.datastore.get_connection() as conn:
        append_new_events(conn)
        sign_head(conn, derive_signing_key(storage.vault.rings["master"]), app.services.now() + timedelta(minutes=1))
    return str(code_id_of(app, code))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_code_page_with_all_that_it_loads_is_small(open_tab: Tab, busy_code: str, language: str) -> None:
    """At most `PAGE_BYTES_MAX` before compression: text, styles, scripts, pictures and the proofs of all lines."""
    open_tab(staff="admin").close()
    page = open_tab(language, staff="admin")
    requests: list[Request] = []

    def note(request: Request) -> None:
        requests.append(request)

    page.on("request", note)
    page.goto(f"/support/codes/{busy_code}")
    assert wait_until(lambda: page.evaluate(LOADED) == LINES_PER_PAGE, LOAD_S)
    responses = [request.response() for request in requests if request.resource_type != "eventsource"]
    weights = {response.url.rpartition("/")[2]: len(response.body()) for response in responses if response}

    loaded = {name.partition("?")[0] for name in weights}
    assert loaded >= {busy_code, "proofs", "proof_check.js", "proof.js", "support.js", "print.css", "guilloche.svg"}
    assert sum(weights.values()) <= PAGE_BYTES_MAX, sorted(weights.items(), key=lambda weight: -weight[1])
