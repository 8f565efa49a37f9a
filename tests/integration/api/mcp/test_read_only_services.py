"""Whatever a tool does, PostgreSQL refuses what would change a row."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from fastapi import APIRouter

from api.http.blocking_route import BlockingRoute
from api.http.dependencies import MayReadCodes, TheServices
from api.http.offered_reads import offer_as_tool
from api.mcp import own_reads
from api.settings import ApiSettings
from api.use_cases.services import Caller
from domain.commands.code.pause import PauseCode
from projections.database.errors import NewerSchemaError, StorageUnavailableError
from projections.read_models import history_blocks
from projections.storage.bootstrap import LedgerStore
from tests.support.clients.app_client import AppClient
from tests.support.clients.assistant import ask, over_http
from tests.support.clients.in_process_app import started

planted = APIRouter(route_class=BlockingRoute)


@planted.get("/write-row", summary="Write a row")
@offer_as_tool()
def write_row(code_id: UUID, services: TheServices, _: MayReadCodes) -> None:
    with services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE code_balances SET used = 1 WHERE code_id = %s", (code_id,))


@planted.get("/write-event", summary="Write an event")
@offer_as_tool()
def write_event(code_id: UUID, services: TheServices, caller: MayReadCodes) -> None:
    services.execute(PauseCode(context=services.context(caller), code_id=code_id, note=None))


@planted.get("/write-in-group", summary="Write an event with others")
@offer_as_tool()
async def write_in_group(code_id: UUID, services: TheServices, caller: MayReadCodes) -> None:
    await services.execute_in_group(PauseCode(context=services.context(caller), code_id=code_id, note=None))


@planted.get("/write-line", summary="Write a line of the audit log")
@offer_as_tool()
def write_line(code_id: UUID, services: TheServices, caller: MayReadCodes) -> None:
    services.open_audit_log(caller).record("revealed_link", code_id, "no reason")


@planted.get("/preview", summary="Preview a command")
@offer_as_tool()
def preview(code_id: UUID, services: TheServices, caller: MayReadCodes) -> str:
    command = PauseCode(context=services.context(caller), code_id=code_id, note=None)
    return type(services.storage.ledger.preview(command).result).__name__


@pytest.fixture
def planted_app(settings: ApiSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppClient]:
    monkeypatch.setattr(own_reads.router, "routes", [*own_reads.router.routes, *planted.routes])
    with started(settings) as app:
        yield app


def read_state(app: AppClient, code_id: UUID) -> tuple[object, ...]:
    """What the tools would change."""
    with app.services.storage.datastore.get_connection() as conn:
        used = conn.execute("SELECT used FROM code_balances WHERE code_id = %s", (code_id,)).fetchone()
        lines = conn.execute("SELECT count(*) AS n FROM audit WHERE act = 'revealed_link'").fetchone()
    assert used is not None
    assert lines is not None
    return used["used"], lines["n"], app.count("ledger_events")


@pytest.mark.parametrize("name", ["write_row", "write_event", "write_in_group", "write_line"])
def test_tool_that_writes_changes_nothing(planted_app: AppClient, name: str) -> None:
    code_id = planted_app.services.reader.find_code(planted_app.issue())
    assert code_id is not None
    before = read_state(planted_app, code_id)

    answer = ask(over_http(planted_app, planted_app.key("admin")), name, code_id=str(code_id))

    assert answer.is_error
    assert read_state(planted_app, code_id) == before


def test_refused_command_has_the_error_of_postgresql(settings: ApiSettings, own_app: AppClient) -> None:
    code_id = own_app.services.reader.find_code(own_app.issue())
    assert code_id is not None
    command = PauseCode(context=own_app.services.context(Caller("operator")), code_id=code_id, note=None)

    with (
        LedgerStore.open(settings, reads_only=True) as storage,
        pytest.raises(StorageUnavailableError, match="read-only"),
    ):
        storage.ledger.execute_one(command)


def test_tool_may_preview_a_command(planted_app: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the time of the database is to be read again, which is a query before those of the preview."""
    code_id = planted_app.services.reader.find_code(planted_app.issue())
    connect = over_http(planted_app, planted_app.key("admin"))

    fresh = ask(connect, "preview", code_id=str(code_id))
    monkeypatch.setattr("projections.database.clock.CLOCK_REFRESH_S", -1.0)
    stale = ask(connect, "preview", code_id=str(code_id))

    for answer in (fresh, stale):
        assert answer.structured_content["answer"] == {"untrusted_text": "CommandResult"}


def test_tools_answer_an_old_process_while_the_ledger_is_upgraded(
    app: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its schema was checked when it started, and is not the newest one any more."""

    def refuse(*_: object) -> None:
        raise NewerSchemaError("a newer version migrated")

    monkeypatch.setattr("projections.storage.bootstrap.check_schema_on", refuse)

    answer = ask(over_http(app, app.key("admin")), "codes_list_codes")

    assert not answer.is_error


def test_redeems_go_on_while_a_tool_is_refused(planted_app: AppClient) -> None:
    """Its connections are not those of redeem requests, which write as before."""
    code = planted_app.issue()
    code_id = planted_app.services.reader.find_code(code)
    connect = over_http(planted_app, planted_app.key("admin"))

    refused = ask(connect, "write_row", code_id=str(code_id))
    redeemed = planted_app.redeem(code)

    assert (refused.is_error, redeemed.status_code) == (True, 202)
    assert not ask(connect, "codes_one_code", code_id=str(code_id)).is_error


def test_tools_that_read_a_history_store_nothing_for_later(
    app: AppClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Routes do, so that other processes read it faster."""
    monkeypatch.setattr(history_blocks, "EVENTS_PER_BLOCK", 1)
    code = app.issue()
    app.redeem(code)
    arguments = {"code_id": str(app.services.reader.find_code(code)), "email": "li.wei@example.com"}
    headers = app.key("admin")

    assert not ask(over_http(app, headers), "codes_what_if", **arguments).is_error
    of_tool = app.count("history_blocks")
    query = f"email={arguments['email']}"
    app.client.get(f"/api/v1/codes/{arguments['code_id']}/what-if?{query}", headers=headers)

    assert "storing blocks" not in caplog.text
    assert (of_tool, app.count("history_blocks") > 0) == (0, True)
