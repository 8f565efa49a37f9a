"""Imports the rooms with the bounds of the small world.

A bound is copied where it is imported and bound to defaults where a function is defined, so setting it afterwards
reaches half of its users. The source of a module is changed before it is compiled instead, in each process.
"""

import ast
import hashlib
import marshal
import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

from tests.small_world.bounds import SMALL
from tests.small_world.uses import RECORD, RecordedStatement, is_recording, mark_uses, record_use

SWITCH: Final = "SMALL_WORLD"
"""The environment variable that switches to the small world; processes that tests start inherit it."""
STARTUP: Final = Path(__file__).parent / "startup"
LIMIT: Final = re.compile(r"\bLIMIT (\d+)\b")
COMPILED: Final = Path(__file__).parents[2] / "build/small_world"
"""Code of shrunk modules, each named by the digest of all that it is made of."""
_COMPILERS: Final = tuple(Path(__file__).with_name(name).read_bytes() for name in ("loader.py", "uses.py"))


def is_small() -> bool:
    return os.environ.get(SWITCH, "") not in {"", "0"}


def enter() -> None:
    """Import the rooms small from now on, here and in the Python processes that this one starts."""
    if any(isinstance(finder, _SmallFinder) for finder in sys.meta_path):
        return
    loaded = [name for name in sys.modules if name.partition(".")[0] in {"domain", "projections", "api", "workers"}]
    if loaded:
        raise RuntimeError(f"{loaded[0]} was imported before its bounds could be made small")
    sys.meta_path.insert(0, _SmallFinder())
    root = str(Path(__file__).parents[2])
    paths = [str(STARTUP), root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))


def shrink(source: str, sizes: Mapping[str, int]) -> ast.Module:
    """Return the tree of a module with its bounds in the small world.

    Args:
        source: Of the module.
        sizes: By the name of a constant, of a keyword with a default, or of a function that takes `maxsize`.
    """
    tree = ast.parse(source)
    _Shrinking(sizes).visit(tree)
    return ast.fix_missing_locations(tree)


class _Shrinking(ast.NodeTransformer):
    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._sizes = sizes

    def visit_Assign(self, node: ast.Assign) -> ast.Assign:
        for target in node.targets:
            if isinstance(target, ast.Name) and target.id in self._sizes:
                node.value = ast.Constant(self._sizes[target.id])
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                if len(target.elts) != len(node.value.elts):
                    continue  # a starred value, which is no bound
                node.value.elts = [
                    ast.Constant(self._sizes[name.id])
                    if isinstance(name, ast.Name) and name.id in self._sizes
                    else value
                    for name, value in zip(target.elts, node.value.elts, strict=True)
                ]
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AnnAssign:
        if isinstance(node.target, ast.Name) and node.target.id in self._sizes:
            node.value = ast.Constant(self._sizes[node.target.id])
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        if isinstance(node.func, ast.Name) and node.func.id in self._sizes:
            for keyword in node.keywords:
                if keyword.arg == "maxsize" and isinstance(keyword.value, ast.Constant):
                    keyword.value = ast.Constant(self._sizes[node.func.id])
        self.generic_visit(node)
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.arguments:
        node.kw_defaults = [
            ast.Constant(self._sizes[argument.arg]) if default is not None and argument.arg in self._sizes else default
            for argument, default in zip(node.kwonlyargs, node.kw_defaults, strict=True)
        ]
        self.generic_visit(node)
        return node


class _SmallFinder(MetaPathFinder):
    _modules: Final = {key.partition(":")[0] for key in SMALL}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._modules:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None and isinstance(spec.loader, SourceFileLoader):
                spec.loader = _SmallLoader(fullname, spec.loader.path)
                return spec
        return None


class _SmallLoader(SourceFileLoader):
    """Compiles a shrunk module once for all processes: Python's own bytecode on disk is that of the usual world."""

    def get_code(self, fullname: str) -> CodeType:
        """Load the code of the module, or compile it."""
        source, sizes = Path(self.path).read_bytes(), _sizes_of(fullname)
        marks = is_recording() and not _is_of_statements(fullname)
        made_of = (MAGIC_NUMBER, _COMPILERS, source, self.path, sizes, marks)
        compiled = COMPILED / hashlib.sha256(repr(made_of).encode()).hexdigest()
        try:
            code: CodeType = marshal.loads(compiled.read_bytes())  # noqa: S302 - written below
        except FileNotFoundError:
            tree = shrink(source.decode(), sizes)
            code = compile(mark_uses(tree, fullname, sizes) if marks else tree, self.path, "exec", dont_inherit=True)
            COMPILED.mkdir(parents=True, exist_ok=True)
            unfinished = compiled.with_suffix(f".{os.getpid()}")
            unfinished.write_bytes(marshal.dumps(code))
            unfinished.replace(compiled)
        return code

    def exec_module(self, module: ModuleType) -> None:
        vars(module)[RECORD] = record_use
        super().exec_module(module)
        if not _is_of_statements(module.__name__):
            return
        for name, size in _sizes_of(module.__name__).items():
            for statements in filter(lambda value: isinstance(value, type), vars(module).values()):
                if isinstance(statement := getattr(statements, name, None), str):
                    small = LIMIT.sub(f"LIMIT {size}", statement)
                    key = f"{module.__name__}:{name}"
                    setattr(statements, name, RecordedStatement(key, small) if is_recording() else small)


def _is_of_statements(module: str) -> bool:
    return module.startswith("projections.sql.")


def _sizes_of(module: str) -> dict[str, int]:
    return {key.partition(":")[2]: size for key, size in SMALL.items() if key.startswith(f"{module}:")}
