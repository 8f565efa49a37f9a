"""Answer a caller's question: bounded, recorded, by the caller's scopes, and with the place in the log."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from uuid import UUID

import orjson
from starlette.types import Message

from api.errors import RETRY_AFTER_S, ApplicationError
from api.http.dependencies import IDENTITY, Identity
from api.http.pagination import LAG_HEADER
from api.http.problems import problem_answer
from api.mcp.question_arguments import Values, is_impersonal, read_values, write_query
from api.mcp.read_only_services import POOL_SIZE
from api.mcp.toolbox import Tool, ToolSet
from api.mcp.untrusted_texts import mark_texts
from api.schemas.parsing import find_pasted_email
from api.use_cases.lookups.find_subjects import list_unguessable
from api.use_cases.services import Caller, Services
from domain.ports import Language
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
OK: Final = 200
Counted = Literal["listed", "unknown_tool", "malformed", "over_limit"]
"""Requests that have no line each in the audit log, as it names them: lists of tools, and what no tool accepts."""


class UnknownToolError(Exception):
    """There is no such tool for this caller; whether there is one for others does not show."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question, as JSON; a problem document if `is_problem`."""

    document: dict[str, Any]
    is_problem: bool


@dataclass(frozen=True, slots=True)
class Questions:
    """Answers questions of the callers of one process.

    Attributes:
        services: Those of the process, which record questions.
        reading: Those of the tools, which write nothing.
    """

    tools: ToolSet
    services: Services
    reading: Services
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(POOL_SIZE), init=False, repr=False)
    """What is beyond the connections of the tools waits here, and not in a thread that redeem requests need too."""

    async def ask(self, who: Identity, name: str, arguments: Mapping[str, object], language: Language) -> Answer:
        """Answer one question.

        Raises:
            UnknownToolError: The caller has no tool of this name.
        """
        try:
            tool, values = self._accept(who, name, arguments)
            async with asyncio.timeout(CALL_S_MAX), self._slots:
                head = await self.services.run_blocking(self._begin, who, tool, values)
                return await self._get(who, tool, write_query(tool, values), language, head)
        except UnknownToolError:
            raise
        except TimeoutError:
            return _problem(ApplicationError("UNAVAILABLE", retry_after_s=RETRY_AFTER_S), language)
        except ApplicationError as error:
            return _problem(error, language)
        except Exception as error:
            ERRORS.labels("internal_error").inc()
            log.exception("request failed", exc_info=error)
            return _problem(ApplicationError("INTERNAL"), language)

    async def list_tools(self, who: Identity) -> list[Tool]:
        """Return the tools of a caller.

        Raises:
            ApplicationError: RATE_LIMITED.
        """
        self._limit(who, self.services.limit_tool_lists)
        self._count(who, "listed")
        return self.tools.list_visible(who.scopes)

    def _accept(self, who: Identity, name: str, arguments: Mapping[str, object]) -> tuple[Tool, Values]:
        tool = self.tools.tools.get(name)
        is_visible = tool is not None and tool.is_visible_to(who.scopes)
        self._limit(who, self.services.limit_questions, name if is_visible else None)
        if tool is None or not is_visible:
            self._count(who, "unknown_tool")
            raise UnknownToolError
        try:
            return tool, read_values(tool, arguments)
        except ApplicationError:
            self._count(who, "malformed", name)
            raise

    def _limit(self, who: Identity, limit: Callable[[Caller], None], name: str | None = None) -> None:
        try:
            limit(who.caller)
        except ApplicationError:
            self._count(who, "over_limit", name)
            raise

    def _count(self, who: Identity, what: Counted, name: str | None = None) -> None:
        """Count a request that is not recorded singly: the audit log has one line a minute for all of them.

        Args:
            who: The caller.
            what: What is counted.
            name: The tool, if the caller has it: any other name is a text of the caller, which may hold anything.
        """

        async def write(counts: Mapping[str, int]) -> None:
            await self.services.run_blocking(self._record_counts, who, counts)

        self.services.other_questions.add(who.caller.account_id, what if name is None else f"{what} {name}", write)

    def _record_counts(self, who: Identity, counts: Mapping[str, int]) -> None:
        totals, names = Counter[str](), set[str]()
        for each, count in counts.items():
            what, _, name = each.partition(" ")
            totals[what] += count
            names |= {name} - {""}
        self.services.read_clock()
        details = describe_values(**totals, tools=sorted(names) or None)
        self.services.open_audit_log(who.caller).record("other_questions", details=details)

    def _begin(self, who: Identity, tool: Tool, values: Values) -> dict[str, Any]:
        """Record the question, and return the place in the log up to which everything is in its answer."""
        self.reading.read_clock()
        self.services.read_clock()
        subject_id, asked = self._describe(tool, values)
        details = describe_values(tool=tool.name, asked=asked)
        self.services.open_audit_log(who.caller).record("asked_question", subject_id, details)
        return _read_head(self.services.storage)

    def _describe(self, tool: Tool, values: Values) -> tuple[UUID | None, str | None]:
        """Return what a question is about, and its arguments without anything personal."""
        subject_id: UUID | None = None
        words = []
        for name, texts in values.items():
            for text in texts:
                if is_impersonal(tool.parameters[name], text):
                    words.append(f"{name}={text}")
                    continue
                named_id = self._identify(text)
                words.append(f"{name}=text of {len(text)} characters" if named_id is None else f"{name}={named_id}")
                subject_id = subject_id or named_id
        return subject_id, ", ".join(words) or None

    def _identify(self, text: str) -> UUID | None:
        """Return the ID of the recipient or code that a text names, or that it is: the log has nothing else of them."""
        reader = SupportReader(self.services.storage)
        if (address := find_pasted_email(text)) is not None:
            return reader.find_recipient(address)
        return next(filter(None, reader.find_possible_codes(list_unguessable(text))), None)

    async def _get(
        self, who: Identity, tool: Tool, query: tuple[str, str], language: Language, head: dict[str, Any]
    ) -> Answer:
        """Send the request of a question to the application of the tools."""
        path, query_string = query
        status, headers, body, length = 0, dict[bytes, bytes](), bytearray(), 0

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status, headers, length
            if message["type"] == "http.response.start":
                status, headers = message["status"], dict(message["headers"])
                return
            part = message.get("body", b"")
            length += len(part)
            if length <= ANSWER_BYTES_MAX:
                body.extend(part)

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
        is_of_standby = LAG_HEADER.lower().encode() in headers
        place = {**head, "answered_by": "standby" if is_of_standby else "primary"}
        if length > ANSWER_BYTES_MAX:
            return _refuse_length(tool, length, place)
        if status != OK:
            return Answer({"problem": orjson.loads(bytes(body)), "log": place}, is_problem=True)
        # In a thread, because this process redeems codes as well.
        return await self.services.run_blocking(self._mark, tool, bytes(body), place)

    def _mark(self, tool: Tool, body: bytes, place: dict[str, Any]) -> Answer:
        """Return an answer in which texts of others are marked, if it is not too long then."""
        document = {"answer": mark_texts(orjson.loads(body), tool.answer, self.tools.schemas), "log": place}
        length = len(orjson.dumps(document))
        return Answer(document, is_problem=False) if length <= ANSWER_BYTES_MAX else _refuse_length(tool, length, place)


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


def _refuse_length(tool: Tool, length: int, place: dict[str, Any]) -> Answer:
    """Return how to narrow a question whose answer is too long."""
    narrower = [name for name in tool.parameters if name not in tool.required]
    too_long = {"bytes": length, "bytes_max": ANSWER_BYTES_MAX, "narrow_your_question_by": narrower}
    return Answer({"answer_is_too_long": too_long, "log": place}, is_problem=True)


def _problem(error: ApplicationError, language: Language) -> Answer:
    _, body, _ = problem_answer(error, language)
    return Answer({"problem": orjson.loads(body)}, is_problem=True)
