"""The dead code check sees what nothing uses, and excuses only fields and what pyproject.toml names."""

from pathlib import Path

from tests.architecture.dead_code import unused_code

SETTINGS = """
[tool.vulture]
paths = ["domain"]
min_confidence = 60
ignore_names = ["called_by_library"]
ignore_decorators = ["@router.*"]
"""

SOURCE = """
class Record:
    field: int

    def called_by_library(self): ...

    def never_called(self): ...


@router.get("/")
def route(): ...


def never_used(): ...


print(Record)
"""


def test_only_what_nothing_uses_is_reported(tmp_path: Path) -> None:
    """Of a field, a hook, a route and two leftovers, the leftovers are found."""
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    (tmp_path / "domain").mkdir()
    (tmp_path / "domain" / "sample.py").write_text(SOURCE)

    found = unused_code(tmp_path)

    assert [
        "domain/sample.py:7: unused method 'never_called'",
        "domain/sample.py:14: unused function 'never_used'",
    ] == found
