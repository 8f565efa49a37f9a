"""Explanations of mutants that no test kills are about code that exists."""

import ast
import json
from pathlib import Path
from typing import Final

from tests.architecture.sources import nodes_of, parse

ROOT: Final = Path(__file__).parents[2]
EXPLAINED: Final = ROOT / "tests/mutation/explained.json"


def find_functions(module: str) -> set[str]:
    """Find the functions of a module by the names that mutmut gives them: `x_name`, of a class `xǁClassǁname`."""
    tree = parse((ROOT / module.replace(".", "/")).with_suffix(".py").read_text("utf-8"))
    classes = [node for node in nodes_of(tree) if isinstance(node, ast.ClassDef)]
    methods = {
        f"xǁ{each.name}ǁ{node.name}" for each in classes for node in each.body if isinstance(node, ast.FunctionDef)
    }
    return methods | {f"x_{node.name}" for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_each_explained_mutant_is_of_a_function_that_exists() -> None:
    """An explanation goes with its function. `make mutate ARGS=--all` names those that no mutant needs any more."""
    explained = json.loads(EXPLAINED.read_text("utf-8"))
    functions = [entry["function"].rpartition(".") for entry in explained]

    assert [f"{module}.{name}" for module, _, name in functions if name not in find_functions(module)] == []
    assert all(len(entry["reason"]) > 20 and entry["reason"].endswith(".") for entry in explained)
    assert len({(entry["function"], entry["becomes"]) for entry in explained}) == len(explained)
