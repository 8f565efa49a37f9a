"""One name, one concept: no public class twice, and module names twice only for one thing seen by several rooms."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.architecture.sources import parse
from tests.architecture.vocabulary import bound_names

ROOT = Path(__file__).parents[2]
ROOMS: Final = ("domain", "projections", "api", "workers")
MAX_FIRST: Final = {
    "max_attempts": "a setting",
    "max_retries": "Celery's",
    "max_uses": "a term of codes",
    "max_per_person": "a term of campaigns",
    "max_per_day": "a term of campaigns",
}
"""Names of others that begin with `max`; ours end with it, as the settings do."""

VAGUE: Final = frozenset(
    {
        *("base", "common", "core", "extra", "general", "helper", "helpers", "lib", "many", "misc"),
        *("shared", "stuff", "things", "tool", "tools", "util", "utils", "utilities", "various"),
    }
)
"""Words that could name any module."""
MAIN: Final = ["api/main.py"]
"""The composition root of the API, which uvicorn is started with."""

UNCLEAR: Final = re.compile(
    r"^test_((a|an|the|who|it|what(?!_if))_|(\w+_)?(said|told|anybody|by_hand|gives_back)(_|$))"
)
"""Names of tests that do not begin with their subject, or that let software speak."""

SAME_CONCEPT: Final = {
    "relay": "a relay of events: the loop, commands",
    "event_schemas": "JSON Schemas of events: how they are made, routes",
    "waiting_list": "the waiting list of a campaign: events, state, commands",
    "waiting_offers": "emails of offers to people who wait: table, sender",
    "access": "access that an invitation gives: its state, its events",
    "approvals": "proposals that wait for a second person: settings, table, schemas, routes, commands",
    "api_keys": "keys of integrators: table, page, commands",
    "batches": "batches of codes: use cases, page",
    "campaign": "campaigns: events, state",
    "campaigns": "campaigns: table, schemas, routes, commands",
    "cases": "the review queue: routes, commands",
    "change_codes": "changes of many codes: pages, a command",
    "code_import": "importing codes from a file: route, page",
    "code_terms": "terms of a code: value object, table at the edge",
    "codes": "codes: routes, page, commands",
    "command": "what the command line runs of its package",
    "connection": "a connection to a server: PostgreSQL, SMTP",
    "context": "what a room hands to each of its handlers",
    "database": "PostgreSQL: statements, health check",
    "environment": "environment variables: of a process, of the embedded stack",
    "erase_person": "erasing a person: use case, form",
    "export_person": "exporting a person's data: use case, form",
    "errors": "the errors of a room",
    "event_feed": "the event log as a feed: reading, route",
    "export": "exports of codes: page, command",
    "findings": "what a check has found",
    "group_channels": "channels of groups: table, use cases, routes",
    "groups": "groups that codes invite to: table, page",
    "hand_out": "hand-outs: events, state",
    "hand_outs": "hand-outs: table, schemas, statements, routes, emails",
    "importer": "an import from start to summary",
    "invitations": "emails of invitations: their limits, how they are sent",
    "issue": "issuing codes: command, page",
    "lifecycle": "pausing, resuming, revoking a code: routes, commands",
    "notes": "notes of staff: table, form",
    "opt_outs": "opting out of reminders: table, use cases, form",
    "pagination": "pages of lists: reading, query parameters",
    "privacy": "a person's data: statements, commands",
    "rebind": "moving an access to another group: command, use case, route, page",
    "rebuild": "rebuilding read models: statements, run",
    "receipts": "receipts of reservations: making, commands",
    "redeem": "redeeming a code: use case, route",
    "refund_outage": "refunding after an outage: use case, form, command",
    "rendering": "pages from templates",
    "registry": "kinds of a thing by name: projections, channels",
    "reservation": "a reservation: its state, its events",
    "router": "the routes of a package as one router",
    "run": "a long run with progress, report and exit code",
    "second_factors": "second factors of staff: statements, use cases",
    "settings": "settings of a process",
    "staff": "staff accounts: page, commands",
    "staff_accounts": "staff accounts: table, use cases",
    "staff_links": "links by which staff choose a password: table, use cases",
    "threshold_digest": "the email about crossed thresholds: its row, its sender",
    "timestamps": "points in time: values, driver, fields",
    "transfer": "export and import of the whole ledger: statements, commands",
    "vault": "encrypted texts: vault, health check",
    "webhook_endpoints": "webhook endpoints: table, use cases",
    "webhooks": "webhooks to integrators: fields, page",
    "group_branding": "logo and color of a group's emails: use case, schemas, route, page",
    "what_if": "decisions about a past state: use case, route, command",
}
"""Names that several modules may have, and the one thing that all of them are about."""


def modules(root: Path) -> Iterator[Path]:
    """Modules of the four rooms."""
    for room in ROOMS:
        yield from sorted((root / room).rglob("*.py"))


def repeated_classes(root: Path) -> list[str]:
    """Public classes whose name another module has too."""
    paths = defaultdict(list)
    for path in modules(root):
        for node in parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                paths[node.name].append(path.relative_to(root).as_posix())
    return [f"{name}: {', '.join(where)}: rename one" for name, where in sorted(paths.items()) if len(where) > 1]


def repeated_modules(root: Path) -> set[str]:
    """Names that several modules have."""
    counts: dict[str, int] = defaultdict(int)
    for path in modules(root):
        if not path.stem.startswith("__"):
            counts[path.stem] += 1
    return {name for name, count in counts.items() if count > 1}


def test_no_public_class_has_a_name_twice() -> None:
    """A name found by searching is the one that was meant."""
    assert repeated_classes(ROOT) == []


def test_module_names_repeat_only_for_one_concept() -> None:
    """Add a name to SAME_CONCEPT with what all of its modules are about, or rename one of them; unused entries go."""
    assert SAME_CONCEPT.keys() == repeated_modules(ROOT)


def vague_modules(root: Path) -> list[str]:
    """Return the modules of rooms, tests and benchmarks whose name does not say what is in them."""
    paths = [path for room in (*ROOMS, "tests", "benchmarks") for path in (root / room).rglob("*.py")]
    return sorted(path.relative_to(root).as_posix() for path in paths if VAGUE & set(path.stem.split("_")))


def test_module_names_match_their_content(tmp_path: Path) -> None:
    """Name a module by its subject; if it has several, each gets a module."""
    (tmp_path / "api").mkdir()
    for name in ("util", "page_helpers", "utility_bills"):
        (tmp_path / "api" / f"{name}.py").touch()

    assert vague_modules(tmp_path) == ["api/page_helpers.py", "api/util.py"]
    assert vague_modules(ROOT) == []
    assert [path.relative_to(ROOT).as_posix() for path in modules(ROOT) if path.stem == "main"] == MAIN


def unclear_tests(root: Path) -> list[str]:
    """Return tests whose name begins with an article or a pronoun, or has a word of speech."""
    return sorted(
        f"{path.relative_to(root).as_posix()}: {node.name}"
        for path in (root / "tests").rglob("test_*.py")
        for node in ast.walk(parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and UNCLEAR.search(node.name)
    )


def test_names_of_tests_begin_with_their_subject(tmp_path: Path) -> None:
    """A red line of CI is read without the file: `test_<subject>_<behavior>`."""
    (tmp_path / "tests").mkdir()
    names = ("a_use_counts", "what_is_due_is_sent", "error_is_said", "what_if_agrees", "annex_is_read", "use_counts")
    (tmp_path / "tests/test_names.py").write_text("\n".join(f"def test_{name}(): ..." for name in names))

    assert [line.partition(": test_")[2] for line in unclear_tests(tmp_path)] == sorted(names[:3])
    assert unclear_tests(ROOT) == []


def maxima_named_otherwise(root: Path) -> set[str]:
    """Names that begin with `max` and are ours."""
    names = {name for path in modules(root) for name in bound_names(parse(path.read_text("utf-8")))}
    return {name for name in names if name.strip("_").lower().startswith("max_")} - MAX_FIRST.keys()


def test_names_of_maxima_end_with_max(tmp_path: Path) -> None:
    """`LISTED_MAX` and `listed_max`, in one order of words."""
    (tmp_path / "api").mkdir()
    (tmp_path / "api/a.py").write_text("MAX_AGE_S = 1\nAGE_S_MAX = 1\ndef f(max_uses): ...")

    assert {"MAX_AGE_S"} == maxima_named_otherwise(tmp_path)
    assert maxima_named_otherwise(ROOT) == set()


def test_repeated_names_are_found(tmp_path: Path) -> None:
    """Both checks are able to fail; private classes may repeat."""
    for module, source in {
        "domain/plan": "class Plan: ...\nclass _Row: ...",
        "api/plan": "class _Row: ...",
        "api/other": "class Plan: ...",
    }.items():
        (tmp_path / module).parent.mkdir(exist_ok=True)
        (tmp_path / f"{module}.py").write_text(source)

    assert repeated_classes(tmp_path) == ["Plan: domain/plan.py, api/other.py: rename one"]
    assert {"plan"} == repeated_modules(tmp_path)
