"""The dead code checks see what nothing uses, and excuse only fields and what pyproject.toml names."""

from pathlib import Path

from tests.architecture.dead_code import unused_code
from tests.architecture.dead_methods import unused_methods

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


def test_only_unused_names_are_reported(tmp_path: Path) -> None:
    """Of a field, a hook, a route and two leftovers, the leftovers are found."""
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    (tmp_path / "domain").mkdir()
    (tmp_path / "domain" / "sample.py").write_text(SOURCE)

    reported = unused_code(tmp_path)

    assert reported == [
        "domain/sample.py:7: unused method 'never_called'",
        "domain/sample.py:14: unused function 'never_used'",
    ]


HOMONYMS = """
from typing import Protocol


class Port(Protocol):
    def send(self) -> None: ...


class Living:
    def close(self) -> None: ...

    def send(self) -> None: ...


class Dead:
    def close(self) -> None: ...

    def called_by_library(self) -> None: ...

    def read_by_a_template(self) -> None: ...


class Heir(Living):
    def close(self) -> None: ...


def run(living: Living, port: Port) -> None:
    living.close()
    port.send()
"""


def test_method_is_dead_although_another_class_has_a_living_one_of_its_name(tmp_path: Path) -> None:
    """Uses of a base class reach its heirs, and uses of a protocol every class that has the method."""
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    (tmp_path / "domain").mkdir()
    (tmp_path / "domain" / "sample.py").write_text(HOMONYMS)
    (tmp_path / "domain" / "page.html").write_text("{{ dead.read_by_a_template }}")

    reported = unused_methods(tmp_path)

    assert reported == ["domain/sample.py:16: unused method Dead.close: delete it"]
