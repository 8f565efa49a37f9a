"""The feed of events: complete and in order from any position, waiting, streaming, and without anything personal."""

import json
import threading
import time
from typing import Any

import jsonschema_rs
from cloudevents.core.formats.json import JSONFormat

from api.schemas.events.event_schemas import event_schemas
from tests.support.clients.app_client import AppClient
from tests.support.clients.staff_browser import code_id_of
from tests.support.ledger.code_template import make_template
from tests.support.waiting import WAIT_S_MAX

FEED = "/api/v1/events"


def follow(shared_app: AppClient, after: int, **query: Any) -> list[dict[str, object]]:
    events: list[dict[str, object]] = []
    for _ in range(200):
        page = shared_app.client.get(FEED, params={"after": after, **query}, headers=shared_app.key("viewer")).json()
        events += page["events"]
        if not page["more"]:
            assert page["newest"] >= page["next"]
            return events
        after = page["next"]
    raise AssertionError("the feed does not end")


def newest(shared_app: AppClient) -> int:
    position: int = shared_app.client.get(f"{FEED}?limit=1", headers=shared_app.key("viewer")).json()["newest"]
    return position


def test_reader_that_goes_on_misses_nothing(shared_app: AppClient) -> None:
    start = newest(shared_app)
    code = shared_app.issue(make_template(max_uses=5, bound=False))
    for nth in range(3):
        shared_app.attempt(shared_app.redeem(code, f"reader{nth}@example.com").json()["reservation_id"])
    shared_app.redeem(shared_app.issue())

    whole, paged = follow(shared_app, start, limit=1000), follow(shared_app, start, limit=2)
    positions = [int(str(event["position"])) for event in whole]

    assert positions == sorted(set(positions))
    assert whole == paged
    assert [event["type"] for event in whole][:4] == ["CodeIssued", "UseReserved", "InviteAttempted", "InviteSent"]
    of_code = follow(shared_app, start, limit=3, code_id=str(code_id_of(shared_app, code)))
    assert of_code == [event for event in whole if event["code_id"] == str(code_id_of(shared_app, code))]
    sent = follow(shared_app, start, limit=1, type=["InviteSent", "CodeIssued"])
    assert sent == [event for event in whole if event["type"] in {"InviteSent", "CodeIssued"}]
    assert follow(shared_app, positions[4], limit=1000) == whole[5:]
    text = json.dumps(whole)
    assert [word for word in ("reader", "example.com", code, "actor_id", "request_id") if word in text] == []


def test_feed_of_cloud_events_has_the_same_events(shared_app: AppClient) -> None:
    """Page by page by a header, each valid by its schema, and the library of the specification reads it."""
    start, headers = newest(shared_app), shared_app.key("viewer")
    for nth in range(2):
        shared_app.redeem(shared_app.issue(), f"cloud{nth}@example.com")
    after, events = start, []
    for _ in range(200):
        query: dict[str, Any] = {"after": after, "limit": 2, "format": "cloudevents"}
        answer = shared_app.client.get(FEED, params=query, headers=headers)
        assert answer.headers["content-type"] == "application/cloudevents-batch+json"
        events += answer.json()
        assert (answer.headers["Ledger-More"] == "true") == (len(answer.json()) == 2)
        if after == (after := int(answer.headers["Ledger-Next-Position"])):
            break

    assert int(answer.headers["Ledger-Newest-Position"]) == after
    plain = follow(shared_app, start)
    assert [event["data"] for event in events] == plain
    assert len(plain) >= 4
    for wrapped in events:
        event = JSONFormat().read(None, json.dumps(wrapped))
        schema = event_schemas()[event.get_type().removeprefix("redemption-ledger.")]
        assert (event.get_dataschema() or "").endswith(f"/api/v1/schemas/{schema['title']}")
        jsonschema_rs.Draft202012Validator(schema).validate(wrapped["data"])
        assert event.get_subject() == f"codes/{wrapped['data']['code_id']}"
    assert [event["id"] for event in events] == [str(event["position"]) for event in plain]
    query = {"after": start, "seconds": 1, "format": "cloudevents"}
    stream = shared_app.client.get(f"{FEED}/stream", params=query, headers=headers).text
    streamed = [json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line.startswith("data: ")]
    assert streamed == events


def test_feed_names_the_campaign_of_its_events(shared_app: AppClient) -> None:
    start, admin = newest(shared_app), shared_app.key("admin")
    campaign = shared_app.client.post("/api/v1/campaigns", json={"name": "A", "max_uses": 2}, headers=admin).json()[
        "id"
    ]
    issued = shared_app.client.post("/api/v1/codes", json={"campaign": campaign}, headers=admin).json()[0]
    reservation = shared_app.redeem(issued["code"]).json()["reservation_id"]

    def show(**query: str) -> list[list[object]]:
        events = follow(shared_app, start, **query)
        return [[event[name] for name in ("type", "campaign_id", "code_id", "reservation_id")] for event in events]

    shown = show()

    assert sorted(shown, key=str) == sorted(
        [
            ["CampaignCreated", campaign, None, None],
            ["CodeIssued", None, issued["id"], None],
            ["UseReserved", None, issued["id"], reservation],
            ["CampaignUseTaken", campaign, issued["id"], reservation],
        ],
        key=str,
    )
    assert show(campaign_id=campaign) == [line for line in shown if line[1]]
    assert show(campaign_id=campaign, code_id=issued["id"]) == [line for line in shown if line[0] == "CampaignUseTaken"]
    assert show(code_id=issued["id"]) == [line for line in shown if not line[1]]
    assert (show(code_id=campaign), show(campaign_id=issued["id"])) == ([], [])


def test_waiting_reader_is_answered_by_the_first_event(shared_app: AppClient) -> None:
    start, headers = newest(shared_app), shared_app.key("viewer")
    timer = threading.Timer(0.3, shared_app.issue)
    began = time.monotonic()
    timer.start()
    page = shared_app.client.get(f"{FEED}?after={start}&wait=20", headers=headers).json()
    passed = time.monotonic() - began
    empty = shared_app.client.get(f"{FEED}?after={page['next']}&wait=1", headers=headers).json()

    assert [event["type"] for event in page["events"]] == ["CodeIssued"]
    assert 0.3 <= passed < 20
    assert (empty["events"], empty["next"]) == ([], page["next"])
    assert shared_app.client.get(f"{FEED}?wait=3600", headers=headers).status_code == 422


def test_stream_goes_on_from_the_last_event_id(shared_app: AppClient, served: str) -> None:
    """What a browser's EventSource sends when it reconnects; ids are positions."""
    import httpx2  # noqa: PLC0415 - only here a response is read while it comes

    start = newest(shared_app)
    code = shared_app.issue()
    shared_app.redeem(code)
    headers = {**shared_app.key("viewer"), "Last-Event-ID": str(start)}
    lines: list[str] = []
    with (
        httpx2.Client(timeout=WAIT_S_MAX) as client,
        client.stream("GET", f"{served}{FEED}/stream", headers=headers) as stream,
    ):
        kind = stream.headers["content-type"]
        for line in stream.iter_lines():
            lines.append(line)
            if line.startswith("data: ") and '"UseReserved"' in line:
                break

    fields = [line for line in lines if line.startswith(("id: ", "event: "))]
    assert kind.startswith("text/event-stream")
    assert [line for line in fields if line.startswith("event")] == ["event: CodeIssued", "event: UseReserved"]
    assert int(fields[0].removeprefix("id: ")) > start
    assert "retry: 2000" in lines


def test_malformed_places_and_types_are_422(shared_app: AppClient) -> None:
    """With the part that is wrong, and what there is."""
    headers = shared_app.key("viewer")
    malformed = ["after=-1", f"after={2**63}", "after=x", "limit=0", "type=Nothing", "code_id=1"]

    answers = [shared_app.client.get(f"{FEED}?{query}", headers=headers) for query in malformed]

    assert {answer.status_code for answer in answers} == {422}
    assert "InviteSent" in answers[4].json()["errors"][0]["what"]
    stream = shared_app.client.get(f"{FEED}/stream", headers={**headers, "Last-Event-ID": "x"})
    assert stream.status_code == 422


def test_reader_ahead_of_the_log_gets_the_newest_position(shared_app: AppClient) -> None:
    """After an older state was restored: `newest` is where the log ends, whatever position was asked for."""
    shared_app.issue()
    ahead = newest(shared_app) + 1000

    page = shared_app.client.get(f"{FEED}?after={ahead}", headers=shared_app.key("viewer")).json()

    assert ([], ahead, newest(shared_app)) == (page["events"], page["next"], page["newest"])
