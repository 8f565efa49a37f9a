"""Schemas of events and webhook messages, for machines."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from api.errors import ApplicationError
from api.http.blocking_route import BlockingRoute
from api.http.dependencies import MayReadEvents, TheServices
from api.http.openapi import PROTECTED, problem_responses
from api.schemas.events.asyncapi import describe_messages
from api.schemas.events.event_schemas import DIALECT, Schema, event_schemas, message_schemas
from api.v1.event_feed import describe_stream_query

NAME_LENGTH_MAX = 64
ASYNCAPI = "/asyncapi"

router = APIRouter(route_class=BlockingRoute, prefix="/api/v1/schemas", tags=["events"], responses=PROTECTED)


class SchemaList(BaseModel):
    """Where the schemas are."""

    dialect: str = Field(description="Version of JSON Schema.")
    events: dict[str, str] = Field(description="Path of the schema of each type of event in the feed, by its name.")
    webhooks: dict[str, str] = Field(description="Path of the schema of each type of webhook message, by its name.")
    asyncapi: str = Field(description="Path of the AsyncAPI document, which has all of these schemas.")


Name = Annotated[str, Path(max_length=NAME_LENGTH_MAX, description="A type of event, such as `UseReserved`.")]
NOT_FOUND = problem_responses("NOT_FOUND")


@router.get("", summary="List the schemas of events and webhook messages")
async def list_schemas(_: MayReadEvents) -> SchemaList:
    """Returns the paths of all schemas. Types and fields are only added within v1: accept those you do not know."""
    return SchemaList(
        dialect=DIALECT,
        events={name: f"{router.prefix}/{name}" for name in event_schemas()},
        webhooks={name: f"{router.prefix}/webhooks/{name}" for name in message_schemas()},
        asyncapi=router.prefix + ASYNCAPI,
    )


@router.get(ASYNCAPI, summary="Get the AsyncAPI document of events and webhook messages")
async def get_asyncapi(_: MayReadEvents, services: TheServices) -> dict[str, Any]:
    """Returns an AsyncAPI 3.0 document: the stream of events, webhooks, and the schema of each of their messages."""
    return describe_messages(services.settings.public_url, describe_stream_query())


@router.get("/{name}", responses=NOT_FOUND, summary="Get the schema of a type of event")
async def get_event_schema(name: Name, _: MayReadEvents) -> dict[str, Any]:
    """Returns the JSON Schema of an event as `/api/v1/events` and its stream show it."""
    return _require(event_schemas().get(name))


@router.get("/webhooks/{name}", responses=NOT_FOUND, summary="Get the schema of a type of webhook message")
async def get_message_schema(name: Name, _: MayReadEvents) -> dict[str, Any]:
    """Returns the JSON Schema of the body of a webhook message."""
    return _require(message_schemas().get(name))


def _require(schema: Schema | None) -> Schema:
    if schema is None:
        raise ApplicationError("NOT_FOUND")
    return schema
