import logging
from pathlib import Path

import pytest

from projections.config.unknown_settings import (
    INTERNAL,
    OTHER_VARIABLES,
    find_ignored_settings,
    find_unknown_settings,
    log_ignored_settings,
    setting_names,
)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("LEDGER_SMTP_TIME_S", "LEDGER_SMTP_TIMEOUT_S"),
        ("LEDGER_SSL_CERT_FILE", "SSL_CERT_FILE"),
        ("ledger_smtp_time_s", "LEDGER_SMTP_TIMEOUT_S"),
        ("LEGDER_SMTP_TIMEOUT_S", "LEDGER_SMTP_TIMEOUT_S"),
    ],
)
def test_mistyped_name_is_reported_with_the_setting_that_it_resembles(name: str, suggestion: str) -> None:
    assert list(find_unknown_settings([name])) == [f"{name.upper()} is not a setting, did you mean {suggestion}?"]


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("SMTP_URL", "LEDGER_SMTP_URL"), ("DATABASE_URI", "DATABASE_URL"), ("REDIS_URI", "REDIS_URL")],
)
def test_name_without_its_prefix_is_reported_in_a_file_of_the_ledger(name: str, suggestion: str) -> None:
    """In an environment it may be another program's."""
    assert list(find_unknown_settings([name])) == []
    assert list(find_unknown_settings([name], in_own_file=True)) == [
        f"{name} is not a setting, did you mean {suggestion}?"
    ]


def test_variables_of_other_programs_are_not_reported() -> None:
    foreign = ["PATH", "HOME", "COMPOSE_PROJECT_NAME", "DATABASE_NAME", *setting_names()]

    assert list(find_unknown_settings(foreign, in_own_file=True)) == []


def test_variable_of_the_ledger_is_not_reported() -> None:
    assert list(find_unknown_settings([*setting_names(), *OTHER_VARIABLES, *INTERNAL], in_own_file=True)) == []
    assert list(find_unknown_settings(["LEDGER_DATABASE_URL", "ledger_lease_s"])) == []


def test_name_that_resembles_no_setting_is_reported_with_the_command_that_lists_them() -> None:
    assert list(find_unknown_settings(["LEDGER_XYZZY", "XYZZY"], in_own_file=True)) == [
        "LEDGER_XYZZY is not a setting: `ledger settings` lists them"
    ]


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
