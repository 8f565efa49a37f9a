"""The tools, as they follow from the routes that offer themselves: name, scopes, parameters and texts.

An application is built of these routes alone, each of which answers GET and nothing else. A call is a request to that
application, so no tool can reach a route that changes something.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from api.auth.scopes import Scope
from api.errors import ApplicationError
from api.http.offered_reads import TOOL_MARK
from api.http.openapi import described, operation_id
from api.http.problems import language_of, problem_response
from api.http.validation_errors import problem_of
from domain.errors import Refusal

METHODS: Final = {"GET"}
JSON: Final = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One read, as assistants see it.

    Attributes:
        scopes: What a caller must have, all of them.
        path: Of its route, with parameters in braces.
        parameters: JSON Schemas by name, of path and query together.
        required: Names of the parameters that a call must have.
        answer: JSON Schema of the answer.
    """

    name: str
    title: str
    description: str
    scopes: frozenset[Scope]
    path: str
    parameters: Mapping[str, Mapping[str, Any]]
    required: Sequence[str]
    answer: Mapping[str, Any]

    @property
    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of a call's arguments."""
        return {
            "type": "object",
            "properties": dict(self.parameters),
            "required": list(self.required),
            "additionalProperties": False,
        }

    def is_visible_to(self, scopes: frozenset[Scope]) -> bool:
        """Return whether a caller with these scopes has this tool."""
        return self.scopes <= scopes


@dataclass(frozen=True, slots=True)
class ToolSet:
    """All tools by name, the application that answers them, and the schemas to which those of answers refer."""

    app: FastAPI
    tools: Mapping[str, Tool]
    schemas: Mapping[str, Any]

    @classmethod
    def build(cls, routes: Iterable[BaseRoute]) -> Self:
        """Collect the routes that offer themselves as tools.

        Raises:
            ValueError: One of them answers another method than GET.
        """
        app = FastAPI(title="tools", docs_url=None, redoc_url=None, redirect_slashes=False)
        app.exception_handler(ApplicationError)(_answer_error)
        app.exception_handler(Refusal)(_answer_error)
        app.exception_handler(RequestValidationError)(_answer_malformed)
        offered = find_offered(routes)
        if writing := [route.path for route in offered if route.methods != METHODS]:
            raise ValueError(f"only GET routes may be tools, not {writing}")
        app.router.routes[:] = offered
        document = described(app.openapi())
        tools = (_build_tool(route, document["paths"][route.path_format]["get"]) for route in offered)
        return cls(app, {tool.name: tool for tool in tools}, document["components"]["schemas"])

    def list_visible(self, scopes: frozenset[Scope]) -> list[Tool]:
        """Return the tools of a caller with these scopes, in alphabetical order."""
        return sorted((tool for tool in self.tools.values() if tool.is_visible_to(scopes)), key=lambda tool: tool.name)


def find_offered(routes: Iterable[BaseRoute]) -> list[APIRoute]:
    """Return the routes that offer themselves as tools."""
    originals = (context.original_route for context in iter_route_contexts(list(routes)))
    return [route for route in originals if isinstance(route, APIRoute) and hasattr(route.endpoint, TOOL_MARK)]


def _build_tool(route: APIRoute, operation: Mapping[str, Any]) -> Tool:
    omitted = getattr(route.endpoint, TOOL_MARK)
    parameters = [
        each
        for each in operation.get("parameters", ())
        if each["in"] in {"path", "query"} and each["name"] not in omitted
    ]
    return Tool(
        name=operation_id(route),
        title=operation["summary"],
        description=operation["description"],
        scopes=frozenset(scope for need in operation.get("security", ()) for named in need.values() for scope in named),
        path=route.path_format,
        parameters={each["name"]: _describe_parameter(each) for each in parameters},
        required=[each["name"] for each in parameters if each.get("required")],
        answer=operation["responses"]["200"]["content"][JSON]["schema"],
    )


def _describe_parameter(parameter: Mapping[str, Any]) -> dict[str, Any]:
    schema = dict(parameter["schema"])
    return {**schema, "description": parameter["description"]} if "description" in parameter else schema


async def _answer_error(request: Request, error: ApplicationError | Refusal) -> Response:
    problem = ApplicationError.from_refusal(error) if isinstance(error, Refusal) else error
    return problem_response(problem, language_of(request))


async def _answer_malformed(request: Request, error: RequestValidationError) -> Response:
    return problem_response(problem_of(error), language_of(request))
