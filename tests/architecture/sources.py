"""Sources as trees. Many checks look at each file, so a process parses it and lists its nodes once."""

import ast
from functools import cache


@cache
def parse(source: str) -> ast.Module:
    """Parse a source. The tree is shared, so no check may change it."""
    return ast.parse(source)


@cache
def nodes_of(tree: ast.AST) -> tuple[ast.AST, ...]:
    """List the nodes of a tree, as `ast.walk` does."""
    return tuple(ast.walk(tree))
