"""The API's OpenAPI document: operation names, problems of every route, and links.

FastAPI describes routes one by one. This completes the document, so that no route has to repeat it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from fastapi.routing import APIRoute

from api.http.openapi_links import LINKS
from api.http.problems import MEDIA_TYPE, status_of
from api.i18n.languages import LANGUAGES
from api.schemas.events.cloud_event import CloudEvent
from api.schemas.field_descriptions import describe_field
from api.schemas.resources import Problem
from domain.errors import RefusalOrder

Document = dict[str, Any]
ERRORS_FROM: Final = 400
PROBLEM: Final = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
STREAMED: Final[Document] = {"content": {"text/event-stream": {"schema": {"type": "string"}}}}
"""Success of a route that sends server-sent events: a text of messages, whose `data` the route describes."""
WORDS: Final[Mapping[str, str]] = {
    "400": "Refused by a rule; `code` says which.",
    "401": "UNAUTHORIZED: neither a valid API key nor a staff session.",
    "403": "FORBIDDEN: the API key lacks the scope or may not be used from this network, or the request of a staff"
    " session lacks X-CSRF-Token.",
    "404": "NOT_FOUND",
    "409": "The state of the code or reservation does not allow this; `code` and `detail` say why.",
    "412": "TERMS_CHANGED: the terms changed after you read them.",
    "413": "BODY_TOO_LARGE",
    "422": "MALFORMED: `errors` lists the malformed parts and reasons.",
    "428": "PRECONDITION_REQUIRED: If-Match is missing.",
    "429": "RATE_LIMITED, with Retry-After.",
    "503": "UNAVAILABLE or OVERLOADED, with Retry-After: repeat the request later.",
}
"""What a status means, if the route does not say it more precisely."""
FILE_SCHEMAS: Final[Document] = {
    "CodeFile": {"type": "string", "title": "CodeFile", "description": "CSV with a header line, or JSON Lines."},
    "RecipientFile": {
        "type": "string",
        "title": "RecipientFile",
        "description": "CSV with a header line, or JSON Lines.",
    },
    "RecipientList": {
        "type": "object",
        "title": "RecipientList",
        "description": "Recipients, each with `email`, `language`, `code` and variables.",
        "properties": {
            "recipients": {
                "type": "array",
                "description": "Recipients, one for each code.",
                "maxItems": 10_000,
                "items": {
                    "type": "object",
                    "properties": {
                        "email": {"type": "string", "minLength": 1, "maxLength": 320},
                        "language": {"type": "string", "enum": sorted(LANGUAGES)},
                        "code": {"type": "string", "minLength": 1, "maxLength": 320},
                        "variables": {
                            "type": "object",
                            "maxProperties": 20,
                            "additionalProperties": {"type": "string", "maxLength": 200},
                        },
                    },
                    "required": ["email"],
                    # A type of all other members would exclude `variables` in TypeScript.
                    "additionalProperties": {"description": "Text of a variable."},
                },
            }
        },
        "required": ["recipients"],
        "additionalProperties": False,
    },
}
"""Bodies that routes read themselves, by the name of their schema."""
TAGS: Final[Mapping[str, str]] = {
    "public": "Redeem a code, follow a redemption and correct it. No API key is needed.",
    "redemptions": "Redeem codes on behalf of others, with an API key.",
    "codes": "Issue, import, list and change codes, and read their history.",
    "campaigns": "Create and manage limits that many codes share, and read their history.",
    "hand-outs": "Send codes of a campaign to a list of recipients, one each, and follow what became of each.",
    "reservations": "List reservations, and change or resolve single ones.",
    "refunds": "Refund reservations that an outage affected.",
    "cases": "Read the review queue.",
    "approvals": "Read the proposals that wait for a second person.",
    "events": "Read the event feed from a position.",
    "recipients": "Export and erase the data of one person.",
    "groups": "Set the logo and the color of a group's emails.",
    "channels": "Connect the external system of a group, and receive its callbacks.",
    "webhooks": "Manage webhook endpoints and their deliveries.",
    "session": "Read what the caller is permitted to do.",
    "operation": "Read the health of the service.",
}
"""Groups of operations, in the order in which they are described."""
COMMON_CODES: Final = frozenset(
    {
        *("UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "TERMS_CHANGED", "BODY_TOO_LARGE", "MALFORMED"),
        *("PRECONDITION_REQUIRED", "RATE_LIMITED", "UNAVAILABLE", "OVERLOADED"),
    }
)
"""Codes that the description of their status explains."""
OF_APPROVALS: Final = ("APPROVAL_REQUIRED", "APPROVALS_FULL")
"""Codes of routes whose action may wait for a second person."""
FRAMEWORK_SCHEMAS: Final = ("HTTPValidationError", "ValidationError")


class Refusing(Protocol):
    """A use case, or the class of a command."""

    @property
    def refusals(self) -> RefusalOrder:
        """Its refusals in the order of precedence."""


def problem_responses(*errors: str | Refusing, **descriptions: str) -> dict[int | str, dict[str, Any]]:
    """Responses of a route by status: problems by code, and the refusals of a command in the order of precedence.

    Args:
        errors: Codes, use cases, and classes of commands.
        descriptions: What to say instead of the codes, by status as in `status_429`.
    """
    codes_by_status: dict[int, list[str]] = {}
    for error in errors:
        for code in [error] if isinstance(error, str) else [refusal.code for refusal in error.refusals]:
            codes = codes_by_status.setdefault(status_of(code), [])
            if code not in codes:
                codes.append(code)
    return {
        status: {"model": Problem, "description": descriptions.get(f"status_{status}") or _description(codes)}
        for status, codes in codes_by_status.items()
    }


def _description(codes: Sequence[str]) -> str:
    """Return the codes of one status; nothing for those that `WORDS` describes."""
    if COMMON_CODES.issuperset(codes):
        return ""
    return ", ".join(codes) if len(codes) == 1 else f"In this order of precedence: {', '.join(codes)}."


def operation_id(route: APIRoute) -> str:
    """Return the name of a route for programs: its tag and its function's name."""
    return f"{route.tags[0]}_{route.name}".replace("-", "_") if route.tags else route.name


def described(document: Document) -> Document:
    """Complete FastAPI's document in place."""
    document["servers"] = [{"url": "/", "description": "This ledger."}]
    document["tags"] = [{"name": name, "description": about} for name, about in TAGS.items()]
    document["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    document["components"]["schemas"] |= {**FILE_SCHEMAS, "CloudEvent": CloudEvent.model_json_schema()}
    for operation in _operations(document):
        _describe(operation)
        for parameter in operation.get("parameters", ()):
            _fill_description("parameter", parameter["name"], parameter)
    for name in FRAMEWORK_SCHEMAS:
        document["components"]["schemas"].pop(name, None)
    for schema_name, schema in document["components"]["schemas"].items():
        for name, field in schema.get("properties", {}).items():
            _fill_description(schema_name, name, field)
    return document


def _fill_description(owner: str, name: str, field: Document) -> None:
    """Describe a field or parameter whose declaration does not describe it."""
    own = field.get("description") or field.get("schema", {}).get("description")
    if own is None and (description := describe_field(owner, name)) is not None:
        field["description"] = description


def _operations(document: Document) -> Iterator[Document]:
    for path_item in document["paths"].values():
        yield from path_item.values()


def _describe(operation: Document) -> None:
    responses = operation["responses"]
    operation.setdefault("security", [])  # said out loud: no key is needed
    if operation["operationId"].partition("_")[0] != "operation":
        responses.setdefault("503", {"description": ""})
    if "requestBody" in operation:
        responses.setdefault("413", {"description": ""})
    for status, response in responses.items():
        if status.isdigit() and int(status) >= ERRORS_FROM and not _is_own(response):
            _make_problem(status, response)
    for status, response in responses.items():
        links = LINKS.get((operation["operationId"], status))
        if links:
            response["links"] = {name: {"operationId": name, **link} for name, link in links.items()}
    scopes = [scope for requirement in operation.get("security", ()) for scope in next(iter(requirement.values()))]
    if scopes:
        operation["description"] = f"{operation.get('description', '')}\n\nNeeds the scope `{scopes[0]}`.".strip()


def _is_own(response: Document) -> bool:
    """Return whether an error is answered with a special model, as /readyz does."""
    refs = [media.get("schema", {}).get("$ref", "") for media in response.get("content", {}).values()]
    return any(not ref.endswith(("/Problem", "/HTTPValidationError")) for ref in refs if ref)


def _make_problem(status: str, response: Document) -> None:
    description = response.get("description", "")
    examples = {
        name: media["example"]
        for name, media in response.get("content", {}).items()
        if name == MEDIA_TYPE and "example" in media
    }
    response["content"] = {MEDIA_TYPE: {**PROBLEM[MEDIA_TYPE]}}
    if examples:
        response["content"][MEDIA_TYPE]["example"] = examples[MEDIA_TYPE]
    if description in _FRAMEWORK_WORDS:
        response["description"] = WORDS.get(status, "A problem document; `code` says what is wrong.")


_FRAMEWORK_WORDS: Final = frozenset(
    {
        *("", "Validation Error", "Bad Request", "Unauthorized", "Forbidden", "Not Found", "Conflict"),
        *("Unprocessable Entity", "Unprocessable Content", "Service Unavailable", "Content Too Large"),
        *("Precondition Failed", "Precondition Required", "Too Many Requests", "Request Entity Too Large"),
    }
)
"""Texts of the framework for routes that say nothing."""

PROTECTED: Final = problem_responses("UNAUTHORIZED", "FORBIDDEN", "MALFORMED", "UNAVAILABLE")
"""Responses of every route that needs a scope."""
