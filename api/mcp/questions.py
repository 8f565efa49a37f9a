"""Answer a caller's question: bounded, recorded, by the caller's scopes, and with the place in the log."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import UUID

import orjson
from starlette.types import Message

from api.errors import RETRY_AFTER_S, ApplicationError, malformed
from api.http.dependencies import IDENTITY, Identity
from api.http.pagination import LAG_HEADER
from api.http.problems import problem_answer
from api.mcp.toolbox import Tool, ToolSet
from api.mcp.untrusted_texts import mark_texts
from api.schemas.parsing import find_pasted_email, parse_id
from api.use_cases.services import Services
from domain.ports import Language
from domain.values.pasted_codes import list_pasted_codes
from projections.read_models.event_feed import EventFeed
from projections.read_models.support_queries import SupportReader
from projections.repositories.audit_log import describe_values
from projections.storage.bootstrap import LedgerStore
from projections.telemetry.metrics import ERRORS
from projections.transparency_log.line_proofs import read_signing_progress

log = logging.getLogger(__name__)

ANSWER_BYTES_MAX: Final = 50_000
"""Longest answer, about 15,000 tokens of a language model."""
CALL_S_MAX: Final = 20.0
"""Seconds until a call is answered UNAVAILABLE."""
NAMED_LENGTH_MAX: Final = 64
"""Longest value of an argument that is recorded as it is: longer than an ID or a time."""
OK: Final = 200


class UnknownToolError(Exception):
    """There is no such tool for this caller; whether there is one for others does not show."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question, as JSON; a problem document if `is_problem`."""

    document: dict[str, Any]
    is_problem: bool


@dataclass(frozen=True, slots=True)
class Questions:
    """Answers questions of the callers of one process."""

    tools: ToolSet
    services: Services

    async def ask(self, who: Identity, name: str, arguments: Mapping[str, object], language: Language) -> Answer:
        """Answer one question.

        Raises:
            UnknownToolError: The caller has no tool of this name.
        """
        tool = self.tools.tools.get(name)
        if tool is None or not tool.is_visible_to(who.scopes):
            raise UnknownToolError
        try:
            self.services.limit_questions(who.caller)
            query = _write_query(tool, arguments)
            async with asyncio.timeout(CALL_S_MAX):
                head = await self.services.run_blocking(self._begin, who, tool, arguments)
                return await self._get(who, tool, query, language, head)
        except TimeoutError:
            return _problem(ApplicationError("UNAVAILABLE", retry_after_s=RETRY_AFTER_S), language)
        except ApplicationError as error:
            return _problem(error, language)
        except Exception as error:
            ERRORS.labels("internal_error").inc()
            log.exception("request failed", exc_info=error)
            return _problem(ApplicationError("INTERNAL"), language)

    def _begin(self, who: Identity, tool: Tool, arguments: Mapping[str, object]) -> dict[str, Any]:
        """Record the question, and return the place in the log up to which everything is in its answer."""
        self.services.read_clock()
        subject_id, asked = self._describe(tool, arguments)
        details = describe_values(tool=tool.name, asked=asked)
        self.services.open_audit_log(who.caller).record("asked_question", subject_id, details)
        return _read_head(self.services.storage)

    def _describe(self, tool: Tool, arguments: Mapping[str, object]) -> tuple[UUID | None, str | None]:
        """Return what a question is about, and its arguments without anything personal."""
        subject_id: UUID | None = None
        words = []
        for name, value in arguments.items():
            schema = tool.parameters[name]
            options = schema.get("anyOf", [schema])
            if any(option.get("type") == "string" and not {"format", "enum"} & option.keys() for option in options):
                named_id = self._identify(str(value))
                words.append(
                    f"{name}=text of {len(str(value))} characters" if named_id is None else f"{name}={named_id}"
                )
            else:
                named_id = _read_id(value)
                words.append(f"{name}={str(value)[:NAMED_LENGTH_MAX]}")
            subject_id = subject_id or named_id
        return subject_id, ", ".join(words) or None

    def _identify(self, text: str) -> UUID | None:
        """Return the ID of the recipient or code that a text names: the log knows them by nothing else."""
        reader = SupportReader(self.services.storage)
        if (address := find_pasted_email(text)) is not None:
            return reader.find_recipient(address)
        if not text.isprintable():
            return None
        return next(filter(None, reader.find_possible_codes(list_pasted_codes(text))), None)

    async def _get(
        self, who: Identity, tool: Tool, query: tuple[str, str], language: Language, head: dict[str, Any]
    ) -> Answer:
        """Send the request of a question to the application of the tools."""
        path, query_string = query
        status, headers, body = 0, dict[bytes, bytes](), bytearray()

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], dict(message["headers"])
            else:
                body.extend(message.get("body", b""))

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query_string.encode(),
            "headers": [(b"host", b"localhost"), (b"accept-language", language.encode())],
            "client": None,
            "server": ("localhost", 80),
            "ledger_request_id": who.caller.request_id,
            IDENTITY: who,
        }
        await self.tools.app(scope, receive, send)
        document = orjson.loads(bytes(body))
        if status != OK:
            return Answer({"problem": document}, is_problem=True)
        lag = headers.get(LAG_HEADER.lower().encode())
        answered = {"answered_by": "primary"} if lag is None else {"answered_by": "standby", "lag_s": float(lag)}
        marked = mark_texts(document, tool.answer, self.tools.schemas)
        return _bound(tool, {"answer": marked, "log": {**head, **answered}})


def _read_head(storage: LedgerStore) -> dict[str, Any]:
    """Return the position of the newest event, and the newest checkpoint."""
    position, checkpoint = EventFeed(storage).find_newest_position(), read_signing_progress(storage).checkpoint
    if checkpoint is None:
        return {"position": position, "checkpoint": None}
    at = checkpoint.at.isoformat()
    return {
        "position": position,
        "checkpoint": {"number": checkpoint.number, "position": checkpoint.position, "at": at},
    }


def _bound(tool: Tool, document: dict[str, Any]) -> Answer:
    """Return an answer, or only how to narrow the question if it is too long."""
    length = len(orjson.dumps(document))
    if length <= ANSWER_BYTES_MAX:
        return Answer(document, is_problem=False)
    narrower = [name for name in tool.parameters if name not in tool.required]
    too_long = {"bytes": length, "bytes_max": ANSWER_BYTES_MAX, "narrow_your_question_by": narrower}
    return Answer({"answer_is_too_long": too_long, "log": document["log"]}, is_problem=True)


def _write_query(tool: Tool, arguments: Mapping[str, object]) -> tuple[str, str]:
    """Return path and query string of the request that asks a question.

    Raises:
        ApplicationError: MALFORMED.
    """
    if arguments.keys() - tool.parameters.keys():
        raise malformed("arguments", f"must be among {', '.join(sorted(tool.parameters)) or 'none'}")
    missing = [name for name in tool.required if arguments.get(name) is None]
    if missing:
        raise malformed(f"arguments.{missing[0]}", "is missing")
    texts = {name: _write_values(name, value) for name, value in arguments.items() if value is not None}
    path = tool.path.format_map({name: quote(values[0], safe="") for name, values in texts.items() if values})
    pairs = [(name, each) for name, values in texts.items() if f"{{{name}}}" not in tool.path for each in values]
    return path, urlencode(pairs)


def _write_values(name: str, value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str | int | float) for each in values):
        raise malformed(f"arguments.{name}", "must be a text, a number, true or false, or a list of those")
    return [str(each).lower() if isinstance(each, bool) else str(each) for each in values]


def _read_id(value: object) -> UUID | None:
    try:
        return parse_id("id", str(value))
    except ApplicationError:
        return None


def _problem(error: ApplicationError, language: Language) -> Answer:
    _, body, _ = problem_answer(error, language)
    return Answer({"problem": orjson.loads(body)}, is_problem=True)
