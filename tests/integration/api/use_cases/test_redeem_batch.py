"""A batch of redeem requests: the outcome and the events of its items sent one by one, whatever is in it."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple, cast
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from api.rate_limits.guard import Guard
from api.use_cases import redeem_batch
from api.use_cases.redeem import redeem
from api.use_cases.redeem_batch import BatchItem
from api.use_cases.services import Caller
from projections.config.settings import Rates
from projections.storage import group_commit
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.asgi_requests import inside
from tests.support.ledger.code_template import make_template
from tests.support.waiting import run_ready_tasks

RATES: Final = Rates(per_recipient=3, again=1, per_address=1)
"""Low limits, so that small batches reach them."""
CODES: Final = ("single", "few", "many", "paused", "revoked", "legacy", "unknown", "guess", "malformed")
PEOPLE: Final = ("li", "wang", "zhao", "chen", "no address")
OWN_FIELDS: Final = frozenset({"request_id", "actor_id"})
"""Fields of events that differ between two requests with two keys; timestamps do too."""


class Entry(NamedTuple):
    """One item: names of a code, a person and a key, and whether it names a reservation in `again`."""

    code: str
    person: str = "li"
    key: str | None = None
    again: str | None = None


ENTRIES: Final = st.builds(
    Entry,
    code=st.sampled_from(CODES),
    person=st.sampled_from(PEOPLE),
    key=st.sampled_from([None, None, "k1", "k2"]),
    again=st.sampled_from([None, None, "sent", "unknown"]),
)


class Side:
    """Codes, people, an API key and rate limits of one of the two ways to send the same items."""

    def __init__(self, app: AppClient) -> None:
        self.app, self.name = app, uuid4().hex
        self.headers = {**app.key("admin"), "accept-language": "en"}
        self.guard = Guard(app.services.storage.vault.digest_client, lambda: 1000.0, RATES)
        self.codes = {
            "single": app.issue(make_template(max_uses=1)),
            "few": app.issue(make_template(max_uses=3, bound=False)),
            "many": app.issue(make_template(max_uses=None, bound=False)),
            "paused": app.issue(make_template(max_uses=5, bound=False)),
            "revoked": app.issue(make_template(max_uses=5, bound=False)),
            "legacy": f"OLD{self.name[:12]}",
            "unknown": "0000-0000-0000-0000-0000",
            "guess": "GUESS1",
            "malformed": "\u0001",
        }
        lines = f"code,max_uses,open\n{self.codes['legacy']},unlimited,yes\n"
        self._post("/api/v1/codes/import", content=lines, headers={**self.headers, "content-type": "text/csv"})
        self.sent = self._redeem_and_send("many", "li")
        for action in ("pause", "revoke"):
            self._post(f"/api/v1/codes/{self.id_of(f'{action}d')}/{action}", headers=self.headers)

    def send_batch(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        items = [self._request_body(entry) for entry in entries]
        with self._own_limits():
            response = self._post("/api/v1/redemptions/batch", json={"items": items}, headers=self.headers)
        body = response.json()
        results = [cast("dict[str, Any]", result) for result in body["results"]]
        statuses = [result["status"] for result in results]
        counts = [statuses.count(202), statuses.count(200), len([one for one in statuses if one not in {200, 202}])]
        assert [body["accepted"], body["known"], body["refused"]] == counts
        return self._named(results)

    def send_singly(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """Send each item as a request of its own; what a batch would say of each."""
        results = []
        for request_body in map(self._request_body, entries):
            key = request_body.pop("key", None)
            headers = self.headers if key is None else {**self.headers, "idempotency-key": str(key)}
            with self._own_limits():
                response = self._post("/api/v1/redemptions", json=request_body, headers=headers, expect_success=False)
            body = response.json()
            result_names = (
                ("detail", "code")
                if response.status_code > 202
                else (
                    "reservation_id",
                    "state",
                    "detail_code",
                    "correction_token",
                )
            )
            result = {"status": response.status_code, **{name: body[name] for name in result_names if body.get(name)}}
            if "retry-after" in response.headers:
                result["retry_after_s"] = int(response.headers["retry-after"])
            results.append(result)
        return self._named(results)

    def events(self) -> dict[str, list[dict[str, Any]]]:
        names: dict[str, str] = {}
        return {
            name: [
                {
                    "type": type(entry.event).__name__,
                    "version": entry.version,
                    "reserved": entry.state.reserved,
                    **{
                        field: names.setdefault(str(value), f"id{len(names)}") if isinstance(value, UUID) else value
                        for field, value in asdict(cast("Any", entry.event)).items()
                        if field not in OWN_FIELDS and not isinstance(value, datetime)
                    },
                }
                for entry in self.app.services.reader.read_history(self.id_of(name))
            ]
            for name in ("single", "few", "many", "paused", "revoked", "legacy")
        }

    def id_of(self, name: str) -> UUID:
        code_id = self.app.services.reader.find_code(self.codes[name])
        assert code_id is not None
        return code_id

    def _request_body(self, entry: Entry) -> dict[str, object]:
        email = f"{entry.person}-{self.name}@example.com" if " " not in entry.person else entry.person
        again = {None: None, "sent": self.sent, "unknown": "00000000-0000-4000-8000-000000000000"}[entry.again]
        optional = {"key": entry.key, "again": again}
        return {
            "email": email,
            "code": self.codes[entry.code],
            **{name: value for name, value in optional.items() if value is not None},
        }

    def _redeem_and_send(self, code: str, person: str) -> str:
        reservation_id = str(self.send_first(Entry(code, person)))
        self.app.attempt(reservation_id)
        return reservation_id

    def send_first(self, entry: Entry) -> str:
        body = {"email": f"{entry.person}-{self.name}@example.com", "code": self.codes[entry.code]}
        response = self._post("/api/v1/redemptions", json=body, headers=self.headers)
        return str(response.json()["reservation_id"])

    def _post(self, path: str, *, expect_success: bool = True, **more: Any) -> AppResponse:
        response = cast("AppResponse", self.app.client.post(path, **more))
        assert not expect_success or response.status_code < 300, response.text
        return response

    @contextmanager
    def _own_limits(self) -> Iterator[None]:
        state = self.app.client.app.state  # type: ignore[attr-defined]  # the client knows it as any ASGI app
        state.services = replace(self.app.services, guard=self.guard)
        try:
            yield
        finally:
            state.services = self.app.services

    def _named(self, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Results without what differs between two sides: ids by name, tokens as such, waits in minutes."""
        names: dict[object, str] = {}
        for result in results:
            if "reservation_id" in result:
                result["reservation_id"] = names.setdefault(result["reservation_id"], f"id{len(names)}")
            if "correction_token" in result:
                result["correction_token"] = "given"
            if result.get("code") == "CODE_HELD":
                result["retry_after_s"] = round(result["retry_after_s"] / 60)
                result["detail"] = re.sub(r"\d+", "N", result["detail"])
        return results


def check_same(app: AppClient, entries: Sequence[Entry]) -> Mapping[str, Any]:
    batch, single = Side(app), Side(app)

    first = batch.send_batch(entries)
    assert first == single.send_singly(entries)
    assert batch.events() == single.events()

    assert batch.send_batch(entries) == single.send_singly(entries)
    assert batch.events() == single.events()
    return {"first": first, "batch": batch}


def set_chunk_size(patch: pytest.MonkeyPatch, size: int) -> None:
    patch.setattr(group_commit, "CHUNK_MAX", size)
    patch.setattr(group_commit, "CHUNK_ALONE_MAX", size)


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(entries=st.lists(ENTRIES, min_size=1, max_size=12), chunk=st.sampled_from([1, 2, 5, 128]))
@example(entries=[Entry("paused", "li")] * 4 + [Entry("many", "wang"), Entry("few", "li")], chunk=128)
@example(entries=[Entry("guess", person) for person in PEOPLE[:4] * 4] + [Entry("legacy")], chunk=128)
@example(entries=[Entry("many", "li", again="sent")] * 3 + [Entry("single", "wang"), Entry("single")], chunk=128)
def test_batch_has_the_outcome_and_the_events_of_its_items_one_by_one(
    shared_app: AppClient, entries: list[Entry], chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        set_chunk_size(patch, chunk)
        check_same(shared_app, entries)


def test_refused_item_leaves_its_recipients_limit_to_the_next_one(shared_app: AppClient) -> None:
    """Three refusals of one recipient take no unit, so three invitations follow, and the fourth is limited."""
    refused = [Entry("paused"), Entry("revoked"), Entry("unknown")]
    accepted = [Entry("single"), Entry("few"), Entry("legacy")]

    results = check_same(shared_app, [*refused, *accepted, Entry("many", again="sent")])["first"]

    assert [result["status"] for result in results] == [400, 400, 400, 202, 202, 202, 429]


def test_guesses_of_a_batch_are_limited_as_single_ones(shared_app: AppClient) -> None:
    """After five short codes that do not exist, even a legacy code that exists is not looked up."""
    results = check_same(shared_app, [Entry("guess", f"p{number}") for number in range(12)] + [Entry("legacy")])[
        "first"
    ]

    assert [result["status"] for result in results] == [400] * 5 + [429] * 8


def test_legacy_codes_that_exist_share_transactions(shared_app: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of one legacy code is not taken for concurrent guesses: it needs one transaction for each chunk."""
    size = group_commit.CHUNK_MAX
    set_chunk_size(monkeypatch, size)
    side, sizes = Side(shared_app), list[int]()
    run_chunk = shared_app.services.commit.run_chunk

    async def record_size(commands: Sequence[Any]) -> Any:  # noqa: ANN401 - as the original
        sizes.append(len(commands))
        return await run_chunk(commands)

    monkeypatch.setattr(shared_app.services.commit, "run_chunk", record_size)
    results = side.send_batch([Entry("legacy", f"p{number}") for number in range(2 * size + 1)])

    assert {result["status"] for result in results} == {202}
    assert sizes == [size, size, 1]


def test_single_redeem_does_not_wait_for_a_batch(shared_app: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shares the transaction of the chunk that waits when it arrives; the other chunks follow."""
    set_chunk_size(monkeypatch, 10)
    services, order = shared_app.services, list[str]()
    code = shared_app.issue(make_template(max_uses=None, bound=False))
    items = [BatchItem(f"p{number}@example.com", code) for number in range(100)]

    async def send_batch() -> None:
        await redeem_batch.redeem_batch(services, Caller(actor="key"), items, language="en")
        order.append("batch")

    async def send_single() -> None:
        await redeem(services, Caller(actor="key"), "single@example.com", code, language="en")
        order.append("single")

    async def send_both() -> None:
        batch = asyncio.create_task(send_batch())
        for _ in range(5):  # until its first chunk is in the queue
            await run_ready_tasks()
        await send_single()
        await batch

    inside(shared_app, send_both)

    assert order == ["single", "batch"]
