"""A run of the whole suite names the tests that it left out, and the packages to install. CI installs all of them."""

from pathlib import Path

import pytest

from tests.support import optional_packages
from tests.support.optional_packages import OPTIONAL, describe_missing, may_run

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", OPTIONAL)
def test_optional_tests_exist_and_ci_installs_their_packages(name: str) -> None:
    """A package that CI lacks would make its tests fail there."""
    optional = OPTIONAL[name]

    assert (ROOT / optional.tests).exists()
    assert [
        word for word in optional.packages.split() if f"missing+=({word}" not in (ROOT / ".ci/run").read_text()
    ] == []


def test_missing_package_is_named_with_its_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """In CI its tests run and fail instead."""
    lacking = {"RabbitMQ": OPTIONAL["RabbitMQ"]._replace(are_installed=lambda: False)}
    monkeypatch.setattr(optional_packages, "OPTIONAL", lacking)
    monkeypatch.delenv("CI", raising=False)
    sentences = list(describe_missing())
    monkeypatch.setenv("CI", "true")

    assert sentences == [
        "Tests of tests/contracts/test_brokers.py did not run: no RabbitMQ (apt install rabbitmq-server)"
    ]
    assert may_run("RabbitMQ")
    assert list(describe_missing()) == []
