"""Schemas over HTTP: listed, found by name, and refused in words."""

import jsonschema_rs

from domain.events.registry import EVENT_TYPES
from tests.support.clients.app_client import AppClient


def test_each_listed_schema_is_there(shared_app: AppClient) -> None:
    """Every type of event, and the test message of webhooks."""
    listed = shared_app.client.get("/api/v1/schemas", headers=shared_app.key("viewer")).json()

    assert listed["events"].keys() == EVENT_TYPES.keys()
    assert listed["webhooks"].keys() == {*EVENT_TYPES, "webhook.test"}
    for paths in (listed["events"], listed["webhooks"]):
        for name, path in paths.items():
            answer = shared_app.client.get(path, headers=shared_app.key("viewer"))
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
            assert answer.json()["title"] == name
            jsonschema_rs.meta.validate(answer.json())


def test_unknown_type_is_refused(shared_app: AppClient) -> None:
    """As every resource that is not there."""
    for path in ("NoSuchEvent", "webhooks/NoSuchEvent"):
        answer = shared_app.client.get(f"/api/v1/schemas/{path}", headers=shared_app.key("viewer"))
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
