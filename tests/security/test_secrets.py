"""How secrets are compared, and that no rule about security is switched off without a reason."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for name in ("domain", "projections", "api", "workers") for path in (ROOT / name).rglob("*.py"))
SECRET = re.compile(r"(^|_)(token|secret|password|password_hash|signature|tag|mac|hmac|api_key|nonce)$")
EXCEPTION = re.compile(r"#\s*noqa:\s*(S\d+(?:,\s*\w+)*)(.*)")


def compared(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Lines in which something that is named like a secret is compared by ==, != or in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(
            isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops
        ):
            for side in (node.left, *node.comparators):
                name = side.id if isinstance(side, ast.Name) else side.attr if isinstance(side, ast.Attribute) else ""
                if SECRET.search(name.lower()) and not _is_about_words(node):
                    yield node.lineno, name


def _is_about_words(node: ast.Compare) -> bool:
    """Whether it is compared with a literal, such as an empty text: then there is nothing to find out."""
    return any(isinstance(side, ast.Constant) for side in (node.left, *node.comparators))


def test_no_secret_is_compared_character_by_character() -> None:
    """`hmac.compare_digest` takes as long whatever is wrong; sessions and keys are looked up by a digest instead."""
    comparisons = {
        str(path.relative_to(ROOT)): lines
        for path in SOURCES
        if (lines := list(compared(ast.parse(path.read_text("utf-8")))))
    }

    assert comparisons == {}
    assert list(compared(ast.parse("if form.token == known: pass"))) == [(1, "token")]
    assert sum("compare_digest" in path.read_text("utf-8") for path in SOURCES) >= 2


def test_each_exception_from_a_security_rule_has_its_reason() -> None:
    """Behind the rule's name, in the same line."""
    exceptions = [
        (str(path.relative_to(ROOT)), match[1], match[2])
        for path in SOURCES
        for match in EXCEPTION.finditer(path.read_text("utf-8"))
    ]

    assert [place for *place, reason in exceptions if not re.match(r"\s+- \S+ \S+", reason)] == []
    assert exceptions
