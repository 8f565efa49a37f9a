"""What a run left behind, as the public API, the feed and the mail server tell it. It never asks the database."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from tests.faults.chaos.load import RedeemLoad
from tests.faults.chaos.observations import (
    BalanceFacts,
    LogFact,
    Observations,
    ReservationFacts,
    gathered_mails,
)
from tests.faults.rigs.http_client import send
from tests.support.servers.mail_server import MailServer

PAGE: Final = 200
FEED_PAGE: Final = 1_000
SETTLED: Final = {"sent", "refunded"}
ASK_S_MAX: Final = 15.0


class FeedEntry(NamedTuple):
    """What makes an event the same event wherever it is read."""

    position: int
    code_id: str
    version: int
    kind: str


class ApiReader:
    def __init__(self, base: str, key: str) -> None:
        self._base, self._headers = base, {"Authorization": f"Bearer {key}"}

    def call(self, method: str, path: str, body: object = None, s_max: float = ASK_S_MAX) -> tuple[int, Any]:
        """One request; status 0 if no answer came."""
        status, answer, _ = send(self._base, method, path, body, self._headers, s_max)
        return (0, {}) if isinstance(answer, str) else (status, answer)

    def get(self, path: str) -> dict[str, Any]:
        status, answer = self.call("GET", path)
        assert status == 200, f"{path}: {status} {answer}"
        return dict(answer)

    def issue(self, max_uses: int | None) -> tuple[str, str]:
        """Issue a code that is not bound to a recipient; return its text and id."""
        status, issued = self.call("POST", "/api/v1/codes", {"max_uses": max_uses, "open": True})
        assert status == 201, issued
        return str(issued[0]["code"]), str(issued[0]["id"])

    def feed(self, after: int = 0) -> Iterator[dict[str, Any]]:
        while True:
            page = self.get(f"/api/v1/events?after={after}&limit={FEED_PAGE}")
            yield from page["events"]
            after = page["next"]
            if not page["more"]:
                return

    def list_all(self, path: str, name: str) -> Iterator[dict[str, Any]]:
        cursor = ""
        while True:
            page = self.get(f"{path}?limit={PAGE}{cursor}")
            yield from page[name]
            if page["next"] is None:
                return
            cursor = f"&cursor={quote(page['next'])}"

    def is_answering(self) -> bool:
        return self.call("GET", "/api/v1/reservations?limit=1")[0] == 200

    def is_settled(self) -> bool:
        """Return whether every reservation is settled or has an open case; False too without an answer."""
        with suppress(AssertionError):
            return all(row.status != "live" or row.has_case for row in self.reservations())
        return False

    def reservations(self) -> list[ReservationFacts]:
        with_case = {str(case["reservation_id"]) for case in self.list_all("/api/v1/cases", "cases")}
        return [
            ReservationFacts(
                str(row["reservation_id"]),
                str(row["code_id"]),
                row["state"] if row["state"] in SETTLED else "live",
                has_case=str(row["reservation_id"]) in with_case,
            )
            for row in self.list_all("/api/v1/reservations", "reservations")
        ]


def entry_of(event: dict[str, Any]) -> FeedEntry:
    return FeedEntry(event["position"], event["code_id"], event["version"], event["type"])


def fact_of(event: dict[str, Any]) -> LogFact:
    data = {**event["data"], "actor": event["actor"], "reservation_id": event["reservation_id"] or ""}
    return LogFact(event["code_id"], event["version"], event["type"], data)


def observe_by_api(
    reader: ApiReader, code_ids: Sequence[str], loads: Sequence[RedeemLoad], mail: MailServer
) -> tuple[Observations, list[FeedEntry]]:
    """Return everything that the checker needs, and the whole feed, once the run has come to rest."""
    events = list(reader.feed())
    codes = [reader.get(f"/api/v1/codes/{code_id}") for code_id in code_ids]
    acks = [ack for load in loads for ack in load.acks]
    states = {}
    for reservation_id in sorted({ack.reservation_id for ack in acks}):
        status, answer = reader.call("GET", f"/api/v1/public/redemptions/{reservation_id}")
        states[reservation_id] = str(answer.get("state", "")) if status == 200 else ""
    seen = Observations(
        acks=acks,
        states=states,
        facts=[fact_of(event) for event in events],
        rows=reader.reservations(),
        balances=[
            BalanceFacts(str(code["id"]), code["max_uses"], code["used_count"], code["reserved"]) for code in codes
        ],
        message_ids=gathered_mails(mail),
        defects=[defect for load in loads for defect in load.defects],
    )
    return seen, [entry_of(event) for event in events]
