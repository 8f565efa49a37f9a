"""The API document keeps the rules by which generators and linters of OpenAPI read it."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import jsonschema_rs
import pytest

from api.schemas.campaign_terms import CAMPAIGN_TERMS
from tests.security.matrix import MATRIX
from tests.support.clients.app_client import AppClient

METHODS: Final = ("get", "put", "post", "delete", "patch")
WITHOUT_REFUSALS: Final = {"/healthz", "/readyz", "/metrics"}
"""Read by probes that send nothing that could be wrong."""
IGNORE_UNKNOWN_FIELDS: Final = {
    "POST /api/v1/public/redeem",
    "POST /api/v1/public/rebind",
    "POST /api/v1/public/redemptions/{reservation_id}/correct-recipient",
    "POST /api/v1/channels/{channel_id}/callbacks",
}
"""Requests whose unknown fields have no effect. docs/explanation/owasp.md and docs/reference/api.md name them."""

Document = dict[str, Any]
Node = tuple[str, Any]


@pytest.fixture
def document(shared_app: AppClient) -> Document:
    openapi_document: Document = shared_app.client.get("/api/v1/openapi.json").json()
    return openapi_document


def operations(document: Document) -> dict[str, Document]:
    return {
        f"{method.upper()} {path}": path_item[method]
        for path, path_item in document["paths"].items()
        for method in METHODS
        if method in path_item
    }


def nodes(value: Any, place: str = "#") -> Iterator[Node]:  # noqa: ANN401 - any part of a JSON document
    yield place, value
    if isinstance(value, dict):
        for name, part in value.items():
            yield from nodes(part, f"{place}/{name}")
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from nodes(part, f"{place}/{number}")


def test_document_says_of_each_operation_whether_it_needs_a_key(document: Document) -> None:
    schemes = document["components"]["securitySchemes"].keys()
    by_name = operations(document)
    needed = {name: operation["security"] for name, operation in by_name.items()}

    assert [name for name in by_name if (needed[name] == []) != (MATRIX[name] == "anyone")] == []
    assert {scheme for requirements in needed.values() for one in requirements for scheme in one} == set(schemes)


def test_document_names_its_server_and_every_tag(document: Document) -> None:
    used = Counter(tag for operation in operations(document).values() for tag in operation["tags"])

    assert [server["url"] for server in document["servers"]] == ["/"]
    assert sorted(tag["name"] for tag in document["tags"]) == sorted(used)
    assert [tag["name"] for tag in document["tags"] if not tag["description"].endswith(".")] == []
    assert used.total() == len(operations(document))


def test_document_names_no_default_that_its_schema_forbids(document: Document) -> None:
    """A generated client sends defaults, or does not start."""
    with_default = [(place, node) for place, node in nodes(document) if isinstance(node, dict) and "default" in node]

    assert len(with_default) > 20
    assert [
        place
        for place, schema in with_default
        if "responses" not in place
        and not jsonschema_rs.is_valid({**schema, "components": document["components"]}, schema["default"])
    ] == []


def test_document_describes_terms_of_campaigns_as_such(document: Document) -> None:
    schemas = document["components"]["schemas"]

    for schema in ("CampaignRequest", "CampaignChange", "CampaignView"):
        names = {term.name: term.fields[0] for term in CAMPAIGN_TERMS}
        described = {term: schemas[schema]["properties"][name]["description"] for term, name in names.items()}
        assert described == {term.name: f"{term.means}; null: {term.api_none or 'none'}." for term in CAMPAIGN_TERMS}, (
            schema
        )


def test_document_gives_a_schema_for_every_media_type(document: Document) -> None:
    """CSV too: without one a generated client has an answer of no type."""
    media = [
        (place, media)
        for place, node in nodes(document["paths"])
        if place.endswith("/content")
        for media in node.values()
    ]

    assert len(media) > 100
    assert [place for place, media_type in media if "schema" not in media_type] == []


def test_requests_reject_unknown_fields_except_public_and_callback_requests(document: Document) -> None:
    """A misspelled field must not be ignored; the exceptions take what older clients and external systems send."""
    schemas = document["components"]["schemas"]
    bodies = {
        name: operation["requestBody"]["content"]["application/json"]["schema"]
        for name, operation in operations(document).items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    }
    open_bodies = {
        name
        for name, body in bodies.items()
        if any("properties" in part and part.get("additionalProperties", True) is True for part in parts(body, schemas))
    }

    assert len(bodies) > 20
    assert open_bodies == IGNORE_UNKNOWN_FIELDS


def parts(schema: Document, schemas: dict[str, Document]) -> Iterator[Document]:
    for _, node in nodes(schema):
        if isinstance(node, dict):
            yield node
            if "$ref" in node:
                yield from parts(schemas[node["$ref"].rpartition("/")[2]], schemas)


def test_document_describes_each_operation_with_its_responses(document: Document) -> None:
    by_name = operations(document)
    ids = Counter(operation["operationId"] for operation in by_name.values())
    answers = {name: operation["responses"] for name, operation in by_name.items()}

    assert [name for name, count in ids.items() if count > 1 or not re.fullmatch(r"\w+", name)] == []
    assert [name for name, operation in by_name.items() if not operation["summary"]] == []
    assert [name for name, some in answers.items() if not any(status[0] in "23" for status in some)] == []
    assert {
        name.split()[1] for name, some in answers.items() if not any(status[0] == "4" for status in some)
    } == WITHOUT_REFUSALS
    assert [name for name, some in answers.items() if not all(one["description"] for one in some.values())] == []


def test_document_has_404_only_for_resources_of_the_path(document: Document) -> None:
    """What a body or a query names and does not exist makes a request malformed: its URL is right."""
    not_found = {
        name: operation["responses"]["404"]["description"]
        for name, operation in operations(document).items()
        if "404" in operation["responses"]
    }
    owners = {name: re.findall(r"(\w+)_NOT_FOUND", text) for name, text in not_found.items()}
    misplaced = {
        name
        for name, some in owners.items()
        if "{" not in name or any(f"{{{owner.lower()}_id}}" not in name for owner in some)
    }

    assert {owner for some in owners.values() for owner in some} == {"CAMPAIGN", "HAND_OUT"}
    assert misplaced == set()


def test_document_declares_exactly_the_parameters_of_each_path(document: Document) -> None:
    wrong = []
    for name, operation in operations(document).items():
        declared = [(one["in"], one["name"]) for one in operation.get("parameters", ())]
        in_path = {name for place, name in declared if place == "path"}
        is_required = all(one["required"] for one in operation.get("parameters", ()) if one["in"] == "path")
        if in_path != set(re.findall(r"\{(\w+)\}", name)) or len(set(declared)) < len(declared) or not is_required:
            wrong.append(name)

    assert wrong == []


def test_document_defines_exactly_the_schemas_that_it_refers_to(document: Document) -> None:
    named = {node["$ref"] for _, node in nodes(document) if isinstance(node, dict) and "$ref" in node}
    named |= set(re.findall(r'"(#/components/schemas/\w+)"', json.dumps(document)))
    defined = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    assert named == defined


def test_document_links_lead_to_operations_that_exist(document: Document) -> None:
    by_id = {operation["operationId"]: operation for operation in operations(document).values()}
    links = [
        link
        for _, node in nodes(document["paths"])
        if isinstance(node, dict) and "links" in node
        for link in node["links"].values()
    ]

    assert len(links) > 3
    for link in links:
        declared = {one["name"] for one in by_id[link["operationId"]].get("parameters", ())}
        assert {name.rpartition(".")[2] for name in link.get("parameters", {})} <= declared, link


def test_creating_operations_document_their_idempotency_key(document: Document) -> None:
    """They honor it or refuse it: a key that had no effect would let a client create the same thing twice."""
    creating = {name: one for name, one in operations(document).items() if "201" in one["responses"]}
    headers = {
        name: [each["name"].lower() for each in one.get("parameters", []) if each["in"] == "header"]
        for name, one in creating.items()
    }

    assert "POST /api/v1/campaigns" in creating
    assert [name for name, names in headers.items() if "idempotency-key" not in names] == []
