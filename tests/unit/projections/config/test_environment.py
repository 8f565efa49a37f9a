from pathlib import Path

import pytest
from pydantic import ConfigDict, Field, SecretStr, ValidationError

from projections.config.environment import EnvironmentSettings


class ShopSettings(EnvironmentSettings):
    database_url: SecretStr = Field(validation_alias="DATABASE_URL")
    retry_first_s: float = Field(default=5.0, gt=0)
    data_dir: Path = Path(".ledger")

    model_config = ConfigDict(populate_by_name=True)


@pytest.fixture(autouse=True)
def secrets_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("DATABASE_URL", "LEDGER_DATABASE_URL", "LEDGER_RETRY_FIRST_S", "LEDGER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LEDGER_SECRETS_FILE", str(tmp_path / "secrets.env"))
    return tmp_path / "secrets.env"


def test_variables_set_the_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql:///ledger")
    monkeypatch.setenv("LEDGER_RETRY_FIRST_S", "2.5")

    settings = ShopSettings.from_environment()

    assert settings.database_url.get_secret_value() == "postgresql:///ledger"
    assert (settings.retry_first_s, settings.data_dir) == (2.5, Path(".ledger"))


@pytest.mark.parametrize("name", ["database_url", "LEDGER_DATABASE_URL", "ledger_database_url"])
def test_upper_and_lower_case_and_the_prefix_of_an_alias_do_not_matter(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "postgresql:///ledger")

    assert ShopSettings.from_environment().database_url.get_secret_value() == "postgresql:///ledger"


def test_environment_takes_precedence_over_the_secrets_file(
    monkeypatch: pytest.MonkeyPatch, secrets_file: Path
) -> None:
    secrets_file.write_text("DATABASE_URL=postgresql:///file\nLEDGER_RETRY_FIRST_S=3\n", encoding="utf-8")
    monkeypatch.setenv("DATABASE_URL", "postgresql:///environment")

    settings = ShopSettings.from_environment()

    assert settings.database_url.get_secret_value() == "postgresql:///environment"
    assert settings.retry_first_s == 3


def test_malformed_and_missing_values_name_their_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line makes a sentence of it."""
    monkeypatch.setenv("LEDGER_RETRY_FIRST_S", "soon")

    with pytest.raises(ValidationError) as caught:
        ShopSettings.from_environment()

    assert [error["loc"] for error in caught.value.errors()] == [("DATABASE_URL",), ("retry_first_s",)]


def test_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, secrets_file: Path) -> None:
    secrets_file.write_text("DATABASE_URL=postgresql:///file\nLEDGER_DATA_DIR=''\n", encoding="utf-8")
    monkeypatch.setenv("DATABASE_URL", " ")
    monkeypatch.setenv("LEDGER_RETRY_FIRST_S", "")

    settings = ShopSettings.from_environment()

    assert settings.database_url.get_secret_value() == "postgresql:///file"
    assert (settings.retry_first_s, settings.data_dir) == (5.0, Path(".ledger"))


@pytest.mark.parametrize("value", ["'2.5'", '"2.5"', "2.5\r", " 2.5 "])
def test_quotes_and_line_ends_are_not_part_of_a_value(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """`docker run --env-file` keeps quotes, and a shell keeps the CR of a file from Windows."""
    monkeypatch.setenv("DATABASE_URL", "postgresql:///ledger")
    monkeypatch.setenv("LEDGER_RETRY_FIRST_S", value)

    assert ShopSettings.from_environment().retry_first_s == 2.5
