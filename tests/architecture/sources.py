"""Sources as texts and trees. Many checks look at each file, so a process reads, parses and walks each one once."""

import ast
import gc
from functools import cache
from pathlib import Path
from typing import Final, TypeVar, overload

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = ("domain", "projections", "api", "workers")
CODE: Final = (*ROOMS, "benchmarks", "clients", "tests", "docs")

A = TypeVar("A", bound=ast.AST)
B = TypeVar("B", bound=ast.AST)


@cache
def read(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


@cache
def list_modules(*folders: str) -> tuple[str, ...]:
    """Return the paths of the Python files below some folders or by name, without what the build of the docs wrote."""
    paths = (
        path
        for name in folders
        for path in ([ROOT / name] if name[-3:] == ".py" else sorted((ROOT / name).rglob("*.py")))
    )
    return tuple(path.relative_to(ROOT).as_posix() for path in paths if "_build" not in path.parts)


def trees(*folders: str) -> dict[str, ast.Module]:
    return {path: tree for folder in folders for path, tree in _trees_below(folder).items()}


@cache
def _trees_below(folder: str) -> dict[str, ast.Module]:
    # The nodes stay until the process ends: to collect garbage among them takes twice as long as to parse.
    was_enabled = gc.isenabled()
    gc.disable()
    below = {path: parse(read(path)) for path in list_modules(folder)}
    for tree in below.values():
        _nodes_by_kind(tree)
    gc.freeze()
    if was_enabled:
        gc.enable()
    return below


@cache
def parse(source: str) -> ast.Module:
    """Parse a source. The tree is shared, so no check may change it."""
    return ast.parse(source)


def imports(tree: ast.AST) -> list[tuple[int, str]]:
    """List the modules that a tree imports by their full names, each with its line."""
    names = [(node.lineno, alias.name) for node in find(tree, ast.Import) for alias in node.names]
    return names + [(node.lineno, node.module) for node in find(tree, ast.ImportFrom) if node.module and not node.level]


@overload
def find(tree: ast.AST, kind: type[A], /) -> list[A]: ...
@overload
def find(tree: ast.AST, kind: type[A], other: type[B], /) -> list[A | B]: ...
@overload
def find(tree: ast.AST, *kinds: type[ast.AST]) -> list[ast.AST]: ...
def find(tree: ast.AST, *kinds: type[ast.AST]) -> list[ast.AST]:  # type: ignore[misc]  # the same, for any number
    """List the nodes of some kinds, those of the first kind first."""
    by_kind = _nodes_by_kind(tree)
    return [node for kind in kinds for node in by_kind.get(kind, ())]


@cache
def _nodes_by_kind(tree: ast.AST) -> dict[type[ast.AST], list[ast.AST]]:
    """Walk a tree in the order of `ast.walk`; a check that asks for calls need not look at every name."""
    by_kind: dict[type[ast.AST], list[ast.AST]] = {}
    nodes = [tree]
    for node in nodes:
        by_kind.setdefault(type(node), []).append(node)
        for value in vars(node).values():
            if isinstance(value, list):
                nodes += [each for each in value if isinstance(each, ast.AST)]
            elif isinstance(value, ast.AST):
                nodes.append(value)
    return by_kind
