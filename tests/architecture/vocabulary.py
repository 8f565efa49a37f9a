"""Retired words and their replacements: in identifiers, texts, docstrings, comments, and as names of exceptions.

None of them is used. `test_vocabulary.py` names each place of one, with the word to write.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from typing import Final

from tests.architecture.sources import ROOT, find, parse, read

RETIRED: Final = {
    "anew": "again; rebuild, recompute",
    "beside": "additional; side (tables)",
    "deed": "action",
    "desk": "support console; context",
    "foresight": "preview",
    "hands": "concurrency, sender threads",
    "hint": "suffix (of a code); help text (of a field)",
    "hurt": "affected",
    "insistence": "retry schedule",
    "lane": "concurrency limit",
    "lanes": "concurrency limits",
    "letter": "message, notification, invitation",
    "letters": "messages; characters (of a text)",
    "mailroom": "batch sender",
    "moment": "timestamp",
    "office": "admin console",
    "parcel": "message",
    "poison": "undecodable",
    "postroom": "mail preview",
    "press": "message factory",
    "story": "reservation page",
    "stretch": "range, window, page",
    "tally": "summary, counters",
    "tell": "report, describe, notify",
    "told": "message, description",
    "tried": "attempt result",
    "tries": "attempts (at sending), requests",
    "trouble": "error, problem",
    "verdict": "assessment",
    "wish": "request, options, query",
}
"""No part of an identifier."""

WITHOUT_NOUN: Final = {
    "act": "action",
    "away": "error",
    "bad": "error",
    "book": "working_set",
    "found": "the noun: row, record, result",
    "given": "the noun",
    "held": "reserved; the noun",
    "item": "reservation; the noun",
    "kept": "saved_...; the noun",
    "known": "known_...; the noun",
    "made": "created_...; the noun",
    "opened": "open_...; the noun",
    "taken": "the noun",
    "this": "state: code, reservation",
    "wanted": "expected, requested_...; the noun",
}
"""No whole identifier: the noun is missing."""

CONTRACT_NAMES: Final = {
    "api/cli/doctor/check_result.py: found": "a field of the JSON of `ledger doctor`",
    "api/schemas/redemption_batch.py: known": "a field of the API",
    "api/schemas/resources.py: refused_tries": "a field of the API",
    "api/schemas/webhooks.py: taken": "a field of the API",
    "api/use_cases/explain_balance.py: held": "a field of the API",
    "api/v1/reservations/outage_refunds.py: found": "a field of the API",
    "api/v1/webhooks/mail_hooks.py: taken": "a field of the API",
    "api/web/public/status.py: known": "a parameter of the URL of a reservation's page",
    "domain/events/reservation.py: held": "a stored field of UseRefunded",
    "projections/privacy/data_export.py: act": "a field of the export of a person's data",
    "projections/repositories/issue_batches.py: wanted": "a column of `batches`",
}
"""Names that are stored or promised, by the module that has them, each with its reason. They are not counted."""

ALIAS: Final = "error"
"""What an exception is called where it is caught; the type says which one it is."""

PROSE: Final = {
    "anew": "again",
    "as ever": "as usual",
    "beside": "alongside, in addition to",
    "by and by": "gradually",
    "clean-ups?": "cleanup",
    "(?:a|the|support) desks?": "support console",
    "e-mails?": "email",
    "for ever": "permanently, forever",
    "gave back": "refunded",
    "(?:give|gives|given|giving) back": "refund, refunded",
    "in clear": "in plain text",
    "in doubt": "with an unknown outcome",
    "in vain": "without success",
    "(?:is|are) away": "is unavailable",
    "(?:is|are) told": "is notified, receives",
    "lately": "recently",
    "look-ups?": "lookup",
    "mails": "emails",
    "meanwhile": "in the meantime, since then",
    "mend(?:s|ed)?": "fix, recover",
    "nobody": "the actor: no process, no operator",
    "office": "admin console",
    "once more": "again",
    "passed over": "ignored, skipped",
    "put off": "deferred",
    "signs? of life": "heartbeat",
    r"somebody(?!\.)": "the actor: a person, an operator",
    "(?:take|takes|taken) away": "revoke, remove",
    "time-outs?": "timeout",
    "to be had": "available",
    "whoever": "anyone who, the operator who",
    "wish(?:es)?": "request, want",
    "yardsticks?": "baseline",
}
"""Not in text for people: tests, documentation, catalogs, alerts, messages, help, log lines and help of metrics."""

ROOT_FILES: Final = ("Makefile", "compose.yaml", "Dockerfile")
DEPLOYED: Final = ("yml", "yaml", "json", "conf", "sh")
BODIES: Final = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_NAME: Final = re.compile(r"`[^`]*`")
_WORD: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_LITERALS: Final = {phrase: re.sub(r".\?", "", re.sub(r"\(\?.*?\)\??", "", phrase)).strip() for phrase in PROSE}
"""What each text with the phrase contains; to look for that first is much faster."""


def bound_names(tree: ast.AST) -> Iterator[str]:
    """Yield the names that code gives: to classes, functions, parameters, variables, attributes and imports."""
    yield from (node.name for node in find(tree, ast.FunctionDef, ast.AsyncFunctionDef))
    yield from (node.name for node in find(tree, ast.ClassDef))
    yield from (node.arg for node in find(tree, ast.arg))
    yield from (node.id for node in find(tree, ast.Name) if isinstance(node.ctx, ast.Store))
    yield from (node.attr for node in find(tree, ast.Attribute) if isinstance(node.ctx, ast.Store))
    yield from (node.asname for node in find(tree, ast.alias) if node.asname is not None)


def retired_in(name: str) -> dict[str, str]:
    """Return the retired words in one identifier, with the words to write."""
    words = {word: RETIRED[word] for word in map(str.lower, _WORD.findall(name)) if word in RETIRED}
    whole = name.strip("_").lower()
    return words | ({whole: WITHOUT_NOUN[whole]} if whole in WITHOUT_NOUN else {})


def messages(tree: ast.AST) -> Iterator[str]:
    """Yield string literals of several words, which become messages, help and log lines."""
    docstrings = {id(text) for text in _docstrings(tree)}
    for node in find(tree, ast.Constant):
        if isinstance(node.value, str) and " " in node.value and id(node) not in docstrings:
            yield node.value


def notes(source: str) -> Iterator[str]:
    """Yield docstrings and comments, without names in backticks, which are the names of something else."""
    for text in _docstrings(parse(source)):
        yield _NAME.sub("", str(text.value))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield _NAME.sub("", token.string)


def _docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    for node in find(tree, *BODIES):
        for statement in getattr(node, "body", ()):
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                yield statement.value


def prose_in(texts: Iterable[str]) -> dict[str, int]:
    text = "\n".join(texts).lower()
    likely = [phrase for phrase, literal in _LITERALS.items() if literal in text]
    counts = {phrase: len(re.findall(rf"\b{phrase}\b", text)) for phrase in likely}
    return {phrase: count for phrase, count in counts.items() if count}


def list_texts() -> dict[str, str]:
    """Return documentation, catalogs and alerts by path; of a catalog what its readers see."""
    paths = [*ROOT.glob("*.md"), *(ROOT / name for name in ROOT_FILES), *(ROOT / "docs").rglob("*.md")]
    paths += [
        *(ROOT / "api/i18n").rglob("*.po"),
        *(path for kind in DEPLOYED for path in (ROOT / "deploy").rglob(f"*.{kind}")),
    ]
    names = (path.relative_to(ROOT).as_posix() for path in sorted(paths) if "_build" not in path.parts)
    return {name: without_keys(read(name)) if name.endswith(".po") else read(name) for name in names}


def without_keys(catalog: str) -> str:
    return "\n".join(line for line in catalog.splitlines() if not line.startswith(("#", "msgid")))


def findings_in(path: str, source: str) -> Iterator[str]:
    tree, is_test = parse(source), path.startswith("tests/")
    names = sorted({name for name in bound_names(tree) if f"{path}: {name}" not in CONTRACT_NAMES})
    for name in names:
        yield from (f"{path}: {name}: write {better}" for better in retired_in(name).values())
    for node in find(tree, ast.ExceptHandler):
        if node.name not in {None, ALIAS}:
            yield f"{path}: except ... as {node.name}: write {ALIAS}"
    titles = [name.replace("_", " ") for name in names if name.startswith("test_")]
    # To split a source into tokens takes long, so it is done where the source has such a word at all.
    noted = notes(source) if prose_in([source]) else ()
    phrases = prose_in([*titles, *(() if is_test else messages(tree)), *noted])
    yield from (f"{path}: {phrase}: write {PROSE[phrase]}" for phrase in phrases)
