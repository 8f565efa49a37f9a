"""Which bounds the tests of `make small` use: a bound that none of them uses has only its usual size in every test.

Each process appends to one file, whose path it inherits. `python -m tests.small_world.uses FILE` lists what is missing.
"""

import ast
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Final, TypeVar

from tests.small_world.bounds import SMALL

FILE: Final = "SMALL_WORLD_USES"
"""The environment variable with the path of the file; without it, nothing is recorded."""
RECORD: Final = "_record_small_bound"
"""The name by which the functions of a module call `record_use`."""

T = TypeVar("T")
_recorded: Final[set[str]] = set()


def is_recording() -> bool:
    return bool(os.environ.get(FILE))


def record_use(key: str, value: T) -> T:
    """Record that this process uses a bound, and return the value; the first use alone is written."""
    if key not in _recorded:
        _recorded.add(key)
        with Path(os.environ[FILE]).open("a", encoding="utf-8") as file:
            file.write(f"{key}\n")
    return value


def mark_uses(tree: ast.Module, module: str, names: Collection[str]) -> ast.Module:
    """Let the functions of a module record the bounds that they read, and its caches that they are asked.

    A bound that no function of the module reads is recorded when the module is imported.

    Args:
        tree: The module, which is changed.
        module: Its name.
        names: Of its bounds: of a constant, of a keyword with a default, or of a function that takes `maxsize`.
    """
    marking = _Marking(module, names)
    marking.visit(tree)
    for name in sorted({*names} - marking.marked):
        tree.body.append(ast.Expr(marking.record(name, ast.Constant(None))))
    return ast.fix_missing_locations(tree)


def find_unused(file: Path) -> list[str]:
    """List the bounds of the small world that no process of a run used."""
    used = {*file.read_text("utf-8").split()}
    return [key for key in SMALL if key not in used]


class RecordedStatement:
    """A statement of a class that is recorded when it is read."""

    def __init__(self, key: str, statement: str) -> None:
        self._key, self._statement = key, statement

    def __get__(self, instance: object, owner: type) -> str:
        return record_use(self._key, self._statement)


class _Marking(ast.NodeTransformer):
    def __init__(self, module: str, names: Collection[str]) -> None:
        self._module, self._names = module, names
        self._depth = 0
        self.marked: set[str] = set()

    def record(self, name: str, value: ast.expr) -> ast.Call:
        self.marked.add(name)
        return ast.Call(ast.Name(RECORD, ast.Load()), [ast.Constant(f"{self._module}:{name}"), value], [])

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Mark what the body reads; decorators and defaults are evaluated once, on import."""
        caches = [name for name in map(_called_name, node.decorator_list) if name in self._names]
        self._visit_body(node)
        node.body[:0] = [ast.Expr(self.record(name, ast.Constant(None))) for name in caches]
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AsyncFunctionDef:
        self._visit_body(node)
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.Lambda:
        self._depth += 1
        node.body = self.visit(node.body)
        self._depth -= 1
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if self._depth and isinstance(node.ctx, ast.Load) and node.id in self._names:
            return self.record(node.id, node)
        return node

    def _visit_body(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._depth += 1
        node.body = [self.visit(statement) for statement in node.body]
        self._depth -= 1


def _called_name(node: ast.expr) -> str:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def main(path: str) -> int:
    unused = find_unused(Path(path))
    if unused:
        sys.stderr.write(
            f"no test of `make small` uses {', '.join(unused)}: add a test that reaches it, or run the one that does "
            "(LEFT_OUT in tests/small_world/worlds.py, paths in the Makefile)\n"
        )
    return bool(unused)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
