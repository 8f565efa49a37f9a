"""Dead methods by qualified name: `python -m tests.architecture.dead_methods`.

vulture compares names only, so a method that nothing calls hides behind a living one of the same name. Here mypy says
which class each use is about. A use that it can't resolve (a value without a type, a protocol) counts for every method
of that name, and so does a name in a template.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from mypy import build
from mypy.config_parser import parse_config_file
from mypy.find_sources import create_source_list
from mypy.nodes import Decorator, Expression, FuncDef, MemberExpr, MypyFile, OverloadedFuncDef, SuperExpr, TypeInfo
from mypy.options import Options
from mypy.types import (
    CallableType,
    Instance,
    LiteralType,
    Overloaded,
    ProperType,
    TupleType,
    Type,
    TypeType,
    TypeVarType,
    UnionType,
    get_proper_type,
)
from vulture.config import make_config

CACHE = "docs/_build/mypy_whole"
"""Where mypy keeps what it knows of libraries."""
BUILDS_MAX = 3
"""The first fills the cache."""
CALLED_BY_LIBRARIES = {
    "projections.terminal.text._TerminalBytes": "io.TextIOWrapper writes to it as to any raw stream",
    "api.http.server.single_write.SingleWriteTransport": "uvicorn's protocol writes to it as to asyncio's transport",
    "workers.celery_ext.leased_scheduler.LeasedScheduler": "Celery's beat calls it as its own scheduler",
    "workers.http_client.client._DeadlineSocket": "http.client uses it as a socket",
    "api.auth.oidc.identity_provider._TokenEndpoint": "authlib's client uses it as an HTTP session",
    "api.auth.oidc.identity_provider._TokenAnswer": "authlib's client reads it as an HTTP response",
}
"""Classes that libraries use by what their methods are named."""


def unused_methods(folder: Path) -> list[str]:
    """Return the methods that nothing in the packages uses, one line for each.

    Args:
        folder: Where the packages and pyproject.toml are.
    """
    with (folder / "pyproject.toml").open("rb") as settings:
        config = make_config([], settings)
    ignored = config["ignore_names"]
    decorators = [pattern.removeprefix("@") for pattern in config["ignore_decorators"]]
    result = _build(folder, config["paths"])
    modules = {name: tree for name, tree in result.files.items() if name.split(".")[0] in config["paths"]}
    uses = _Uses(result.types)
    uses.by_name |= set(re.findall(r"\.(\w+)", "".join(_templates(folder, config["paths"]))))
    unused = []
    for info in _own_classes(modules):
        for name, node in _methods(info):
            is_hook = any(fnmatch(name, pattern) for pattern in ignored) or _is_decorated(node, decorators)
            if not is_hook and not uses.has(info, name, modules):
                path = Path(modules[info.module_name].path).relative_to(folder)
                unused.append(f"{path}:{node.line}: unused method {info.name}.{name}: delete it")
    return sorted(unused)


def _templates(folder: Path, packages: list[str]) -> Iterator[str]:
    for package in packages:
        for path in (folder / package).rglob("*.html"):
            yield path.read_text("utf-8")


def _build(folder: Path, packages: list[str]) -> build.BuildResult:
    options = Options()
    parse_config_file(options, lambda: None, str(folder / "pyproject.toml"), sys.stdout, sys.stderr)
    options.export_types = options.preserve_asts = True
    options.explicit_package_bases = options.namespace_packages = True
    options.mypy_path = [str(folder)]
    options.cache_dir, options.sqlite_cache = str(folder / CACHE), False
    for _ in range(BUILDS_MAX):
        # Our modules are analyzed each time, since no cache keeps the types of expressions.
        for package in packages:
            for entry in (folder / CACHE).glob(f"*/{package}"):
                shutil.rmtree(entry)
        result = build.build(create_source_list([str(folder / name) for name in packages], options), options)
        libraries = [tree for name, tree in result.files.items() if name.split(".")[0] not in packages]
        # What a library calls on values without a type must not count as a use: libraries have to come from the cache.
        if all(tree.is_cache_skeleton for tree in libraries):
            break
    return result


class _Uses:
    def __init__(self, types: dict[Expression, Type]) -> None:
        self.by_class: set[tuple[str, str]] = set()
        self.by_name: set[str] = set()
        for expression in types:
            if isinstance(expression, MemberExpr):
                self._add(expression.name, types.get(expression.expr))
            elif isinstance(expression, SuperExpr) and expression.info is not None:
                self.by_class |= {(base.fullname, expression.name) for base in expression.info.mro[1:]}

    def has(self, info: TypeInfo, name: str, modules: dict[str, MypyFile]) -> bool:
        """Tell whether a class's method is used, by its own name or as a hook of a library's class."""
        if name in self.by_name or any((base.fullname, name) in self.by_class for base in info.mro):
            return True
        return any(base.module_name not in modules and name in base.names for base in info.mro[1:])

    def _add(self, name: str, owner: Type | None) -> None:
        classes = [] if owner is None else list(_classes(get_proper_type(owner)))
        if not classes:
            self.by_name.add(name)
        for info in classes:
            declaring = info.get_containing_type_info(name)
            if declaring is None or declaring.is_protocol:
                self.by_name.add(name)
            else:
                # A use of a base class may reach what a subclass puts in its place.
                self.by_class |= {(declaring.fullname, name), (info.fullname, name)}


def _classes(owner: ProperType) -> Iterator[TypeInfo]:
    match owner:
        case Instance():
            yield owner.type
        case UnionType():
            for each in owner.items:
                yield from _classes(get_proper_type(each))
        case TupleType():
            yield owner.partial_fallback.type
        case LiteralType():
            yield owner.fallback.type
        case TypeVarType():
            yield from _classes(get_proper_type(owner.upper_bound))
        case TypeType():
            yield from _classes(owner.item)
        case CallableType() | Overloaded() if owner.is_type_obj():
            yield owner.type_object()


def _own_classes(modules: dict[str, MypyFile]) -> Iterator[TypeInfo]:
    """Every class of our modules, but for protocols: what they declare is for others to define."""
    tables = [tree.names for tree in modules.values()]
    seen = set()
    while tables:
        for symbol in tables.pop().values():
            info = symbol.node
            if isinstance(info, TypeInfo) and info.module_name in modules and info.fullname not in seen:
                seen.add(info.fullname)
                tables.append(info.names)
                if not info.is_protocol and info.fullname not in CALLED_BY_LIBRARIES:
                    yield info


def _methods(info: TypeInfo) -> Iterator[tuple[str, FuncDef | Decorator | OverloadedFuncDef]]:
    for name, symbol in info.names.items():
        node, is_ours = symbol.node, not name.startswith("__") and not symbol.plugin_generated
        if is_ours and isinstance(node, FuncDef | Decorator | OverloadedFuncDef):
            yield name, node


def _is_decorated(node: FuncDef | Decorator | OverloadedFuncDef, patterns: list[str]) -> bool:
    if not isinstance(node, Decorator):
        return False
    called = [getattr(decorator, "callee", decorator) for decorator in node.original_decorators]
    return any(fnmatch(str(getattr(name, "name", "")), pattern) for name in called for pattern in patterns)


if __name__ == "__main__":
    sys.exit("\n".join(unused_methods(Path.cwd())) or None)
