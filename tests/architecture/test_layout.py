"""The tree shows the architecture: small packages, each with its purpose in one line."""

import ast
from pathlib import Path

import pytest

from tests.architecture.sources import parse

ROOT = Path(__file__).parents[2]
MODULES_MAX = 20
PACKAGES = sorted(
    {
        path.parent
        for room in ("domain", "projections", "api", "workers", "benchmarks")
        for path in (ROOT / room).rglob("*.py")
    }
)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_package_is_small_and_states_its_purpose(package: Path) -> None:
    """A module is found by `ls`. A package that outgrows the bound is split by idea."""
    modules = [path for path in package.glob("*.py") if path.name != "__init__.py"]
    docstring = ast.get_docstring(parse((package / "__init__.py").read_text("utf-8")))

    assert len(modules) <= MODULES_MAX, "move the modules of one idea into a package in this one"
    assert docstring is not None, "say in __init__.py what the package is for"
    assert docstring.splitlines()[0].endswith(".")


def test_packages_are_found() -> None:
    """The parametrization above is not empty."""
    assert len(PACKAGES) > 50
