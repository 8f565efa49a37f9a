"""Uses of API keys: recorded every few minutes behind the answers, and refused from networks that are not allowed."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import cast
from uuid import UUID, uuid4

import pytest

from api.use_cases.administration.create_api_key import ApiKeyRequest, create_api_key, revoke_key, set_key_networks
from api.use_cases.services import Caller
from projections.database.errors import StorageUnavailableError
from projections.repositories.api_keys import ApiKeyRepository, ApiKeyRow
from projections.repositories.audit_reader import AuditReader
from projections.telemetry.metrics import KEYS_REFUSED
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.waiting import wait_for

ALLOWED = "203.0.113.0/24"


class Key:
    """A key, its requests, and its row."""

    def __init__(self, app: AppClient, networks: Sequence[str] = ()) -> None:
        self.app, self.key_id = app, uuid4()
        request = ApiKeyRequest("shop", "viewer", [], None, networks)
        self.secret = create_api_key(app.services.open_audit_log(Caller(actor="operator")), request, self.key_id)

    def ask(self, address: str | None = None, language: str = "en") -> AppResponse:
        if address is not None:
            self.app.client._transport.client = (address, 50_000)  # type: ignore[attr-defined]  # of Starlette's client
        headers = {"authorization": f"Bearer {self.secret}", "accept-language": language}
        return cast("AppResponse", self.app.client.get("/api/v1/session", headers=headers))

    @property
    def row(self) -> ApiKeyRow:
        row = ApiKeyRepository(self.app.services.storage).find(self.key_id)
        assert row is not None
        return row

    def age(self, column: str, by: timedelta) -> None:
        with self.app.services.storage.datastore.get_connection() as conn:
            statement = f"UPDATE api_key_uses SET {column} = {column} - %s WHERE key_id = %s"  # noqa: S608 - two names
            conn.execute(statement.encode(), (by, self.key_id))

    def read_refusals(self) -> list[str]:
        rows = AuditReader(self.app.services.storage).list_page(50)
        return [row.reason or "" for row in rows if row.action == "refused_key" and row.subject_id == self.key_id]


def wait_until(is_so: Callable[[], bool]) -> None:
    wait_for(is_so)


def test_use_is_recorded_with_its_network_and_not_again_within_five_minutes(app: AppClient) -> None:
    key = Key(app)
    assert key.row.used_at is None
    assert key.ask("203.0.113.77").status_code == 200
    wait_until(lambda: key.row.used_at is not None)
    first = key.row
    key.age("used_at", timedelta(minutes=4))
    recent = key.row.used_at
    assert key.ask("198.51.100.1").status_code == 200
    still = key.row
    key.age("used_at", timedelta(minutes=2))
    key.ask("2001:db8:1:2::3")
    wait_until(lambda: key.row.used_from == "2001:db8:1::/48")

    assert (first.used_from, still.used_at, still.used_from) == (ALLOWED, recent, ALLOWED)


def test_database_records_a_use_once_of_two_processes_that_read_the_same_row(app: AppClient) -> None:
    """Whatever each of them read before; a time in the future is a former clock's, and is replaced."""
    keys, key, now = ApiKeyRepository(app.services.storage), Key(app), app.services.now()
    keys.record_use(key.key_id, ALLOWED, now)
    keys.record_use(key.key_id, "198.51.100.0/24", now + timedelta(minutes=4))
    within = key.row
    keys.record_use(key.key_id, "198.51.100.0/24", now - timedelta(minutes=1))

    assert (within.used_at, within.used_from) == (now, ALLOWED)
    assert (key.row.used_at, key.row.used_from) == (now - timedelta(minutes=1), "198.51.100.0/24")


def test_request_writes_nothing_while_the_recorded_use_is_recent(
    app: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even a statement that would write nothing."""
    begun: list[str] = []
    begin = app.services.key_uses.begin

    def count(kind: str, key_id: UUID, write: Callable[[], Awaitable[object]]) -> None:
        begun.append(kind)
        begin(kind, key_id, write)

    monkeypatch.setattr(app.services.key_uses, "begin", count)
    key = Key(app)
    key.ask()
    wait_until(lambda: key.row.used_at is not None)
    for _ in range(3):
        key.ask()

    assert begun == ["use"]


def test_failing_record_changes_no_answer(app: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[UUID] = []

    def fail(_self: ApiKeyRepository, key_id: UUID, _network: str | None, _now: object) -> None:
        calls.append(key_id)
        raise StorageUnavailableError("down")

    key = Key(app)
    with monkeypatch.context() as patched:
        patched.setattr(ApiKeyRepository, "record_use", fail)
        statuses = [key.ask().status_code for _ in range(2)]
        wait_until(lambda: len(calls) == 2)
    assert statuses == [200, 200]
    assert key.row.used_at is None
    key.ask()
    wait_until(lambda: key.row.used_at is not None)


@pytest.mark.parametrize("address", ["203.0.113.9", "::ffff:203.0.113.9"])
def test_key_is_accepted_from_its_networks(app: AppClient, address: str) -> None:
    """An IPv4 address that a dual-stack socket reports is the IPv4 address."""
    assert Key(app, [ALLOWED, "2001:db8::/48"]).ask(address).status_code == 200


def test_key_is_refused_from_elsewhere_with_the_address_and_one_line_an_hour(app: AppClient) -> None:
    key, counted = Key(app, [ALLOWED]), KEYS_REFUSED._value.get()
    english, chinese = key.ask("198.51.100.7"), key.ask(language="zh")
    wait_until(lambda: key.row.refused_at is not None)
    again = key.ask("198.51.100.8")
    lines = key.read_refusals()
    key.age("refused_at", timedelta(minutes=61))
    key.ask("not an address")
    wait_until(lambda: key.row.refused_from is None)

    assert (english.status_code, again.status_code, english.json()["code"]) == (403, 403, "FORBIDDEN")
    assert "IP address 198.51.100.7" in english.json()["detail"]
    assert "198.51.100.7" in chinese.json()["detail"]
    assert "203.0.113" not in english.text + chinese.text
    assert lines == ["network: 198.51.100.0/24"]
    assert key.read_refusals() == ["network: -", "network: 198.51.100.0/24"]
    assert key.row.used_at is None
    assert KEYS_REFUSED._value.get() == counted + 4


def test_change_of_networks_and_revocation_hold_from_the_next_request(app: AppClient) -> None:
    """No process keeps keys in memory."""
    key, audit_log = Key(app), app.services.open_audit_log(Caller(actor="operator"))
    before = key.ask("198.51.100.7").status_code
    assert set_key_networks(audit_log, key.key_id, [ALLOWED], "moved")
    assert not set_key_networks(audit_log, key.key_id, [ALLOWED], "moved")
    restricted = key.ask().status_code
    assert set_key_networks(audit_log, key.key_id, [], "undone")
    unlimited = key.ask().status_code
    revoke_key(audit_log, key.key_id, "leaked")

    rows = [row.reason for row in AuditReader(app.services.storage).list_page(50) if row.action == "changed_key"]
    assert (before, restricted, unlimited, key.ask().status_code) == (200, 403, 200, 401)
    assert rows == [f"undone; networks: {ALLOWED} -> -", f"moved; networks: - -> {ALLOWED}"]
    with pytest.raises(LookupError):
        set_key_networks(audit_log, key.key_id, [ALLOWED], "too late")
