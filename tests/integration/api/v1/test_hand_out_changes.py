"""The rate and the texts of a hand-out are changed by API: what is named, unless it was changed in the meantime."""

from typing import Any
from uuid import uuid4

import pytest
from httpx2 import Response

from tests.integration.api.v1.test_hand_outs import PATH, create, create_campaign
from tests.support.clients.app_client import AppClient

TEXTS = {"en": {"subject": "For you", "text": "Dear {name}"}, "zh": {"subject": "给您", "text": "您好"}}


def change(app: AppClient, hand_out: dict[str, Any], body: dict[str, Any], **headers: str) -> Response:
    sent = {**app.key("admin"), **headers}
    return app.client.patch(f"{PATH}/{hand_out['id']}", json=body, headers=sent)


def preview(app: AppClient, hand_out: dict[str, Any], language: str) -> str:
    response = app.client.get(
        f"{PATH}/{hand_out['id']}/preview", params={"language": language}, headers=app.key("admin")
    )
    return str(response.json()["subject"])


def list_events(app: AppClient, hand_out: dict[str, Any]) -> list[dict[str, Any]]:
    response = app.client.get(
        f"/api/v1/campaigns/{hand_out['campaign']}/history", headers={**app.key("admin"), "accept-language": "en"}
    )
    events: list[dict[str, Any]] = response.json()["events"]
    return events


def test_change_keeps_fields_that_are_left_out(app: AppClient) -> None:
    """Rate and each subject and text alone; null is the rate without a bound, and the text of the ledger."""
    hand_out = create(app, per_minute=600, texts=TEXTS)
    bodies: list[dict[str, Any]] = [
        {"texts": {"en": {"subject": "Now"}}},
        {"per_minute": 60},
        {"texts": {"zh": None}},
        {"per_minute": None, "texts": {"en": {"text": None}}},
        {},
        {"texts": None},
    ]
    seen = [change(app, hand_out, body).json() for body in bodies]
    shown = app.client.get(f"{PATH}/{hand_out['id']}", headers=app.key("admin")).json()

    english = {"subject": "Now", "text": "Dear {name}"}
    assert hand_out["texts"] == TEXTS
    assert [(each["per_minute"], each["texts"]) for each in seen] == [
        (600, {**TEXTS, "en": english}),
        (60, {**TEXTS, "en": english}),
        (60, {"en": english}),
        (None, {"en": {"subject": "Now", "text": ""}}),
        (None, {"en": {"subject": "Now", "text": ""}}),
        (None, {}),
    ]
    assert shown == seen[-1]


def test_change_is_an_event_without_its_text(app: AppClient) -> None:
    hand_out = create(app, per_minute=600, texts=TEXTS)
    for body in ({"texts": {"en": {"subject": "Secret words"}}}, {"per_minute": None}) * 2:
        change(app, hand_out, body)
    events = [event for event in list_events(app, hand_out) if event["type"] == "HandOutChanged"]

    assert [event["sentence"] for event in events] == [
        "text of its emails changed (English); rate of the hand-out, in emails per minute: at most 600 (“Newsletter”)",
        "rate of the hand-out: as fast as workers send (“Newsletter”)",
    ]
    with app.services.storage.datastore.get_connection() as conn:
        stored = [bytes(row["state"]) for row in conn.execute("SELECT state FROM ledger_events").fetchall()]
    assert any(b"Newsletter" in state for state in stored)
    assert not any(b"Secret" in state for state in stored)


def test_change_based_on_a_former_state_is_refused(app: AppClient) -> None:
    hand_out = create(app, per_minute=600, texts=TEXTS)
    path = f"{PATH}/{hand_out['id']}"
    before = app.client.get(path, headers=app.key("admin")).headers["etag"]
    app.client.post(f"{path}/pause", headers=app.key("admin"))
    changed = change(app, hand_out, {"texts": {"en": {"subject": "Now"}}}, **{"if-match": before})
    outdated = change(app, hand_out, {"per_minute": 1}, **{"if-match": before})
    following = change(app, hand_out, {"per_minute": 1}, **{"if-match": changed.headers["etag"]})
    overwritten = change(app, hand_out, {"per_minute": 2}, **{"if-match": "*"})

    assert [each.status_code for each in (changed, outdated, following, overwritten)] == [200, 412, 200, 200]
    assert outdated.json()["code"] == "TERMS_CHANGED"
    assert overwritten.json()["per_minute"] == 2


def test_ended_hand_out_keeps_its_rate_and_takes_new_texts(app: AppClient) -> None:
    hand_out = create(app, per_minute=600)
    app.client.post(f"{PATH}/{hand_out['id']}/end", headers=app.key("admin"))
    both = change(app, hand_out, {"per_minute": 1, "texts": TEXTS})
    subject_before = preview(app, hand_out, "en")
    text = change(app, hand_out, {"per_minute": 600, "texts": TEXTS})

    assert (both.status_code, both.json()["code"]) == (409, "HAND_OUT_CONFLICT")
    assert (text.status_code, text.json()["per_minute"]) == (200, 600)
    assert subject_before != "For you"
    assert (preview(app, hand_out, "en"), preview(app, hand_out, "zh")) == ("For you", "给您")


@pytest.mark.parametrize(
    "body", [{"per_minute": 0}, {"per_minute": "1"}, {"texts": {"fr": {}}}, {"texts": {"en": {"subject": "a\nb"}}}]
)
def test_invalid_changes_are_refused(app: AppClient, body: dict[str, Any]) -> None:
    hand_out = create(app, per_minute=600)
    refused = change(app, hand_out, body)
    unknown = change(app, {"id": str(uuid4())}, {"per_minute": 5})

    assert (refused.status_code, unknown.status_code) == (422, 404)
    assert app.client.get(f"{PATH}/{hand_out['id']}", headers=app.key("admin")).json() == hand_out


def test_repeated_creation_undoes_no_change(app: AppClient) -> None:
    campaign, key = create_campaign(app), {"Idempotency-Key": uuid4().hex, **app.key("admin")}
    body = {"campaign": campaign, "name": "Newsletter", "texts": TEXTS}
    created = app.client.post(PATH, json=body, headers=key).json()
    changed = change(app, created, {"texts": {"en": {"subject": "Now"}}}).json()
    repeated = app.client.post(PATH, json=body, headers=key).json()

    assert (created["texts"], repeated) == (TEXTS, changed)
    assert repeated["texts"]["en"]["subject"] == "Now"


def test_days_of_codes_are_a_duration(app: AppClient) -> None:
    """Weeks are shown as days, also in the history; without one it is null."""
    hand_out = create(app, valid_for="P2W")
    history = [event["sentence"] for event in list_events(app, hand_out) if event["type"] == "HandOutCreated"]

    assert (hand_out["valid_for"], create(app)["valid_for"]) == ("P14D", None)
    assert len(history) == 1
    assert history[0].endswith("each valid for 14 days from when it is handed out")


@pytest.mark.parametrize("valid_for", ["P0D", "P99999W", "P1M", "7", 7.5])
def test_other_durations_are_refused(app: AppClient, valid_for: object) -> None:
    body = {"campaign": create_campaign(app), "name": "Newsletter", "valid_for": valid_for}
    refused = app.client.post(PATH, json=body, headers=app.key("admin"))

    assert (refused.status_code, "valid_for" in refused.text) == (422, True)
