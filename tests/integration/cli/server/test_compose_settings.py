"""Every setting reaches every container through the `.env` next to the compose file."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from api.settings import ApiSettings
from projections.config.environment import name_of_variable
from projections.config.unknown_settings import OTHER_VARIABLES, setting_names
from projections.config.variables import parse_variables
from tests.support.compose_environment import ROOT, environment_of, files_of, referenced_names, services_of
from workers.settings import WorkerSettings

COMPOSE_FILES = [ROOT / "compose.yaml", ROOT / "deploy/ha/compose.yaml"]
SERVICES = ("migrate", "backend", "celery_worker", "celery_beat")
DEPLOYED = [*((file, service) for file in COMPOSE_FILES for service in SERVICES), (COMPOSE_FILES[0], "relay")]
FILE_IDS = ("one", "cluster")
DEPLOYED_IDS = [*(f"{name}-{service}" for name in FILE_IDS for service in SERVICES), "one-relay"]
OWNERS = {"LEDGER_OWNER_DATABASE_URL", "LEDGER_OWNER_PASSWORD_FILE"}
"""Settings that only `migrate` gets."""
KEYS = "1:" + "Nk5XRmR5VGFCY0RlRmdIaUprTG1Ob1BxUnNUdVZ3WHk="

UNUSUAL: dict[str, object] = {
    "DATABASE_URL": "postgresql://run:typed%20here@db.example:6432/other",
    "LEDGER_DATABASE_PASSWORD_FILE": "/elsewhere/run",
    "LEDGER_READ_DATABASE_URL": "postgresql://run:standby@standby.example/other",
    "LEDGER_READ_LAG_S_MAX": 7.5,
    "LEDGER_OWNER_DATABASE_URL": "postgresql://owner:owned@db.example:6432/other",
    "LEDGER_OWNER_PASSWORD_FILE": "/elsewhere/owner",
    "LEDGER_DATABASE_WAIT_S": 61.5,
    "REDIS_URL": "rediss://ledger:broker@redis.example:6380/3",
    "LEDGER_DATA_DIR": "/elsewhere/data",
    "LEDGER_DISK_PATH": "/elsewhere/disk",
    "LEDGER_PUBLIC_URL": "https://redeem.example",
    "LEDGER_MAILBOX": "/elsewhere/mailbox",
    "LEDGER_FORGOTTEN_FILE": "/elsewhere/forgotten.jsonl",
    "LEDGER_BACKUP_PASSPHRASE": "a passphrase with # and $igns",
    "LEDGER_CHECKPOINT_FILE": "/elsewhere/checkpoints.jsonl",
    "LEDGER_WORKER_METRICS_HOST": "192.0.2.7",
    "LEDGER_WORKER_METRICS_PORT": 9500,
    "LEDGER_TRACES_URL": "https://collector.example/v1/traces",
    "LEDGER_TRACES_RATIO": 0.25,
    "LEDGER_SECRET_KEY": "a session secret # with $igns",
    "LEDGER_PEPPERS": KEYS,
    "LEDGER_MASTER_KEYS": KEYS.replace("1:", "2:"),
    "LEDGER_SMTP_URL": "smtps://sender:pa$$word@mail.example",
    "LEDGER_MAIL_FROM": "invites@redeem.example",
    "LEDGER_BOUNCE_ADDRESS": "bounces@redeem.example",
    "LEDGER_BOUNCE_MAILBOX_URL": "imaps://bounces:pa$$word@mail.example/Reports",
    "LEDGER_MAIL_PROVIDER": "postmark",
    "LEDGER_MAIL_HOOK_SECRET": "hook:pa$$word",
    "LEDGER_PERSON_RULE": "mailbox",
    "LEDGER_THROWAWAY_FILE": "/dev/null",
    "LEDGER_BOUNCE_POLICY": "refund",
    "LEDGER_THRESHOLD_MAIL_TO": "ops@redeem.example",
    "LEDGER_THRESHOLD_MAIL_WINDOW_S": 61.5,
    "LEDGER_THRESHOLD_MAIL_QUIET_HOURS": "22:00-08:00 Europe/Berlin",
    "LEDGER_SMTP_TIMEOUT_S": 31.5,
    "LEDGER_SMTP_DOT_TIMEOUT_S": 700.5,
    "LEDGER_WEBHOOK_TIMEOUT_S": 16.5,
    "LEDGER_WEBHOOK_ALLOW_PRIVATE": "10.1.0.0/16",
    "LEDGER_DEFAULT_LANGUAGE": "en",
    "LEDGER_RELAY_TO": "kafka://relay:pa$$word@broker.example:9093/redemptions",
    "LEDGER_RELAY_KAFKA_CONFIG": "/elsewhere/kafka.properties",
    "LEDGER_RELAY_CA_FILE": "/elsewhere/kafka-ca.pem",
    "LEDGER_RELAY_SECRET_FILE": "/elsewhere/relay.secret",
    "LEDGER_OIDC_ISSUER": "https://provider.example",
    "LEDGER_OIDC_CLIENT_ID": "redeem-ledger",
    "LEDGER_OIDC_CLIENT_SECRET_FILE": str(ROOT / "pyproject.toml"),
    "LEDGER_OIDC_SCOPES": "openid email groups",
    "LEDGER_OIDC_ROLE_CLAIM": "realm_access.roles",
    "LEDGER_OIDC_ROLES": "ledger-admins=admin",
    "LEDGER_PASSWORD_SIGN_IN": "break-glass",
    "LEDGER_APPROVALS": "refund,erase_person",
    "LEDGER_APPROVAL_REFUND_USES": 11,
    "LEDGER_APPROVAL_HOURS": 71,
    "LEDGER_SECOND_FACTOR": "admin,support",
    "LEDGER_RESERVATION_TTL_S": 1801,
    "LEDGER_MAX_ATTEMPTS": 9,
    "LEDGER_RETRY_FIRST_S": 5.5,
    "LEDGER_RETRY_LONGEST_S": 301.5,
    "LEDGER_LEASE_S": 91,
    "LEDGER_CORRECT_WITHIN_S": 3601,
    "LEDGER_REBINDS_MAX": 2,
    "LEDGER_REBIND_DAYS": 16,
    "LEDGER_SWEEP_S": 3.5,
    "LEDGER_BODY_BYTES_MAX": 65_537,
    "LEDGER_REQUEST_WAIT_S": 10.5,
    "LEDGER_RATE_LIMIT": "off",
    "LEDGER_INVITATIONS_PER_RECIPIENT": 6,
    "LEDGER_AGAIN_PER_RECIPIENT": 4,
    "LEDGER_RECIPIENTS_PER_ADDRESS": 101,
    "LEDGER_NOTICES_PER_RECIPIENT": 7,
    "LEDGER_ALLOWED_HOSTS": "backend,redeem.internal",
    "LEDGER_TRUSTED_PROXIES": "192.0.2.0/24",
    "LEDGER_WORKER_CONCURRENCY": 3,
    "LEDGER_SEND_CONCURRENCY": 25,
    "LEDGER_TASK_TIME_LIMIT_S": 241,
    "LEDGER_VISIBILITY_TIMEOUT_S": 302,
    "LEDGER_REFUSALS_DAYS": 91,
    "LEDGER_UNACCEPTED_DAYS": 366,
    "LEDGER_MAIL_DAYS": 31,
    "LEDGER_LOG_BYTES_MAX": 10_000_001,
}
"""A value for each setting that differs from its default and from that of every compose file."""


def read_settings(service: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The settings as a process of a service with exactly this environment reads them at its start, as JSON."""
    for name in os.environ:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    kind = WorkerSettings if service in {"celery_worker", "celery_beat"} else ApiSettings
    settings = kind.from_environment()
    values = {name_of_variable(kind, name): getattr(settings, name) for name in kind.model_fields}
    text = json.dumps(values, default=lambda value: getattr(value, "get_secret_value", lambda: str(value))())
    document: dict[str, Any] = json.loads(text)
    return document


def in_single_quotes(settings: dict[str, object]) -> str:
    return "".join(f"{name}='{value}'\n" for name, value in settings.items())


def test_table_of_unusual_values_has_every_setting() -> None:
    assert [*UNUSUAL] == setting_names()


@pytest.mark.parametrize(("compose_file", "service"), DEPLOYED, ids=DEPLOYED_IDS)
def test_process_reads_every_setting_of_dotenv(
    compose_file: Path, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No container replaces one by another value; the owner's URL and password reach `migrate` alone."""
    withheld = set() if service == "migrate" else OWNERS
    environment = environment_of(compose_file, service, in_single_quotes(UNUSUAL), shell={})
    read = read_settings(service, environment, monkeypatch)

    assert {name: read[name] for name in UNUSUAL if name not in withheld and read[name] != UNUSUAL[name]} == {}
    assert {name: (read[name], environment[name]) for name in withheld} == dict.fromkeys(withheld, (None, ""))


@pytest.mark.parametrize(("compose_file", "service"), DEPLOYED, ids=DEPLOYED_IDS)
def test_no_process_needs_a_dotenv(
    compose_file: Path, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets given as files: the keys and the password are found where a container mounts them."""
    (tmp_path / "secrets.env").write_text(f"LEDGER_SECRET_KEY=x\nLEDGER_PEPPERS={KEYS}\nLEDGER_MASTER_KEYS={KEYS}\n")
    (tmp_path / "password").write_text("generated\n")
    environment = environment_of(compose_file, service, "", shell={})
    places = [name for name in environment if name.endswith("_PASSWORD_FILE") and environment[name]]
    mounted = {
        "LEDGER_SECRETS_FILE": str(tmp_path / "secrets.env"), **dict.fromkeys(places, str(tmp_path / "password"))
    }  # fmt: skip

    read = read_settings(service, environment | mounted, monkeypatch)

    assert "generated" in read["DATABASE_URL"]
    assert ("generated" in (read["LEDGER_OWNER_DATABASE_URL"] or "")) == (service == "migrate")
    assert read["LEDGER_SECRET_KEY"] == "x"


@pytest.mark.parametrize("compose_file", COMPOSE_FILES, ids=FILE_IDS)
def test_deployment_names_no_variable_that_is_not_known(compose_file: Path) -> None:
    named = referenced_names(compose_file)
    for service in SERVICES:
        named |= services_of(compose_file)[service]["environment"].keys()
        for file in files_of(compose_file, service):
            named |= parse_variables(file.read_text("utf-8")).keys()

    assert len(named) > 15
    assert sorted(named - {*setting_names(), *OTHER_VARIABLES}) == []


def test_shell_sets_variables_as_the_guides_set_them() -> None:
    """`LEDGER_SMTP_URL=... docker compose up`; it takes precedence over `.env`. No other variable of a shell counts."""
    shell = {"LEDGER_SMTP_URL": "null://", "DATABASE_URL": "postgresql:///of-another-program"}
    environment = environment_of(COMPOSE_FILES[0], "backend", "LEDGER_SMTP_URL=smtp://mail.example", shell)

    assert environment["LEDGER_SMTP_URL"] == "null://"
    assert environment["DATABASE_URL"] == "postgresql://ledger_run@db/ledger"


def test_relay_runs_only_if_it_is_asked_for() -> None:
    """Without a target it would end again and again; its files are only read."""
    relay = services_of(COMPOSE_FILES[0])["relay"]

    assert (relay["profiles"], relay["command"]) == (["relay"], ["relay"])
    assert all(volume.endswith(":ro") for volume in relay["volumes"])


@pytest.mark.parametrize("compose_file", COMPOSE_FILES, ids=FILE_IDS)
def test_mail_catcher_gets_no_secrets(compose_file: Path) -> None:
    """It takes connections from every container, and needs none of the settings but one."""
    environment = environment_of(compose_file, "mailcatcher", in_single_quotes(UNUSUAL), shell={})

    assert environment.keys() - {"LEDGER_SECRETS_FILE", "LEDGER_DATA_DIR"} == {"LEDGER_MAIL_DAYS"}


def test_dotenv_is_not_committed() -> None:
    """It may hold passwords."""
    assert ".env" in (ROOT / ".gitignore").read_text("utf-8").splitlines()
