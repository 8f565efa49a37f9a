"""Schemas over HTTP: listed, found by name, and refused in words."""

import jsonschema_rs

from domain.events.registry import EVENT_TYPES
from tests.support.clients.app_client import AppClient


def test_each_listed_schema_is_there(shared_app: AppClient) -> None:
    listed = shared_app.client.get("/api/v1/schemas", headers=shared_app.key("viewer")).json()

    assert listed["events"].keys() == EVENT_TYPES.keys()
    assert listed["webhooks"].keys() == {*EVENT_TYPES, "webhook.test"}
    for paths in (listed["events"], listed["webhooks"]):
        for name, path in paths.items():
            answer = shared_app.client.get(path, headers=shared_app.key("viewer"))
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
            assert answer.json()["title"] == name
            jsonschema_rs.meta.validate(answer.json())


def test_asyncapi_document_has_each_listed_schema(shared_app: AppClient) -> None:
    """With the address of this ledger; it needs the scope of its neighbors."""
    listed = shared_app.client.get("/api/v1/schemas", headers=shared_app.key("viewer")).json()
    document = shared_app.client.get(listed["asyncapi"], headers=shared_app.key("viewer")).json()

    channels = document["channels"]
    assert channels["events"]["messages"].keys() == {f"event.{name}" for name in (*listed["events"], "cloudEvent")}
    assert channels["webhooks"]["messages"].keys() == {
        f"message.{name}" for name in (*listed["webhooks"], "cloudEvent")
    }
    assert not document["servers"]["ledger"].get("pathname", "").endswith("/")
    assert document["servers"]["ledger"]["host"] in shared_app.services.settings.public_url
    assert shared_app.client.get(listed["asyncapi"]).status_code == 401


def test_asyncapi_document_has_the_queries_of_the_stream(shared_app: AppClient) -> None:
    headers = shared_app.key("viewer")
    document = shared_app.client.get("/api/v1/schemas/asyncapi", headers=headers).json()
    paths = shared_app.client.get("/api/v1/openapi.json").json()["paths"]
    parameters = paths["/api/v1/events/stream"]["get"]["parameters"]
    operations, expected = document["operations"], {each["name"]: each for each in parameters if each["in"] == "query"}

    queries = operations["sendEvents"]["bindings"]["http"]["query"]["properties"]

    assert {"after", "seconds", "format", "type"} <= queries.keys()
    assert queries.keys() == expected.keys()
    for name, query in queries.items():
        schema = {**expected[name]["schema"], "description": expected[name]["description"]}
        assert query == schema
    assert "query" not in operations["sendWebhooks"]["bindings"]["http"]


def test_unknown_type_is_refused(shared_app: AppClient) -> None:
    for path in ("NoSuchEvent", "webhooks/NoSuchEvent"):
        answer = shared_app.client.get(f"/api/v1/schemas/{path}", headers=shared_app.key("viewer"))
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
