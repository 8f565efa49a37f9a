"""What is done in one place only: a second one would differ from the first, and escape its checks."""

import ast
import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import pytest

from projections.definitions.registry import PROJECTIONS
from tests.architecture.sources import ROOMS, ROOT, find, list_modules, parse, read, trees


def parsers_of_timestamps(tree: ast.Module) -> Iterator[str]:
    names = {node.attr for node in find(tree, ast.Attribute)} | {node.id for node in find(tree, ast.Name)}
    if names & {"fromisoformat", "strptime", "AwareDatetime", "NaiveDatetime"}:
        yield ""


def parsers_of_the_domain(tree: ast.Module) -> Iterator[str]:
    """Yield the parsers that a module calls itself. `parsing.parse_number` takes the field's name first."""
    for node in find(tree, ast.Call):
        name, positional, has_keywords = ast.unparse(node.func), len(node.args), bool(node.keywords)
        if (
            name in {"EmailAddress.parse", "parse_timestamp", "read_timestamp"}
            or (name == "UUID" and positional == 1 and not has_keywords)
            or (name.endswith("parse_number") and positional == len(("text", "bounds")) and not has_keywords)
        ):
            yield name


def lenient_numbers(tree: ast.Module) -> Iterator[str]:
    for node in find(tree, ast.Subscript):
        is_annotated = isinstance(node.value, ast.Name) and node.value.id == "Annotated"
        text = ast.unparse(node.slice) if is_annotated and isinstance(node.slice, ast.Tuple) else ""
        if re.match(r"\(?int( \| None)?,", text) and re.search(r"(Query|Header|Path)\(", text):
            yield from () if "IN_DIGITS" in text else (text,)


def executed_commands(tree: ast.Module) -> Iterator[str]:
    return (node.attr for node in find(tree, ast.Attribute) if node.attr in {"execute", "execute_in_group"})


def commands_about_recipients(tree: ast.Module) -> Iterator[str]:
    built = {node.func.id for node in find(tree, ast.Call) if isinstance(node.func, ast.Name)}
    yield from built & {"ReserveUse", "RequestRebind", "CorrectRecipient"}


def translations_of_database_errors(tree: ast.Module) -> Iterator[str]:
    for node in find(tree, ast.ExceptHandler):
        caught, body = ast.unparse(node.type or node), ast.unparse(ast.Module(node.body, []))
        if ("psycopg" in caught or "Persistence" in caught) and "raise StorageUnavailableError" in body:
            yield ""


def second_persons(tree: ast.Module) -> Iterator[str]:
    return ("" for word in find(tree, ast.keyword) if word.arg == "approved_by")


RETRY_NUMBERS: Final = re.compile(r"(?<!^RECORD_)(ATTEMPTS|TRIES|RETRY|LATER|POSTPONED|BACK_?OFF)")
"""Names of constants that say how often or how soon; `RECORD_` is about records of outcomes in the database."""


def retry_rules(tree: ast.Module) -> Iterator[str]:
    """Find what a module reads of an outcome to judge it, and the numbers that it has for that."""
    judged = {"final", "about_connection", "retry_after_s", "RetryLater"}
    for node in find(tree, ast.Attribute, ast.alias, ast.Name):
        match node:
            case ast.Attribute(attr=name, ctx=ast.Load()) | ast.alias(name=name) if name in judged:
                yield name
            case ast.Name(id=name, ctx=ast.Store()) if name.isupper() and RETRY_NUMBERS.search(name):
                yield name


def streamed_responses(tree: ast.Module) -> Iterator[str]:
    """Yield responses that send more than what is in memory; `SlotStreamingResponse` takes slots itself."""
    names = {ast.unparse(node.func).rpartition(".")[2] for node in find(tree, ast.Call)}
    yield from {"" for name in names & {"StreamingResponse", "FileResponse"}}


def literal_exit_codes(tree: ast.Module) -> Iterator[str]:
    for node in find(tree, ast.Return, ast.Call, ast.Assign):
        match node:
            case ast.Return(value=ast.Constant(value=int(number))) if number and not isinstance(number, bool):
                yield str(number)
            case ast.Call(func=ast.Attribute(attr="exit"), args=[ast.Constant(value=int(number))]) if number:
                yield str(number)
            case ast.Assign(targets=[ast.Name(id=name)]) if name.startswith("EXIT_"):
                yield name


def names_of_projections(tree: ast.Module) -> Iterator[str]:
    texts = (node.value for node in find(tree, ast.Constant) if isinstance(node.value, str))
    return (text for text in texts if text in PROJECTIONS)


class Rule(NamedTuple):
    """What a module may do only if it is a place, and what others do instead."""

    finder: Callable[[ast.Module], Iterator[str]]
    folders: tuple[str, ...]
    places: set[str]
    """Paths, with what is found there where a finder tells kinds apart."""
    advice: str
    except_below: tuple[str, ...] = ()


INPUTS: Final = ("api", "domain", "workers", "projections/legacy")
"""Where what people and programs write is read."""
READ_AGAIN: Final = {
    "api/cli/server/bootstrap_data.py EmailAddress.parse": "a setting, which the start checks",
    "api/i18n/audit_details.py read_timestamp": "a value of an audit entry, which the ledger formatted",
    "api/http/middleware.py UUID": "the path of a route that has parsed it already",
    "api/http/pagination.py UUID": "a cursor, which this module wrote",
    "api/http/pagination.py read_timestamp": "a cursor, which this module wrote",
    "api/mail_sink/maildir.py EmailAddress.parse": "the header of a stored email",
    "api/use_cases/services.py UUID": "the id of a caller, which the ledger made",
    "api/web/forms.py UUID": "a nonce, which this module wrote and checks",
    "api/web/staff_auth/proofs.py EmailAddress.parse": "the address of an account",
    "api/use_cases/administration/single_sign_on.py EmailAddress.parse": "the address that the provider names",
    "api/web/staff_auth/provider_sign_in.py UUID": "the account of a sign-in, which this module made",
    "api/auth/sealed_state.py UUID": "the id of a state, which this module wrote",
    "api/web/staff_auth/second_step_state.py UUID": "the account of a state, which this module made",
    "api/web/staff_auth/sign_in.py EmailAddress.parse": "the address of an account, as it is stored",
    "api/web/support/view_models.py UUID": "the actor of an event",
}
"""Texts that the ledger wrote or checked itself."""
NAMING_A_SECOND_PERSON: Final = {
    "api/use_cases/administration/batch_runner.py": "the batch stores who approved it",
    "api/use_cases/approvals/decide.py": "a member of staff approved the proposal",
    "api/use_cases/approvals/guarded_actions.py": "the batch of an approved proposal",
    "api/use_cases/privacy/export_person.py": "the proposal of the export was approved",
    "api/use_cases/services.py": "the context of the caller's command",
}
"""Who passes the guard of actions that wait for one. A front end that did would let its caller act alone."""
RUNS: Final = ("projections/__main__.py", "projections/rebuild/run.py", "projections/verification/run.py")

RULES: Final = (
    Rule(parsers_of_timestamps, INPUTS, {"domain/values/timestamps.py"}, "call `domain.values.timestamps`"),
    Rule(parsers_of_the_domain, ("api",), {*READ_AGAIN}, "call `api.schemas.parsing`", ("api/schemas/",)),
    Rule(lenient_numbers, INPUTS, set(), "add IN_DIGITS: without it a space, a sign or 1_0 would be a number"),
    Rule(executed_commands, ("api/v1", "api/web", "api/cli"), set(), "call a use case, and add it to `api/use_cases`"),
    Rule(
        commands_about_recipients,
        ROOMS,
        {f"domain/commands/command_drafts.py {name}" for name in ("ReserveUse", "RequestRebind", "CorrectRecipient")},
        "call `CommandDrafts`: then a page, a route and a task build the same command",
    ),
    Rule(
        translations_of_database_errors,
        ROOMS,
        # The recorder decides by the error whether a transaction is tried again, and what its outcome is if not.
        {"projections/event_store/recorder.py"},
        "use translate_database_errors, translate_connection_errors or translate_outage",
    ),
    Rule(second_persons, ("api",), {*NAMING_A_SECOND_PERSON}, "leave the decision to the one who approves"),
    Rule(
        retry_rules,
        ("workers/tasks.py", "workers/sending"),
        set(),
        "decide it in domain/judgment.py: a kind of sending has `Rules`",
    ),
    Rule(streamed_responses, ("api",), {"api/http/file_stream.py"}, "return the file by `stream_file`"),
    Rule(literal_exit_codes, ("api/cli", *RUNS), set(), "return a member of `ExitCode`"),
    Rule(names_of_projections, ("projections",), set(), "use `PROJECTIONS`", ("projections/definitions/tables/",)),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.finder.__name__)
def test_modules_leave_it_to_its_place(rule: Rule) -> None:
    modules = {path: tree for path, tree in trees(*rule.folders).items() if not path.startswith(rule.except_below)}
    places = {f"{path} {what}".rstrip() for path, tree in modules.items() for what in rule.finder(tree)}

    assert places == rule.places, rule.advice


@pytest.mark.parametrize(
    ("finder", "source", "expected"),
    [
        (parsers_of_timestamps, "datetime.strptime(text, '%Y')", [""]),
        (
            parsers_of_the_domain,
            "EmailAddress.parse(a); UUID(b); UUID(int=0); UUID(bytes=c); parse_timestamp(d); bounds.parse_number(e, f)",
            ["EmailAddress.parse", "UUID", "parse_timestamp", "bounds.parse_number"],
        ),
        (lenient_numbers, "def f(a: Annotated[int | None, Query(ge=1)] = 1): ...", ["(int | None, Query(ge=1))"]),
        (lenient_numbers, "def f(a: Annotated[int, IN_DIGITS, Query(ge=1)], b: Annotated[str, Query()]): ...", []),
        (
            executed_commands,
            "services.execute(command)\nsettle(storage.ledger.execute)\nawait services.execute_in_group(command)",
            ["execute", "execute", "execute_in_group"],
        ),
        (commands_about_recipients, "ReserveUse(code)", ["ReserveUse"]),
        (second_persons, "Caller(actor='staff', approved_by='me')", [""]),
        (retry_rules, "is_final = outcome.final", ["final"]),
        (retry_rules, "from domain.ports import RetryLater", ["RetryLater"]),
        (retry_rules, "ATTEMPTS_MAX: Final = 5", ["ATTEMPTS_MAX"]),
        (retry_rules, "RETRY_S = 60", ["RETRY_S"]),
        (retry_rules, "RECORD_ATTEMPTS_MAX = 5", []),
        (retry_rules, "Rejected(server=name, reason=reason, final=True)", []),
        (streamed_responses, "responses.FileResponse(path)", [""]),
        (literal_exit_codes, "def f():\n    return 4", ["4"]),
        (literal_exit_codes, "import sys\nsys.exit(3)", ["3"]),
        (literal_exit_codes, "EXIT_FOUND = 1", ["EXIT_FOUND"]),
        (names_of_projections, f"rebuild({min(PROJECTIONS)!r})", [min(PROJECTIONS)]),
    ],
)
def test_second_place_is_found(finder: Callable[[ast.Module], Iterator[str]], source: str, expected: list[str]) -> None:
    assert sorted(finder(parse(source))) == sorted(expected)


@pytest.mark.parametrize(
    ("caught", "raised", "count"),
    [
        ("psycopg.OperationalError", "StorageUnavailableError(str(error))", 1),
        ("psycopg.OperationalError", "RolesMissingError(str(error))", 0),
        ("OSError", "StorageUnavailableError(str(error))", 0),
    ],
)
def test_second_translation_of_an_outage_is_found(caught: str, raised: str, count: int) -> None:
    handler = f"try: ...\nexcept {caught} as error:\n    raise {raised} from error\n"

    assert len([*translations_of_database_errors(parse(handler))]) == count


def test_no_statement_writes_a_projection() -> None:
    """Rows of projections are written by the statements that their declaration generates."""
    writes = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM|COPY|LOCK TABLE|TRUNCATE)\s+([a-z_, ]+)")
    written = [
        f"{path.name}: {match[0].strip()}"
        for path in (ROOT / "projections/sql").glob("*.sql")
        for match in writes.finditer(path.read_text("utf-8"))
        if {*re.split(r"[ ,]+", match[1])} & PROJECTIONS.keys()
    ]

    assert written == []


def test_headers_of_every_answer_are_set_by_the_middleware() -> None:
    """An answer that says nothing about caching is not stored, so routes and pages need not repeat it."""
    sources = {path: read(path).lower() for path in list_modules("api")}
    headers = ("x-content-type-options", "strict-transport-security", "x-request-id")

    # The default, no-store, and the two kinds of answers that a browser may store.
    assert {path for path, source in sources.items() if "cache-control" in source} == {
        *("api/http/middleware.py", "api/web/static_files.py", "api/web/public/code_form.py")
    }
    assert {path for path, source in sources.items() for header in headers if f'"{header}"' in source} == {
        "api/http/middleware.py"
    }
