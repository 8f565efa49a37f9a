"""Docstrings of functions begin with a verb, so that each says alone what its function does."""

import ast
import re
from collections.abc import Iterator
from typing import Final

import pytest

from tests.architecture.sources import nodes_of, parse
from tests.architecture.vocabulary import ROOT, trees

ROOMS: Final = ("domain/", "projections/", "api/", "workers/")
NO_VERB: Final = re.compile(
    r"(A|All|An|As|By|Each|Every|Everything|For|From|How|Ids|In|It|Its|Names|None|Of|One|Only|Some|That|The|These"
    r"|This|Those|Two|What|When|Where|Whether|Which|Who|Whom|Why)\b"
)
"""First words of a noun phrase or a question."""

OTHERWISE: Final = {
    "api/v1/": "routes are described for their callers, in the indicative",
    "domain/model/invariants.py": "each function states the rule that it checks",
}


def without_verb(tree: ast.Module) -> Iterator[str]:
    """Names of functions whose docstring does not begin with a verb; properties are nouns."""
    for node in nodes_of(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (text := ast.get_docstring(node)):
            is_property = any("property" in ast.unparse(decorator) for decorator in node.decorator_list)
            if not is_property and NO_VERB.match(text):
                yield node.name


def test_docstrings_of_functions_begin_with_a_verb() -> None:
    """In the four rooms; `Return whether ...` instead of `Whether ...`."""
    modules = [(path, tree) for path, tree in trees(ROOT) if path.startswith(ROOMS)]
    offenders = [
        f"{path}: {name}"
        for path, tree in modules
        if not path.startswith(tuple(OTHERWISE))
        for name in without_verb(tree)
    ]

    assert offenders == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def f():\n    'Whether it is.'", ["f"]),
        ("class A:\n    async def f(self):\n        'The rows.'", ["f"]),
        ("def f():\n    'Return whether it is.'", []),
        ("class A:\n    @property\n    def f(self):\n        'The rows.'", []),
    ],
)
def test_docstrings_without_a_verb_are_found(source: str, names: list[str]) -> None:
    """The check is able to fail; a property may be described by a noun."""
    assert list(without_verb(parse(source))) == names
