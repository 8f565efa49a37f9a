"""Which licenses are permitted, and that a package with another one is reported."""

from email.message import Message
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.licenses import EXCEPTIONS, faults, is_allowed


class Package(Distribution):
    """A package whose metadata a test chooses."""

    def __init__(self, **said: str) -> None:
        self.said = said

    @property
    def metadata(self) -> Any:  # noqa: ANN401 - the type differs between versions of Python
        """Its METADATA."""
        message = Message()
        for name, value in self.said.items():
            message[name.replace("_", "-")] = value
        return message

    def read_text(self, filename: str) -> str | None:
        """Nothing else."""

    def locate_file(self, path: Any) -> Path:  # noqa: ANN401 - as above
        """Nowhere."""
        return Path(path)


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("MPL-2.0 AND (Apache-2.0 OR GPL-3.0-only)", True),
        ("GPL-3.0-only OR BSD-3-Clause", True),
        ("MIT AND GPL-2.0-or-later", False),
        ("AGPL-3.0-only", False),
        ("(MIT", False),
        ("", False),
    ],
)
def test_expression_is_read_as_it_is_meant(expression: str, allowed: bool) -> None:
    """OR leaves a choice, AND none."""
    assert allowed == is_allowed(expression)


def test_copyleft_and_missing_licenses_are_reported() -> None:
    """Both by name, with what to do; what is allowed or excepted is not."""
    excepted = [Package(Name=name) for name in EXCEPTIONS]
    copyleft = Package(Name="Bad_One", Classifier="License :: OSI Approved :: GNU General Public License v3 (GPLv3)")
    reported = list(faults([*excepted, Package(Name="good", License="Apache 2.0"), copyleft, Package(Name="silent")]))

    assert len(reported) == 2
    assert reported[0].startswith("bad-one is GNU General Public License")
    assert reported[1].startswith("silent names no license")
    assert all(line.endswith("take it out") for line in faults([]))
