"""Retired words and their replacements: in identifiers, texts, docstrings, comments, and as names of exceptions.

None of them is used. `python -m tests.architecture.vocabulary` prints each one that is, with the word to write; with a
word as argument it prints where that is.
"""

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.architecture.sources import nodes_of, parse

ROOT = Path(__file__).parents[2]
COMMAND = ".venv/bin/python -m tests.architecture.vocabulary"

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

CODE: Final = ("domain", "projections", "api", "workers", "benchmarks", "clients", "tests", "docs")
ROOT_FILES: Final = ("Makefile", "compose.yaml", "Dockerfile")
DEPLOYED: Final = ("yml", "yaml", "json", "conf", "sh")
BODIES: Final = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_NAME: Final = re.compile(r"`[^`]*`")
_ANY_PROSE: Final = re.compile(rf"\b(?:{'|'.join(PROSE)})\b", re.IGNORECASE)
_WORD: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")

Counts = dict[str, dict[str, int]]


def bound_names(tree: ast.AST) -> Iterator[str]:
    """Names that code gives: to classes, functions, parameters, variables, attributes and imports."""
    for node in nodes_of(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case ast.alias(asname=str(name)):
                yield name
            case _:
                pass


def retired_in(name: str) -> Iterator[str]:
    """Retired words in one identifier."""
    yield from (word for word in map(str.lower, _WORD.findall(name)) if word in RETIRED)
    if name.strip("_").lower() in WITHOUT_NOUN:
        yield name.strip("_").lower()


def aliases(tree: ast.AST) -> Iterator[str]:
    """Names of caught exceptions that are not `error`."""
    for node in nodes_of(tree):
        if isinstance(node, ast.ExceptHandler) and node.name not in {None, ALIAS}:
            yield str(node.name)


def messages(tree: ast.AST) -> Iterator[str]:
    """String literals of several words, which become messages, help and log lines; docstrings are checked elsewhere."""
    docstrings = {
        id(statement.value)
        for node in nodes_of(tree)
        if isinstance(node, BODIES)
        for statement in node.body
        if isinstance(statement, ast.Expr)
    }
    for node in nodes_of(tree):
        match node:
            case ast.Constant(value=str(text)) if " " in text and id(node) not in docstrings:
                yield text
            case _:
                continue


def notes(source: str) -> Iterator[str]:
    """Docstrings and comments, without names in backticks, which are the names of something else."""
    for node in nodes_of(parse(source)):
        if isinstance(node, BODIES):
            for statement in node.body:
                match statement:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        yield _NAME.sub("", text)
                    case _:
                        continue
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield _NAME.sub("", token.string)


def prose_in(texts: Iterable[str]) -> Counter[str]:
    """Retired words in texts."""
    text = "\n".join(texts)
    counts = {phrase: len(re.findall(rf"\b{phrase}\b", text, re.IGNORECASE)) for phrase in PROSE}
    return Counter({phrase: count for phrase, count in counts.items() if count})


def read_texts(root: Path) -> Iterator[tuple[str, str]]:
    """Documentation, catalogs and alerts by path."""
    yield from ((path.name, path.read_text("utf-8")) for path in sorted(root.glob("*.md")))
    yield from ((name, (root / name).read_text("utf-8")) for name in ROOT_FILES if (root / name).exists())
    for folder, pattern in (("docs", "*.md"), ("api/i18n", "*.po"), *(("deploy", f"*.{kind}") for kind in DEPLOYED)):
        for path in sorted((root / folder).rglob(pattern)):
            if "_build" not in path.parts:
                yield path.relative_to(root).as_posix(), _said(path)


def _said(path: Path) -> str:
    lines = path.read_text("utf-8").splitlines()
    return "\n".join(line for line in lines if path.suffix != ".po" or not line.startswith(("#", "msgid")))


def trees(root: Path) -> Iterator[tuple[str, ast.Module]]:
    """Every module of the repository."""
    for folder in CODE:
        for path in sorted((root / folder).rglob("*.py")):
            if "_build" not in path.parts:
                yield path.relative_to(root).as_posix(), parse(path.read_text("utf-8"))


def count_all(root: Path = ROOT) -> Counts:
    """How often each retired word is still used."""
    identifiers: Counter[str] = Counter()
    caught: Counter[str] = Counter()
    said = [text for path, text in read_texts(root) if path != "docs/glossary.md"]
    noted: list[str] = []
    for path, tree in trees(root):
        names = [name for name in bound_names(tree) if f"{path}: {name}" not in CONTRACT_NAMES]
        identifiers.update(word for name in names for word in retired_in(name))
        said += [name.replace("_", " ") for name in names if name.startswith("test_")]
        caught.update(aliases(tree))
        said += messages(tree) if not path.startswith("tests/") else ()
        source = (root / path).read_text("utf-8")
        noted += notes(source) if _ANY_PROSE.search(source) else ()  # splitting into tokens takes most of the time
    counts = {"identifiers": identifiers, "exceptions": caught, "prose": prose_in(said), "notes": prose_in(noted)}
    return {kind: dict(sorted(count.items())) for kind, count in counts.items()}


def findings(counts: Counts) -> Iterator[str]:
    """Say what to write instead of each retired word that is used."""
    for kind, words in counts.items():
        for word, count in words.items():
            yield f"{kind}: {word} is used {count} times: write {replacement(word)}"


def replacement(word: str) -> str:
    """What to write for a retired word."""
    return RETIRED.get(word) or WITHOUT_NOUN.get(word) or PROSE.get(word) or ALIAS


def places(word: str, root: Path = ROOT) -> Iterator[str]:
    """Where an identifier, an exception or a text has a retired word."""
    for path, tree in trees(root):
        for name in sorted({*bound_names(tree), *aliases(tree)}):
            if word in {*retired_in(name), name}:
                yield f"{path}: {name}"
        if word in PROSE:
            own_messages = messages(tree) if not path.startswith("tests/") else ()
            texts = [*own_messages, *notes((root / path).read_text("utf-8"))]
            yield from (f"{path}: {text}" for text in texts if word in prose_in([text]))
    for path, text in read_texts(root):
        yield from (f"{path}:{at}" for at, line in enumerate(text.splitlines(), 1) if word in prose_in([line]))


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        sys.stdout.writelines(f"{place}\n" for place in places(argument))
    sys.exit("\n".join(findings(count_all())) or None)
