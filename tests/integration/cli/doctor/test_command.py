"""`ledger doctor`: each trouble is found, named, and told with what to do."""

import re
import socket
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import yaml
from redis import Redis

from api.cli.doctor.deployment import DEPLOYMENTS
from api.cli.embedded.state_file import StackState, write_stack_state
from projections.engine_check.check_engine import check_engine
from projections.engine_check.findings import EngineFinding
from projections.monitoring.ledger_collector import LedgerCollector
from projections.repositories.api_keys import ApiKeyRepository
from projections.repositories.rate_limit_reports import RateLimitCounts, RateLimitReportRepository
from projections.repositories.webhook_endpoints import WebhookEndpointRepository
from projections.work_queue.scheduler_lease import SchedulerLease
from tests.support.clients.terminal import Terminal
from tests.support.compose_environment import environment_of
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.servers.databases import execute
from tests.support.servers.mail_server import MailServer
from tests.support.servers.mail_session import Behavior, ReplyWith, SendOctets, Stage
from workers.maintenance.log_follower import update_log

ROOT = Path(__file__).parents[4]
ALIVE = ("ledger:alive:worker", "ledger:alive:beat")


def checks(terminal: Terminal) -> dict[str, Any]:
    """Findings by name; the exit code must say the same as they do."""
    ended = terminal.ledger("doctor", "--json")
    wrong = [check for check in ended.json["checks"] if check["status"] == "wrong"]
    assert ended.status == (1 if wrong else 0)
    assert ended.json["ok"] is not bool(wrong)
    assert all(check["found"] and (check["remedy"] or check not in wrong) for check in ended.json["checks"])
    return {check["name"]: check for check in ended.json["checks"]}


@pytest.fixture(scope="module", autouse=True)
def _engine_is_checked_once() -> Iterator[None]:
    """All databases are on one server. Its check is a third of the CPU, and test_single_checks.py has its outcomes."""
    findings: list[EngineFinding] = []

    def check_once(database_url: str) -> list[EngineFinding]:
        findings[:] = findings or check_engine(database_url)
        return findings

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.cli.doctor.engine.check_engine", check_once)
        yield


@pytest.fixture
def broker(redis_url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Redis]:
    """A broker in which worker and beat have just given heartbeats."""
    request.getfixturevalue("terminal")  # made first: it names another broker
    monkeypatch.setenv("REDIS_URL", redis_url)
    with Redis.from_url(redis_url) as client:
        for name in ALIVE:
            client.set(name, "1", ex=15)
        yield client


@pytest.mark.usefixtures("broker")
def test_doctor_passes_on_a_healthy_database_and_broker(terminal: Terminal) -> None:
    results = checks(terminal)

    assert "settings" not in results
    well = ("secrets", "migrations", "keyrings", "clock", "sweep", "pending", "cases", "guessing", "webhooks")
    assert [name for name in (*well, "broker", "worker", "beat") if results[name]["status"] != "ok"] == []
    assert results["tasks"]["status"] == "wrong"
    assert "PostgreSQL 18" in results["database"]["found"]
    assert (
        "fsync" in results["database"]["found"]
    )  # the suite's own server does not wait for the disk, and that is seen
    assert results["api"]["status"] == "skipped"


def test_doctor_reports_an_unavailable_broker_once(terminal: Terminal) -> None:
    """What can't be checked because of it is not called broken."""
    results = checks(terminal)

    assert results["broker"]["status"] == "wrong"
    assert "cannot connect to" in results["broker"]["found"]
    assert [results[name]["status"] for name in ("worker", "beat", "tasks")] == ["skipped"] * 3


def test_doctor_waits_a_bounded_time_for_a_frozen_broker(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and never answers: told within seconds."""
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{frozen.getsockname()[1]}/0")

        assert checks(terminal)["broker"]["status"] == "wrong"


@pytest.mark.parametrize("name", ["worker", "beat"])
@pytest.mark.parametrize(
    ("deployment", "start"),
    [
        ("", "ledger run {name}"),
        ("compose", "docker compose up -d celery_{name}"),
        ("cluster-compose", "docker compose up -d celery_{name}"),
        ("cluster", "systemctl start ledger-{name}"),
    ],
)
def test_doctor_reports_a_missing_heartbeat(
    terminal: Terminal, broker: Redis, monkeypatch: pytest.MonkeyPatch, name: str, deployment: str, start: str
) -> None:
    """Without a heartbeat for 15 seconds it is called missing."""
    broker.delete(f"ledger:alive:{name}")
    monkeypatch.setenv("LEDGER_DEPLOYMENT", deployment)

    results = checks(terminal)[name]

    assert (results["status"], f"(`{start.format(name=name)}`)" in results["remedy"]) == ("wrong", True)


@pytest.mark.parametrize(
    ("deployment", "database", "broker_start"),
    [
        ("", "on its server", "on its server"),
        ("compose", "docker compose up -d db`", "docker compose up -d redis`"),
        ("cluster-compose", "docker compose up -d db1 db2 db3 haproxy`", "docker compose up -d valkey1 valkey2 sen"),
        ("cluster", "systemctl start etcd patroni`", "systemctl start valkey-server valkey-sentinel`"),
    ],
)
def test_doctor_starts_servers_by_commands_of_its_deployment(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, deployment: str, database: str, broker_start: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://ledger@127.0.0.1:1/ledger")
    monkeypatch.setenv("LEDGER_DEPLOYMENT", deployment)

    results = checks(terminal)

    assert database in results["database"]["remedy"]
    assert broker_start in results["broker"]["remedy"]


def test_remedies_in_a_container_name_no_command_outside_of_it(
    terminal: Terminal, own_bench: LedgerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell of an operator has no command `ledger`; only `migrate` has the owner's rights."""
    monkeypatch.setenv("LEDGER_DEPLOYMENT", "compose")
    own_bench.redeem(own_bench.issue(), "li.wei@example.com")
    execute(
        own_bench.database_url,
        "UPDATE reservations SET deadline = deadline - interval '2 hours',"
        " reserved_at = reserved_at - interval '2 hours'",
    )
    remedies = [check["remedy"] for check in checks(terminal).values()]
    execute(own_bench.database_url, "DELETE FROM _yoyo_migration")
    older = checks(terminal)["migrations"]

    commands = [command for remedy in remedies for command in re.findall(r"`([^`]*ledger [^`]*)`", remedy)]
    assert older["remedy"] == "run `docker compose run --rm migrate` of the version that is running"
    assert older["found"].endswith("run `docker compose run --rm migrate`")
    assert "docker compose exec backend ledger reset-failed CODE" in commands
    assert "(umask 077; docker compose exec -T backend ledger keys export > FILE)" in commands
    assert [command for command in commands if "docker compose" not in command] == []


@pytest.mark.parametrize(("deployment", "folder"), [("compose", "."), ("cluster-compose", "deploy/ha")])
def test_containers_name_their_deployment_and_its_services_exist(deployment: str, folder: str) -> None:
    compose_file = ROOT / folder / "compose.yaml"
    services = yaml.safe_load(compose_file.read_text("utf-8"))["services"]
    named = re.findall(r"docker compose up -d ([\w ]+)`", " ".join(DEPLOYMENTS[deployment].start.values()))

    assert environment_of(compose_file, "backend", "", shell={})["LEDGER_DEPLOYMENT"] == deployment
    assert len(named) == 4
    assert {service for names in named for service in names.split()} - set(services) == set()


def test_doctor_names_the_beat_that_schedules(terminal: Terminal, own_bench: LedgerBench) -> None:
    """And says so if none does: before the first, and once its lease has expired."""
    assert checks(terminal)["scheduler"]["found"] == "no beat has scheduled on this database yet"
    lease = SchedulerLease(own_bench.database_url, "host-a:7", UUID(int=7))
    assert lease.hold()

    well = checks(terminal)["scheduler"]
    lease.close()
    ended = checks(terminal)["scheduler"]

    assert (well["status"], "beat host-a:7 schedules for" in well["found"]) == ("ok", True)
    assert (ended["status"], "the last was host-a:7" in ended["found"]) == ("wrong", True)


@pytest.mark.parametrize(
    ("setting", "value", "safe", "remedy"),
    [("maxmemory-policy", "allkeys-lru", "noeviction", "noeviction"), ("maxmemory", "1mb", "0", "maxmemory")],
)
def test_doctor_reports_a_broker_that_evicts_or_is_full(
    terminal: Terminal, broker: Redis, setting: str, value: str, safe: str, remedy: str
) -> None:
    """Either loses messages: allkeys-lru may throw the queue away, and at its limit it takes none."""
    broker.config_set(setting, value)
    try:
        results = checks(terminal)["broker"]
    finally:
        broker.config_set(setting, safe)

    assert (results["status"], remedy in results["remedy"]) == ("wrong", True)


def test_doctor_reports_an_unavailable_database_once(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://ledger:secret@127.0.0.1:1/ledger")

    results = checks(terminal)

    assert results["database"]["status"] == "wrong"
    assert "secret" not in results["database"]["found"]
    assert [results[name]["status"] for name in ("migrations", "keyrings", "sweep", "cases")] == ["skipped"] * 4
    assert results["broker"]["status"] == "wrong"


def test_doctor_reports_an_older_schema(terminal: Terminal, own_bench: LedgerBench) -> None:
    execute(own_bench.database_url, "DELETE FROM _yoyo_migration")

    results = checks(terminal)

    assert (results["migrations"]["status"], "ledger migrate" in results["migrations"]["found"]) == ("wrong", True)
    assert results["cases"]["status"] == "skipped"


def test_doctor_reports_a_database_restored_from_an_older_backup(
    terminal: Terminal, own_bench: LedgerBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing published, what the database holds, and what it does not: a restore of before."""
    file = tmp_path / "checkpoints.jsonl"
    unnamed = checks(terminal)["checkpoints"]["status"]
    monkeypatch.setenv("LEDGER_CHECKPOINT_FILE", str(file))
    empty = checks(terminal)["checkpoints"]["status"]
    own_bench.issue()
    update_log(own_bench.storage, own_bench.storage.recorder.clock.now(), file)
    result = checks(terminal)["checkpoints"]
    file.write_text(file.read_text().replace('"size": 1', '"size": 7'))

    older = checks(terminal)["checkpoints"]

    assert (unnamed, empty, result["status"], older["status"]) == ("skipped", "ok", "ok", "wrong")
    assert "checkpoint 1 of" in result["found"]
    assert "over 7 events, but the database has only 1 of them" in older["found"]
    assert older["remedy"].startswith("restore a newer backup")


def test_doctor_reminds_of_a_role_that_can_alter_the_log(terminal: Terminal, own_bench: LedgerBench) -> None:
    """The own_bench runs as the owner; a reminder is no fault."""
    own_bench.issue()

    results = checks(terminal)["role"]

    assert (results["status"], "run as ledger, which can change the log" in results["found"]) == ("reminder", True)
    assert "LEDGER_OWNER_DATABASE_URL" in results["remedy"]


def test_doctor_reports_secrets_that_others_can_read(terminal: Terminal, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.env"
    secrets.write_text("")
    secrets.chmod(0o644)

    results = checks(terminal)["secrets"]

    assert (results["status"], results["remedy"]) == ("wrong", f"chmod 600 {secrets}")


def test_doctor_reports_overdue_work(terminal: Terminal, own_bench: LedgerBench) -> None:
    """Due for an hour, and past its deadline: with every Celery process dead it is at least seen."""
    own_bench.redeem(own_bench.issue(), "li.wei@example.com")
    execute(
        own_bench.database_url,
        "UPDATE reservations SET due_at = due_at - interval '1 hour', deadline = deadline - interval '2 hours',"
        " reserved_at = reserved_at - interval '2 hours'",
    )

    results = checks(terminal)

    assert (results["sweep"]["status"], results["pending"]["status"]) == ("wrong", "wrong")
    assert "60 min" in results["sweep"]["found"]
    assert "2 h" in results["pending"]["found"] or "120 min" in results["pending"]["found"]


def test_doctor_reports_an_open_case(terminal: Terminal, own_bench: LedgerBench) -> None:
    reservation_id = (
        done(own_bench.redeem(own_bench.issue(), "li.wei@example.com")).require_reservation().reservation_id
    )
    own_bench.attempt(reservation_id)
    own_bench.bounce(reservation_id)

    results = checks(terminal)["cases"]

    assert (results["status"], results["remedy"]) == (
        "wrong",
        "review each case: `ledger cases`, then `ledger resolve`",
    )


def test_doctor_reminds_of_relays_that_pass_nothing_on(terminal: Terminal, own_bench: LedgerBench) -> None:
    """One without a process, and one whose target fails; one that works is no finding."""
    assert checks(terminal)["relays"]["found"] == "0 relay(s) pass events on"
    query = """
        INSERT INTO relays (
            name, target, target_id, position, failures, last_error, holder_id, holder, leased_until
        ) VALUES
        ('a', '', '', 0, 0, NULL, gen_random_uuid(), '', now() + interval '1 minute'),
        ('b', '', '', 0, 2, 'it answered 500', gen_random_uuid(), '', now() + interval '1 minute')
    """
    execute(own_bench.database_url, query)
    failing = checks(terminal)["relays"]
    assert (failing["status"], failing["found"]) == ("reminder", "b is 0 position(s) behind: it answered 500")

    execute(own_bench.database_url, "UPDATE relays SET failures = 0, last_error = NULL, leased_until = now()")
    assert "a is 0 position(s) behind: no process relays; b is" in checks(terminal)["relays"]["found"]

    execute(own_bench.database_url, "UPDATE relays SET position = 9 WHERE name = 'b'")
    beyond = checks(terminal)["relays"]
    assert (beyond["status"], beyond["remedy"]) == ("wrong", "follow docs/how-to/relay-events.md#after-a-restore")
    assert beyond["found"].startswith("the position of b is after the end of the log")


def test_doctor_reminds_of_cloud_events_of_a_loopback_address(
    terminal: Terminal, own_bench: LedgerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Receivers tell ledgers apart by it. An endpoint that is disabled, or sends events as they are, needs none."""
    endpoint = (uuid4(), "https://bi.example.com/", (), 1, uuid4(), own_bench.context().now)
    WebhookEndpointRepository(own_bench.storage).insert(*endpoint)
    without = checks(terminal)["event source"]
    execute(own_bench.database_url, "UPDATE webhook_endpoints SET format = 'cloudevents'")
    loopback = checks(terminal)["event source"]
    monkeypatch.setenv("LEDGER_PUBLIC_URL", "https://redeem.example.com")
    named = checks(terminal)["event source"]
    monkeypatch.setenv("LEDGER_PUBLIC_URL", "http://127.0.0.1:8000")
    execute(own_bench.database_url, "UPDATE webhook_endpoints SET state = 'disabled', reason = 'by_staff'")
    disabled = checks(terminal)["event source"]

    assert [each["status"] for each in (without, loopback, named, disabled)] == ["ok", "reminder", "ok", "ok"]
    assert loopback["found"].startswith("1 endpoint(s) and 0 relay(s) send CloudEvents of http://127.0.0.1")
    assert "LEDGER_PUBLIC_URL" in loopback["remedy"]


def test_doctor_reports_failing_webhooks(terminal: Terminal, own_bench: LedgerBench) -> None:
    """One that fails is tried again automatically; one that was given up waits for an operator."""
    endpoints, now, endpoint_id = WebhookEndpointRepository(own_bench.storage), own_bench.context().now, uuid4()
    endpoints.insert(endpoint_id, "https://bi.example.com/", (), 1, uuid4(), now)
    execute(own_bench.database_url, "UPDATE webhook_endpoints SET failures = 2")
    failing = checks(terminal)["webhooks"]
    endpoints.disable(endpoint_id, "gone", now)
    given_up = checks(terminal)["webhooks"]

    assert (failing["status"], given_up["status"]) == ("reminder", "wrong")
    assert "1 of them rejected the last message" in failing["found"]
    assert "/admin/webhooks" in given_up["remedy"]


def test_doctor_reminds_of_keys_that_end_soon_and_are_needed(terminal: Terminal, own_bench: LedgerBench) -> None:
    """A key whose replacement is in use is not needed; one that is still used is. The metric counts the same keys."""

    def count() -> tuple[str, float]:
        gauges = {metric.name: metric.samples[0].value for metric in LedgerCollector(own_bench.database_url)()}
        return checks(terminal)["API keys"]["status"], gauges["ledger_api_keys_ending"]

    later = terminal.ledger("key", "create", "--role", "viewer", "--days", "15", "--json").json["id"]
    before = count()
    execute(own_bench.database_url, "UPDATE api_keys SET expires_at = expires_at - interval '1 day 1 minute'")
    ending = count()
    terminal.ledger("key", "replace", later, "--days", "90")
    replaced = count()
    ApiKeyRepository(own_bench.storage).record_use(UUID(later), None, own_bench.context().now)
    still_used = count()
    terminal.ledger("key", "revoke", later)

    assert (before, ending, replaced) == (("ok", 0), ("reminder", 1), ("ok", 0))
    assert (still_used, count()) == (("reminder", 1), ("ok", 0))


def test_doctor_reminds_of_code_guessing(terminal: Terminal, own_bench: LedgerBench) -> None:
    """Code guessing breaks nothing, but operators should know of it."""
    RateLimitReportRepository(own_bench.storage, uuid4()).exchange(RateLimitCounts(unknown=150, redeemed=20, spent={}))

    results = checks(terminal)["guessing"]

    assert (results["status"], results["found"]) == (
        "reminder",
        "150 requests with unknown codes in the last minute (including limited ones), and 20 redemptions",
    )


def test_doctor_reports_clock_skew(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:  # noqa: ANN401 - datetime's own signature
            return super().now(tz) - timedelta(minutes=5)

    monkeypatch.setattr("projections.monitoring.health_checks.datetime", Slow)

    results = checks(terminal)["clock"]

    assert (results["status"], "5 min ahead" in results["found"]) == ("wrong", True)


def test_doctor_signs_in_to_the_mail_server_and_sends_no_email(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MailServer(login=("ledger", "pass word")) as server:
        monkeypatch.setenv("LEDGER_SMTP_URL", server.url)
        result = checks(terminal)["mail server"]

    assert (result["status"], "user and password" in result["found"]) == ("ok", True)
    assert [command.split()[0].upper() for command in server.commands] == ["EHLO", "AUTH", "QUIT"]


@pytest.mark.parametrize(
    ("stage", "behavior", "said"),
    [
        ("banner", ReplyWith(421, "4.7.0 too many connections"), "refuses connections for now: 421 4.7.0 too many"),
        ("banner", ReplyWith(554, "5.7.1 blocked"), "does not speak SMTP with this host: 554 5.7.1 blocked"),
        ("ehlo", SendOctets(b"no SMTP\r\n"), "does not speak SMTP with this host: no valid reply"),
        ("auth", ReplyWith(535, "5.7.8 who are you"), "refuses to sign in: 535 5.7.8 who are you"),
    ],
)
def test_doctor_says_why_the_mail_server_lets_no_worker_in(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, stage: Stage, behavior: Behavior, said: str
) -> None:
    """Its own words, and never the password."""
    with MailServer(login=("ledger", "sekret")) as server:
        server.at(stage, behavior)
        monkeypatch.setenv("LEDGER_SMTP_URL", server.url)
        result = checks(terminal)["mail server"]

    assert (result["status"], said in result["found"]) == ("wrong", True), result
    assert "sekret" not in str(result)


def test_doctor_says_that_a_mail_server_offers_no_encryption(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MailServer() as server:
        monkeypatch.setenv("LEDGER_SMTP_URL", f"smtp+starttls://{server.address}")
        result = checks(terminal)["mail server"]

    assert result["found"] == f"{server.address} failed to set up TLS: STARTTLS was not offered"


@pytest.mark.parametrize(
    ("name", "value", "status", "sentence"),
    [
        ("DATABASE_URL", "mysql://u:sekret@127.0.0.1/ledger", "wrong", "DATABASE_URL"),
        ("DATABASE_URL", "postgresql://u:sekret@127.0.0.1:sekret/ledger", "wrong", "DATABASE_URL"),
        ("REDIS_URL", "http://:sekret@127.0.0.1/0", "wrong", "REDIS_URL"),
        ("REDIS_URL", "redis://127.0.0.1:sekret/0", "wrong", "REDIS_URL"),
        ("LEDGER_MASTER_KEYS", "1:sekret", "wrong", "LEDGER_MASTER_KEYS"),
        ("LEDGER_PUBLIC_URL", "redeem.sekret.example", "wrong", "LEDGER_PUBLIC_URL"),
        ("LEDGER_SMTP_URL", "smtp://sekret@mail.example.com:99999", "wrong", "LEDGER_SMTP_URL"),
        ("LEDGER_SMTP_URL", "sekret", "wrong", "LEDGER_SMTP_URL"),
        ("LEDGER_MAIL_FROM", "sekret", "wrong", "LEDGER_MAIL_FROM"),
        ("LEDGER_RATE_LIMIT", "sekret", "wrong", "LEDGER_RATE_LIMIT"),
        ("LEDGER_SMTP_TIMEOUT_S", "100", "wrong", "LEDGER_SMTP_TIMEOUT_S"),
        ("LEDGER_RATE_LIMT", "sekret", "reminder", "did you mean LEDGER_RATE_LIMIT?"),
        (
            *("LEDGER_DEPLOYMENT", "sekret", "reminder"),
            "LEDGER_DEPLOYMENT is not a deployment, write one of compose, cluster-compose, cluster",
        ),
    ],
)
def test_doctor_reads_the_settings_of_every_component(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str, status: str, sentence: str
) -> None:
    """One sentence names the variable and not its value, before a worker fails over it."""
    monkeypatch.setenv(name, value)

    results = checks(terminal)["settings"]

    assert (results["status"], sentence in results["found"]) == (status, True)
    assert "sekret" not in results["found"]


def test_doctor_names_a_killed_stack(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`kill -9` leaves a file that says where everything was."""
    url = "postgresql://ledger:secret@127.0.0.1:1/ledger"
    monkeypatch.setenv("DATABASE_URL", url)
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    state: StackState = {
        "api": "http://127.0.0.1:1", "database_url": url, "redis_url": "redis://127.0.0.1:1/0", "mailbox": None,
        "admin_key": "", "staff_email": "", "staff_password": "", "demo_code": "", "pid": gone.pid,
    }  # fmt: skip
    write_stack_state(tmp_path, state)

    results = [terminal.ledger("--data-dir", str(tmp_path), *words) for words in (("doctor", "--json"), ("cases",))]

    named = {check["name"]: check for check in results[0].json["checks"]}
    assert (named["stack"]["status"], named["stack"]["remedy"]) == (
        "wrong",
        "start it again with `ledger up`; no data was lost",
    )
    assert "\n" not in named["database"]["found"]
    assert "start it (`ledger up`" in named["database"]["remedy"]
    assert (results[1].status, "was killed" in results[1].err) == (3, True)


def test_doctor_reports_wrong_keys(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_PEPPERS", "1:" + "A" * 43 + "=")

    assert checks(terminal)["keyrings"]["status"] == "wrong"


def test_doctor_skips_all_checks_without_a_ledger(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")

    results = checks(terminal)

    assert "no ledger is running on" in results["settings"]["found"]
    assert {check["status"] for name, check in results.items() if name != "settings"} == {"skipped"}


def test_doctor_prints_a_table(terminal: Terminal) -> None:
    ended = terminal.ledger("doctor")

    assert ended.status == 1
    assert "what to do" in ended.out
    assert "checks found an error" in ended.out
    assert ended.err == ""
