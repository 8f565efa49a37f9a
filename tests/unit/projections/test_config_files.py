import logging
from pathlib import Path

import pytest
from pydantic import ConfigDict, Field, SecretStr, ValidationError

from projections.config.environment import EnvironmentSettings
from projections.config.secret_masking import mask_setting
from projections.config.settings import LedgerSettings
from projections.config.unknown_settings import (
    INTERNAL,
    OTHER_VARIABLES,
    find_ignored_settings,
    find_unknown_settings,
    log_ignored_settings,
    setting_names,
)
from projections.config.variables import Variable, find_faults, parse_variables, read_file_variables, read_variables


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


def test_secrets_file_has_comments_quotes_and_exports() -> None:
    text = "# keys\nA=1\n\nexport B = '2'\nC=\"3\"\nD=x==\nE=\nno variable\n  #F=1\nG='\n"

    assert parse_variables(text) == {"A": "1", "B": "2", "C": "3", "D": "x==", "E": "", "G": "'"}


def test_variables_name_the_source_that_takes_precedence(tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"
    file.write_text("a=1\nB=2\nC=\n")

    assert read_variables({"LEDGER_SECRETS_FILE": str(file), "b": "3", "C": ""}) == {
        "A": Variable("1", str(file)),
        "B": Variable("3", "environment"),
        "LEDGER_SECRETS_FILE": Variable(str(file), "environment"),
    }
    assert read_file_variables(tmp_path / "none") == read_file_variables(None) == {}


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        ("# A=$x\n\nexport A = 1\nB='$x # y'\n", ["line 4: the quotes are not part of the value of B"]),
        ("A=1\r\nB=2\r\n", ["the lines end in CRLF, which is not part of a value"]),
        ("A=1\na=2\nA=3\n", ["line 2 sets A again: line 1 has no effect", "line 3 sets A again: line 2 has no effect"]),
        ("A 1\nA: 1\n=1\n1A=1\n", [f"line {number} is not NAME=value: it has no effect" for number in range(1, 5)]),
        ("A='1\n", ["line 1: the quote that begins the value of A does not end on the line"]),
        ("A=x #y\n", ["line 1: Compose takes what follows # for a comment: write the value of A in single quotes"]),
        ("A=x#y\n", []),
        (
            'A="x$y"\n',
            [
                "line 1: the quotes are not part of the value of A",
                "line 1: Compose replaces $ and the name after it: write the value of A in single quotes",
            ],
        ),
    ],
)
def test_faults_of_a_file_are_named_by_line(text: str, sentences: list[str]) -> None:
    faults = list(find_faults(text))

    assert [fault.sentence for fault in faults] == sentences
    assert [fault.is_harmless for fault in faults] == ["quotes are" in one or "CRLF" in one for one in sentences]


@pytest.mark.parametrize(
    ("name", "suggestion", "in_environment"),
    [
        ("LEDGER_SMTP_TIME_S", "LEDGER_SMTP_TIMEOUT_S", True),
        ("LEDGER_SSL_CERT_FILE", "SSL_CERT_FILE", True),
        ("ledger_smtp_time_s", "LEDGER_SMTP_TIMEOUT_S", True),
        ("LEGDER_SMTP_TIMEOUT_S", "LEDGER_SMTP_TIMEOUT_S", True),
        ("SMTP_URL", "LEDGER_SMTP_URL", False),  # it may be another program's
        ("DATABASE_URI", "DATABASE_URL", False),
        ("REDIS_URI", "REDIS_URL", False),
    ],
)
def test_mistyped_name_is_reported_with_the_setting_that_it_resembles(
    name: str, suggestion: str, *, in_environment: bool
) -> None:
    report = f"{name.upper()} is not a setting, did you mean {suggestion}?"

    assert list(find_unknown_settings([name])) == ([report] if in_environment else [])
    assert list(find_unknown_settings([name], in_own_file=True)) == [report]


@pytest.mark.parametrize(
    ("names", "reports"),
    [
        (["PATH", "HOME", "COMPOSE_PROJECT_NAME", "DATABASE_NAME"], []),
        ([*setting_names(), *OTHER_VARIABLES, *INTERNAL], []),
        (["LEDGER_DATABASE_URL", "ledger_lease_s"], []),
        (["LEDGER_XYZZY", "XYZZY"], ["LEDGER_XYZZY is not a setting: `ledger settings` lists them"]),
    ],
    ids=["of other programs", "of the ledger", "with the prefix", "resembles none"],
)
def test_other_names_are_reported_only_if_they_have_the_prefix(names: list[str], reports: list[str]) -> None:
    assert list(find_unknown_settings(names, in_own_file=True)) == reports


def test_environment_and_files_are_searched_for_lines_without_effect(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secrets, more = tmp_path / "secrets.env", tmp_path / "more.env"
    secrets.write_text("LEDGER_SECRET_KY=x\r\nLEDGER_LEASE_S='75'\r\n")
    more.write_text("LEDGER_LEASE_S=75\nLEDGER_LEASE_S=76\n")
    monkeypatch.setenv("LEDGER_SECRETS_FILE", str(secrets))
    monkeypatch.setenv("LEDGER_SMTP_TIME_S", "45")
    first = [
        "LEDGER_SMTP_TIME_S is not a setting, did you mean LEDGER_SMTP_TIMEOUT_S?",
        f"{secrets}: LEDGER_SECRET_KY is not a setting, did you mean LEDGER_SECRET_KEY?",
    ]

    with caplog.at_level(logging.WARNING):
        log_ignored_settings()

    assert [(record.getMessage(), record.__dict__["why"]) for record in caplog.records] == [
        ("unknown setting ignored", sentence) for sentence in first
    ]
    assert list(find_ignored_settings(secrets, more, tmp_path)) == [
        *first,
        f"{more}: line 2 sets LEDGER_LEASE_S again: line 1 has no effect",
    ]


@pytest.mark.parametrize(
    ("field", "value", "masked"),
    [
        ("secret_key", "sekret", "***"),
        ("peppers", "2:c2VrcmV0,1:c2VrcmV0", "***"),
        ("read_database_url", "", ""),
        ("database_url", "host=db user=ledger password=sekret", "***"),
        ("database_url", "postgresql://ledger:sekret@db:5432/ledger", "postgresql://ledger:***@db:5432/ledger"),
        ("database_url", "postgresql://ledger@db/ledger", "postgresql://ledger@db/ledger"),
        ("database_url", "postgresql:///x?host=/run&password=sekret&a=b", "postgresql:///x?host=/run&password=***&a=b"),
        ("smtp_url", "smtps://me@example.com:s/e#k?r@et@mail.example", "smtps://me@example.com:***@mail.example"),
        ("redis_url", "rediss://:sekret@redis:6380/0", "rediss://:***@redis:6380/0"),
        ("redis_url", "amqp://u:sekret@n1:5672,n2:5672/v", "amqp://u:***@n1:5672,n2:5672/v"),
        ("smtp_url", "null://", "null://"),
        ("smtp_url", "sekret", "***"),
        ("relay_to", "https://bi.example.com:8443/hooks/sekret?sig=sekret", "https://bi.example.com:8443/***"),
        ("relay_to", "https://bi.example.com?sig=sekret", "https://bi.example.com"),
        ("relay_to", "https://me:sekret@bi.example.com/a", "https://bi.example.com/***"),
        ("relay_to", "kafka://me:sekret@b1:9093,b2:9093/orders", "kafka://b1:9093,b2:9093/***"),
        ("relay_to", "Kafka://sekret@b1/orders", "Kafka://b1/***"),
        ("relay_to", "kafka://me:se/kret@b1/orders", "***"),
        ("relay_to", "kafka://me:se@k/ret@b1/orders", "***"),
        ("relay_to", "kafka:me:sekret@b1/orders", "***"),
        ("relay_to", "kafka://b1/orders", "kafka://b1/***"),
        ("traces_url", "https://u:sekret@collector.example/v1", "https://u:***@collector.example/v1"),
        ("public_url", "https://redeem.example:8443", "https://redeem.example:8443"),
        ("mail_from", "Shop: invites <invites@example.com>", "Shop: invites <invites@example.com>"),
        ("lease_s", "75", "75"),
    ],
)
def test_values_are_shown_without_their_secrets(field: str, value: str, masked: str) -> None:
    assert mask_setting(LedgerSettings.model_fields[field], value) == masked


def test_settings_with_secret_names_are_masked() -> None:
    """A new secret is a `SecretStr`. The path of a file with one is none."""
    words = ("secret", "pepper", "key")
    named = [
        name
        for name in LedgerSettings.model_fields
        if any(word in name for word in words) and not name.endswith("_file")
    ]

    assert len(named) > 2
    assert {mask_setting(LedgerSettings.model_fields[name], "sekret") for name in named} == {"***"}
