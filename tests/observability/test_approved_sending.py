import pytest

from tests.observability.approved_sending import ENVIRONMENT, PATH, describe


def test_names_of_the_sending_side_are_the_approved_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    assert describe() == PATH.read_text("utf-8"), "run `make approve`, and read the difference"
