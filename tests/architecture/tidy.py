"""Style that ruff does not check. Each function takes a file's path and text and gives the offenses it finds.

It knows texts only: which files to read, and what is excused, is in `test_tidy.py`.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from typing import Final

from tests.architecture.sources import find, imports, parse

LINES_MAX, FUNCTION_LINES_MAX = 600, 60

LEFTOVER = re.compile(r"\b(TODO|FIXME|XXX|(DESIGN|RELIABILITY|INCIDENT)(\.md| \w?\d))\b")
CONFLICT = re.compile("^(<{7}|>{7}) ", re.MULTILINE)
SILENCED = re.compile(r"(#\s*)?(noqa(: ?[A-Z]+\d+(, ?[A-Z]+\d+)*)?|type: ignore(\[[\w, -]+\])?|pragma: no \w+)")
REASON = re.compile(r"[^\W\d_]{2,}.*\s[^\W\d_]{2,}")
SKIP_WORD = re.compile(r"skip|xfail")
SKIPS = re.compile(r"pytest\.(mark\.)?(skip|skipif|importorskip|xfail)")
PLACES = re.compile(
    r"/(home|Users|root|work)/\w+|\.pyenv\b"
    r"|(py[p]i|pythonh[o]sted|npmj[s])\.org|(docker|ghcr|quay)\.io"  # written so that they do not find themselves
)
RICH_IS_IN = ("projections/terminal/progress_bars.py", "projections/terminal/tables.py")
SAYING = re.compile(r"print|(typer|click)\.s?echo|(.*\.)?(_?out|_?err|stdout|stderr)\.(write|writelines)")
TERMINAL_TEXT = "projections/terminal/text.py"
"""The module that writes to terminals; all others write through it."""
MARKUP = re.compile(r"\[/?(bold|dim|italic|underline|reverse|strike|red|green|yellow|blue|magenta|cyan)\b[^\]]*\]")

Offenses = Iterator[str]


def long_file(path: str, text: str) -> Offenses:
    """A file of more lines than a file may have; the reader should not have to scroll for long."""
    lines = text.count("\n")
    if lines > LINES_MAX:
        yield f"{path}: {lines} lines, at most {LINES_MAX}"


COPIES: Final = (".orig", ".rej", ".bak", "~")


def long_functions(path: str, text: str) -> Offenses:
    for node in find(parse(text), ast.FunctionDef, ast.AsyncFunctionDef):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield f"{path}::{node.name}: {lines} lines, at most {FUNCTION_LINES_MAX}"


def leftovers(path: str, text: str) -> Offenses:
    """Copies of editors and merges, unsolved conflicts, notes to oneself, and references to papers that are not here.

    docs/reference/rules.md has the numbered rules.
    """
    if path.endswith(COPIES):
        yield f"{path}: a copy"
    for pattern in (LEFTOVER, CONFLICT):
        yield from _matches(pattern, path, text)


def silenced_without_reason(path: str, text: str) -> Offenses:
    """Checks switched off for a line that doesn't say why."""
    if not SILENCED.search(text):
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        silenced = token.type == tokenize.COMMENT and SILENCED.search(token.string)
        if silenced and not REASON.search(SILENCED.sub("", token.string)):
            yield f"{path}:{token.start[0]}: {token.string}"


def skipped_tests(path: str, text: str) -> Offenses:
    """Tests that may not run, or may fail: such a test promises nothing."""
    if not SKIP_WORD.search(text):
        return
    for node in find(parse(text), ast.Attribute):
        if SKIPS.fullmatch(ast.unparse(node)):
            yield f"{path}:{node.lineno}: {ast.unparse(node)}"


def places(path: str, text: str) -> Offenses:
    """Paths of one machine and hosts of registries: they make a clone depend on where it was written."""
    yield from _matches(PLACES, path, text)


def past_the_terminal(path: str, text: str) -> Offenses:
    """Lines that reach a terminal with what people and servers typed in them, and skip `projections.terminal.text`."""
    for line, module in imports(parse(text)):
        if path not in RICH_IS_IN and module.split(".")[0] == "rich":
            yield f"{path}:{line}: rich is imported in {' and '.join(RICH_IS_IN)} alone"
    for node in find(parse(text), ast.Call) if path != TERMINAL_TEXT else ():
        if _says_a_variable(node):
            yield f"{path}:{node.lineno}: {ast.unparse(node.func)}"


def markup(path: str, text: str) -> Offenses:
    """Markup of rich, in which a variable's `[...]` would be read too: `styled` makes text in a style."""
    for node in find(parse(text), ast.Constant, ast.Attribute, ast.keyword):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and MARKUP.search(node.value):
            yield f"{path}:{node.lineno}: {node.value[:40]}"
        elif isinstance(node, ast.Attribute) and node.attr in {"from_markup", "print_markup"}:
            yield f"{path}:{node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.keyword) and node.arg in {"markup", "emoji"} and ast.unparse(node.value) != "False":
            yield f"{path}:{node.value.lineno}: {node.arg}={ast.unparse(node.value)}"


def _matches(pattern: re.Pattern[str], path: str, text: str) -> Offenses:
    for match in pattern.finditer(text):
        yield f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"


def _says_a_variable(call: ast.Call) -> bool:
    is_constant = all(isinstance(word, ast.Constant) for word in call.args)
    return not is_constant and SAYING.fullmatch(ast.unparse(call.func)) is not None
