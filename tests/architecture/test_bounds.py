"""Each bound of a size is in the small world, or says why it is not: production alone reaches a usual one."""

import ast
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from tests.architecture.sources import ROOMS, ROOT, find, parse, read, trees
from tests.small_world import loader, uses
from tests.small_world.bounds import SMALL, USUAL, USUAL_FAMILIES
from tests.small_world.loader import LIMIT, shrink
from tests.small_world.uses import RECORD, RecordedStatement, mark_uses
from tests.small_world.worlds import CAN_BE_SMALL, LEFT_OUT, can_be_small, world_of

SIZED_CALLS: Final = {"lru_cache", "deque", "Queue", "BoundedSemaphore", "Semaphore", "ThreadPoolExecutor"}
SIZE_KEYWORDS: Final = {"maxsize", "maxlen", "max_workers", "pool_size"}
_STATEMENT: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def find_bounds(module: str, source: str) -> Iterator[str]:
    """Yield the keys of the numbers of a module, and of the literal sizes of its caches, queues and pools."""
    tree = parse(source)
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                yield from (f"{module}:{name}" for name in _numbers(target, statement.value))
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            yield from (f"{module}:{name}" for name in _numbers(statement.target, statement.value))
    for call in find(tree, ast.Call):
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        sizes = [word.value for word in call.keywords if word.arg in SIZE_KEYWORDS]
        if name in SIZED_CALLS and any(_is_number(size) for size in [*sizes, *call.args[:1]]):
            yield f"{module}:{name}"
    for arguments in find(tree, ast.arguments):
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if argument.arg in SIZE_KEYWORDS and default is not None and _is_number(default):
                yield f"{module}:{argument.arg}"


def find_limits(module: str, text: str) -> Iterator[str]:
    parts = _STATEMENT.split(text)[1:]
    for name, statement in zip(parts[::2], parts[1::2], strict=True):
        if any(int(size) > 1 for size in LIMIT.findall(statement)):
            yield f"{module}:{name}"


def explain(key: str) -> str | None:
    """Return why a bound keeps its size in the small world; None if nothing says so."""
    name = key.partition(":")[2]
    return USUAL.get(key) or next((why for pattern, why in USUAL_FAMILIES.items() if re.search(pattern, name)), None)


@cache
def all_bounds() -> list[str]:
    """Return the keys of all numbers and literal sizes in the rooms."""
    keys: list[str] = []
    for path in trees(*ROOMS):
        keys += find_bounds(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."), read(path))
    for file in sorted((ROOT / "projections/sql").glob("*.sql")):
        keys += find_limits(f"projections.sql.{file.stem}", file.read_text("utf-8"))
    return keys


def test_each_bound_is_small_in_the_small_world_or_says_why_not() -> None:
    unknown = [key for key in all_bounds() if key not in SMALL and explain(key) is None]

    assert not unknown, (
        f"name {', '.join(unknown)} in tests/small_world/bounds.py: with a small size in SMALL if it is the size of a "
        "cache, queue, page, batch, pool or slot; otherwise in USUAL with what it is, such as a day of the week"
    )


def test_small_world_names_only_bounds_that_exist() -> None:
    """What was renamed or removed would keep its usual size, or its reason, in silence."""
    keys = set(all_bounds())

    assert [key for key in (*SMALL, *USUAL) if key not in keys] == []
    assert [key for key in USUAL if key in SMALL] == []


@pytest.mark.parametrize(
    "source",
    [
        "PAGE = 25\n",
        "PAGE: Final = 5 * 5\n",
        "FIRST, PAGE = 1, 2\n",
        "@PAGE(maxsize=256)\ndef f(): ...\n",
        "def f(*, PAGE: int = 4): ...\n",
    ],
)
def test_bound_is_found_and_made_small(source: str) -> None:
    source = source.replace("PAGE(", "lru_cache(").replace("*, PAGE", "*, pool_size")
    (key,) = (key for key in find_bounds("m", source) if not key.endswith("FIRST"))

    assert re.search(r"\b3\b", ast.unparse(shrink(source, {key.partition(":")[2]: 3})))


def test_module_is_made_small_once_for_each_source_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes share the code until the source or a size changes."""
    monkeypatch.delenv(uses.FILE, raising=False)
    monkeypatch.setattr(loader, "COMPILED", tmp_path / "compiled")
    path = tmp_path / "m.py"

    def load(source: str, size: int) -> object:
        path.write_text(source)
        monkeypatch.setattr(loader, "SMALL", {"m:PAGE": size})
        module: dict[str, Any] = {}
        exec(loader._SmallLoader("m", str(path)).get_code("m"), module)  # noqa: S102 - written above
        return module["HALF"]

    first, second = "PAGE = 25\nHALF = PAGE / 2\n", "PAGE = 25\nHALF = PAGE / 4\n"

    assert [load(first, 4), load(first, 4), load(first, 8), load(second, 8)] == [2, 2, 4, 2]
    assert len([*(tmp_path / "compiled").iterdir()]) == 3


def test_limit_of_a_statement_is_found() -> None:
    text = "-- name: one\nSELECT 1 LIMIT 1;\n-- name: few\nSELECT 1 LIMIT 20;\n-- name: asked\nSELECT 1 LIMIT %s;\n"

    assert list(find_limits("m", text)) == ["m:few"]


@pytest.mark.parametrize(
    ("source", "by_import", "by_call"),
    [
        ("PAGE = 25\ndef ask(): return PAGE\n", [], ["m:PAGE"]),
        ("PAGE = 25\ndef ask(): return (lambda: PAGE + 1)()\n", [], ["m:PAGE"]),
        ("PAGE = 25\nasync def wait(): return PAGE\ndef ask(): wait().send(None)\n", [], ["m:PAGE"]),
        ("from functools import lru_cache\n@lru_cache(maxsize=9)\ndef ask(): ...\n", [], ["m:lru_cache"]),
        ("def ask(*, pool_size=4): return pool_size\n", [], ["m:pool_size"]),
        ("PAGE = 25\nHALF = PAGE / 2\ndef ask(): return HALF\n", ["m:PAGE"], []),
    ],
)
def test_use_of_a_bound_is_recorded(source: str, by_import: list[str], by_call: list[str]) -> None:
    """When a function reads it or a cache is asked; by the import if no function of its module does."""
    keys: list[str] = []
    (name,) = (key.partition(":")[2] for key in find_bounds("m", source))

    def note(key: str, value: object) -> object:
        keys.append(key)
        return value

    module: dict[str, Any] = {RECORD: note}

    exec(compile(mark_uses(ast.parse(source), "m", [name]), "m", "exec"), module)  # noqa: S102 - written above
    assert keys == by_import
    with suppress(StopIteration):
        module["ask"]()
    assert keys == by_import + by_call


def test_bound_that_no_test_uses_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of what is recorded, each process writes the first use; a statement is used when it is read."""
    file = tmp_path / "uses.txt"
    monkeypatch.setenv(uses.FILE, str(file))
    monkeypatch.setattr(uses, "_recorded", set())
    used, *unused = SMALL
    statements = type("Statements", (), {"page": RecordedStatement(used, "SELECT 1 LIMIT 2")})

    assert [statements.page, statements.page] == ["SELECT 1 LIMIT 2"] * 2  # type: ignore[attr-defined]  # made above
    assert file.read_text() == f"{used}\n"
    assert uses.main(str(file)) == 1
    assert capsys.readouterr().err.startswith(f"no test of `make small` uses {', '.join(unused)}: add a test")
    file.write_text("\n".join(SMALL))
    assert uses.main(str(file)) == 0


def test_each_file_of_tests_has_one_world_that_its_name_decides() -> None:
    """Half of those that can be small are. Folders and files that the lists name exist; their neighbors run."""
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if can_be_small(path)]
    small = [path for path in files if world_of(path) == "small"]

    assert [path for path in (*CAN_BE_SMALL, *LEFT_OUT) if not (ROOT / path).exists()] == []
    assert not can_be_small(ROOT / "tests/integration/cli/backup/test_drill.py")
    assert can_be_small(ROOT / "tests/integration/cli/maintenance/test_rebuild_verify.py")
    assert world_of(ROOT / "tests/unit/domain/test_policy.py") == "usual"
    assert 0.4 < len(small) / len(files) < 0.6


def _numbers(target: ast.expr, value: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name) and _is_number(value):
        yield target.id
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for each, element in zip(target.elts, value.elts, strict=True):
            yield from _numbers(each, element)


def _is_number(node: ast.expr) -> bool:
    """Return whether an expression is a whole number above one, or made of such."""
    if isinstance(node, ast.BinOp):
        return _is_number(node.left) and _is_number(node.right)
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value > 1
