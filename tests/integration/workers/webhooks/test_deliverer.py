"""Webhooks: each subscribed event is delivered at least once, without details, and no slow endpoint delays others."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

import jsonschema_rs
import orjson
import pytest
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks import Webhook

from api.schemas.events.cloud_event import describe_message_envelope
from api.schemas.events.event_schemas import message_schemas
from domain.values.limits.thresholds import parse_thresholds
from projections.repositories import webhook_deliveries
from projections.work_queue.retention import prune
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.webhook_bench import WebhookBench, at_once, ids, types
from tests.support.servers.webhook_receiver import ScriptedReply, WebhookReceiver
from tests.support.waiting import wait_for
from workers.webhooks.deliverer import ENDPOINTS_AT_ONCE


@pytest.fixture
def hooks(bench: LedgerBench) -> WebhookBench:
    return WebhookBench(bench)


@pytest.fixture
def server() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiver:
        yield receiver


def test_events_are_delivered_in_order_thinly_and_signed(hooks: WebhookBench, server: WebhookReceiver) -> None:
    """Ids and times alone; the standard's own package verifies them; what was before the endpoint is not told."""
    hooks.sent()
    endpoint_id = hooks.endpoint(server)
    (reservation_id,) = hooks.sent()
    hooks.deliver()

    assert types(server) == ["CodeIssued", "UseReserved", "InviteAttempted", "InviteSent"]
    messages = [Webhook(hooks.secrets[endpoint_id]).verify(one.body, one.headers) for one in server.received]
    last = messages[-1]
    ((code_id, position, version),) = hooks.bench.rows(
        "SELECT originator_id, notification_id, originator_version FROM ledger_events ORDER BY 2 DESC LIMIT 1"
    )
    expected_data = {
        "code_id": str(code_id),
        "position": position,
        "version": version,
        "reservation_id": str(reservation_id),
    }
    assert last["data"] == expected_data
    assert set(last) == {"type", "timestamp", "data"}
    assert len(set(ids(server))) == 4
    assert hooks.find(endpoint_id).behind == hooks.find(endpoint_id).pending == 0


def test_endpoint_gets_cloud_events_that_are_signed(hooks: WebhookBench, server: WebhookReceiver) -> None:
    """The library of the specification reads them; `data` is the usual message, which their schema describes."""
    endpoint_id = hooks.endpoint(server, "CodeIssued", "CampaignCreated", message_format="cloudevents")
    campaign = hooks.bench.create_campaign(max_uses=2)
    hooks.bench.issue()
    ((code_id,),) = hooks.bench.rows(
        "SELECT originator_id FROM ledger_events WHERE split_part(topic, ':', 1) = 'CodeIssued'"
    )
    server.then(ScriptedReply(500))
    hooks.deliver()
    hooks.ahead += timedelta(minutes=1)
    hooks.deliver()

    failed, *_ = server.received
    bodies = {one.headers["webhook-id"]: one.body for one in server.received}
    repeats = [one for one in server.received if one.headers["webhook-id"] == failed.headers["webhook-id"]]
    assert [one.body for one in repeats] == [failed.body, failed.body]
    events = {}
    for one in server.received:
        Webhook(hooks.secrets[endpoint_id]).verify(one.body, one.headers)
        assert one.headers["content-type"] == "application/cloudevents+json"
        jsonschema_rs.Draft202012Validator(describe_message_envelope()).validate(orjson.loads(one.body))
        event = JSONFormat().read(None, one.body)
        events[event.get_subject()] = event
    assert len(bodies) == len(events) == 2
    for stream, name in ((f"campaigns/{campaign}", "CampaignCreated"), (f"codes/{code_id}", "CodeIssued")):
        data = cast("dict[str, Any]", events[stream].get_data())
        assert events[stream].get_type() == f"redemption-ledger.{name}"
        assert events[stream].get_dataschema() == f"https://codes.example.com/api/v1/schemas/webhooks/{name}"
        assert events[stream].get_id() == str(data["data"]["position"])
        jsonschema_rs.Draft202012Validator(message_schemas()[name]).validate(data)


def test_messages_about_a_campaign_name_it(hooks: WebhookBench, server: WebhookReceiver) -> None:
    """By campaign_id; one about a use of it names code and reservation too. They are chosen by type like others."""
    endpoint_id = hooks.endpoint(server)
    with WebhookReceiver() as other:
        hooks.endpoint(other, "CampaignUseTaken", "CampaignPaused")
        campaign = hooks.bench.create_campaign(max_uses=2)
        code = hooks.bench.issue(campaign_id=campaign)
        reservation = done(hooks.bench.redeem(code, "li@example.com")).require_reservation()
        hooks.deliver()
        chosen = types(other)

    messages = [Webhook(hooks.secrets[endpoint_id]).verify(one.body, one.headers) for one in server.received]
    data = {message["type"]: message["data"] for message in messages}
    for each in data.values():
        del each["position"]
    use = {"code_id": str(reservation.code_id), "reservation_id": str(reservation.reservation_id)}
    assert data == {
        "CampaignCreated": {"campaign_id": str(campaign), "version": 1},
        "CodeIssued": {"code_id": str(reservation.code_id), "version": 1},
        "UseReserved": {**use, "version": 2},
        "CampaignUseTaken": {**use, "campaign_id": str(campaign), "version": 2},
    }
    assert chosen == ["CampaignUseTaken"]


def test_message_about_a_threshold_names_it_and_the_use_that_crossed_it(
    hooks: WebhookBench, server: WebhookReceiver
) -> None:
    """Of a code and of its campaign; a receiver needs no further request."""
    hooks.endpoint(server, "CodeThresholdReached", "CampaignThresholdReached")
    campaign = hooks.bench.create_campaign(max_uses=4, notify_at=parse_thresholds("3 left"))
    code = hooks.bench.issue(campaign_id=campaign, notify_at=parse_thresholds("100%"))
    reservation = done(hooks.bench.redeem(code, "li@example.com")).require_reservation()
    hooks.deliver()

    data = {message["type"]: message["data"] for message in map(json.loads, (one.body for one in server.received))}
    for each in data.values():
        del each["position"]
    use = {"code_id": str(reservation.code_id), "reservation_id": str(reservation.reservation_id)}
    assert data == {
        "CodeThresholdReached": {**use, "version": 3, "threshold": "100%"},
        "CampaignThresholdReached": {**use, "campaign_id": str(campaign), "version": 3, "threshold": "3 left"},
    }


def test_only_subscribed_events_are_delivered(hooks: WebhookBench, server: WebhookReceiver) -> None:
    """Two endpoints read the log independently; events without subscribers fill no table."""
    with WebhookReceiver() as other:
        hooks.endpoint(server, "InviteSent", "UseRefunded")
        hooks.endpoint(other, "CodeIssued")
        hooks.sent(3)
        hooks.deliver()

        assert types(server) == ["InviteSent"] * 3
        assert types(other) == ["CodeIssued"]
    assert len(hooks.states()) == 4


def test_nothing_personal_is_sent_or_kept(hooks: WebhookBench, server: WebhookReceiver) -> None:
    """Neither address nor code, nor what the other side says."""
    hooks.endpoint(server)
    code = hooks.bench.issue()
    done(hooks.bench.redeem(code, "li.wei@example.com"))
    server.always = ScriptedReply(400, b"li.wei@example.com is unknown")
    hooks.deliver()

    rows = hooks.bench.rows("SELECT to_jsonb(d)::text FROM webhook_deliveries d")
    for text in [str(rows), *(str(one) for one in server.received)]:
        assert "li.wei" not in text
        assert code not in text.replace("-", "")


def test_failed_message_is_retried_unchanged(hooks: WebhookBench, server: WebhookReceiver) -> None:
    """The same id and body, a time and signature of its own, after a while; the next events don't wait for it."""
    endpoint_id = hooks.endpoint(server, "InviteSent")
    server.then(ScriptedReply(422))
    hooks.sent(2)
    hooks.deliver()

    assert hooks.states() == [("pending", 1, "refused"), ("delivered", 1, "taken")]
    hooks.deliver()
    assert len(server.received) == 2
    hooks.ahead += timedelta(seconds=6)
    hooks.deliver()
    first, _, again = server.received
    assert (first.headers["webhook-id"], first.body) == (again.headers["webhook-id"], again.body)
    assert first.headers["webhook-timestamp"] != again.headers["webhook-timestamp"]
    assert hooks.states() == [("delivered", 2, "taken"), ("delivered", 1, "taken")]
    assert hooks.find(endpoint_id).failures == 0


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (ScriptedReply(500), "server_error"),
        (ScriptedReply(429), "throttled"),
        (ScriptedReply(301, headers={"Location": "https://example.com/"}), "redirected"),
        (ScriptedReply(raw=b""), "connection_lost"),
        (ScriptedReply(raw=b"nonsense\r\n\r\n"), "bad_reply"),
    ],
)
def test_only_a_success_is_taken(
    hooks: WebhookBench, server: WebhookReceiver, reply: ScriptedReply, outcome: str
) -> None:
    """Everything else is tried again."""
    hooks.endpoint(server, "InviteSent")
    server.then(reply)
    hooks.sent()
    hooks.deliver()

    assert hooks.states() == [("pending", 1, outcome)]
    assert len(server.received) == 1


def test_endpoint_that_asks_to_wait_receives_its_messages_afterwards(
    hooks: WebhookBench, server: WebhookReceiver
) -> None:
    """Retry-After holds for the endpoint; once it takes a message, what waited is due."""
    endpoint_id = hooks.endpoint(server, "InviteSent")
    server.then(ScriptedReply(503, headers={"Retry-After": "600"}))
    hooks.sent(3)
    hooks.deliver()
    hooks.ahead += timedelta(seconds=590)
    hooks.deliver()

    assert len(server.received) == 1
    assert hooks.find(endpoint_id).resting_until is not None
    hooks.ahead += timedelta(seconds=20)
    hooks.deliver()
    assert hooks.states() == [("delivered", 2, "taken"), ("delivered", 1, "taken"), ("delivered", 1, "taken")]


def test_gone_endpoint_receives_nothing_until_an_admin_enables_it(hooks: WebhookBench, server: WebhookReceiver) -> None:
    """410 disables; the log waits, and nothing is lost."""
    endpoint_id = hooks.endpoint(server, "InviteSent")
    server.then(ScriptedReply(410))
    hooks.sent(2)
    hooks.deliver()
    hooks.sent(1)
    hooks.deliver()

    assert (hooks.find(endpoint_id).state, hooks.find(endpoint_id).reason) == ("disabled", "gone")
    assert len(server.received) == 1
    assert hooks.endpoints.enable(endpoint_id, hooks.now())
    hooks.ahead += timedelta(seconds=10)
    hooks.deliver()
    assert types(server) == ["InviteSent"] * 4
    assert len(set(ids(server))) == 3


def test_three_days_are_enough(hooks: WebhookBench, server: WebhookReceiver) -> None:
    """Then a message has failed permanently, and who took none in all that time is disabled."""
    endpoint_id = hooks.endpoint(server, "InviteSent")
    server.always = ScriptedReply(500)
    hooks.sent()
    begun = hooks.now()
    while hooks.find(endpoint_id).state == "enabled":
        hooks.deliver()
        hooks.ahead += timedelta(hours=1)

    assert timedelta(days=3) <= hooks.now() - begun <= timedelta(days=3, hours=3)
    assert hooks.find(endpoint_id).reason == "failing"
    ((state, attempts, outcome),) = hooks.states()
    assert (state, outcome) == ("failed", "server_error")
    assert 8 <= attempts <= 18
    server.always = ScriptedReply(204)
    hooks.endpoints.enable(endpoint_id, hooks.now())
    assert hooks.deliveries.redeliver_failed(endpoint_id, begun, hooks.now()) == 1
    hooks.deliver()
    assert hooks.states() == [("delivered", 1, "taken")]


def test_dead_endpoint_fills_no_table(hooks: WebhookBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a bound the log itself waits; when the endpoint is back, it receives all of it."""
    monkeypatch.setattr(webhook_deliveries, "PENDING_MAX", 5)
    with WebhookReceiver() as gone:
        endpoint_id = hooks.endpoint(gone)
    hooks.sent(6)
    hooks.deliver()

    endpoint = hooks.find(endpoint_id)
    assert (endpoint.pending, endpoint.behind) == (5, 14)
    with WebhookReceiver() as back:
        hooks.endpoints.update(endpoint_id, hooks.now(), url=back.url)
        hooks.ahead += timedelta(minutes=10)
        hooks.deliver()
        assert len(set(ids(back))) == 19
    assert hooks.find(endpoint_id).behind == 0


def test_process_that_dies_after_sending_sends_again_with_the_same_id(
    hooks: WebhookBench, server: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least once: the other side tells the repeat by the id."""
    hooks.endpoint(server, "InviteSent")
    hooks.sent()
    dying = hooks.deliverer()

    def die(*_: Any) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dying.deliveries, "save_results", die)
        patch.setattr(dying.deliveries, "release", die)
        with pytest.raises(KeyboardInterrupt):
            hooks.deliver(dying)
    hooks.deliver()
    assert len(server.received) == 1
    hooks.ahead += timedelta(seconds=130)
    hooks.deliver()
    assert len(server.received) == 2
    assert len(set(ids(server))) == 1
    assert hooks.states() == [("delivered", 1, "taken")]


def test_several_processes_send_each_message_once(hooks: WebhookBench, server: WebhookReceiver) -> None:
    """Each endpoint is one process's at a time."""
    for _ in range(3):
        hooks.endpoint(server, "InviteSent", concurrency=4)
    hooks.sent(10)
    at_once(*[hooks.deliver] * 4)

    assert len(server.received) == 30
    assert len(set(ids(server))) == 30


def test_stalled_endpoint_delays_no_other_endpoint(hooks: WebhookBench, server: WebhookReceiver) -> None:
    """Waking waits for nothing; other endpoints receive events in the meantime, and one message is in flight."""
    with WebhookReceiver() as silent:
        silent.always = ScriptedReply(first=silent.hang)
        for _ in range(ENDPOINTS_AT_ONCE - 2):
            hooks.endpoint(silent, "InviteSent")
        hooks.endpoint(server, "InviteSent")
        hooks.sent(4)
        deliverer = hooks.deliverer()
        assert deliverer.wake() == ENDPOINTS_AT_ONCE - 1
        assert deliverer.wake() == 0
        wait_for(lambda: len(server.received) >= 4)
        assert types(server) == ["InviteSent"] * 4
        done(hooks.bench.redeem(hooks.bench.issue(), "wang@example.com"))
        assert len(silent.received) <= ENDPOINTS_AT_ONCE - 2
        silent.let_go()
        deliverer.close()


def test_change_by_an_admin_takes_effect_immediately(hooks: WebhookBench, server: WebhookReceiver) -> None:
    """Who is at work on it stops: its tries are kept, its view of the endpoint is not."""
    endpoint_id = hooks.endpoint(server, "InviteSent")
    hooks.sent(3)
    server.then(ScriptedReply(204, first=lambda: hooks.endpoints.disable(endpoint_id, "by_staff", hooks.now())))
    hooks.deliver()

    first, *others = hooks.states()
    assert (first, len(server.received)) == (("delivered", 1, "taken"), 1)
    assert others == [("pending", 0, None)] * len(others), "those that were read of the log by then"
    assert hooks.find(endpoint_id).state == "disabled"


def test_old_messages_go_and_removed_endpoints_with_theirs(hooks: WebhookBench, server: WebhookReceiver) -> None:
    """Taken ones after a week; of a removed endpoint everything, its secrets too."""
    kept_endpoint_id, removed = hooks.endpoint(server, "InviteSent"), hooks.endpoint(server, "InviteSent")
    hooks.sent(2)
    hooks.deliver()
    storage, texts = hooks.bench.storage, "SELECT count(*) FROM private_texts"
    assert prune(storage, hooks.now() + timedelta(days=6), 90)["webhook_delivery"] == 0
    hooks.endpoints.delete(removed, hooks.now())
    before = hooks.bench.rows(texts)[0][0]
    pruned = prune(storage, hooks.now() + timedelta(seconds=1), 90)

    assert (pruned["webhook_delivery"], pruned["webhook_secret"]) == (2, 1)
    assert hooks.bench.rows(texts)[0][0] == before - 1
    assert hooks.bench.rows("SELECT endpoint_id FROM webhook_endpoints") == [(kept_endpoint_id,)]
    assert prune(storage, hooks.now() + timedelta(days=8), 90)["webhook_delivery"] == 2


def test_event_of_a_later_version_is_delivered_too(hooks: WebhookBench, server: WebhookReceiver) -> None:
    """A rollback must not stop the messages: the content of an event's message is the same in every version."""
    hooks.endpoint(server)
    with hooks.bench.storage.datastore.get_connection() as conn:
        conn.execute(
            "INSERT INTO ledger_events (originator_id, originator_version, topic, state) VALUES (%s, 1, %s, %s)",
            (uuid4(), "SomethingNew:7", b'{"at":"2026-11-24T12:00:00Z","what":[1]}'),
        )
    hooks.deliver()

    assert types(server) == ["SomethingNew"]
